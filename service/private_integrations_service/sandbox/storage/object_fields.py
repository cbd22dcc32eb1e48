"""Store the fields of custom objects and the folders that hold them; the account is part of every condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, insert, select, update

from .tables import object_fields


@dataclass(frozen=True)
class ObjectField:
    """Hold a field of an object, or a folder, which lies in none; `key` is unique in the account."""

    id: str
    account_id: str
    object_key: str
    key: str
    folder_id: str | None
    fields: Mapping[str, Any]
    added_at: datetime
    updated_at: datetime

    @property
    def is_folder(self) -> bool:
        """Tell whether this is a folder, which holds fields."""
        return self.folder_id is None


def list_object_fields(connection: Connection, account_id: str, object_key: str) -> list[ObjectField]:
    """Return the fields and the folders of an account's object, in the order of their creation."""
    query = select(object_fields).where(
        object_fields.c.account_id == account_id, object_fields.c.object_key == object_key
    )
    rows = connection.execute(query.order_by(object_fields.c.added_at, object_fields.c.id))
    return [_object_field(row) for row in rows]


def object_field_by_id(connection: Connection, account_id: str, field_id: str) -> ObjectField | None:
    """Return the account's field or folder with this id."""
    return _one(connection, select(object_fields).where(_is(account_id, field_id)))


def object_field_by_key(connection: Connection, account_id: str, key: str) -> ObjectField | None:
    """Return the account's field or folder with this key."""
    own = object_fields.c.account_id == account_id
    return _one(connection, select(object_fields).where(own, object_fields.c.key == key))


def count_held(connection: Connection, account_id: str, folder_id: str) -> int:
    """Count the fields in a folder of the account."""
    own = object_fields.c.account_id == account_id
    query = select(func.count()).select_from(object_fields).where(own, object_fields.c.folder_id == folder_id)
    return connection.execute(query).scalar_one()


def add_object_field(connection: Connection, field: ObjectField) -> None:
    """Store a new field or folder."""
    connection.execute(
        insert(object_fields).values(
            id=field.id,
            account_id=field.account_id,
            object_key=field.object_key,
            key=field.key,
            folder_id=field.folder_id,
            fields=dict(field.fields),
            added_at=field.added_at,
            updated_at=field.updated_at,
        )
    )


def save_object_field(connection: Connection, field: ObjectField) -> None:
    """Store the values of a field or a folder that can change."""
    changed = update(object_fields).where(_is(field.account_id, field.id))
    connection.execute(changed.values(fields=dict(field.fields), updated_at=field.updated_at))


def remove_object_field(connection: Connection, account_id: str, field_id: str) -> None:
    """Remove the account's field or folder with this id."""
    connection.execute(delete(object_fields).where(_is(account_id, field_id)))


def _is(account_id: str, field_id: str) -> ColumnElement[bool]:
    return and_(object_fields.c.account_id == account_id, object_fields.c.id == field_id)


def _one(connection: Connection, query: Select[Any]) -> ObjectField | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else _object_field(row)


def _object_field(row: Row[Any]) -> ObjectField:
    return ObjectField(
        id=row.id,
        account_id=row.account_id,
        object_key=row.object_key,
        key=row.key,
        folder_id=row.folder_id,
        fields=row.fields,
        added_at=row.added_at,
        updated_at=row.updated_at,
    )
