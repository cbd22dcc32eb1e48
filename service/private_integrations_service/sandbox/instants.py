"""Read instants as clients write them."""

from datetime import UTC, datetime

from ..instants import from_milliseconds

LAST_MILLISECOND = 253_402_300_799_999
"""Limit milliseconds since the Unix epoch to 9999-12-31, the last day that a datetime holds."""


def instant_of(value: object) -> datetime | None:
    """Read an ISO 8601 text, in UTC unless it names an offset; None if it is no instant."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def point_of(value: object) -> datetime | None:
    """Read an ISO 8601 text or milliseconds since the Unix epoch; None if the value is no instant."""
    if isinstance(value, int) and not isinstance(value, bool):
        return from_milliseconds(value) if 0 <= value <= LAST_MILLISECOND else None
    return instant_of(value)
