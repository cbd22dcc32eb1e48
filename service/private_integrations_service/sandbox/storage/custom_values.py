"""Store the custom values of a location; the account is part of every condition."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, insert, select, update

from .tables import custom_values


@dataclass(frozen=True)
class CustomValue:
    """Hold a text that a location's templates name by its `key`, which is unique in the account."""

    id: str
    account_id: str
    key: str
    name: str
    value: str


def list_custom_values(connection: Connection, account_id: str) -> list[CustomValue]:
    """Return the account's custom values by name."""
    own = select(custom_values).where(custom_values.c.account_id == account_id)
    rows = connection.execute(own.order_by(custom_values.c.name, custom_values.c.id))
    return [_custom_value(row) for row in rows]


def custom_value_by_id(connection: Connection, account_id: str, value_id: str) -> CustomValue | None:
    """Return the account's custom value with this id."""
    return _one(connection, select(custom_values).where(_is(account_id, value_id)))


def custom_value_by_key(connection: Connection, account_id: str, key: str) -> CustomValue | None:
    """Return the account's custom value with this key."""
    own = custom_values.c.account_id == account_id
    return _one(connection, select(custom_values).where(own, custom_values.c.key == key))


def add_custom_value(connection: Connection, value: CustomValue) -> None:
    """Store a new custom value."""
    connection.execute(
        insert(custom_values).values(
            id=value.id, account_id=value.account_id, key=value.key, name=value.name, value=value.value
        )
    )


def save_custom_value(connection: Connection, value: CustomValue) -> None:
    """Store the name and the text that the custom value has now."""
    changed = update(custom_values).where(_is(value.account_id, value.id))
    connection.execute(changed.values(name=value.name, value=value.value))


def remove_custom_value(connection: Connection, account_id: str, value_id: str) -> bool:
    """Remove the account's custom value with this id; False if there was none."""
    return connection.execute(delete(custom_values).where(_is(account_id, value_id))).rowcount > 0


def _is(account_id: str, value_id: str) -> ColumnElement[bool]:
    return and_(custom_values.c.account_id == account_id, custom_values.c.id == value_id)


def _one(connection: Connection, query: Select[Any]) -> CustomValue | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else _custom_value(row)


def _custom_value(row: Row[Any]) -> CustomValue:
    return CustomValue(id=row.id, account_id=row.account_id, key=row.key, name=row.name, value=row.value)
