"""Businesses (apps/businesses.json of the platform's OpenAPI spec): their own operations, and the contacts of one."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from private_integrations.contract import rfc3339

from ..authorizer.replies import PlatformError, Reply
from ..tokens.format import new_object_id
from .answers import not_found
from .bodies import Check, required_text
from .contact_fields import shown_in_list
from .contact_list import LARGEST_LIMIT, read_cursor
from .queries import read_slice
from .requests import SandboxRequest
from .storage import businesses as stored
from .storage import contacts
from .storage.businesses import Business
from .storage.contacts import ContactFilter

_LIMIT = 100
_CONTACTS_LIMIT = 25

_CHECKS: Mapping[str, Check] = MappingProxyType({"name": required_text})


def list_businesses(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /businesses/`: newest first."""
    part = read_slice(request.query, request.query_faults(), limit=_LIMIT, largest=_LIMIT)
    if isinstance(part, PlatformError):
        return part
    with request.read() as connection:
        found = stored.list_businesses(connection, request.account_id, skip=part.skip, limit=part.limit)
    return Reply(200, {"businesses": [_shown(business) for business in found]})


def create_business(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /businesses/`: 201."""
    given = request.body_fields()
    if isinstance(given, PlatformError):
        return given
    del given["locationId"]
    with request.write() as write:
        fields = _merged({}, {**given, "createdBy": request.author, "updatedBy": request.author})
        business = Business(new_object_id(), request.account_id, fields, created_at=write.now, updated_at=write.now)
        stored.add_business(write.connection, business)
    return _written(201, business)


def read_business(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /businesses/{businessId}`."""
    business_id = request.parameter("businessId")
    with request.read() as connection:
        business = stored.business_by_id(connection, request.account_id, business_id)
    return not_found("Business", business_id) if business is None else Reply(200, {"business": _shown(business)})


def update_business(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `PUT /businesses/{businessId}`: given fields replace stored ones, null removes all but the name."""
    business_id = request.parameter("businessId")
    given = request.body_fields(_CHECKS)
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        old = stored.business_by_id(write.connection, request.account_id, business_id)
        if old is None:
            return not_found("Business", business_id)
        business = replace(
            old, fields=_merged(old.fields, {**given, "updatedBy": request.author}), updated_at=write.now
        )
        stored.save_business(write.connection, business)
    return _written(200, business)


def delete_business(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE /businesses/{businessId}`: its contacts stay, without a business."""
    business_id = request.parameter("businessId")
    with request.write() as write:
        contacts.leave_business(write.connection, request.account_id, business_id, write.now)
        removed = stored.remove_business(write.connection, request.account_id, business_id)
    return Reply(200, {"success": True}) if removed else not_found("Business", business_id)


def list_contacts(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /contacts/business/{businessId}`: newest first; `count` is the number of all matches."""
    business_id = request.parameter("businessId")
    after = read_cursor(request.query)
    faults = [*request.query_faults(), *([after] if isinstance(after, str) else [])]
    part = read_slice(request.query, faults, limit=_CONTACTS_LIMIT, largest=LARGEST_LIMIT)
    if isinstance(part, PlatformError):
        return part
    assert not isinstance(after, str), "such a fault was refused"
    selection = ContactFilter(request.account_id, part.text, business_id)
    with request.read() as connection:
        if stored.business_by_id(connection, request.account_id, business_id) is None:
            return not_found("Business", business_id)
        found = contacts.list_contacts(connection, selection, after=after, skip=part.skip, limit=part.limit)
        count = contacts.count_contacts(connection, selection)
    return Reply(200, {"contacts": [shown_in_list(contact, request.generation) for contact in found], "count": count})


def _merged(stored_fields: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in given.items() if value is not None or name != "name"}
    return {name: value for name, value in {**stored_fields, **kept}.items() if value is not None}


def _written(status: int, business: Business) -> Reply:
    """Return the answer to a write: the business under the platform's misspelled name and under the correct one."""
    shown = _shown(business)
    return Reply(status, {"success": True, "buiseness": shown, "business": shown})


def _shown(business: Business) -> dict[str, object]:
    return {
        "id": business.id,
        "locationId": business.account_id,
        **business.fields,
        "createdAt": rfc3339(business.created_at),
        "updatedAt": rfc3339(business.updated_at),
    }


HANDLERS = MappingProxyType(
    {
        ("GET", "/businesses/"): list_businesses,
        ("POST", "/businesses/"): create_business,
        ("GET", "/businesses/{businessId}"): read_business,
        ("PUT", "/businesses/{businessId}"): update_business,
        ("DELETE", "/businesses/{businessId}"): delete_business,
        ("GET", "/contacts/business/{businessId}"): list_contacts,
    }
)
