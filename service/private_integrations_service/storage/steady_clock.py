"""The service's clock: the wall clock of the machine, kept from running backwards in every process of the service."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the present instant in UTC by the machine's clock, which may be set back."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SteadyClock:
    """A clock that repeats its latest instant while the machine's clock is behind it.

    Args:
        read: the machine's clock.
        numbers: two numbers shared by all processes, in microseconds since 1970: the latest instant that any of them
            read, and the latest one that is stored.

    """

    def __init__(self, read: Clock, numbers: "memoryview[int]") -> None:
        self._read = read
        self._numbers = numbers
        self._latest = _EPOCH
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the present instant, which is never before one that was returned."""
        instant = self._read()
        with self._lock:
            shared = self._numbers[0]
            if shared > (instant - _EPOCH) // _MICROSECOND:
                instant = _EPOCH + shared * _MICROSECOND
            # Another process may have read the shared number before this one wrote it, so each keeps its own too.
            self._latest = instant = max(instant, self._latest)
            self._numbers[0] = (instant - _EPOCH) // _MICROSECOND
        return instant

    @property
    def stored(self) -> datetime:
        """Return the latest instant that is stored: where the clock goes on after a restart."""
        return _EPOCH + self._numbers[1] * _MICROSECOND

    def note_stored(self, instant: datetime) -> None:
        """Note that this instant is stored; only the holder of the write lock calls this."""
        number = (instant - _EPOCH) // _MICROSECOND
        self._numbers[1] = max(self._numbers[1], number)
        self._numbers[0] = max(self._numbers[0], number)
