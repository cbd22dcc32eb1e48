"""Change the tags or the business of many contacts in one request."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ..authorizer.replies import PlatformError, Reply
from ..storage.engine import Write
from . import contact_changes
from .answers import SUCCEEDED, not_found
from .bodies import Check, at_most, invalid, one_of, text, texts
from .contact_fields import normal_tags
from .contact_sets import Change, added, change_contact, removed
from .requests import SandboxRequest
from .storage.businesses import business_by_id
from .storage.contacts import contact_by_id

_TAG_CHECKS: Mapping[str, Check] = MappingProxyType({"contacts": at_most(500, texts)})
# The platform's OpenAPI spec names 50 for a business (maxLength of ContactsBusinessUpdate.ids, apps/contacts.json).
_BUSINESS_CHECKS: Mapping[str, Check] = MappingProxyType({"ids": at_most(50, texts), "businessId": text})
_CHANGES: Mapping[str, Change] = MappingProxyType({"add": added, "remove": removed})


def update_tags(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /contacts/bulk/tags/update/{type}`: 201 with the result for each contact."""
    given = request.body_fields(_TAG_CHECKS)
    if isinstance(given, PlatformError):
        return given
    change, all_tags = _CHANGES.get(request.parameter("type")), given.get("removeAllTags") is True
    if change is None:
        return invalid(one_of("type", request.parameter("type"), _CHANGES))
    if all_tags and change is added:
        return invalid(["removeAllTags can only be used with remove type"])
    tags = normal_tags(given["tags"])
    with request.write() as write:
        responses = [
            _tagged(write, request.account_id, contact_id, tags, _none_left if all_tags else change)
            for contact_id in given["contacts"]
        ]
    errors = sum(response["type"] == "error" for response in responses)
    return Reply(201, {**SUCCEEDED, "errorCount": errors, "responses": responses})


def change_business(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /contacts/bulk/business`: move all contacts to the business (null: to none), or none of them."""
    given = request.body_fields(_BUSINESS_CHECKS, optional=("businessId",))
    if isinstance(given, PlatformError):
        return given
    if "businessId" not in given:
        return invalid(["businessId must be a string"])
    with request.write() as write:
        refusal = _moved(write, request.account_id, list(dict.fromkeys(given["ids"])), given["businessId"])
    return refusal or Reply(200, {"success": True, "ids": given["ids"]})


def _moved(write: Write, account_id: str, contact_ids: list[str], business_id: str | None) -> PlatformError | None:
    """Change the business of all these contacts; if one of them or the business is missing, change none."""
    if business_id is not None and business_by_id(write.connection, account_id, business_id) is None:
        return not_found("Business", business_id)
    contacts = []
    for contact_id in contact_ids:
        contact = contact_by_id(write.connection, account_id, contact_id)
        if contact is None:
            return not_found("Contact", contact_id)
        contacts.append(contact)
    for contact in contacts:
        moved = replace(contact, business_id=business_id, updated_at=write.now)
        contact_changes.save(write, contact, moved)
    return None


def _none_left(_has: object, _given: object) -> list[str]:
    return []


def _tagged(write: Write, account_id: str, contact_id: str, tags: list[str], change: Change) -> dict[str, Any]:
    contact = contact_by_id(write.connection, account_id, contact_id)
    if contact is None:
        return {"contactId": contact_id, "message": "contact does not belong to location", "type": "error"}
    changed = change_contact(write, contact, "tags", tags, change)
    return {
        "contactId": contact_id,
        "message": "Tags updated",
        "type": "success",
        "oldTags": changed.before,
        "tagsAdded": changed.added,
        "tagsRemoved": changed.removed,
    }


HANDLERS = MappingProxyType(
    {
        ("POST", "/contacts/bulk/tags/update/{type}"): update_tags,
        ("POST", "/contacts/bulk/business"): change_business,
    }
)
