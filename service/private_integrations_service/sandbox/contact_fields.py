"""Check the fields of a contact that a client may write, and show a stored contact."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

from private_integrations.contract import rfc3339

from .bodies import Check, is_carriable, text
from .shapes import Generation
from .storage.contacts import Contact

# As strict as is useful: something@domain.tld, nothing that could break a line or a list.
_WORD = r"[^@.,;<>\s\x00-\x1f\x7f\ud800-\udfff]+"
_EMAIL = re.compile(rf"{_WORD}(?:\.{_WORD})*@{_WORD}(?:\.{_WORD})+")
_LONGEST_EMAIL = 254
_PHONE = re.compile(r"\+?[0-9() ./-]{7,40}")
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(T[0-9:.]{5,15}(Z|[+-][0-9]{2}:?[0-9]{2})?)?")
_CUSTOM_FIELD_KEYS = frozenset({"id", "key", "field_value", "fieldValue"})
_LOWER_CASE = (("firstName", "firstNameLowerCase"), ("lastName", "lastNameLowerCase"), ("name", "fullNameLowerCase"))

# The channels of `dndSettings` are spelled in two ways; v2's is stored.
_V3_CHANNELS = {"Call": "call", "Email": "email", "SMS": "sms", "WhatsApp": "whatsApp", "GMB": "gmb", "FB": "fb"}
_V2_CHANNELS = {v3: v2 for v2, v3 in _V3_CHANNELS.items()}


def email(name: str, value: object) -> list[str]:
    """Check for an e-mail address."""
    good = isinstance(value, str) and len(value) <= _LONGEST_EMAIL and _EMAIL.fullmatch(value)
    return [] if good else [f"{name} must be an email"]


def phone(name: str, value: object) -> list[str]:
    """Check for a phone number with an E.164 form; an empty one counts as none."""
    if not isinstance(value, str):
        return [f"{name} must be a string"]
    return [] if value == "" or normal_phone(value) else [f"{name} must be a valid phone number"]


def day(name: str, value: object) -> list[str]:
    """Check for a date, or for an instant, of which only the date counts."""
    return [] if isinstance(value, str) and _day_of(value) else [f"{name} must be a valid ISO 8601 date string"]


def custom_fields(name: str, value: object) -> list[str]:
    """Check custom fields as v2 (`field_value`) and v3 (`fieldValue`) write them, each by `id` or `key`."""
    if not isinstance(value, list):
        return [f"{name} must be an array"]
    if not all(isinstance(item, dict) for item in value):
        return [f"each value in nested property {name} must be either object or array"]
    return [fault for position, item in enumerate(value) for fault in _custom_field(f"{name}.{position}", item)]


CHECKS: Mapping[str, Check] = MappingProxyType(
    {"email": email, "phone": phone, "customFields": custom_fields, "dateOfBirth": day}
)
"""Check a contact's fields beyond the types of the platform's specification."""


def merged(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge checked fields into stored ones: null, and "" for a phone, remove a field; lists replace."""
    fields = {**stored, **{name: _normal(name, value) for name, value in given.items()}}
    kept = {name: value for name, value in fields.items() if value is not None}
    return {**kept, **_names(kept, given)}


def normal_tags(tags: Iterable[str]) -> list[str]:
    """Write tags as the platform keeps them: in lower case, each once, in the order given."""
    return list(dict.fromkeys(tag.lower() for tag in tags))


def normal_email(value: str | None) -> str | None:
    """Return an e-mail address in the form in which duplicates are recognized."""
    return None if value is None else value.lower()


def normal_phone(value: str) -> str | None:
    """Return a phone number in E.164, None if it has none; ten digits without a country are North American."""
    if not _PHONE.fullmatch(value):
        return None
    digits = re.sub(r"[^0-9]", "", value)
    if value.startswith("00"):
        digits = digits[2:]
    elif not value.startswith("+") and len(digits) == 10:
        digits = "1" + digits
    return "+" + digits if 7 <= len(digits) <= 15 else None


def shown_in_list(contact: Contact, generation: Generation) -> dict[str, object]:
    """Show a contact as lists do; fields without a value are left out."""
    fields = _shown(contact, generation)
    named = {"contactName": fields["name"]} if "name" in fields else {}
    return {**fields, **named, "attributions": []}


def shown_alone(contact: Contact, generation: Generation) -> dict[str, object]:
    """Show a contact as single answers do: there a date of birth is an instant."""
    fields = {
        **_shown(contact, generation),
        "deleted": False,
        "bounceEmail": False,
        "unsubscribeEmail": False,
        "offers": [],
        "products": [],
    }
    born = contact.fields.get("dateOfBirth")
    if born is not None:
        _, month, day_of_month = born.split("-")
        fields |= {
            "dateOfBirth": f"{born}T00:00:00.000Z",
            "birthMonth": int(month),
            "birthDay": int(day_of_month),
        }
    return fields


def _shown(contact: Contact, generation: Generation) -> dict[str, object]:
    known: dict[str, object] = {
        "id": contact.id,
        "locationId": contact.account_id,
        "emailLowerCase": contact.email,
        "dnd": False,
        "tags": [],
        "followers": [],
        "customFields": [],
        "additionalEmails": [],
        "additionalPhones": [],
        "businessId": contact.business_id,
        "type": "lead",
        "source": "public api",
        "dateAdded": rfc3339(contact.added_at),
        "dateUpdated": rfc3339(contact.updated_at),
        **contact.fields,
        **{lower: contact.fields[name].lower() for name, lower in _LOWER_CASE if contact.fields.get(name)},
    }
    if generation == "v3" and "dndSettings" in contact.fields:
        known["dndSettings"] = {_V3_CHANNELS.get(name, name): on for name, on in contact.fields["dndSettings"].items()}
    return {name: value for name, value in known.items() if value is not None}


def _custom_field(name: str, item: Mapping[str, object]) -> list[str]:
    found = [f"{name}.property {key} should not exist" for key in item if key not in _CUSTOM_FIELD_KEYS]
    named = [key for key in ("id", "key") if item.get(key) is not None]
    for key in named or ("id",):
        found += text(f"{name}.{key}", item.get(key))
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
        return normal_tags(value)
    if name == "dndSettings":
        return {_V2_CHANNELS.get(channel, channel): setting for channel, setting in value.items()}
    if name == "customFields":
        return [
            {"id": item.get("id") or item.get("key"), "value": item.get("field_value", item.get("fieldValue"))}
            for item in value
        ]
    return value


def _names(fields: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """Return the whole name made from its parts, or the parts from the whole, if only one of them was given."""
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
