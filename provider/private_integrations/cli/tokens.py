"""The commands about tokens, `expire` and `verify`, and how a new one is issued and handed over."""

import getpass
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from ..client import Client
from ..contract import TOKEN_PATTERN, Integration, Introspection, IssuedToken, TokenState, instant_text
from ..rotation.status import IntegrationStatus
from .failures import ANSWER_IS_NO, OutputLostError, note, usage
from .options import AsJson, IntegrationId, connect, secret_from_stdin
from .output import Row, print_facts, print_json, print_table, print_text
from .status import report_of, when

_ROLES = {
    "pending": "pending: not used yet",
    "current": "current: in use",
    "previous": "previous: superseded by a newer one",
}


def expire(
    integration_id: IntegrationId,
    generation: Annotated[
        list[int] | None, typer.Option(metavar="N", min=1, help="This generation. Repeatable.")
    ] = None,
    previous: Annotated[bool, typer.Option("--previous", help="The superseded ones that still work.")] = False,
    current: Annotated[
        bool, typer.Option("--current", help="The one in use; a new one that nobody has used works on.")
    ] = False,
    every_one: Annotated[bool, typer.Option("--all", help="All that work, a new one too.")] = False,
    as_json: AsJson = False,
) -> None:
    """End tokens at once. Those that you name open nothing from then on, and no other one takes their place.

    To go back to the token before, use `cancel`; for a new one, `rotate`.
    """
    if [bool(generation), previous, current, every_one].count(True) != 1:
        raise usage("give --generation, --previous, --current or --all, one of them")
    client = connect()
    report = report_of(client, client.integration(integration_id))
    roles = {"previous"} if previous else {"current"} if current else {"pending", "current", "previous"}
    ending = generation or [token.generation for token in report.live if token.role in roles]
    print_state(_expired(client, report, sorted(set(ending))), as_json)


def verify(
    as_json: AsJson = False,
    surplus: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Read a token from stdin and say what it opens. Being asked is no use of it."""
    if surplus:
        raise usage("a token is read from stdin; as an argument, others on this machine could see it")
    token = secret_from_stdin("token", "private-integrations verify < file")
    client = connect()
    # A text without the shape of a token is sent nowhere: it may be another secret.
    found = client.introspect(token) if TOKEN_PATTERN.fullmatch(token) else Introspection(active=False)
    if as_json:
        print_json(found.model_dump(mode="json", exclude_none=True))
    elif found.active:
        print_facts(_opened_by(found))
    else:
        print_text("This token opens nothing: it is unknown here, has expired or was ended.")
    if not found.active:
        raise typer.Exit(ANSWER_IS_NO)


def issue(
    client: Client, integration: Integration, overlap: timedelta | None, *, reason: str, replace_pending: bool = False
) -> IssuedToken:
    """Issue the next generation as a person does: only this very action may repeat it.

    Without `overlap`, the integration's policy decides.
    """
    return client.issue(
        integration.id,
        integration.last_generation + 1,
        issuer=f"cli/{_user()}/{secrets.token_hex(8)}",
        holding=None,
        overlap_seconds=None if overlap is None else int(overlap.total_seconds()),
        reason=reason,
        replace_pending=replace_pending,
    )


def hand_over(integration: Integration, issued: IssuedToken, *, as_json: bool, token_only: bool) -> None:
    """Print a token that was just issued, the only time that it is ever shown."""
    try:
        _print_issued(integration, issued, as_json=as_json, token_only=token_only)
    except OutputLostError as error:
        advice = (
            f"nobody has seen the token of generation {issued.generation}, which works: end it with "
            f"`private-integrations expire {integration.id} --generation {issued.generation}`, then rotate again"
        )
        raise OutputLostError(error.reason, advice=advice) from error
    note("store this token now, it will not be shown again")


def print_state(state: TokenState, as_json: bool) -> None:
    """Print the tokens of an integration after a change, without their values."""
    if as_json:
        print_json(state.model_dump(mode="json"))
    elif state.tokens:
        print_table(*token_rows(state))


def token_rows(state: TokenState, *, last_used: bool = False) -> tuple[Row, Sequence[Row]]:
    """Return headings and rows for an integration's tokens, the newest first; with their last uses if known."""
    newest_first = sorted(state.tokens, key=lambda token: token.generation, reverse=True)
    rows = [
        (str(s.generation), s.role, s.fingerprint, when(s.issued_at), when(s.ended_at or s.expires_at))
        for s in newest_first
    ]
    headings = ("generation", "role", "fingerprint", "issued", "until")
    if not last_used:
        return headings, rows
    return (*headings, "last used"), [(*row, when(s.last_used_at)) for row, s in zip(rows, newest_first, strict=True)]


def _print_issued(integration: Integration, issued: IssuedToken, *, as_json: bool, token_only: bool) -> None:
    if token_only:
        print_text(issued.token)
    elif as_json:
        known = integration.model_copy(update={"last_generation": issued.generation})
        print_json({**issued.model_dump(mode="json"), "integration": known.model_dump(mode="json")})
    else:
        print_facts(
            [
                ("id", integration.id),
                ("name", integration.name),
                ("account", integration.account),
                ("scopes", "\n".join(integration.scopes)),
                ("generation", str(issued.generation)),
                ("token", issued.token),
            ]
        )


def _expired(client: Client, report: IntegrationStatus, ending: list[int]) -> TokenState:
    if not ending:
        note(f"nothing to expire: {report.integration.id} has no such token that works")
        return report.token_state
    state = client.expire(report.integration.id, ending)
    note(f"expired generation {', '.join(map(str, ending))} of {report.integration.id}")
    return state


def _opened_by(found: Introspection) -> list[tuple[str, str]]:
    until = "no end is set" if found.exp is None else instant_text(datetime.fromtimestamp(found.exp, UTC))
    return [
        ("integration", f"{found.integration} ({found.integration_id})"),
        ("account", found.account or "-"),
        ("scopes", "\n".join((found.scope or "-").split())),
        ("generation", str(found.generation)),
        ("role", _ROLES.get(found.role or "", found.role or "-")),
        ("works until", until),
    ]


def _user() -> str:
    """Return the user's name for the audit log, in characters that an issuer may have."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        name = ""
    return re.sub(r"[^A-Za-z0-9._@-]", "-", name)[:64] or "unknown"
