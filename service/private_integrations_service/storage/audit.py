"""Store the audit log: one row for every committed change, in the same transaction, chained to the row before."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    LargeBinary,
    Row,
    Select,
    bindparam,
    cast,
    false,
    insert,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from private_integrations.contract import DEPLOYMENT_AGENT, AuditAction, AuditEntry, Integration, rfc3339
from private_integrations.contract.audit_chain import BEGINNING, DAMAGED, ChainHead, canonical, hash_of

from ..access.actors import Actor
from ..access.audit_search import AuditSearch
from ..instants import from_milliseconds
from ..tokens.format import scrubbed
from .columns import JSON, Integer, Text
from .engine import Write
from .tables import AUDIT_IS_DAMAGED, AUDIT_TEXTS, audit

# Built once, as every change runs them: building one takes several times as long as running it.
_LAST_ROW = (
    select(audit.c.sequence, audit.c.hash)
    .where(audit.c.account_id.is_not_distinct_from(bindparam("account", type_=audit.c.account_id.type)))
    .order_by(audit.c.sequence.desc())
    .limit(1)
)
_ADD_ROW = insert(audit)


def record(write: Write, integration: Integration, *, actor: Actor, action: AuditAction, **detail: object) -> None:
    """Record an action on an integration; `detail` never holds a token."""
    _add(write, actor, action, detail, account_id=integration.account, integration_id=integration.id)


def record_service(write: Write, *, actor: Actor, action: AuditAction, **detail: object) -> None:
    """Record an action on a key, a user or the service, which belong to no account; never with a secret."""
    _add(write, actor, action, detail)


def record_account(write: Write, account_id: str, *, actor: Actor, action: AuditAction, **detail: object) -> None:
    """Record an action on an account; `detail` never holds a credential or its digest."""
    _add(write, actor, action, detail, account_id=account_id)


@dataclass(frozen=True)
class StoredAuditRow:
    """Hold a row as it is stored, even if it was tampered with; `id` is its place in the whole log."""

    id: int
    written: dict[str, Any] = field(repr=False)

    @property
    def entry(self) -> AuditEntry:
        """Return the row for people and programs."""
        return AuditEntry.model_validate(self.written)


def latest(
    connection: Connection, search: AuditSearch, *, before: int | None = None, limit: int
) -> list[StoredAuditRow]:
    """Return the newest rows, the last one first; with `before`, those that were written before that place."""
    behind = () if before is None else (audit.c.id < before,)
    return _read(connection, search, *behind, limit=limit, newest_first=True)


def following(connection: Connection, search: AuditSearch, *, after: int, limit: int) -> list[StoredAuditRow]:
    """Return the rows behind a place in the log, in the order in which they were written."""
    return _read(connection, search, audit.c.id > after, limit=limit, newest_first=False)


def head(connection: Connection, account_id: str | None) -> ChainHead:
    """Return the last row of a chain; None selects the service's own chain."""
    row = connection.execute(_LAST_ROW, {"account": account_id}).one_or_none()
    return ChainHead(0, BEGINNING) if row is None else ChainHead(row.sequence, row.hash)


def scopes_over_time(connection: Connection, integration_id: str) -> list[tuple[datetime, list[str]]]:
    """Return the scopes that an integration got, with the instants, the oldest first."""
    query = (
        select(audit.c.at, audit.c.detail)
        .where(
            audit.c.integration_id == integration_id,
            audit.c.action.in_((AuditAction.CREATE, AuditAction.ADOPT, AuditAction.EDIT)),
        )
        .order_by(audit.c.id)
    )
    return [(row.at, row.detail["scopes"]) for row in connection.execute(query)]


def _add(
    write: Write,
    actor: Actor,
    action: AuditAction,
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
        # A caller may send any text, such as a pasted token as a reason or a name.
        "agent": scrubbed(actor.agent),
        "detail": scrubbed(detail),
        "integration_id": integration_id,
        "previous": before.hash,
        "sequence": before.sequence + 1,
    }
    row_hash = hash_of({"account": account_id, "at": rfc3339(write.now), **said})
    stored = {"account_id": account_id, "at": write.now, "hash": row_hash, **said}
    write.connection.execute(_ADD_ROW, stored)


class _StoredType(FunctionElement[str]):
    """Names the type of a stored value as SQLite does, where it may be another one than the column's."""

    type = Text()
    inherit_cache = True


class _StoredBytes(FunctionElement[bytes]):
    """The bytes of a stored text."""

    type = LargeBinary()
    inherit_cache = True


class _IsDamaged(FunctionElement[bool]):
    """Tells whether a value of the row is not of the type that was written; only SQLite stores such values."""

    type = Boolean()
    inherit_cache = True


@compiles(_StoredType, "sqlite")
def _sqlite_type(element: _StoredType, compiler: Any, **options: Any) -> str:
    return f"typeof({compiler.process(element.clauses, **options)})"


@compiles(_StoredType, "postgresql")
def _postgresql_type(element: _StoredType, compiler: Any, **options: Any) -> str:
    (value,) = element.clauses
    name = "text" if isinstance(value.type, Text | JSON) else "integer"
    return f"CASE WHEN {compiler.process(value, **options)} IS NULL THEN 'null' ELSE '{name}' END"


@compiles(_StoredBytes, "sqlite")
def _sqlite_bytes(element: _StoredBytes, compiler: Any, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS BLOB)"


@compiles(_StoredBytes, "postgresql")
def _postgresql_bytes(element: _StoredBytes, compiler: Any, **options: Any) -> str:
    return f"convert_to({compiler.process(element.clauses, **options)}, 'UTF8')"


@compiles(_IsDamaged, "sqlite")
def _sqlite_damaged(*_: Any, **__: Any) -> str:
    return AUDIT_IS_DAMAGED


@compiles(_IsDamaged, "postgresql")
def _postgresql_damaged(*_: Any, **__: Any) -> str:
    return "false"


# Each value is read as the stored bytes, so that a row that was tampered with can be read too, and is found by its
# hash. The types are read beside them, because after the cast a value of another type looks like the original.
_NUMBERS = ("at", "sequence")
_OPTIONAL = ("account_id", "integration_id")
_STORED = (
    audit.c.id,
    *(cast(audit.c[name], Integer).label(name) for name in _NUMBERS),
    *(_StoredBytes(audit.c[name]).label(name) for name in AUDIT_TEXTS),
    *(_StoredType(audit.c[name]).label(f"type_of_{name}") for name in (*_NUMBERS, *AUDIT_TEXTS)),
)


def _read(
    connection: Connection, search: AuditSearch, *places: ColumnElement[bool], limit: int, newest_first: bool
) -> list[StoredAuditRow]:
    """Return the rows that a search finds, and every damaged one in its reach, whose values may no longer match."""
    order = audit.c.id.desc() if newest_first else audit.c.id
    queries = [query.where(*places).order_by(order).limit(limit) for query in (_searched(search), _damaged(search))]
    found = {row.id: row for query in queries for row in connection.execute(query)}
    return [_found(found[place]) for place in sorted(found, reverse=newest_first)[:limit]]


def _searched(search: AuditSearch) -> Select[Any]:
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


def _damaged(search: AuditSearch) -> Select[Any]:
    """Return the damaged rows of the accounts that a search reaches, compared byte by byte."""
    reached = [audit.c.account_id.is_(None)] if search.own else []
    if search.accounts is None:
        reached.append(audit.c.account_id.is_not(None))
    else:
        wanted = [account.encode() for account in search.accounts]
        reached.append(_StoredBytes(audit.c.account_id).in_(wanted))
    return select(*_STORED).where(_IsDamaged(), or_(false(), *reached))


def _found(row: Row[Any]) -> StoredAuditRow:
    damaged = _damage(row)
    texts = {name: _text(getattr(row, name)) for name in AUDIT_TEXTS}
    detail = _detail(texts["detail"] or "")
    if detail is None:
        damaged.setdefault("detail", "no JSON that was written")
    written = {
        "account": texts["account_id"],
        "action": texts["action"] or "",
        "actor": texts["actor"] or "",
        "address": texts["address"] or "",
        "agent": texts["agent"] or "",
        "at": _instant(row.at or 0),
        "detail": {"unreadable": texts["detail"]} if detail is None else detail,
        "integration_id": texts["integration_id"],
        "previous": texts["previous"] or "",
        "sequence": row.sequence or 0,
        "hash": texts["hash"] or "",
    }
    return StoredAuditRow(row.id, {**written, DAMAGED: damaged} if damaged else written)


def _damage(row: Row[Any]) -> dict[str, str]:
    """Return the columns whose stored type was never written, each with that type."""
    damaged = {}
    for name in (*_NUMBERS, *AUDIT_TEXTS):
        kind = getattr(row, f"type_of_{name}")
        if kind != ("integer" if name in _NUMBERS else "text") and not (kind == "null" and name in _OPTIONAL):
            damaged[name] = kind
        elif name in AUDIT_TEXTS and not _is_text(getattr(row, name)):
            damaged[name] = "no UTF-8"
    return damaged


def _is_text(stored: bytes | None) -> bool:
    try:
        return stored is None or stored.decode() is not None
    except UnicodeDecodeError:
        return False


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else stored.decode(errors="backslashreplace")


def _detail(stored: str) -> dict[str, Any] | None:
    try:
        detail = json.loads(stored)
        canonical(detail).encode()
    except (ValueError, RecursionError):
        return None
    # In another spelling it is another text, though it may read the same.
    return detail if isinstance(detail, dict) and json.dumps(detail) == stored else None


def _instant(stored: int) -> str:
    try:
        return rfc3339(from_milliseconds(stored))
    except OverflowError:
        return f"{stored} ms"
