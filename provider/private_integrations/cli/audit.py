"""The audit log: `audit list` looks something up, `audit export` takes it away, `audit verify` says if it is whole."""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from ..client import Client
from ..connection import find_account
from ..contract import AuditEntry, instant_text, rfc3339
from ..contract.audit_chain import ChainHead, Fault, Whole, examine
from .failures import ANSWER_IS_NO, note, usage
from .options import AccountId, AsJson, connect, optional_identifier, refuse_secret
from .output import Row, print_json, print_json_lines, print_rows, print_table
from .overview import must_exist

app = typer.Typer(
    help=(
        "Who changed what, when and from where. Each account has a log of its own, a chain of hashes in which nothing "
        "changes or vanishes unseen; what belongs to no account, such as keys and users, is the service's own."
    ),
    rich_markup_mode=None,
)

_HEADINGS = ("when", "who", "what", "integration", "account", "from", "detail")
_LINES_AT_ONCE = 500

Own = Annotated[bool, typer.Option("--own", help="The service's own log, in place of an account's; for admins.")]


def _text(value: str | None) -> str | None:
    if value is not None:
        refuse_secret(value)
    return value


def _instant(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value)
        # In UTC, where nothing else is said.
        return rfc3339(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise usage(f'"{value}" is no instant; write one like 2026-11-21 or 2026-11-21T09:30Z') from None


def _heads(values: list[str] | None) -> list[str]:
    for value in values or []:
        if re.fullmatch(r"([A-Za-z0-9_-]*:)?[0-9]{1,18}:[0-9a-f]{64}", value) is None:
            raise usage(f'"{value}" is no head; write one as `audit verify` prints it')
    return values or []


@app.command("list")
def list_(
    account: AccountId = None,
    own: Own = False,
    integration: Annotated[
        str | None, typer.Option(metavar="ID", callback=optional_identifier, help="About this integration only.")
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(
            metavar="WHO",
            callback=_text,
            help="Of this actor only: `person`, `person/ada@example.com`, `key`, `key/ci`, `deployment`, …",
        ),
    ] = None,
    action: Annotated[
        str | None, typer.Option(metavar="WHAT", callback=_text, help="Of this kind only, such as edit.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="INSTANT", callback=_instant, help="Not before this; in UTC.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="INSTANT", callback=_instant, help="Before this; in UTC.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many rows at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List changes, the latest first. Of all accounts that the key reaches, unless one is given or set."""
    client, account = _chosen(account, own)
    search = {"integration": integration, "actor": actor, "action": action, "since": since, "until": until}
    found = list(islice(_entries(client, account=account, own=own or None, **search), limit))
    if as_json:
        print_json({"entries": [entry.model_dump(mode="json") for entry in found]})
    elif not found:
        note("nothing of this kind is in the audit log")
    else:
        print_rows(_HEADINGS, [_row(entry) for entry in found], narrow=_narrow)


@app.command()
def export(account: AccountId = None, own: Own = False) -> None:
    """Print the log as it is hashed: a row a line, as JSON, the oldest first. `audit verify FILE` reads it."""
    client, account = _chosen(account, own)
    lines = client.audit_log(account=account, own=own)
    while some := list(islice(lines, _LINES_AT_ONCE)):
        print_json_lines(some)


@app.command()
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="An exported log, - for stdin; without it, the service's present one."),
    ] = None,
    account: AccountId = None,
    own: Own = False,
    head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HEAD",
            callback=_heads,
            help="A head that was noted earlier, as this command prints them: the log must still have it. Repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a log is whole: every row as it was written, none missing, none moved.

    Only a head that you noted earlier reveals that rows were cut off the end: keep the printed ones elsewhere.
    """
    if file is not None and own:
        raise usage("a file holds what it holds: give FILE or --own, not both")
    with _log(file, account, own) as (lines, only):
        told = examine(lines, [_noted(text, only) for text in head or []])
    if as_json:
        print_json(_as_json(told))
    if isinstance(told, Fault):
        where = "the audit log" if file is None else "stdin" if str(file) == "-" else str(file)
        note(f"{where}{'' if told.line is None else f', line {told.line}'}: {told.reason}")
        raise typer.Exit(ANSWER_IS_NO)
    if not as_json:
        rows = [
            (account or "the service's own", str(last.sequence), _spelled(account, last))
            for account, last in _by_account(told)
        ]
        print_table(("account", "rows", "head"), rows)


def _chosen(account: str | None, own: bool) -> tuple[Client, str | None]:
    """Return a client, and the account of the log that is meant; None where it is the service's own, or all."""
    if own and account is not None:
        raise usage("give --account or --own, not both")
    client = connect()
    account = None if own else account or find_account()
    if account is not None:
        must_exist(client, account)
    return client, account


def _entries(client: Client, **search: Any) -> Iterator[AuditEntry]:
    cursor: str | None = None
    while True:
        page = client.audit(cursor=cursor, **search)
        yield from page.entries
        if page.cursor is None:
            return
        cursor = page.cursor


@contextmanager
def _log(file: Path | None, account: str | None, own: bool) -> Iterator[tuple[Iterable[bytes], str | None]]:
    """Return the lines of a log, and its account where only one can be meant; "" for the service's own log."""
    if file is None:
        client, chosen = _chosen(account, own)
        yield client.audit_log(account=chosen, own=own), "" if own else chosen
    elif str(file) == "-":
        yield sys.stdin.buffer, account
    else:
        try:
            opened = file.open("rb")
        except OSError as error:
            raise usage(f"{file} can't be read: {error.strerror}") from None
        with opened:
            yield opened, account


def _noted(text: str, only: str | None) -> tuple[str | None, ChainHead]:
    *whose, sequence, row_hash = text.split(":")
    if not whose and only is None:
        raise usage(f"say whose log the head {sequence}:… is of: write it as ACCOUNT:SEQUENCE:HASH", "--head")
    account = whose[0] if whose else only
    return account or None, ChainHead(int(sequence), row_hash)


def _spelled(account: str | None, last: ChainHead) -> str:
    return f"{account or ''}:{last}"


def _by_account(told: Whole) -> list[tuple[str | None, ChainHead]]:
    return sorted(told.heads.items(), key=lambda item: item[0] or "")


def _as_json(told: Whole | Fault) -> dict[str, Any]:
    if isinstance(told, Fault):
        return {"whole": False, "line": told.line, "reason": told.reason}
    chains = [
        {"account": account, "rows": last.sequence, "head": _spelled(account, last)}
        for account, last in _by_account(told)
    ]
    return {"whole": True, "chains": chains}


def _row(entry: AuditEntry) -> Row:
    origin = f"{entry.address} {entry.agent}".strip()
    when = instant_text(entry.instant) if entry.instant else entry.at
    about = (entry.integration_id or "-", entry.account or "-", origin or "-", entry.in_words)
    return (when, entry.actor, entry.action, *about)


def _narrow(row: Row) -> str:
    when, who, what, integration, account, origin, detail = row
    return f"{when}  {what}\n  by {who}\n  integration {integration}, account {account}\n  from {origin}\n  {detail}"
