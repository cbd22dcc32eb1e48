"""Check the filters and the order of a contact search, and translate them for storage."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .bodies import one_of, searched, text
from .contact_fields import normal_email, normal_phone
from .instants import point_of
from .storage.contact_search import CUSTOM_FIELD, Condition, Group, Range, SortField

LONGEST_TEXT = 75
"""Limit the characters of a text to search for (the vendor's page on the Search Contacts API)."""

# Filters cost time for every contact of the account, and groups levels of the SQL expression, of which SQLite has 1000.
_MOST_FILTERS = 50
_DEEPEST_GROUP = 5

_EXISTING = ("exists", "not_exists")
_EXACT = ("eq", "not_eq", *_EXISTING)
_WORDS = ("eq", "not_eq", "contains", "not_contains", *_EXISTING)
_DATES = ("range", *_EXISTING)
_ALL = ("eq", "not_eq", "contains", "not_contains", "exists", "not_exists", "range")

OPERATORS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "id": ("eq", "not_eq"),
        **dict.fromkeys(("contactName", "email", "state", "country", "assignedTo", "source", "dnd"), _EXACT),
        **dict.fromkeys(("followers", "timezone", "website", "businessId"), _EXACT),
        **dict.fromkeys(("firstNameLowerCase", "lastNameLowerCase", "phone", "address", "city", "postalCode"), _WORDS),
        **dict.fromkeys(("companyName", "businessName", "tags"), _WORDS),
        **dict.fromkeys(("dateAdded", "dateUpdated"), _DATES),
    }
)
"""List the fields for filters, each with its operators (the same page; the last four of the second line and
the contains of tags are our own)."""

ORDERS = ("email", "dnd", "source", "firstNameLowerCase", "lastNameLowerCase", "dateAdded", "dateUpdated")
"""List the fields for ordering (the same page)."""

_searched = searched(LONGEST_TEXT)
_BOUNDS = ("gt", "gte", "lt", "lte")
_DIRECTIONS = ("asc", "desc")


def filter_faults(name: str, value: object) -> list[str]:
    """Check filters, `{field, operator, value}`, and groups of them, `{group: "AND" or "OR", filters: […]}`."""
    faults = _list_faults(name, value, depth=0)
    if not faults and isinstance(value, list) and _count(value) > _MOST_FILTERS:
        return [f"{name} must contain no more than {_MOST_FILTERS} elements, those of groups included"]
    return faults


def orders(name: str, value: object) -> list[str]:
    """Check the fields to order by, each `{field, direction}`."""
    faults = []
    for place, item in _places(name, value):
        if isinstance(item, dict):
            faults += _name_faults(place, item, ("field", "direction"))
            faults += one_of(f"{place}.field", item.get("field"), ORDERS)
            faults += one_of(f"{place}.direction", item.get("direction"), _DIRECTIONS)
        else:
            faults += _no_object(name)
    return faults if isinstance(value, list) else [f"{name} must be an array"]


def unknown_field(items: object, depth: int = 0) -> str | None:
    """Find the first field among filters that can't be filtered by, even if the filters have other faults."""
    if not isinstance(items, list) or depth > _DEEPEST_GROUP:
        return None
    for item in items:
        if not isinstance(item, dict):
            continue
        if "group" in item or "filters" in item:
            field = unknown_field(item.get("filters"), depth + 1)
        else:
            field = item.get("field")
            field = field if isinstance(field, str) and _operators(field) is None else None
        if field is not None:
            return field
    return None


def group_of(items: Sequence[Mapping[str, Any]], either: bool = False) -> Group:
    """Translate checked filters; with `either`, one of them must be true, otherwise all."""
    parts = [
        group_of(item["filters"], item["group"] == "OR") if "group" in item else _condition_of(item) for item in items
    ]
    return Group(tuple(parts), either)


def orders_of(items: Sequence[Mapping[str, str]]) -> tuple[SortField, ...]:
    """Translate a checked order; a repeated field changes nothing."""
    fields: dict[str, str] = {}
    for item in items:
        fields.setdefault(item["field"], item["direction"])
    return tuple(SortField(field, direction == "desc") for field, direction in fields.items())


def _count(items: Sequence[Mapping[str, Any]]) -> int:
    return sum(_count(item["filters"]) if "group" in item else 1 for item in items)


def _list_faults(name: str, value: object, depth: int) -> list[str]:
    if not isinstance(value, list):
        return [f"{name} must be an array"]
    if depth > _DEEPEST_GROUP:
        return [f"{name} must not be nested deeper than {_DEEPEST_GROUP} groups"]
    faults = []
    for place, item in _places(name, value):
        if not isinstance(item, dict):
            faults += _no_object(name)
        elif "group" in item or "filters" in item:
            faults += _name_faults(place, item, ("group", "filters"))
            faults += one_of(f"{place}.group", item.get("group"), ("AND", "OR"))
            faults += _list_faults(f"{place}.filters", item.get("filters"), depth + 1)
        else:
            faults += _condition_faults(place, item)
    return faults


def _condition_faults(place: str, item: Mapping[str, object]) -> list[str]:
    faults = [*_name_faults(place, item, ("field", "operator", "value")), *text(f"{place}.field", item.get("field"))]
    operators = _operators(item.get("field"))
    operator = item.get("operator")
    wrong = one_of(f"{place}.operator", operator, _ALL if operators is None else operators)
    if wrong or operators is None or operator in _EXISTING:
        return faults + wrong
    return faults + _value_faults(f"{place}.value", str(item["field"]), str(operator), item.get("value"))


def _value_faults(name: str, field: str, operator: str, value: object) -> list[str]:
    if operator == "range":
        return _range_faults(name, value)
    if field == "dnd":
        return [] if isinstance(value, bool) else [f"{name} must be a boolean value"]
    values = value if isinstance(value, list) else [value]
    if not 0 < len(values) <= _MOST_FILTERS:
        return [f"{name} must contain at least 1 and no more than {_MOST_FILTERS} elements"]
    faults = [_searched(name, item) for item in values if not _is_number(item)]
    return next(filter(None, faults), [])


def _range_faults(name: str, value: object) -> list[str]:
    if not isinstance(value, dict) or not value:
        return [f"{name} must be an object"]
    faults = _name_faults(name, value, _BOUNDS)
    return faults + [
        f"{name}.{bound} must be a valid ISO 8601 date string"
        for bound in _BOUNDS
        if bound in value and point_of(value[bound]) is None
    ]


def _condition_of(item: Mapping[str, Any]) -> Condition:
    field: str = item["field"]
    operator: str = item["operator"]
    value: Any = item.get("value")
    if operator in _EXISTING:
        return Condition(field, operator)
    if operator == "range":
        bounds = ((bound, point_of(at)) for bound, at in value.items())
        return Condition(field, operator, Range(tuple((bound, at) for bound, at in bounds if at is not None)))
    if field == "dnd":
        return Condition(field, operator, value)
    values = value if isinstance(value, list) else [value]
    return Condition(field, operator, tuple(_as_stored(field, operator, str(item)) for item in values))


def _as_stored(field: str, operator: str, value: str) -> str:
    """Return a value in the form in which the field is stored."""
    if field == "email":
        return normal_email(value) or ""
    if field == "tags":
        return value.lower()
    if field == "phone" and operator.endswith("eq"):
        return normal_phone(value) or value
    return value.lower() if field.endswith("LowerCase") else value


def _operators(field: object) -> Sequence[str] | None:
    if isinstance(field, str) and field.startswith(CUSTOM_FIELD) and field != CUSTOM_FIELD:
        return _WORDS
    return OPERATORS.get(field) if isinstance(field, str) else None


def _places(name: str, value: object) -> list[tuple[str, Any]]:
    items = value if isinstance(value, list) else []
    return [(f"{name}.{position}", item) for position, item in enumerate(items)]


def _name_faults(place: str, item: Mapping[str, object], names: Sequence[str]) -> list[str]:
    return [f"{place}.property {name} should not exist" for name in item if name not in names]


def _no_object(name: str) -> list[str]:
    return [f"each value in nested property {name} must be either object or array"]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
