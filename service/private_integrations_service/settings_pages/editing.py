"""Edit an integration: its name and description, and its scopes, which hold for all of its tokens at once."""

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Integration, IntegrationEdit, Problem, Refused

from ..operations import integrations
from .fields import faults_in, query_of, text, whole_number
from .integration import ONE, Shown, scopes_of, shown
from .pulumi import details_line, scopes_line
from .scope_choice import Offer, Picker, picker
from .visits import Visit, signed_in


@dataclass(frozen=True)
class ScopeChange:
    """Hold the effect of an edit of scopes: added and removed ones."""

    added: tuple[Offer, ...]
    taken: tuple[Offer, ...]

    @property
    def is_empty(self) -> bool:
        """Tell whether it changes no scope."""
        return not self.added and not self.taken


def _details(visit: Visit) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    present = found.integration
    return _details_page(visit, found, present.name, present.description, present.version)


def _save_details(visit: Visit) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    name, description = text(visit.field("name")), text(visit.field("description"))
    version = read_version(visit.field("version"))
    faults = faults_in(name=name, description=description)
    if faults or version is None:
        faults = faults or {"version": "This form can't be read; look at it again and save."}
        return _details_page(
            visit, found, name, description, version or found.integration.version, faults=faults, status=422
        )
    edited = save(visit, found, IntegrationEdit(name=name, description=description), version)
    if isinstance(edited, Refused):
        return _details_refused(visit, edited, name, description)
    return visit.to(found.address, notice="edited")


def _details_refused(visit: Visit, refused: Refused, name: str, description: str) -> Response | Refused:
    """Show the input beside the values that were saved meanwhile; saving again overwrites them knowingly."""
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    theirs = found.integration if refused.problem == Problem.VERSION_OLD else None
    faults = {} if theirs else {"version": refused.detail}
    return _details_page(
        visit,
        found,
        name,
        description,
        found.integration.version,
        faults=faults,
        theirs=theirs,
        status=refused.problem.status,
    )


def _details_page(
    visit: Visit,
    found: Shown,
    name: str,
    description: str,
    version: int,
    *,
    faults: dict[str, str] | None = None,
    theirs: Integration | None = None,
    status: int = 200,
) -> Response:
    return visit.page(
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


def _scopes(visit: Visit) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    given = query_of(visit.request)
    if "version" not in given:
        given = {"scope": found.integration.scopes, "version": [str(found.integration.version)]}
    return _scopes_page(visit, found, picker(visit.rules.catalogue, found.account.kind, given), given["version"][-1])


def _scopes_page(
    visit: Visit, found: Shown, chosen: Picker, version: str, fault: str | None = None, status: int = 200
) -> Response:
    return visit.page(
        "scopes.html", status=status, shown=found, account=found.account, picker=chosen, version=version, fault=fault
    )


def _review(visit: Visit) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    given = query_of(visit.request)
    version = "".join(given.get("version", ())[-1:])
    chosen = scopes_of(visit, found, given.get("scope", []))
    fault = faults_in(scopes=sorted(chosen.names)).get("scopes")
    if fault is not None:
        return _scopes_page(visit, found, chosen, version, fault, status=422)
    return _review_page(visit, found, chosen, version)


def _review_page(
    visit: Visit, found: Shown, chosen: Picker, version: str, fault: str | None = None, status: int = 200
) -> Response:
    return visit.page(
        "scopes_review.html",
        status=status,
        shown=found,
        account=found.account,
        picker=chosen,
        change=_change(visit, found, chosen),
        version=version,
        changed_meanwhile=version != str(found.integration.version),
        line=scopes_line(chosen.names),
        fault=fault,
    )


def _save_scopes(visit: Visit) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    chosen = scopes_of(visit, found, visit.form.get("scope", []))
    fault = faults_in(scopes=sorted(chosen.names)).get("scopes")
    version = read_version(visit.field("version"))
    if fault is not None or version is None:
        fault = fault or "This form can't be read; look at your choice again."
        return _scopes_page(visit, found, chosen, str(found.integration.version), fault, status=422)
    edited = save(visit, found, IntegrationEdit(scopes=sorted(chosen.names)), version)
    if isinstance(edited, Refused):
        return _scopes_refused(visit, edited, chosen)
    return visit.to(found.address, notice="scopes-edited")


def _scopes_refused(visit: Visit, refused: Refused, chosen: Picker) -> Response | Refused:
    """Show the review again, with the present values; saving with its version overwrites knowingly."""
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    fault = CHANGED_MEANWHILE if refused.problem == Problem.VERSION_OLD else refused.detail
    version = str(found.integration.version)
    return _review_page(visit, found, chosen, version, fault=fault, status=refused.problem.status)


CHANGED_MEANWHILE = (
    "Somebody changed this integration since you opened the page. Below is what your choice does to it as it is now."
)
"""Explain a review that is shown again because the integration has another version by now."""


def save(visit: Visit, found: Shown, change: IntegrationEdit, version: int) -> Integration | Refused:
    """Change an integration that is still in the version of the shown page."""
    return integrations.edit(
        visit.engine, found.integration.id, change, visit.rules, actor=visit.actor, expected_version=version
    )


def _change(visit: Visit, found: Shown, chosen: Picker) -> ScopeChange:
    present = scopes_of(visit, found)
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
