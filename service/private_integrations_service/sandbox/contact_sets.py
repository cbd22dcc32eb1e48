"""Add and remove a contact's tags and followers, each of which it has once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ..authorizer.replies import PlatformError, Reply
from ..storage.engine import Write
from . import contact_changes
from .answers import not_found
from .contact_fields import normal_tags
from .requests import SandboxRequest
from .storage.contacts import Contact, contact_by_id

Change = Callable[[Sequence[str], Sequence[str]], list[str]]
"""Return a contact's new set, given its present set and the request's."""


@dataclass(frozen=True)
class SetChange:
    """Hold a contact's set before and after a change."""

    before: list[str]
    after: list[str]

    @property
    def added(self) -> list[str]:
        """Return the added texts."""
        return removed(self.after, self.before)

    @property
    def removed(self) -> list[str]:
        """Return the removed texts."""
        return removed(self.before, self.after)


def added(has: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return the present texts and then the given ones."""
    return list(dict.fromkeys([*has, *given]))


def removed(has: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return the present texts without the given ones."""
    gone = set(given)
    return [text for text in has if text not in gone]


def change_contact(write: Write, contact: Contact, name: str, given: Sequence[str], change: Change) -> SetChange:
    """Store a contact with one of its sets changed."""
    before: list[str] = contact.fields.get(name, [])
    after = change(before, given)
    changed = replace(contact, fields={**contact.fields, name: after}, updated_at=write.now)
    contact_changes.save(write, contact, changed)
    return SetChange(before, after)


def add_tags(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /contacts/{contactId}/tags`: 201 with all tags that the contact has now."""
    changed = _change(request, "tags", added)
    return changed if isinstance(changed, PlatformError) else Reply(201, {"tags": changed.after})


def remove_tags(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE /contacts/{contactId}/tags`, whose body names the tags, with the remaining tags."""
    changed = _change(request, "tags", removed)
    return changed if isinstance(changed, PlatformError) else Reply(200, {"tags": changed.after})


def add_followers(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /contacts/{contactId}/followers`: 201 with all followers and the new ones."""
    changed = _change(request, "followers", added)
    if isinstance(changed, PlatformError):
        return changed
    return Reply(201, {"followers": changed.after, "followersAdded": changed.added})


def remove_followers(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE /contacts/{contactId}/followers` with the remaining followers and the removed ones."""
    changed = _change(request, "followers", removed)
    if isinstance(changed, PlatformError):
        return changed
    return Reply(200, {"followers": changed.after, "followersRemoved": changed.removed})


def _change(request: SandboxRequest, name: str, change: Change) -> SetChange | PlatformError:
    contact_id = request.parameter("contactId")
    given: dict[str, Any] | PlatformError = request.body_fields()
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        contact = contact_by_id(write.connection, request.account_id, contact_id)
        if contact is None:
            return not_found("Contact", contact_id)
        values = normal_tags(given[name]) if name == "tags" else given[name]
        return change_contact(write, contact, name, values, change)


HANDLERS = MappingProxyType(
    {
        ("POST", "/contacts/{contactId}/tags"): add_tags,
        ("DELETE", "/contacts/{contactId}/tags"): remove_tags,
        ("POST", "/contacts/{contactId}/followers"): add_followers,
        ("DELETE", "/contacts/{contactId}/followers"): remove_followers,
    }
)
