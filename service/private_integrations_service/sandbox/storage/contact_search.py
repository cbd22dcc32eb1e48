"""Search contacts by filters, in any order: the search as a value, and as SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    String,
    and_,
    case,
    cast,
    false,
    func,
    not_,
    or_,
    select,
    true,
    type_coerce,
)

from .contacts import Contact, ContactFilter, contact_of
from .json_fields import items_of, text_of
from .tables import businesses, contacts

CUSTOM_FIELD = "customFields."
"""Begin the name of a filter on a custom field; the field's id follows."""

_DEFAULT_SOURCE = "public api"


@dataclass(frozen=True)
class Range:
    """Hold bounds by their names: gt, gte, lt, lte."""

    bounds: tuple[tuple[str, datetime], ...]


@dataclass(frozen=True)
class Condition:
    """State a condition on a field.

    With eq and contains, `value` has texts, of which one must match; with range it has bounds; flags have a bool.
    """

    field: str
    operator: str
    value: tuple[str, ...] | bool | Range | None = None


@dataclass(frozen=True)
class Group:
    """Combine conditions: all must be true, or with `either` at least one."""

    parts: tuple["Condition | Group", ...]
    either: bool


@dataclass(frozen=True)
class SortField:
    """Order contacts by a field."""

    field: str
    descending: bool


@dataclass(frozen=True)
class ContactSearch:
    """Describe a search: contacts of a selection that pass the filters, in this order and then by id."""

    selection: ContactFilter
    filters: Group
    orders: tuple[SortField, ...]

    def condition(self) -> ColumnElement[bool]:
        """Return the search as an SQL condition."""
        return and_(self.selection.condition(), _group(self.filters))


@dataclass(frozen=True)
class Hit:
    """Hold a matching contact, the name of its business, and its place: a value per order, then its id."""

    contact: Contact
    business_name: str | None
    place: tuple[str | int, ...]


def search_contacts(
    connection: Connection, search: ContactSearch, *, after: Sequence[str | int] = (), skip: int = 0, limit: int
) -> list[Hit]:
    """Return at most `limit` matching contacts behind the place `after`, without the first `skip` of them."""
    keys = [_ORDERED[order.field] for order in search.orders]
    shown = [key.label(f"key_{position}") for position, key in enumerate(keys)]
    query = select(contacts, _BUSINESS_NAME.label("business_name"), *shown).where(search.condition())
    if after:
        query = query.where(_behind(search.orders, after))
    ordered = query.order_by(*(key.desc() if descending else key.asc() for key, descending in _keys(search.orders)))
    rows = connection.execute(ordered.limit(limit).offset(skip))
    return [
        Hit(contact_of(row), row.business_name, (*(getattr(row, label.name) for label in shown), row.id))
        for row in rows
    ]


def count_found(connection: Connection, search: ContactSearch) -> int:
    """Count the matching contacts."""
    query = select(func.count()).select_from(contacts).where(search.condition())
    return connection.execute(query).scalar_one()


def _text(name: str) -> ColumnElement[str]:
    return text_of(contacts.c.fields, name)


_BUSINESS_NAME = (
    select(text_of(businesses.c.fields, "name"))
    .where(businesses.c.id == contacts.c.business_id, businesses.c.account_id == contacts.c.account_id)
    .correlate(contacts)
    .scalar_subquery()
)
_SOURCE = func.coalesce(_text("source"), _DEFAULT_SOURCE)
_dnd = case((cast(_text("dnd"), String).in_(("1", "true")), 1), else_=0)

_TEXTS: Mapping[str, ColumnElement[Any]] = MappingProxyType(
    {
        "id": contacts.c.id,
        "contactName": _text("name"),
        "firstNameLowerCase": contacts.c.first_name,
        "lastNameLowerCase": contacts.c.last_name,
        "email": contacts.c.email,
        "phone": contacts.c.phone,
        "address": _text("address1"),
        "businessId": contacts.c.business_id,
        "businessName": _BUSINESS_NAME,
        "source": _SOURCE,
        **{
            name: _text(name)
            for name in ("assignedTo", "city", "companyName", "country", "postalCode", "state", "timezone", "website")
        },
    }
)
_INSTANTS = MappingProxyType({"dateAdded": contacts.c.added_at, "dateUpdated": contacts.c.updated_at})
_ORDERED: Mapping[str, ColumnElement[Any]] = MappingProxyType(
    {
        "email": func.coalesce(contacts.c.email, ""),
        "dnd": _dnd,
        "source": _SOURCE,
        "firstNameLowerCase": contacts.c.first_name,
        "lastNameLowerCase": contacts.c.last_name,
        **{name: type_coerce(column, BigInteger) for name, column in _INSTANTS.items()},
    }
)


def _group(group: Group) -> ColumnElement[bool]:
    parts = [_group(part) if isinstance(part, Group) else _condition(part) for part in group.parts]
    return or_(false(), *parts) if group.either else and_(true(), *parts)


def _condition(condition: Condition) -> ColumnElement[bool]:
    """Return the condition as SQL that is never NULL, so that its contrary is true of a missing value."""
    if condition.operator.startswith("not_"):
        return not_(_condition(replace(condition, operator=condition.operator.removeprefix("not_"))))
    if condition.field in _TEXTS:
        return _compared(func.coalesce(_TEXTS[condition.field], ""), condition)
    if condition.field in _INSTANTS:
        return _within(_INSTANTS[condition.field], condition)
    if condition.field == "dnd":
        return true() if condition.operator == "exists" else _dnd == int(condition.value is True)
    if condition.field.startswith(CUSTOM_FIELD):
        return _has_custom_field(condition)
    return _has_item(condition)


def _compared(text: ColumnElement[str], condition: Condition) -> ColumnElement[bool]:
    if condition.operator == "exists":
        return text != ""
    assert isinstance(condition.value, tuple)
    if condition.operator == "eq":
        return text.in_(condition.value)
    return or_(false(), *(text.icontains(value, autoescape=True) for value in condition.value))


def _within(instant: ColumnElement[datetime], condition: Condition) -> ColumnElement[bool]:
    if condition.operator == "exists":
        return true()
    assert isinstance(condition.value, Range)
    compared = {"gt": instant.__gt__, "gte": instant.__ge__, "lt": instant.__lt__, "lte": instant.__le__}
    return and_(true(), *(compared[name](bound) for name, bound in condition.value.bounds))


def _has_item(condition: Condition) -> ColumnElement[bool]:
    """Return SQL for: at least one item of a list of texts (tags, followers) passes."""
    items = items_of(contacts.c.fields, condition.field)
    passes = _compared(cast(items.c.value, String), condition)
    return select(items.c.value).where(passes).correlate(contacts).exists()


def _has_custom_field(condition: Condition) -> ColumnElement[bool]:
    """Return SQL for: a custom field passes. A list or an object is compared as JSON."""
    items = items_of(contacts.c.fields, "customFields")
    text = func.coalesce(cast(text_of(items.c.value, "value"), String), "")
    is_it = text_of(items.c.value, "id") == condition.field.removeprefix(CUSTOM_FIELD)
    return select(items.c.value).where(is_it, _compared(text, condition)).correlate(contacts).exists()


def _keys(orders: Sequence[SortField]) -> list[tuple[ColumnElement[Any], bool]]:
    keys = [(_ORDERED[order.field], order.descending) for order in orders]
    return [*keys, (contacts.c.id, orders[-1].descending)]


def _behind(orders: Sequence[SortField], place: Sequence[str | int]) -> ColumnElement[bool]:
    beyond = []
    equal: list[ColumnElement[bool]] = []
    for (key, descending), value in zip(_keys(orders), place, strict=True):
        beyond.append(and_(true(), *equal, key < value if descending else key > value))
        equal.append(key == value)
    return or_(false(), *beyond)
