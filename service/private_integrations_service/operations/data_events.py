"""Publish events of an account's data to the integrations that may read it, in the platform's own envelope.

An integration's data webhook receives an event if the integration holds the event's scope when it happens. When the
scope is removed, the waiting messages and those for a replay are deleted.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from private_integrations.contract import AccountClass, Integration, rfc3339

from ..storage import webhooks as stored
from ..storage.data_endpoints import has_data_endpoint, remove_deliveries
from ..storage.engine import Write
from ..storage.integrations import integration_by_id
from ..storage.outbox import add_delivery


@dataclass(frozen=True)
class DataEvent:
    """Describe an event: the scope that an integration needs for it, and whether it belongs to an agency."""

    scope: str
    of_agency: bool = False


DATA_EVENTS: Mapping[str, DataEvent] = MappingProxyType(
    {
        "ContactCreate": DataEvent("contacts.readonly"),
        "ContactDelete": DataEvent("contacts.readonly"),
        "ContactDndUpdate": DataEvent("contacts.readonly"),
        "ContactTagUpdate": DataEvent("contacts.readonly"),
        "ContactUpdate": DataEvent("contacts.readonly"),
        "LocationCreate": DataEvent("locations.readonly", of_agency=True),
        "LocationUpdate": DataEvent("locations.readonly", of_agency=True),
        "NoteCreate": DataEvent("contacts.readonly"),
        "NoteDelete": DataEvent("contacts.readonly"),
        "NoteUpdate": DataEvent("contacts.readonly"),
        "TaskComplete": DataEvent("contacts.readonly"),
        "TaskCreate": DataEvent("contacts.readonly"),
        "TaskDelete": DataEvent("contacts.readonly"),
    }
)
"""List the events that this service sends: `webhook_events` of the catalogue, as far as the sandbox has their data."""


def publish(write: Write, event: str, account_id: str, entity: Mapping[str, object]) -> None:
    """Publish an event of this account to each of its integrations with a data webhook and the scope at this moment.

    `entity` is the changed object as the API shows it, with its `id`.
    """
    if not has_data_endpoint(write.connection, account_id):
        return
    webhook_id = str(uuid.uuid4())
    for endpoint in stored.all_endpoints(write.connection, [account_id], kind="data"):
        integration = integration_by_id(write.connection, endpoint.integration_id or "", [account_id])
        if integration is not None and endpoint.wants(event) and DATA_EVENTS[event].scope in integration.scopes:
            add_delivery(write, endpoint, webhook_id, event, _envelope(write, event, integration, entity, webhook_id))


def events_for(integration: Integration, account_kind: AccountClass) -> list[str]:
    """Return the events that an integration with these scopes, in this class of account, can receive; sorted."""
    of_agency = account_kind.has_sub_accounts
    return sorted(
        name
        for name, event in DATA_EVENTS.items()
        if event.scope in integration.scopes and event.of_agency == of_agency
    )


def withhold(write: Write, integration: Integration) -> None:
    """Delete the integration's messages that need a scope that it holds no longer."""
    withheld = [name for name, event in DATA_EVENTS.items() if event.scope not in integration.scopes]
    remove_deliveries(write.connection, integration.id, withheld)


def app_id(integration_id: str) -> str:
    """Return the integration's id in its events: 24 hexadecimal digits, always the same.

    The platform's own client takes an event only if its `appId` is the client id that it was configured with.
    """
    return _object_id("app", integration_id)


def version_id(integration_id: str) -> str:
    """Return the `versionId` of the integration's events: 24 hexadecimal digits, always the same."""
    return _object_id("version", integration_id)


def _object_id(of: str, integration_id: str) -> str:
    return hashlib.sha256(f"{of} of {integration_id}".encode()).hexdigest()[:24]


def _envelope(
    write: Write, event: str, integration: Integration, entity: Mapping[str, object], webhook_id: str
) -> bytes:
    """Return the event's body: flat, its keys in the platform's order, compact (docs/platform.md).

    The envelope's own keys win: a contact's `type`, such as "lead", has no place in it.
    """
    owner = (AccountClass.AGENCY if DATA_EVENTS[event].of_agency else AccountClass.SUB_ACCOUNT).id_parameter
    before = {
        "type": event,
        owner: integration.account,
        "versionId": version_id(integration.id),
        "appId": app_id(integration.id),
        "id": entity["id"],
    }
    after = {"timestamp": rfc3339(write.now), "webhookId": webhook_id}
    about = {name: value for name, value in entity.items() if name not in before and name not in after}
    return json.dumps({**before, **about, **after}, ensure_ascii=False, separators=(",", ":")).encode()
