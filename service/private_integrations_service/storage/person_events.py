"""Store events of a person's ways to sign in, for their own page: the latest KEPT of each person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from .tables import person_events

KEPT = 50
"""Keep at most so many events of a person."""


class PersonEventKind(StrEnum):
    """Name the kinds of events."""

    SIGNED_IN = "signed-in"
    SIGNED_IN_NEW_BROWSER = "signed-in-new-browser"
    IDENTITY_LINKED = "identity-linked"
    LINK_MADE = "link-made"
    PASSWORD_CHOSEN = "password-chosen"  # noqa: S105 - the name of an event
    PASSWORD_CHANGED = "password-changed"  # noqa: S105


@dataclass(frozen=True)
class PersonEvent:
    """Hold an event; `id` is its place in the order, and `noticed` tells that the person has confirmed it."""

    id: int
    user_id: str
    at: datetime
    kind: PersonEventKind
    address: str
    agent: str
    session_id: str | None
    detail: Mapping[str, Any]
    noticed: bool


def add(connection: Connection, event: PersonEvent) -> None:
    """Store an event, and delete all but the person's latest KEPT."""
    connection.execute(
        insert(person_events).values(
            user_id=event.user_id,
            at=event.at,
            kind=event.kind.value,
            address=event.address,
            agent=event.agent,
            session_id=event.session_id,
            detail=dict(event.detail),
            noticed=event.noticed,
        )
    )
    own = person_events.c.user_id == event.user_id
    oldest_kept = (
        select(person_events.c.id).where(own).order_by(person_events.c.id.desc()).offset(KEPT - 1).limit(1)
    ).scalar_subquery()
    connection.execute(delete(person_events).where(own, person_events.c.id < oldest_kept))


def events_of(connection: Connection, user_id: str) -> list[PersonEvent]:
    """Return a person's events, the latest first."""
    found = select(person_events).where(person_events.c.user_id == user_id).order_by(person_events.c.id.desc())
    return [_event(row) for row in connection.execute(found)]


def mark_noticed(connection: Connection, user_id: str, up_to: int) -> None:
    """Store that a person has seen their events up to this one."""
    seen = update(person_events).where(person_events.c.user_id == user_id, person_events.c.id <= up_to)
    connection.execute(seen.values(noticed=True))


def _event(row: Row[Any]) -> PersonEvent:
    return PersonEvent(
        row.id,
        row.user_id,
        row.at,
        PersonEventKind(row.kind),
        row.address,
        row.agent,
        row.session_id,
        row.detail,
        row.noticed,
    )
