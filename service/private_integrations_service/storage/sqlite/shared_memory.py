"""Numbers that every process of a service sees: made before the first of them is forked."""

import mmap
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def shared_numbers(count: int) -> "memoryview[int]":
    """So many unsigned numbers of eight bytes, all 0, which this process shares with those it will fork.

    Memory and no file: storing a number needs no room on a disk, whose lack would be a SIGBUS where the file
    system copies on write, and a restart finds none of it. One is read and stored by a single move of aligned
    eight bytes (a native `Q`; struct's `<Q` goes byte by byte), so nobody sees half of one.
    """
    return memoryview(mmap.mmap(-1, count * 8)).cast("B").cast("Q")


class HighWater:
    """The latest instant that any process of the service has stored; never goes back.

    `number` is shared: microseconds since the epoch. Advanced only by who has the writers' turn.
    """

    def __init__(self, number: "memoryview[int]") -> None:
        self._number = number
        self._read = (0, _EPOCH)

    @property
    def instant(self) -> datetime:
        """An aware UTC datetime."""
        number = self._number[0]
        if number != self._read[0]:
            self._read = (number, _EPOCH + number * _MICROSECOND)
        return self._read[1]

    def advance(self, instant: datetime) -> None:
        """Move on to `instant`, if it is later."""
        self._number[0] = max(self._number[0], (instant - _EPOCH) // _MICROSECOND)
