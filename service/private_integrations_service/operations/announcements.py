"""Tell webhook endpoints what happened, in the transaction in which it happens."""

import json

from private_integrations.contract import Integration, rfc3339

from ..storage.database import Write
from ..storage.outbox import add_delivery
from ..storage.webhooks import subscribed
from ..tokens import new_id


def announce(
    write: Write, event: str, *, account: str, integration: Integration | None = None, **data: object
) -> None:
    """Store an event for every service endpoint that is subscribed to it; nothing where none is.

    `data` is JSON: names, numbers and fingerprints, never a token. Agency endpoints with `sub_accounts` get the
    events of the agency's sub-accounts too.
    """
    endpoints = subscribed(write.connection, account, "service", event)
    if not endpoints:
        return
    about = {"account": account}
    if integration is not None:
        about |= {
            "integration_id": integration.id,
            "integration_name": integration.name,
            "external_id": integration.external_id,
        }
    payload = {"type": event, "timestamp": rfc3339(write.now), "data": {**about, **data}}
    body = json.dumps(payload, separators=(",", ":")).encode()
    message_id = new_id("msg_")
    for endpoint in endpoints:
        add_delivery(write, endpoint, message_id, event, body)
