"""Store notes and tasks, which differ only in their table; account and contact are part of every condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, delete, insert, select, update


@dataclass(frozen=True)
class Item:
    """Hold a note or a task: `fields` as they are shown."""

    id: str
    account_id: str
    contact_id: str
    fields: Mapping[str, Any]
    added_at: datetime


def list_items(connection: Connection, table: Table, account_id: str, contact_id: str) -> list[Item]:
    """Return the contact's items in this table, newest first."""
    query = select(table).where(table.c.account_id == account_id, table.c.contact_id == contact_id)
    return [_item(row) for row in connection.execute(query.order_by(table.c.added_at.desc(), table.c.id.desc()))]


def item_by_id(connection: Connection, table: Table, account_id: str, contact_id: str, item_id: str) -> Item | None:
    """Return the contact's item with this id."""
    row = connection.execute(select(table).where(_is(table, account_id, contact_id, item_id))).one_or_none()
    return None if row is None else _item(row)


def add_item(connection: Connection, table: Table, item: Item) -> None:
    """Store a new item."""
    connection.execute(
        insert(table).values(
            id=item.id,
            account_id=item.account_id,
            contact_id=item.contact_id,
            fields=dict(item.fields),
            added_at=item.added_at,
        )
    )


def save_item(connection: Connection, table: Table, item: Item) -> None:
    """Store an item's fields as they are now."""
    is_it = _is(table, item.account_id, item.contact_id, item.id)
    connection.execute(update(table).where(is_it).values(fields=dict(item.fields)))


def remove_item(connection: Connection, table: Table, account_id: str, contact_id: str, item_id: str) -> bool:
    """Remove the contact's item with this id; False if there was none."""
    return connection.execute(delete(table).where(_is(table, account_id, contact_id, item_id))).rowcount > 0


def _is(table: Table, account_id: str, contact_id: str, item_id: str) -> ColumnElement[bool]:
    return and_(table.c.account_id == account_id, table.c.contact_id == contact_id, table.c.id == item_id)


def _item(row: Row[Any]) -> Item:
    return Item(
        id=row.id, account_id=row.account_id, contact_id=row.contact_id, fields=row.fields, added_at=row.added_at
    )
