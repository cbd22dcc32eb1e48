"""Record the occurrences that jobs have published, so that they publish each one once."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from .tables import announced, announced_until


def published_occurrences(connection: Connection, integration_ids: Sequence[str]) -> dict[tuple[str, str], datetime]:
    """Return the last published occurrence by integration and event."""
    rows = connection.execute(select(announced).where(announced.c.integration_id.in_(integration_ids)))
    return {(row.integration_id, row.event): row.occurrence for row in rows}


def note_occurrence(connection: Connection, integration_id: str, event: str, occurrence: datetime) -> None:
    """Record that this occurrence was published, in place of the one before."""
    of_event = (announced.c.integration_id == integration_id, announced.c.event == event)
    connection.execute(delete(announced).where(*of_event))
    connection.execute(insert(announced).values(integration_id=integration_id, event=event, occurrence=occurrence))


def published_until(connection: Connection, event: str) -> datetime:
    """Return the instant up to which all events of this kind were published."""
    query = select(announced_until.c.until).where(announced_until.c.event == event)
    until: datetime = connection.execute(query).scalar_one()
    return until


def note_until(connection: Connection, event: str, until: datetime) -> None:
    """Record that all events of this kind were published up to this instant."""
    query = update(announced_until).where(announced_until.c.event == event)
    connection.execute(query.values(until=until))
