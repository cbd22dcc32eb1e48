"""Create an integration in three steps with an address each; the input travels in the addresses.

Nothing is stored before the last step, so that going back, reloading or leaving costs nothing. `mark` is made when
the first step is opened and stays through all of them: it is the owner nonce of the one integration that may come of
it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Account, IntegrationRequest, Problem, Refused

from ..operations import accounts, integrations, manual_rotation
from .fields import faults_in, is_mark, new_mark, query_of, text
from .integrations import LIST
from .page_requests import PageRequest, signed_in
from .scope_choice import picker
from .tokens import Handover, token_page

NEW = f"{LIST}/new"


@dataclass(frozen=True)
class Draft:
    """Hold the input so far."""

    account: str
    name: str
    description: str
    scopes: tuple[str, ...]
    mark: str

    def address(self, step: str = "") -> str:
        """Return the address of a step with all the input."""
        given = [("account", self.account), ("name", self.name), ("description", self.description)]
        given += [("mark", self.mark), *(("scope", scope) for scope in self.scopes)]
        return f"{NEW}{step}?{urlencode([(name, value) for name, value in given if value])}"


def _basics(asking: PageRequest) -> Response:
    accounts = _accounts(asking)
    return _basics_page(asking, _draft(query_of(asking.request), accounts), accounts, {})


def _scopes(asking: PageRequest) -> Response:
    given, accounts = query_of(asking.request), _accounts(asking)
    draft = _draft(given, accounts)
    faults = _basic_faults(draft, accounts)
    if faults:
        return _basics_page(asking, draft, accounts, faults, status=422)
    return _scopes_page(asking, draft, accounts[draft.account], given)


def _token(asking: PageRequest) -> Response:
    given, accounts = query_of(asking.request), _accounts(asking)
    draft = _draft(given, accounts)
    refusal = _refuse_step(asking, draft, accounts, given)
    if refusal is not None:
        return refusal
    made = _made_before(asking, draft)
    if made is not None:
        return made
    return _token_step(asking, draft, accounts[draft.account])


def _generate(asking: PageRequest) -> Response | Refused:
    accounts = _accounts(asking)
    draft = _draft(asking.form, accounts)
    refusal = _refuse_step(asking, draft, accounts, asking.form)
    if refusal is not None:
        return refusal
    assert asking.session is not None
    request = IntegrationRequest(
        account=draft.account,
        name=draft.name,
        description=draft.description,
        scopes=list(draft.scopes),
        owner_nonce=draft.mark,
    )
    made = manual_rotation.create(asking.engine, asking.session.user.email, request, asking.rules, actor=asking.actor)
    if isinstance(made, Refused):
        return _refused(asking, draft, accounts[draft.account], made)
    account = accounts[draft.account]
    return token_page(asking, Handover(made.integration, account, made.issued, "created", ""))


def _refused(asking: PageRequest, draft: Draft, account: Account, refused: Refused) -> Response | Refused:
    """Show the input again, with the reason of the refusal."""
    if refused.problem == Problem.OWNER_NONCE_USED:
        return _made_before(asking, draft) or _token_step(
            asking, replace(draft, mark=new_mark()), account, fault=_USED, status=409
        )
    if refused.problem == Problem.ACCOUNT_UNKNOWN:
        return refused
    return _token_step(asking, draft, account, fault=refused.detail, status=refused.problem.status)


_USED = (
    "This form was used before, and nothing more was created. To create another integration, press the button again."
)


def _refuse_step(
    asking: PageRequest, draft: Draft, accounts: Mapping[str, Account], given: Mapping[str, Sequence[str]]
) -> Response | None:
    """Return to an earlier step if its input is missing or wrong."""
    faults = _basic_faults(draft, accounts)
    if faults:
        return _basics_page(asking, draft, accounts, faults, status=422)
    account = accounts[draft.account]
    fault = faults_in(scopes=list(draft.scopes)).get("scopes")
    if fault is None:
        refused = asking.rules.refuse(account.kind, draft.scopes, None)
        fault = None if refused is None else refused.detail
    return None if fault is None else _scopes_page(asking, draft, account, given, fault=fault, status=422)


def _made_before(asking: PageRequest, draft: Draft) -> Response | None:
    """Show the page for a form that has made its integration already: its token is never shown again."""
    assert asking.session is not None
    external_id = manual_rotation.own_name(asking.session.user.email, draft.mark)
    found = integrations.declared_as(asking.engine, draft.account, external_id)
    return None if found is None else asking.page("creation_done.html", integration=found)


def _basics_page(
    asking: PageRequest, draft: Draft, accounts: Mapping[str, Account], faults: Mapping[str, str], status: int = 200
) -> Response:
    return asking.page(
        "creation_basics.html",
        status=status,
        draft=draft,
        account=accounts.get(draft.account),
        accounts=accounts,
        faults=faults,
    )


def _scopes_page(
    asking: PageRequest,
    draft: Draft,
    account: Account,
    given: Mapping[str, Sequence[str]],
    fault: str | None = None,
    status: int = 200,
) -> Response:
    shown = picker(asking.rules.catalogue, account.kind, given)
    # Scopes of the other account class are named, and left out.
    kept = replace(draft, scopes=tuple(offer.name for offer in shown.chosen))
    return asking.page("creation_scopes.html", status=status, draft=kept, account=account, picker=shown, fault=fault)


def _token_step(
    asking: PageRequest, draft: Draft, account: Account, fault: str | None = None, status: int = 200
) -> Response:
    shown = picker(asking.rules.catalogue, account.kind, {"scope": draft.scopes})
    return asking.page("creation_token.html", status=status, draft=draft, account=account, picker=shown, fault=fault)


def _basic_faults(draft: Draft, accounts: Mapping[str, Account]) -> dict[str, str]:
    faults = faults_in(name=draft.name, description=draft.description)
    return faults if draft.account in accounts else faults | {"account": "Choose one of the accounts."}


def _accounts(asking: PageRequest) -> dict[str, Account]:
    return {account.id: account for account in accounts.listed(asking.engine, actor=asking.actor)}


def _draft(given: Mapping[str, Sequence[str]], accounts: Mapping[str, Account]) -> Draft:
    """Read the input of a form or an address; the only account is the default."""

    def last(name: str) -> str:
        return text((given.get(name) or [""])[-1])

    mark = last("mark")
    return Draft(
        account=last("account") or (next(iter(accounts)) if len(accounts) == 1 else ""),
        name=last("name"),
        description=last("description"),
        scopes=tuple(sorted(set(given.get("scope", ())))),
        mark=mark if is_mark(mark) else new_mark(),
    )


ROUTES = [
    Route(NEW, signed_in(_basics), methods=["GET"]),
    Route(f"{NEW}/scopes", signed_in(_scopes), methods=["GET"]),
    Route(f"{NEW}/token", signed_in(_token), methods=["GET"]),
    Route(f"{NEW}/token", signed_in(_generate), methods=["POST"]),
]
