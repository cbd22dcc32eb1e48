"""Serve notes of contacts (NotesDTO, UpdateNoteDTO and GetNoteSchema of the platform's spec, apps/contacts.json)."""

from types import MappingProxyType

from private_integrations.contract import rfc3339

from .bodies import required_text
from .contact_items import Kind
from .storage.contact_items import Item
from .storage.tables import notes


def _shown(note: Item) -> dict[str, object]:
    return {
        "id": note.id,
        "contactId": note.contact_id,
        "dateAdded": rfc3339(note.added_at),
        "pinned": False,
        **note.fields,
    }


NOTES = Kind(
    noun="Note",
    table=notes,
    parameter="id",
    checks=MappingProxyType({"body": required_text}),
    required=frozenset({"body"}),
    shown=_shown,
    normal=dict,
    changed=lambda before, after: "NoteUpdate" if before.fields != after.fields else None,
)

HANDLERS = MappingProxyType(NOTES.handlers())
