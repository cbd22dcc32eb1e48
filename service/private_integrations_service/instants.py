"""Instants as whole milliseconds since 1970: how they are stored and compared."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_milliseconds(instant: datetime) -> int:
    """Convert an instant to milliseconds since the Unix epoch, the form in which instants are stored and compared."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(value: int) -> datetime:
    """Convert stored milliseconds to an instant."""
    return _EPOCH + timedelta(milliseconds=value)
