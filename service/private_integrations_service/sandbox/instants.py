"""Instants as clients write them."""

from datetime import UTC, datetime

from ..storage.columns import from_milliseconds

LAST_MILLISECOND = 253_402_300_799_999
"""9999-12-31 in milliseconds since the epoch, the last one that a datetime holds."""


def instant_of(value: object) -> datetime | None:
    """The instant that an ISO 8601 text means, in UTC if it doesn't say; None if it means none."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def point_of(value: object) -> datetime | None:
    """The same, of milliseconds since the epoch too."""
    if isinstance(value, int) and not isinstance(value, bool):
        return from_milliseconds(value) if 0 <= value <= LAST_MILLISECOND else None
    return instant_of(value)
