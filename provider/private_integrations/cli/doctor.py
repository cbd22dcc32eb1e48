"""`doctor`: what a deployment from this terminal would run into, each check with its result and what to do."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated, Literal

import typer

from ..client import Client
from ..connection import ACCOUNT_VARIABLE, find_account
from ..contract import PrincipalReport, Role, instant_text
from ..errors import ConfigurationError, NotAuthorized, PrivateIntegrationError
from ..rotation.acceptance import refuse_issue
from ..rotation.status import IntegrationStatus
from .failures import ANSWER_IS_NO
from .options import AccountId, AsJson, connect
from .output import print_json, print_table
from .overview import reports_in

_ENDS_SOON = timedelta(days=14)
_NAMES_SHOWN = 5

Result = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class RequirementCheck:
    """One requirement of a deployment, and the result of its check."""

    check: str
    result: Result
    detail: str


def doctor(
    account: AccountId = None,
    under: Annotated[
        str | None,
        typer.Option(metavar="ORG/PROJECT/STACK", help="Also check the names and tokens that this stack would use."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check what a deployment needs: address, key, role, account, and free names and room for tokens of a stack.

    Reads only. Ends with 1 if a check failed; a warning is no failure.
    """
    checks = list(_checks(account or find_account(), under and under.strip("/")))
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        print_table(("check", "result", "detail"), [(check.check, check.result, check.detail) for check in checks])
    if any(check.result == "failed" for check in checks):
        raise typer.Exit(ANSWER_IS_NO)


def _checks(account: str | None, under: str | None) -> Iterator[RequirementCheck]:
    """Make one check after the other; a failure that makes the rest meaningless is the last."""
    try:
        client = connect()
    except ConfigurationError as error:
        yield RequirementCheck("settings", "failed", str(error))
        return
    try:
        principal = client.whoami()
    except NotAuthorized as error:
        yield RequirementCheck("service", "ok", f"{client.url} answers")
        yield RequirementCheck("key", "failed", str(error))
        return
    except PrivateIntegrationError as error:
        yield RequirementCheck("service", "failed", str(error))
        return
    yield RequirementCheck("service", "ok", f"{client.url} answers")
    yield _key(principal)
    yield _role(principal)
    yield _account(principal, account)
    if under is not None:
        yield from _stack(client, under)


def _key(principal: PrincipalReport) -> RequirementCheck:
    known = f"{principal.name} ({principal.id})"
    if principal.expires_at is None:
        return RequirementCheck("key", "ok", f"{known}, no end is set")
    soon = principal.expires_at - principal.now < _ENDS_SOON
    return RequirementCheck(
        "key", "warning" if soon else "ok", f"{known}, works until {instant_text(principal.expires_at)}"
    )


def _role(principal: PrincipalReport) -> RequirementCheck:
    if principal.role.may_write:
        return RequirementCheck("role", "ok", f"{principal.role}: may preview, deploy and destroy")
    if principal.role == Role.VIEWER:
        return RequirementCheck("role", "warning", "viewer: may preview; `pulumi up` and `pulumi destroy` are refused")
    return RequirementCheck("role", "failed", f"{principal.role}: may not even preview; use a deployer's key")


def _account(principal: PrincipalReport, account: str | None) -> RequirementCheck:
    if account is None:
        advice = f"none is set: give account= in the program, or set {ACCOUNT_VARIABLE}"
        return RequirementCheck("account", "warning", advice)
    found = next((one for one in principal.accounts if one.id == account), None)
    if found is None:
        reached = ", ".join(one.id for one in principal.accounts[:_NAMES_SHOWN]) or "none"
        more = ", …" if len(principal.accounts) > _NAMES_SHOWN else ""
        return RequirementCheck(
            "account", "failed", f"there is no account {account} that this key reaches; it reaches {reached}{more}"
        )
    holds = f"{found.kind.platform_name} scopes"
    return RequirementCheck("account", "ok", f"{found.id} ({found.name}), {found.kind.noun}: its tokens hold {holds}")


def _stack(client: Client, under: str) -> Iterator[RequirementCheck]:
    """Check which names are taken below a stack, and whether each of its tokens can be rotated."""
    found = reports_in(client, None, under)
    if not found:
        yield RequirementCheck("names", "ok", f"all names below {under} are free")
        return
    names = ", ".join(
        f"{one.integration.external_id.removeprefix(f'{under}/')} ({one.integration.id})"
        for one in found[:_NAMES_SHOWN]
    )
    more = f" and {len(found) - _NAMES_SHOWN} more" if len(found) > _NAMES_SHOWN else ""
    advice = "a stack without their state is refused these names: see docs/lost-state.md"
    yield RequirementCheck("names", "warning", f"taken below {under}: {names}{more}; {advice}")
    limit = client.rules().superseded_tokens
    refused = [(one, refusal) for one in found if (refusal := _refuse_rotation(one, limit)) is not None]
    for one, refusal in refused[:_NAMES_SHOWN]:
        yield RequirementCheck("tokens", "warning", f"the next rotation of {one.integration.id} is refused: {refusal}")
    if not refused:
        yield RequirementCheck("tokens", "ok", f"each of the {len(found)} integrations has room for another token")


def _refuse_rotation(one: IntegrationStatus, limit: int) -> str | None:
    """Tell why the deployment that owns an integration could not issue its next token, or None."""
    held = one.newest.generation if one.newest else None
    owner, overlap = one.integration.external_id, one.policy.overlap
    refusal = refuse_issue(one.live, issuer=owner, holding=held, overlap=overlap, limit=limit)
    return None if refusal is None else refusal.detail
