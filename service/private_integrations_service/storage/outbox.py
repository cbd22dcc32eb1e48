"""Store the messages for webhooks, each in the transaction of its change (the outbox).

A delivery is one message to one webhook. It waits until an attempt is accepted, or no other follows; it and its
attempts are kept for a while. The message's id is the same in every attempt and replay, so receivers recognize it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from ..webhooks.endpoints import WebhookEndpoint
from .engine import Write
from .tables import webhook_attempts, webhook_deliveries

State = Literal["waiting", "delivered", "failed"]

JSON_CONTENT: Mapping[str, str] = MappingProxyType({"content-type": "application/json"})


@dataclass(frozen=True)
class Delivery:
    """Hold one message to one webhook; `next_attempt_at` is set while it waits, `settled_at` afterwards."""

    id: int
    endpoint_id: str
    message_id: str
    event: str
    created_at: datetime
    state: State
    attempts: int
    next_attempt_at: datetime | None
    settled_at: datetime | None
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeliveryAttempt:
    """Hold one attempt: the instant, the outcome (a stable word), the response's status if any, and the duration."""

    at: datetime
    outcome: str
    status: int | None
    milliseconds: int


def add_delivery(
    write: Write,
    endpoint: WebhookEndpoint,
    message_id: str,
    event: str,
    body: bytes,
    headers: Mapping[str, str] = JSON_CONTENT,
) -> None:
    """Store a message for a webhook, to be sent at once; for a disabled one as failed, so that you can replay it.

    `headers` are the content's; those of the signature are made for each attempt. The pair of endpoint and
    `message_id` is unique.
    """
    waiting = endpoint.disabled_at is None
    write.connection.execute(
        insert(webhook_deliveries).values(
            endpoint_id=endpoint.id,
            message_id=message_id,
            event=event,
            body=body,
            headers=dict(headers),
            created_at=write.now,
            state="waiting" if waiting else "failed",
            attempts=0,
            next_attempt_at=write.now if waiting else None,
            settled_at=None if waiting else write.now,
        )
    )


def delivery_by_id(connection: Connection, delivery_id: int) -> Delivery | None:
    """Return the delivery with this number."""
    row = connection.execute(select(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id)).one_or_none()
    return None if row is None else _delivery(row)


def next_due(connection: Connection, endpoint_id: str, now: datetime) -> Delivery | None:
    """Return the due delivery of a webhook that has waited longest, if any."""
    query = (
        select(webhook_deliveries)
        .where(
            webhook_deliveries.c.endpoint_id == endpoint_id,
            webhook_deliveries.c.state == "waiting",
            webhook_deliveries.c.next_attempt_at <= now,
        )
        .order_by(webhook_deliveries.c.next_attempt_at, webhook_deliveries.c.id)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _delivery(row)


def deliveries_of(
    connection: Connection, endpoint_id: str, *, state: State | None = None, before: int | None = None, limit: int
) -> list[Delivery]:
    """Return the deliveries of a webhook, the newest first, at most `limit`, beginning behind the number `before`."""
    query = select(webhook_deliveries).where(webhook_deliveries.c.endpoint_id == endpoint_id)
    if state is not None:
        query = query.where(webhook_deliveries.c.state == state)
    if before is not None:
        query = query.where(webhook_deliveries.c.id < before)
    rows = connection.execute(query.order_by(webhook_deliveries.c.id.desc()).limit(limit))
    return [_delivery(row) for row in rows]


def attempts_of(connection: Connection, delivery_ids: Sequence[int]) -> dict[int, list[DeliveryAttempt]]:
    """Return the attempts of each of these deliveries, the first one first."""
    found: dict[int, list[DeliveryAttempt]] = {delivery_id: [] for delivery_id in delivery_ids}
    query = select(webhook_attempts).where(webhook_attempts.c.delivery_id.in_(delivery_ids))
    for row in connection.execute(query.order_by(webhook_attempts.c.id)):
        found[row.delivery_id].append(DeliveryAttempt(row.at, row.outcome, row.status, row.milliseconds))
    return found


def count_waiting(connection: Connection, endpoint_ids: Sequence[str]) -> dict[str, int]:
    """Count the waiting deliveries of each of these webhooks."""
    query = (
        select(webhook_deliveries.c.endpoint_id, func.count())
        .where(webhook_deliveries.c.endpoint_id.in_(endpoint_ids), webhook_deliveries.c.state == "waiting")
        .group_by(webhook_deliveries.c.endpoint_id)
    )
    return dict.fromkeys(endpoint_ids, 0) | {row[0]: row[1] for row in connection.execute(query)}


def add_attempt(connection: Connection, delivery_id: int, attempt: DeliveryAttempt) -> None:
    """Store an attempt."""
    connection.execute(insert(webhook_attempts).values(delivery_id=delivery_id, **asdict(attempt)))


def keep_waiting(connection: Connection, delivery_id: int, attempts: int, until: datetime) -> None:
    """Store the number of attempts, and the instant of the next one."""
    query = update(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id)
    connection.execute(query.values(state="waiting", attempts=attempts, next_attempt_at=until, settled_at=None))


def settle(connection: Connection, delivery_id: int, state: State, attempts: int, now: datetime) -> None:
    """Store that no attempt follows."""
    query = update(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id)
    connection.execute(query.values(state=state, attempts=attempts, next_attempt_at=None, settled_at=now))


def fail_waiting(connection: Connection, endpoint_id: str, now: datetime) -> None:
    """Mark a webhook's waiting messages as failed; they may be replayed."""
    connection.execute(
        update(webhook_deliveries)
        .where(webhook_deliveries.c.endpoint_id == endpoint_id, webhook_deliveries.c.state == "waiting")
        .values(state="failed", next_attempt_at=None, settled_at=now)
    )


def replay(
    connection: Connection,
    endpoint_id: str,
    now: datetime,
    *,
    messages: Collection[str] = (),
    failed_since: datetime | None = None,
) -> int:
    """Send these messages of a webhook again, or all that failed since an instant; return how many."""
    query = update(webhook_deliveries).where(webhook_deliveries.c.endpoint_id == endpoint_id)
    if failed_since is None:
        query = query.where(webhook_deliveries.c.message_id.in_(messages))
    else:
        query = query.where(webhook_deliveries.c.state == "failed", webhook_deliveries.c.created_at >= failed_since)
    return connection.execute(query.values(state="waiting", attempts=0, next_attempt_at=now, settled_at=None)).rowcount


def forgettable(connection: Connection, before: datetime, most: int, limit: int) -> list[int]:
    """Return deliveries that were settled before this instant, or are not among a webhook's newest `most` settled ones.

    At most `limit` of their numbers.
    """
    place = func.row_number().over(
        partition_by=webhook_deliveries.c.endpoint_id, order_by=webhook_deliveries.c.id.desc()
    )
    settled = (
        select(webhook_deliveries.c.id, webhook_deliveries.c.settled_at, place.label("place"))
        .where(webhook_deliveries.c.state != "waiting")
        .subquery()
    )
    query = select(settled.c.id).where(or_(settled.c.settled_at < before, settled.c.place > most))
    return list(connection.execute(query.order_by(settled.c.id).limit(limit)).scalars())


def forget(connection: Connection, delivery_ids: Sequence[int]) -> None:
    """Delete deliveries with their attempts."""
    connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.id.in_(delivery_ids)))


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**row._mapping)
