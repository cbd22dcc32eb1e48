"""Store integrations. A deleted one stays as a row with `deleted_at`, invisible to every reader."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, insert, or_, select, update

from private_integrations.contract import Integration

from .engine import Write
from .tables import integrations, owner_nonces

_live = integrations.c.deleted_at.is_(None)

# Built once, as every change runs it: building it takes several times as long as running it.
_BY_ID = select(integrations).where(_live, integrations.c.id == bindparam("id"))


def integration_by_id(
    connection: Connection, integration_id: str, accounts: Collection[str] | None = None
) -> Integration | None:
    """Return the live integration with this id, within these accounts if any are given."""
    found = _one(connection, _BY_ID, {"id": integration_id})
    return None if found is None or (accounts is not None and found.account not in accounts) else found


def integration_by_external_id(connection: Connection, account: str, external_id: str) -> Integration | None:
    """Return the live integration with this external id in this account."""
    return _one(
        connection,
        select(integrations).where(
            _live, integrations.c.account_id == account, integrations.c.external_id == external_id
        ),
    )


def list_integrations(
    connection: Connection,
    *,
    account: str | None = None,
    under: str | None = None,
    ids: Sequence[str] = (),
    accounts: Collection[str] | None = None,
    after: str = "",
    limit: int,
) -> list[Integration]:
    """Return live integrations by id, at most `limit` of them, beginning behind the id `after`.

    `under` takes those whose external id is this path or lies below it; `ids` those named; `accounts`, if
    given, is all that there is.
    """
    query = _within(select(integrations).where(_live, integrations.c.id > after), accounts)
    if account is not None:
        query = query.where(integrations.c.account_id == account)
    if under is not None:
        below = integrations.c.external_id.startswith(under + "/", autoescape=True)
        query = query.where(or_(integrations.c.external_id == under, below))
    if ids:
        query = query.where(integrations.c.id.in_(ids))
    rows = connection.execute(query.order_by(integrations.c.id).limit(limit))
    return [_integration(row) for row in rows]


def add_integration(connection: Connection, integration: Integration) -> None:
    """Store a new integration."""
    connection.execute(insert(integrations).values(id=integration.id, deleted_at=None, **_columns(integration)))


def save_integration(write: Write, integration: Integration) -> None:
    """Store an integration as it is now; it moves the epoch."""
    write.move_epoch(integration.id)
    write.connection.execute(
        update(integrations).where(integrations.c.id == integration.id).values(**_columns(integration))
    )


def hold(connection: Connection, integration_id: str, until: datetime) -> None:
    """Hold the schedule until this instant."""
    connection.execute(update(integrations).where(integrations.c.id == integration_id).values(held_until=until))


def mark_deleted(connection: Connection, integration_id: str, now: datetime) -> None:
    """Hide an integration for good; its external id is free again."""
    connection.execute(update(integrations).where(integrations.c.id == integration_id).values(deleted_at=now))


def owner_nonce_was_used(connection: Connection, account: str, owner_nonce: str) -> bool:
    """Return whether this owner nonce ever owned an integration of the account."""
    query = select(owner_nonces.c.owner_nonce).where(
        owner_nonces.c.account_id == account, owner_nonces.c.owner_nonce == owner_nonce
    )
    return connection.execute(query).one_or_none() is not None


def add_owner_nonce(connection: Connection, integration: Integration, now: datetime) -> None:
    """Remember the integration's owner nonce for ever, so that no late duplicate is taken for a new creation."""
    connection.execute(
        insert(owner_nonces).values(
            account_id=integration.account,
            owner_nonce=integration.owner_nonce,
            integration_id=integration.id,
            used_at=now,
        )
    )


def _within(query: Select[Any], accounts: Collection[str] | None) -> Select[Any]:
    return query if accounts is None else query.where(integrations.c.account_id.in_(accounts))


def _one(connection: Connection, query: Select[Any], values: dict[str, str] | None = None) -> Integration | None:
    row = connection.execute(query, values or {}).one_or_none()
    return None if row is None else _integration(row)


def _integration(row: Row[Any]) -> Integration:
    return Integration(account=row.account_id, **{field: getattr(row, field) for field in _SAME_NAME}, id=row.id)


_SAME_NAME = (
    "external_id",
    "name",
    "description",
    "scopes",
    "rotation",
    "owner_nonce",
    "version",
    "last_generation",
    "held_until",
    "created_at",
    "updated_at",
)


def _columns(integration: Integration) -> dict[str, Any]:
    columns = {field: getattr(integration, field) for field in _SAME_NAME}
    rotation = integration.rotation
    columns["rotation"] = None if rotation is None else rotation.model_dump()
    return {"account_id": integration.account, **columns}
