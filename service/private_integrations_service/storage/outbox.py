"""The outbox: what is to be sent to webhook endpoints, stored in the transaction of the change that it tells of.

A delivery is one message to one endpoint. It waits until an attempt is accepted, or none follows any more; it and its
attempts are kept for a while. The message's id is the same in every attempt and replay, so a receiver knows repetitions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from .database import Write
from .tables import webhook_attempts, webhook_deliveries, webhook_endpoints
from .webhooks import Endpoint

State = Literal["waiting", "delivered", "failed"]

JSON_CONTENT: Mapping[str, str] = MappingProxyType({"content-type": "application/json"})


@dataclass(frozen=True)
class Delivery:
    """One message to one endpoint; `next_attempt_at` is set while it waits, `settled_at` when it does no more."""

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
class Attempt:
    """One try to send: when, what came of it (a stable word), the answer's status if there was one, and how long."""

    at: datetime
    outcome: str
    status: int | None
    milliseconds: int


def add_delivery(
    write: Write,
    endpoint: Endpoint,
    message_id: str,
    event: str,
    body: bytes,
    headers: Mapping[str, str] = JSON_CONTENT,
) -> None:
    """Store a message for an endpoint, to be sent at once; for a disabled one it is kept as failed, to be replayed.

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
