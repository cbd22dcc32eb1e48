"""Edit an integration: its name and description, and its scopes, which hold for all of its tokens at once."""

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Integration, IntegrationEdit, Problem, Refused

from ..operations import integrations
from .fields import faults_in, query_of, text, whole_number
from .integration import ONE, Shown, scopes_of, shown
from .page_requests import PageRequest, signed_in
from .pulumi import details_line, scopes_line
from .scope_choice import Offer, Picker, picker


@dataclass(frozen=True)
class ScopeChange:
    """Hold the effect of an edit of scopes: added and removed ones."""

    added: tuple[Offer, ...]
    taken: tuple[Offer, ...]

    @property
    def is_empty(self) -> bool:
        """Tell whether it changes no scope."""
        return not self.added and not self.taken


def _details(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    present = found.integration
    return _details_page(asking, found, present.name, present.description, present.version)


def _save_details(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    name, description = text(asking.field("name")), text(asking.field("description"))
    version = read_version(asking.field("version"))
    faults = faults_in(name=name, description=description)
    if faults or version is None:
        faults = faults or {"version": "This form can't be read; look at it again and save."}
        return _details_page(
            asking, found, name, description, version or found.integration.version, faults=faults, status=422
        )
    edited = save(asking, found, IntegrationEdit(name=name, description=description), version)
    if isinstance(edited, Refused):
        return _details_refused(asking, edited, name, description)
    return asking.to(found.address, notice="edited")


def _details_refused(asking: PageRequest, refused: Refused, name: str, description: str) -> Response | Refused:
    """Show the input beside the values that were saved meanwhile; saving again overwrites them knowingly."""
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    theirs = found.integration if refused.problem == Problem.VERSION_OLD else None
    faults = {} if theirs else {"version": refused.detail}
    return _details_page(
        asking,
        found,
        name,
        description,
        found.integration.version,
        faults=faults,
        theirs=theirs,
        status=refused.problem.status,
    )


def _details_page(
    asking: PageRequest,
    found: Shown,
    name: str,
    description: str,
    version: int,
    *,
    faults: dict[str, str] | None = None,
    theirs: Integration | None = None,
    status: int = 200,
) -> Response:
    return asking.page(
        "edit.html",
        status=status,
        shown=found,
        account=found.account,
        name=name,
        description=description,
        line=details_line(name, description),
        version=version,
        faults=faults or {},
        theirs=theirs,
    )


def _scopes(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    given = query_of(asking.request)
    if "version" not in given:
        given = {"scope": found.integration.scopes, "version": [str(found.integration.version)]}
    return _scopes_page(asking, found, picker(asking.rules.catalogue, found.account.kind, given), given["version"][-1])


def _scopes_page(
    asking: PageRequest, found: Shown, chosen: Picker, version: str, fault: str | None = None, status: int = 200
) -> Response:
    return asking.page(
        "scopes.html", status=status, shown=found, account=found.account, picker=chosen, version=version, fault=fault
    )


def _review(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    given = query_of(asking.request)
    version = "".join(given.get("version", ())[-1:])
    chosen = scopes_of(asking, found, given.get("scope", []))
    fault = faults_in(scopes=sorted(chosen.names)).get("scopes")
    if fault is not None:
        return _scopes_page(asking, found, chosen, version, fault, status=422)
    return _review_page(asking, found, chosen, version)


def _review_page(
    asking: PageRequest, found: Shown, chosen: Picker, version: str, fault: str | None = None, status: int = 200
) -> Response:
    return asking.page(
        "scopes_review.html",
        status=status,
        shown=found,
        account=found.account,
        picker=chosen,
        change=_change(asking, found, chosen),
        version=version,
        changed_meanwhile=version != str(found.integration.version),
        line=scopes_line(chosen.names),
        fault=fault,
    )


def _save_scopes(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    chosen = scopes_of(asking, found, asking.form.get("scope", []))
    fault = faults_in(scopes=sorted(chosen.names)).get("scopes")
    version = read_version(asking.field("version"))
    if fault is not None or version is None:
        fault = fault or "This form can't be read; look at your choice again."
        return _scopes_page(asking, found, chosen, str(found.integration.version), fault, status=422)
    edited = save(asking, found, IntegrationEdit(scopes=sorted(chosen.names)), version)
    if isinstance(edited, Refused):
        return _scopes_refused(asking, edited, chosen)
    return asking.to(found.address, notice="scopes-edited")


def _scopes_refused(asking: PageRequest, refused: Refused, chosen: Picker) -> Response | Refused:
    """Show the review again, with the present values; saving with its version overwrites knowingly."""
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    fault = CHANGED_MEANWHILE if refused.problem == Problem.VERSION_OLD else refused.detail
    version = str(found.integration.version)
    return _review_page(asking, found, chosen, version, fault=fault, status=refused.problem.status)


CHANGED_MEANWHILE = (
    "Somebody changed this integration since you opened the page. Below is what your choice does to it as it is now."
)
"""Explain a review that is shown again because the integration has another version by now."""


def save(asking: PageRequest, found: Shown, change: IntegrationEdit, version: int) -> Integration | Refused:
    """Change an integration that is still in the version of the shown page."""
    return integrations.edit(
        asking.engine, found.integration.id, change, asking.rules, actor=asking.actor, expected_version=version
    )


def _change(asking: PageRequest, found: Shown, chosen: Picker) -> ScopeChange:
    present = scopes_of(asking, found)
    return ScopeChange(
        added=tuple(offer for offer in chosen.chosen if offer.name not in found.integration.scopes),
        taken=tuple(offer for offer in present.chosen if offer.name not in chosen.names),
    )


def read_version(value: str) -> int | None:
    """Read the version in a form; None if it is malformed."""
    return whole_number(value, 9)


ROUTES = [
    Route(f"{ONE}/edit", signed_in(_details), methods=["GET"]),
    Route(f"{ONE}/edit", signed_in(_save_details), methods=["POST"]),
    Route(f"{ONE}/scopes", signed_in(_scopes), methods=["GET"]),
    Route(f"{ONE}/scopes", signed_in(_save_scopes), methods=["POST"]),
    Route(f"{ONE}/scopes/review", signed_in(_review), methods=["GET"]),
]
