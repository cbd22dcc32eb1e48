"""Read the audit log, as far as an actor reaches: page by page, or row by row for an export."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from private_integrations.contract import AuditEntry, AuditPage, Problem, Refused
from private_integrations.contract.audit_chain import ChainHead, canonical

from ..access.actors import Actor
from ..access.audit_search import AuditSearch
from ..storage import audit as stored
from ..storage.accounts import account_by_id
from ..storage.engine import StorageEngine
from .integrations import find
from .operation import reads

PAGE = 100
"""Limit a page to so many rows."""
EXPORTED = 1000
"""Limit an exported part to so many rows."""


@dataclass(frozen=True)
class Exported:
    """Hold rows as lines of JSON, the oldest first; `cursor` asks for those behind them."""

    lines: list[str]
    cursor: int


def within(search: AuditSearch, actor: Actor, account: str | None = None) -> AuditSearch:
    """Restrict a search to the accounts that the actor reaches, or to one of them, without the service's own rows."""
    if account is not None:
        return replace(search, accounts=[account] if actor.reaches(account) else [], own=False)
    return replace(search, accounts=actor.accounts, own=search.own and actor.accounts is None)


@reads
def listed(connection: Connection, search: AuditSearch, *, before: int | None = None, limit: int = PAGE) -> AuditPage:
    """Return the newest rows, the last one first; with `before`, the cursor of a page, the next older ones."""
    found = stored.latest(connection, search, before=before, limit=limit)
    return AuditPage(entries=[row.entry for row in found], cursor=str(found[-1].id) if len(found) == limit else None)


@reads
def exported(connection: Connection, search: AuditSearch, *, after: int = 0) -> Exported:
    """Return the rows behind a cursor, as they are hashed."""
    found = stored.following(connection, search, after=after, limit=EXPORTED)
    return Exported([canonical(row.written) for row in found], found[-1].id if found else after)


@reads
def head(connection: Connection, account_id: str) -> ChainHead:
    """Return the place and the hash of the newest row of an account's log."""
    return stored.head(connection, account_id)


def whole_log(engine: StorageEngine, account: str, *, actor: Actor) -> Iterator[str] | Refused:
    """Yield every line of an account's log, without an open transaction between two lines, for slow readers."""
    with engine.read() as connection:
        if account_by_id(connection, account) is None or not actor.reaches(account):
            return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {account}")
    return _lines(engine, within(AuditSearch(), actor, account))


@reads
def of_integration(
    connection: Connection, integration_id: str, *, actor: Actor, limit: int = 20
) -> list[AuditEntry] | Refused:
    """Return the newest rows about one integration, the last one first."""
    integration = find.step(connection, integration_id, actor)
    if isinstance(integration, Refused):
        return integration
    return listed.step(connection, within(AuditSearch(integration=integration_id), actor), limit=limit).entries


def _lines(engine: StorageEngine, search: AuditSearch) -> Iterator[str]:
    cursor = 0
    while True:
        page = exported(engine, search, after=cursor)
        if not page.lines:
            return
        yield from page.lines
        cursor = page.cursor
