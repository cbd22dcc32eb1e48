"""Add, save and remove contacts, and publish the change to data webhooks in the same transaction."""

from ..operations.data_events import publish
from ..storage.engine import Write
from .contact_fields import shown_alone
from .storage import contacts as stored
from .storage.contacts import Contact

_DND = frozenset({"dnd", "dndSettings", "inboundDndSettings"})
_TAGS = frozenset({"tags"})


def add(write: Write, contact: Contact) -> None:
    """Store a new contact."""
    stored.add_contact(write.connection, contact)
    publish(write, "ContactCreate", contact.account_id, shown_alone(contact, "v2"))


def save(write: Write, before: Contact, contact: Contact) -> None:
    """Store a contact as it is now; tags and do-not-disturb have events of their own."""
    stored.save_contact(write.connection, contact)
    changed = _changed(before, contact)
    for event, is_changed in (
        ("ContactUpdate", changed - _TAGS - _DND),
        ("ContactTagUpdate", changed & _TAGS),
        ("ContactDndUpdate", changed & _DND),
    ):
        if is_changed:
            publish(write, event, contact.account_id, shown_alone(contact, "v2"))


def remove(write: Write, contact: Contact) -> None:
    """Remove a contact with its notes and tasks; only the contact's removal is published."""
    stored.remove_contact(write.connection, contact.account_id, contact.id)
    publish(write, "ContactDelete", contact.account_id, {**shown_alone(contact, "v2"), "deleted": True})


def _changed(before: Contact, after: Contact) -> set[str]:
    """Return the names of the fields that differ."""
    names = {name for name in {*before.fields, *after.fields} if before.fields.get(name) != after.fields.get(name)}
    return names | {"businessId"} if before.business_id != after.business_id else names
