"""Store the custom fields of a location; the account is part of every condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, insert, select, update

from .tables import custom_fields


@dataclass(frozen=True)
class CustomField:
    """Hold a custom field of contacts or opportunities: `fields` as they are shown, `key` unique in the account."""

    id: str
    account_id: str
    model: str
    key: str
    fields: Mapping[str, Any]
    added_at: datetime


def list_custom_fields(connection: Connection, account_id: str, model: str | None = None) -> list[CustomField]:
    """Return the account's custom fields, of one model if it is given, in the order of their creation."""
    query = select(custom_fields).where(custom_fields.c.account_id == account_id)
    if model is not None:
        query = query.where(custom_fields.c.model == model)
    rows = connection.execute(query.order_by(custom_fields.c.added_at, custom_fields.c.id))
    return [_custom_field(row) for row in rows]


def custom_field_by_id(connection: Connection, account_id: str, field_id: str) -> CustomField | None:
    """Return the account's custom field with this id."""
    return _one(connection, select(custom_fields).where(_is(account_id, field_id)))


def custom_field_by_key(connection: Connection, account_id: str, key: str) -> CustomField | None:
    """Return the account's custom field with this key."""
    own = custom_fields.c.account_id == account_id
    return _one(connection, select(custom_fields).where(own, custom_fields.c.key == key))


def add_custom_field(connection: Connection, field: CustomField) -> None:
    """Store a new custom field."""
    connection.execute(
        insert(custom_fields).values(
            id=field.id,
            account_id=field.account_id,
            model=field.model,
            key=field.key,
            fields=dict(field.fields),
            added_at=field.added_at,
        )
    )


def save_custom_field(connection: Connection, field: CustomField) -> None:
    """Store the values of a custom field that can change."""
    connection.execute(update(custom_fields).where(_is(field.account_id, field.id)).values(fields=dict(field.fields)))


def remove_custom_field(connection: Connection, account_id: str, field_id: str) -> bool:
    """Remove the account's custom field with this id; False if there was none."""
    return connection.execute(delete(custom_fields).where(_is(account_id, field_id))).rowcount > 0


def _is(account_id: str, field_id: str) -> ColumnElement[bool]:
    return and_(custom_fields.c.account_id == account_id, custom_fields.c.id == field_id)


def _one(connection: Connection, query: Select[Any]) -> CustomField | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else _custom_field(row)


def _custom_field(row: Row[Any]) -> CustomField:
    return CustomField(
        id=row.id,
        account_id=row.account_id,
        model=row.model,
        key=row.key,
        fields=row.fields,
        added_at=row.added_at,
    )
