"""Store the tags of a location; the account is part of every condition."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, insert, select, update

from ...tokens.format import new_id
from .tables import location_tags

# Names asked for in one statement, whose parameters are bounded.
_AT_ONCE = 500


@dataclass(frozen=True)
class Tag:
    """Hold a tag of a location; names are unique in it, and their case counts."""

    id: str
    account_id: str
    name: str


def list_tags(connection: Connection, account_id: str) -> list[Tag]:
    """Return the account's tags by name."""
    query = select(location_tags).where(location_tags.c.account_id == account_id).order_by(location_tags.c.name)
    return [_tag(row) for row in connection.execute(query)]


def tag_by_id(connection: Connection, account_id: str, tag_id: str) -> Tag | None:
    """Return the account's tag with this id."""
    return _one(connection, select(location_tags).where(_is(account_id, tag_id)))


def tag_named(connection: Connection, account_id: str, name: str) -> Tag | None:
    """Return the account's tag with this name."""
    own = location_tags.c.account_id == account_id
    return _one(connection, select(location_tags).where(own, location_tags.c.name == name))


def add_tag(connection: Connection, tag: Tag) -> None:
    """Store a new tag."""
    connection.execute(insert(location_tags).values(id=tag.id, account_id=tag.account_id, name=tag.name))


def rename_tag(connection: Connection, tag: Tag) -> None:
    """Store the name that the tag has now."""
    connection.execute(update(location_tags).where(_is(tag.account_id, tag.id)).values(name=tag.name))


def remove_tag(connection: Connection, account_id: str, tag_id: str) -> bool:
    """Remove the account's tag with this id; False if there was none."""
    return connection.execute(delete(location_tags).where(_is(account_id, tag_id))).rowcount > 0


def note_tags(connection: Connection, account_id: str, names: Collection[str]) -> None:
    """Add the names that are no tags yet: every tag of a contact is also a tag of its location."""
    wanted = list(dict.fromkeys(names))
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        own = location_tags.c.account_id == account_id
        known = set(connection.scalars(select(location_tags.c.name).where(own, location_tags.c.name.in_(part))))
        new = [{"id": new_id(), "account_id": account_id, "name": name} for name in part if name not in known]
        if new:
            connection.execute(insert(location_tags), new)


def _is(account_id: str, tag_id: str) -> ColumnElement[bool]:
    return and_(location_tags.c.account_id == account_id, location_tags.c.id == tag_id)


def _one(connection: Connection, query: Select[Any]) -> Tag | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else _tag(row)


def _tag(row: Row[Any]) -> Tag:
    return Tag(id=row.id, account_id=row.account_id, name=row.name)
