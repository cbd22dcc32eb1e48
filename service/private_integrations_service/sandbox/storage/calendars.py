"""Store the calendars of a location; the account is part of every condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from .tables import calendars


@dataclass(frozen=True)
class Calendar:
    """Hold a calendar of a location: `fields` as they are shown; one that isn't `active` is a draft."""

    id: str
    account_id: str
    name: str
    active: bool
    fields: Mapping[str, Any]


def list_calendars(connection: Connection, account_id: str, *, drafts: bool = True) -> list[Calendar]:
    """Return the account's calendars by name, the drafts among them only if wanted."""
    query = select(calendars).where(calendars.c.account_id == account_id)
    if not drafts:
        query = query.where(calendars.c.active)
    rows = connection.execute(query.order_by(calendars.c.name, calendars.c.id))
    return [Calendar(row.id, row.account_id, row.name, row.active, row.fields) for row in rows]


def add_calendar(connection: Connection, calendar: Calendar) -> None:
    """Store a new calendar."""
    connection.execute(
        insert(calendars).values(
            id=calendar.id,
            account_id=calendar.account_id,
            name=calendar.name,
            active=calendar.active,
            fields=dict(calendar.fields),
        )
    )
