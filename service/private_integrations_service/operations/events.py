"""Publish events to webhooks, in the transaction of the change."""

import json
from collections.abc import Iterable

from private_integrations.contract import EndReason, Event, Integration, rfc3339

from ..access.actors import Actor
from ..storage.engine import Write
from ..storage.outbox import add_delivery
from ..storage.webhooks import subscribed
from ..tokens.format import new_id
from ..tokens.lifecycle import StoredToken


def publish(
    write: Write, event: Event, *, account: str, integration: Integration | None = None, **data: object
) -> bool:
    """Store a message for every webhook that is subscribed to an event; return whether there is one.

    `data` is JSON: names, numbers and fingerprints, never a token. An agency's webhooks with `sub_accounts` get the
    events of its sub-accounts, too.
    """
    endpoints = subscribed(write.connection, account, "service", event)
    if not endpoints:
        return False
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
    return True


def publish_delivered(write: Write, integration: Integration, changed: Iterable[StoredToken], *, actor: Actor) -> None:
    """Publish the token among these that was delivered just now, with the deadlines of older ones."""
    changed = list(changed)
    for token in changed:
        if token.delivered_at == write.now and token.superseded_by is None:
            superseded = [other for other in changed if other.superseded_by == token.generation]
            publish(
                write,
                Event.ROTATION_DELIVERED,
                account=integration.account,
                integration=integration,
                actor=actor.name,
                generation=token.generation,
                fingerprint=token.fingerprint,
                previous=[
                    {"generation": other.generation, "expires_at": other.expires_at and rfc3339(other.expires_at)}
                    for other in superseded
                ],
            )


def publish_retired(write: Write, integration: Integration, changed: Iterable[StoredToken], *, actor: Actor) -> None:
    """Publish the tokens among these that were ended; a job publishes those whose overlap is over (`detection.py`)."""
    for token in changed:
        if token.end_reason is not None and token.end_reason != EndReason.OVERLAP_ENDED:
            publish_end(write, integration, token, because=token.end_reason, actor=actor)


def publish_end(
    write: Write, integration: Integration, token: StoredToken, *, because: EndReason, actor: Actor
) -> None:
    """Publish the end of a token."""
    publish(
        write,
        Event.TOKEN_RETIRED,
        account=integration.account,
        integration=integration,
        actor=actor.name,
        generation=token.generation,
        fingerprint=token.fingerprint,
        because=because.in_words(token.end_detail),
    )
