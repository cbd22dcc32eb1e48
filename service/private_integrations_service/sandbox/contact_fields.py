"""What a contact is made of: the fields that may be written, and how a stored one is shown."""

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

from private_integrations.contract import rfc3339

from ..storage.contacts import Contact
from .bodies import Check, flag, is_carriable, mapping, text, texts

# As strict as is useful: something@domain.tld, nothing that could break a line or a list.
_WORD = r"[^@.,;<>\s\x00-\x1f\x7f\ud800-\udfff]+"
_EMAIL = re.compile(rf"{_WORD}(?:\.{_WORD})*@{_WORD}(?:\.{_WORD})+")
_LONGEST_EMAIL = 254
_PHONE = re.compile(r"\+?[0-9() ./-]{7,40}")
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(T[0-9:.]{5,15}(Z|[+-][0-9]{2}:?[0-9]{2})?)?")
_CUSTOM_FIELD_KEYS = frozenset({"id", "key", "field_value", "fieldValue"})


def email(name: str, value: object) -> list[str]:
    """An e-mail address."""
    good = isinstance(value, str) and len(value) <= _LONGEST_EMAIL and _EMAIL.fullmatch(value)
    return [] if good else [f"{name} must be an email"]


def phone(name: str, value: object) -> list[str]:
    """A phone number that has an E.164 form; empty is like none."""
    if not isinstance(value, str):
        return [f"{name} must be a string"]
    return [] if value == "" or normal_phone(value) else [f"{name} must be a valid phone number"]


def day(name: str, value: object) -> list[str]:
    """A date, or an instant of which the date counts."""
    return [] if isinstance(value, str) and _day_of(value) else [f"{name} must be a valid ISO 8601 date string"]


def custom_fields(name: str, value: object) -> list[str]:
    """Custom fields as v2 (`field_value`) and v3 (`fieldValue`) write them, each by `id` or `key`."""
    if not isinstance(value, list):
        return [f"{name} must be an array"]
    found: list[str] = []
    for position, item in enumerate(value):
        if isinstance(item, dict):
            found += _custom_field(f"{name}.{position}", item)
        else:
            found.append(f"each value in nested property {name} must be either object or array")
    return found


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "firstName": text,
        "lastName": text,
        "name": text,
        "email": email,
        "gender": text,
        "phone": phone,
        "address1": text,
        "city": text,
        "state": text,
        "postalCode": text,
        "website": text,
        "timezone": text,
        "dnd": flag,
        "dndSettings": mapping,
        "inboundDndSettings": mapping,
        "tags": texts,
        "customFields": custom_fields,
        "source": text,
        "dateOfBirth": day,
        "country": text,
        "companyName": text,
        "assignedTo": text,
    }
)
"""The writable fields (CreateContactDto and UpdateContactDto of the platform's OpenAPI spec, apps/contacts.json)."""


def merged(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields after a write of checked ones: null and "" for a phone take a field away, lists replace."""
    fields = {**stored, **{name: _normal(name, value) for name, value in given.items()}}
    kept = {name: value for name, value in fields.items() if value is not None}
    return {**kept, **_names(kept, given)}


def normal_email(value: str | None) -> str | None:
    """An e-mail address as duplicates are recognized by."""
    return None if value is None else value.lower()


def normal_phone(value: str) -> str | None:
    """A phone number in E.164: ten digits without a country are taken for North American; None if it isn't one."""
    if not _PHONE.fullmatch(value):
        return None
    digits = re.sub(r"[^0-9]", "", value)
    if value.startswith("00"):
        digits = digits[2:]
    elif not value.startswith("+") and len(digits) == 10:
        digits = "1" + digits
    return "+" + digits if 7 <= len(digits) <= 15 else None


def shown(contact: Contact) -> dict[str, object]:
    """A contact as lists show it; fields without a value are left out."""
    known: dict[str, object] = {
        "id": contact.id,
        "locationId": contact.account_id,
        "emailLowerCase": contact.email,
        "dnd": False,
        "tags": [],
        "followers": [],
        "customFields": [],
        "businessId": contact.business_id,
        "type": "lead",
        "source": "public api",
        "dateAdded": rfc3339(contact.added_at),
        "dateUpdated": rfc3339(contact.updated_at),
        **contact.fields,
    }
    return {name: value for name, value in known.items() if value is not None}


def shown_alone(contact: Contact) -> dict[str, object]:
    """A contact as single answers show it: there a date of birth is an instant."""
    fields = shown(contact)
    if "dateOfBirth" in fields:
        fields["dateOfBirth"] = f"{fields['dateOfBirth']}T00:00:00.000Z"
    return fields


def _custom_field(name: str, item: Mapping[str, object]) -> list[str]:
    found = [f"{name}.property {key} should not exist" for key in item if key not in _CUSTOM_FIELD_KEYS]
    identifier = item.get("id", item.get("key"))
    found += text(f"{name}.id", identifier)
    for key in ("field_value", "fieldValue"):
        if not is_carriable(item.get(key)):
            found.append(f"{name}.{key} must be a string, a finite number, an array or an object")
    return found


def _normal(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "phone":
        return normal_phone(value)
    if name == "dateOfBirth":
        return _day_of(value)
    if name == "tags":
        return list(dict.fromkeys(value))
    if name == "customFields":
        return [
            {"id": item.get("id", item.get("key")), "value": item.get("field_value", item.get("fieldValue"))}
            for item in value
        ]
    return value


def _names(fields: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """The whole name from its parts, or the parts from the whole, whichever was not given."""
    if given.get("name") and not (given.get("firstName") or given.get("lastName")):
        first, _, last = given["name"].strip().partition(" ")
        return {"firstName": first, "lastName": last.strip()}
    if "name" not in given and ("firstName" in given or "lastName" in given):
        return {"name": " ".join(part for part in (fields.get("firstName"), fields.get("lastName")) if part)}
    return {}


def _day_of(value: str) -> str | None:
    found = _DATE.fullmatch(value)
    if found is None:
        return None
    try:
        return date.fromisoformat(found[1]).isoformat()
    except ValueError:
        return None
