"""List, create, read, update and delete the notes and tasks of contacts, both in one way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Table

from ..authorizer.replies import PlatformError, Reply
from ..operations.data_events import publish
from ..storage.engine import Write
from ..tokens.format import new_id
from .answers import SUCCEEDED, not_found
from .bodies import Check
from .requests import Handler, SandboxRequest
from .storage import contact_items as stored
from .storage.contact_items import Item
from .storage.contacts import contact_by_id


@dataclass(frozen=True)
class Kind:
    """Describe a kind of items: its `noun` as in "Note", its table, its fields, and how to show a stored one.

    `parameter` is the name of its id in paths, `required` are its required fields, `normal` brings checked fields into
    the stored form, and `changed` returns the event of a change, if it has one.
    """

    noun: str
    table: Table
    parameter: str
    checks: Mapping[str, Check]
    required: frozenset[str]
    shown: Callable[[Item], dict[str, object]]
    normal: Callable[[dict[str, Any]], dict[str, Any]]
    changed: Callable[[Item, Item], str | None]

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """Return the kind's operations by method and path."""
        many = f"/contacts/{{contactId}}/{self._plural}"
        one = f"{many}/{{{self.parameter}}}"
        return {
            ("GET", many): self.list,
            ("POST", many): self.create,
            ("GET", one): self.read,
            ("PUT", one): self.update,
            ("DELETE", one): self.delete,
        }

    def list(self, request: SandboxRequest) -> Reply | PlatformError:
        """Answer with all items of the contact, newest first."""
        contact_id = request.parameter("contactId")
        with request.read() as connection:
            if contact_by_id(connection, request.account_id, contact_id) is None:
                return not_found("Contact", contact_id)
            items = stored.list_items(connection, self.table, request.account_id, contact_id)
        return Reply(200, {self._plural: [self.shown(item) for item in items]})

    def create(self, request: SandboxRequest) -> Reply | PlatformError:
        """Give the contact a new item: 201."""
        contact_id = request.parameter("contactId")
        given = request.body_fields(self.checks)
        if isinstance(given, PlatformError):
            return given
        with request.write() as write:
            if contact_by_id(write.connection, request.account_id, contact_id) is None:
                return not_found("Contact", contact_id)
            item = Item(new_id(), request.account_id, contact_id, _without_nulls(self.normal(given)), write.now)
            stored.add_item(write.connection, self.table, item)
            self._publish(write, f"{self.noun}Create", item)
        return self._reply(201, item)

    def read(self, request: SandboxRequest) -> Reply | PlatformError:
        """Answer with one item."""
        contact_id, item_id = request.parameter("contactId"), request.parameter(self.parameter)
        with request.read() as connection:
            if contact_by_id(connection, request.account_id, contact_id) is None:
                return not_found("Contact", contact_id)
            item = stored.item_by_id(connection, self.table, request.account_id, contact_id, item_id)
        return not_found(self.noun, item_id) if item is None else self._reply(200, item)

    def update(self, request: SandboxRequest) -> Reply | PlatformError:
        """Replace the given fields; null removes a field that isn't required."""
        contact_id, item_id = request.parameter("contactId"), request.parameter(self.parameter)
        given = request.body_fields(self.checks)
        if isinstance(given, PlatformError):
            return given
        with request.write() as write:
            if contact_by_id(write.connection, request.account_id, contact_id) is None:
                return not_found("Contact", contact_id)
            item = stored.item_by_id(write.connection, self.table, request.account_id, contact_id, item_id)
            if item is None:
                return not_found(self.noun, item_id)
            kept = {name: value for name, value in given.items() if value is not None or name not in self.required}
            before, item = item, replace(item, fields=_without_nulls({**item.fields, **self.normal(kept)}))
            stored.save_item(write.connection, self.table, item)
            event = self.changed(before, item)
            if event is not None:
                self._publish(write, event, item)
        return self._reply(200, item)

    def delete(self, request: SandboxRequest) -> Reply | PlatformError:
        """Remove an item; the body is ignored."""
        contact_id, item_id = request.parameter("contactId"), request.parameter(self.parameter)
        with request.write() as write:
            if contact_by_id(write.connection, request.account_id, contact_id) is None:
                return not_found("Contact", contact_id)
            item = stored.item_by_id(write.connection, self.table, request.account_id, contact_id, item_id)
            if item is None:
                return not_found(self.noun, item_id)
            stored.remove_item(write.connection, self.table, request.account_id, contact_id, item_id)
            self._publish(write, f"{self.noun}Delete", item)
        return Reply(200, SUCCEEDED)

    def _publish(self, write: Write, event: str, item: Item) -> None:
        publish(write, event, item.account_id, self.shown(item))

    @property
    def _plural(self) -> str:
        return self.noun.lower() + "s"

    def _reply(self, status: int, item: Item) -> Reply:
        return Reply(status, {self.noun.lower(): self.shown(item)})


def _without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
