"""Find a webhook's next message, record attempts, and delete old deliveries."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from private_integrations.contract import AuditAction

from ..access.actors import Actor
from ..storage import audit, outbox, webhooks
from ..storage.engine import StorageEngine, Write
from ..storage.outbox import Delivery, DeliveryAttempt
from ..storage.webhooks import endpoint_by_id, save_endpoint
from ..webhooks.endpoints import WebhookEndpoint
from ..webhooks.redelivery import Settled, Tried, after
from .operation import reads, writes

MOST_KEPT = 10_000
"""Keep at most so many settled deliveries of a webhook."""

_AT_ONCE = 500

_SERVICE = Actor("service")


@dataclass(frozen=True)
class Due:
    """Hold a due message and its webhook."""

    endpoint: WebhookEndpoint
    delivery: Delivery


@reads
def endpoints_with_due(connection: Connection, now: datetime) -> list[WebhookEndpoint]:
    """Return the endpoints to which something is to be sent now."""
    return webhooks.endpoints_with_due(connection, now)


@reads
def next_due(connection: Connection, endpoint_id: str, now: datetime) -> Due | None:
    """Return the message that is due at a webhook now; None without one or if the webhook is disabled."""
    endpoint = endpoint_by_id(connection, endpoint_id)
    if endpoint is None or endpoint.disabled_at is not None:
        return None
    delivery = outbox.next_due(connection, endpoint_id, now)
    return None if delivery is None else Due(endpoint, delivery)


@writes
def record(write: Write, due: Due, tried: Tried, jitter: float) -> None:
    """Record an attempt and decide what follows; `jitter` is a random number from 0 to 1.

    If the webhook was deleted meanwhile, record nothing. If it has another URL by now, the failure at the former one
    does not count, and the message goes to the new URL next.
    """
    delivery = outbox.delivery_by_id(write.connection, due.delivery.id)
    if delivery is None:
        return
    endpoint = endpoint_by_id(write.connection, delivery.endpoint_id)
    assert endpoint is not None, "the schema has seen to that"
    attempt = DeliveryAttempt(write.now, tried.outcome, tried.status, tried.milliseconds)
    outbox.add_attempt(write.connection, delivery.id, attempt)
    attempts = delivery.attempts + 1
    if endpoint.url != due.endpoint.url and tried.outcome != "accepted":
        return
    follows = after(tried, attempts, write.now, failing_since=endpoint.failing_since, jitter=jitter)
    endpoint = _with_health(write, endpoint, tried)
    if not isinstance(follows, Settled):
        if delivery.state == "waiting":
            outbox.keep_waiting(write.connection, delivery.id, attempts, follows.at)
        return
    outbox.settle(write.connection, delivery.id, "delivered" if follows.delivered else "failed", attempts, write.now)
    if follows.disable is not None and endpoint.disabled_at is None:
        disable(write, endpoint, follows.disable, actor=_SERVICE)


def disable(write: Write, endpoint: WebhookEndpoint, because: str, *, actor: Actor) -> WebhookEndpoint:
    """Disable a webhook; its waiting and later messages are stored as failed, so that you can replay them."""
    disabled = replace(endpoint, disabled_at=write.now, disabled_because=because)
    save_endpoint(write.connection, disabled)
    outbox.fail_waiting(write.connection, endpoint.id, write.now)
    audit.record_account(
        write,
        endpoint.account_id,
        actor=actor,
        action=AuditAction.DISABLE_WEBHOOK,
        webhook=endpoint.id,
        because=because,
    )
    return disabled


def forget_old(engine: StorageEngine, kept: timedelta) -> None:
    """Delete deliveries that were settled longer ago than `kept`, and all but the latest `MOST_KEPT` of a webhook."""
    while True:
        with engine.read() as connection:
            old = outbox.forgettable(connection, engine.now() - kept, MOST_KEPT, _AT_ONCE)
        if not old:
            return
        with engine.write() as write:
            outbox.forget(write.connection, old)


def _with_health(write: Write, endpoint: WebhookEndpoint, tried: Tried) -> WebhookEndpoint:
    failing_since = None if tried.outcome == "accepted" else endpoint.failing_since or write.now
    if failing_since == endpoint.failing_since:
        return endpoint
    noted = replace(endpoint, failing_since=failing_since)
    save_endpoint(write.connection, noted)
    return noted
