"""Store the sandbox's contacts; the account is part of every condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, insert, or_, select, update

from .json_fields import text_of
from .location_tags import note_tags
from .tables import contacts

_SEARCHED = ("name", "email", "phone", "companyName")


@dataclass(frozen=True)
class Contact:
    """Hold a contact: `fields` as they are shown, `email` and `phone` in the form that identifies duplicates."""

    id: str
    account_id: str
    email: str | None
    phone: str | None
    fields: Mapping[str, Any]
    added_at: datetime
    updated_at: datetime
    business_id: str | None = None


@dataclass(frozen=True)
class ListOrder:
    """Order a list of contacts by the instant at which they were added or updated, then by id."""

    by: Literal["added_at", "updated_at"]
    descending: bool


NEWEST_FIRST = ListOrder("added_at", descending=True)


@dataclass(frozen=True)
class Position:
    """Mark a place in a list of contacts or opportunities: behind this instant and id, in the list's order."""

    instant: datetime
    id: str


@dataclass(frozen=True)
class ContactFilter:
    """Select contacts of an account, or of one of its businesses; name, e-mail, phone or company contains `query`."""

    account_id: str
    query: str = ""
    business_id: str | None = None

    def condition(self) -> ColumnElement[bool]:
        """Return the selection as an SQL condition."""
        chosen: ColumnElement[bool] = contacts.c.account_id == self.account_id
        if self.business_id is not None:
            chosen = and_(chosen, contacts.c.business_id == self.business_id)
        if not self.query:
            return chosen
        texts = [text_of(contacts.c.fields, name) for name in _SEARCHED]
        return and_(chosen, or_(*(text.icontains(self.query, autoescape=True) for text in texts)))


def contact_by_id(connection: Connection, account_id: str, contact_id: str) -> Contact | None:
    """Return the account's contact with this id."""
    return _one(connection, select(contacts).where(_is(account_id, contact_id)))


def contact_like(
    connection: Connection, account_id: str, field: Literal["email", "phone"], value: str, *, other_than: str = ""
) -> Contact | None:
    """Return the account's oldest contact with this normalized e-mail or phone, except for the one named."""
    query = select(contacts).where(
        contacts.c.account_id == account_id, contacts.c[field] == value, contacts.c.id != other_than
    )
    return _one(connection, query.order_by(contacts.c.added_at, contacts.c.id).limit(1))


def list_contacts(
    connection: Connection,
    selection: ContactFilter,
    *,
    after: Position | None = None,
    order: ListOrder = NEWEST_FIRST,
    skip: int = 0,
    limit: int,
) -> list[Contact]:
    """Read at most `limit` selected contacts in this order, those behind `after` without the first `skip` of them."""
    query = select(contacts).where(selection.condition())
    if after is not None:
        query = query.where(_behind(after, order))
    columns = (contacts.c[order.by], contacts.c.id)
    ordered = query.order_by(*(column.desc() if order.descending else column.asc() for column in columns))
    return [contact_of(row) for row in connection.execute(ordered.limit(limit).offset(skip))]


def count_contacts(
    connection: Connection, selection: ContactFilter, *, after: Position | None = None, order: ListOrder = NEWEST_FIRST
) -> int:
    """Count the selected contacts, or those of them that lie behind `after`."""
    query = select(func.count()).select_from(contacts).where(selection.condition())
    if after is not None:
        query = query.where(_behind(after, order))
    return connection.execute(query).scalar_one()


def add_contact(connection: Connection, contact: Contact) -> None:
    """Store a new contact; its tags are the account's too."""
    connection.execute(
        insert(contacts).values(
            id=contact.id, account_id=contact.account_id, added_at=contact.added_at, **_changeable(contact)
        )
    )
    note_tags(connection, contact.account_id, contact.fields.get("tags", ()))


def save_contact(connection: Connection, contact: Contact) -> None:
    """Store a contact as it is now; its tags are the account's too."""
    connection.execute(update(contacts).where(_is(contact.account_id, contact.id)).values(**_changeable(contact)))
    note_tags(connection, contact.account_id, contact.fields.get("tags", ()))


def remove_contact(connection: Connection, account_id: str, contact_id: str) -> bool:
    """Remove the account's contact with this id and what it has; False if there was none."""
    return connection.execute(delete(contacts).where(_is(account_id, contact_id))).rowcount > 0


def leave_business(connection: Connection, account_id: str, business_id: str, now: datetime) -> None:
    """Take the account's contacts out of this business."""
    belongs = and_(contacts.c.account_id == account_id, contacts.c.business_id == business_id)
    connection.execute(update(contacts).where(belongs).values(business_id=None, updated_at=now))


def contact_of(row: Row[Any]) -> Contact:
    """Return the contact in a row with all columns of its table."""
    return Contact(
        id=row.id,
        account_id=row.account_id,
        email=row.email,
        phone=row.phone,
        fields=row.fields,
        added_at=row.added_at,
        updated_at=row.updated_at,
        business_id=row.business_id,
    )


def _is(account_id: str, contact_id: str) -> ColumnElement[bool]:
    return and_(contacts.c.account_id == account_id, contacts.c.id == contact_id)


def _behind(position: Position, order: ListOrder) -> ColumnElement[bool]:
    instant, identifier = contacts.c[order.by], contacts.c.id
    further = instant < position.instant if order.descending else instant > position.instant
    next_id = identifier < position.id if order.descending else identifier > position.id
    return or_(further, and_(instant == position.instant, next_id))


def _changeable(contact: Contact) -> dict[str, Any]:
    return {
        "email": contact.email,
        "phone": contact.phone,
        "fields": dict(contact.fields),
        "updated_at": contact.updated_at,
        "business_id": contact.business_id,
        "first_name": _lower(contact.fields.get("firstName")),
        "last_name": _lower(contact.fields.get("lastName")),
    }


def _lower(name: str | None) -> str:
    return (name or "").lower()


def _one(connection: Connection, query: Select[Any]) -> Contact | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else contact_of(row)
