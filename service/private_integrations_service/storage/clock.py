"""The clock's latest instant, as stored: every write stores it, so that no restart lets time run backwards."""

from datetime import datetime

from sqlalchemy import Connection, select, update

from .tables import clock

# Built once, as every change runs it.
_STORE = update(clock)


def stored_instant(connection: Connection) -> datetime:
    """Return the latest instant that is stored."""
    instant: datetime = connection.execute(select(clock.c.high_water)).scalar_one()
    return instant


def store_instant(connection: Connection, instant: datetime) -> None:
    """Store the present instant."""
    connection.execute(_STORE, {"high_water": instant})
