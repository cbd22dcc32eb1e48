"""The audit log: one row for every committed change, in the same transaction, chained to the row before."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, LargeBinary, Row, Select, cast, false, insert, or_, select

from private_integrations.chain import BEGINNING, Head, canonical, hash_of
from private_integrations.contract import DEPLOYMENT_AGENT, AuditEntry, Integration, rfc3339

from ..actor import Actor
from ..tokens import scrubbed
from .database import Write
from .tables import audit, from_milliseconds


def record(write: Write, integration: Integration, *, actor: Actor, action: str, **detail: object) -> None:
    """Write down who did what to which integration; `detail` never holds a token."""
    _add(write, actor, action, detail, account_id=integration.account, integration_id=integration.id)


def record_service(write: Write, *, actor: Actor, action: str, **detail: object) -> None:
    """Write down who did what to a key, a user or the service, which belong to no account; never with a secret."""
    _add(write, actor, action, detail)


def record_account(write: Write, account_id: str, *, actor: Actor, action: str, **detail: object) -> None:
    """Write down who did what to which account; `detail` never holds a credential or its digest."""
    _add(write, actor, action, detail, account_id=account_id)


@dataclass(frozen=True)
class Search:
    """Which rows: those of `accounts` (None: of every one), and with `own` also those of no account.

    `actor` is whole or a beginning (`person`, `key/ci`), or `deployment`; `since` is included, `until` is not.
    """

    accounts: Collection[str] | None = None
    own: bool = False
    integration: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Found:
    """A row as it is stored, whatever became of it; `id` is its place in the whole log."""

    id: int
    written: dict[str, Any] = field(repr=False)

    @property
    def entry(self) -> AuditEntry:
        """The row for people and programs."""
        return AuditEntry.model_validate(self.written)


def latest(connection: Connection, search: Search, *, before: int | None = None, limit: int) -> list[Found]:
    """The newest rows, the last one first; with `before`, those that were written before that place."""
    query = _searched(search).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    return [_found(row) for row in connection.execute(query)]


def following(connection: Connection, search: Search, *, after: int, limit: int) -> list[Found]:
    """The rows behind a place in the log, in the order in which they were written."""
    query = _searched(search).where(audit.c.id > after).order_by(audit.c.id).limit(limit)
    return [_found(row) for row in connection.execute(query)]


def head(connection: Connection, account_id: str | None) -> Head:
    """The last row of a chain; that of the service's own is asked for with None."""
    last = select(audit.c.sequence, audit.c.hash).where(audit.c.account_id.is_not_distinct_from(account_id))
    row = connection.execute(last.order_by(audit.c.sequence.desc()).limit(1)).one_or_none()
    return Head(0, BEGINNING) if row is None else Head(row.sequence, row.hash)


def scopes_over_time(connection: Connection, integration_id: str) -> list[tuple[datetime, list[str]]]:
    """Which scopes an integration was given and when, the oldest first."""
    query = (
        select(audit.c.at, audit.c.detail)
        .where(audit.c.integration_id == integration_id, audit.c.action.in_(("create", "adopt", "edit")))
        .order_by(audit.c.id)
    )
    return [(row.at, row.detail["scopes"]) for row in connection.execute(query)]


def _add(
    write: Write,
    actor: Actor,
    action: str,
    detail: dict[str, object],
    *,
    account_id: str | None = None,
    integration_id: str | None = None,
) -> None:
    before = head(write.connection, account_id)
    said = {
        "action": action,
        "actor": actor.name,
        "address": actor.address,
        # What a caller sends may be anything, and a reason or a name may have been pasted.
        "agent": scrubbed(actor.agent),
        "detail": scrubbed(detail),
        "integration_id": integration_id,
        "previous": before.hash,
        "sequence": before.sequence + 1,
    }
    row_hash = hash_of({"account": account_id, "at": rfc3339(write.now), **said})
    stored = {"account_id": account_id, "at": write.now, "hash": row_hash, **said}
    write.connection.execute(insert(audit).values(**stored))


# Each value as the bytes that are stored: a row that somebody has tampered with is read too, and told by its hash.
_BYTES = ("actor", "action", "account_id", "integration_id", "detail", "address", "agent", "previous", "hash")
_STORED = (
    audit.c.id,
    *(cast(audit.c[name], Integer).label(name) for name in ("at", "sequence")),
    *(cast(audit.c[name], LargeBinary).label(name) for name in _BYTES),
)


def _searched(search: Search) -> Select[Any]:
    reached = [audit.c.account_id.is_(None)] if search.own else []
    if search.accounts is None:
        reached.append(audit.c.account_id.is_not(None))
    elif search.accounts:
        reached.append(audit.c.account_id.in_(search.accounts))
    query = select(*_STORED).where(or_(false(), *reached))
    if search.integration is not None:
        query = query.where(audit.c.integration_id == search.integration)
    if search.action is not None:
        query = query.where(audit.c.action == search.action)
    if search.actor == "deployment":
        query = query.where(audit.c.agent.startswith(DEPLOYMENT_AGENT, autoescape=True))
    elif search.actor is not None:
        below = audit.c.actor.startswith(search.actor + "/", autoescape=True)
        query = query.where(or_(audit.c.actor == search.actor, below))
    if search.since is not None:
        query = query.where(audit.c.at >= search.since)
    if search.until is not None:
        query = query.where(audit.c.at < search.until)
    return query


def _found(row: Row[Any]) -> Found:
    texts = {name: _text(getattr(row, name)) for name in _BYTES}
    return Found(
        row.id,
        {
            "account": texts["account_id"],
            "action": texts["action"],
            "actor": texts["actor"],
            "address": texts["address"],
            "agent": texts["agent"],
            "at": _instant(row.at),
            "detail": _detail(texts["detail"] or ""),
            "integration_id": texts["integration_id"],
            "previous": texts["previous"],
            "sequence": row.sequence,
            "hash": texts["hash"],
        },
    )


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else stored.decode(errors="backslashreplace")


def _detail(stored: str) -> dict[str, Any]:
    unreadable = {"unreadable": stored}
    try:
        detail = json.loads(stored)
        canonical(detail).encode()
    except (ValueError, RecursionError):
        return unreadable
    # In another spelling it is not what was written, though it may read the same.
    return detail if isinstance(detail, dict) and json.dumps(detail) == stored else unreadable


def _instant(stored: int) -> str:
    try:
        return rfc3339(from_milliseconds(stored))
    except OverflowError:
        return f"{stored} ms"
