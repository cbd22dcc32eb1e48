"""Share numbers among the processes of one replica: its epoch, its lease, and what it has applied."""

from datetime import UTC, datetime
from time import CLOCK_BOOTTIME, clock_gettime

from ..epoch import NUMBERS as EPOCH_NUMBERS
from ..epoch import Epoch, Subjects
from ..shared_memory import shared_numbers
from .lease import NO_LEASE, Replica
from .revision import Revision
from .slowest_wait import NUMBERS

# Odd, as during a change: nothing is remembered.
_WITHOUT_LEASE = 1


def boot_clock() -> float:
    """Return the seconds since this machine started, those of a suspend too."""
    return clock_gettime(CLOCK_BOOTTIME)


class LeasedEpoch(Epoch):
    """An epoch that is odd while the replica has no lease. Only the keeper of the lease moves it.

    Args:
        numbers: those of the epoch, shared by all processes.
        lease: the end of the lease by the boot clock, shared as well.

    """

    def __init__(self, numbers: "memoryview[int]", lease: "memoryview[float]") -> None:
        super().__init__(numbers)
        self._lease = lease

    @property
    def value(self) -> int:
        """Return the present epoch."""
        # The lease first and the epoch last: in the other order both may change in between.
        if clock_gettime(CLOCK_BOOTTIME) >= self._lease[0]:
            return _WITHOUT_LEASE
        return self._number[0]

    @property
    def last_change(self) -> int | None:
        """Return the epoch of the last change, None without a lease."""
        if clock_gettime(CLOCK_BOOTTIME) >= self._lease[0]:
            return None
        return self._number[0] + 1 & ~1

    def publish(self, subjects: Subjects) -> None:
        """Move the epoch: what any process remembers about the subjects is from before."""
        # A keeper that was killed in between leaves the epoch as it was, and the next one announces the change again.
        self._announce(self._number[0] + 2, subjects)
        self._number[0] += 2


class SharedState:
    """Numbers that the keeper of the lease writes and every process of the replica reads."""

    def __init__(self) -> None:
        self._numbers = shared_numbers(9 + NUMBERS)
        # A float: reading nanoseconds takes half as long again, for each request.
        self._lease = self._numbers[:1].cast("B").cast("d")
        self.epoch = LeasedEpoch(shared_numbers(EPOCH_NUMBERS), self._lease)
        self.clock_numbers = self._numbers[2:4]
        self._keeper = shared_numbers(1)
        self.slowest_wait = self._numbers[9:]

    def has_lease(self) -> bool:
        """Return whether the lease lasts; each request asks."""
        return clock_gettime(CLOCK_BOOTTIME) < self._lease[0]

    @property
    def lease_end(self) -> float:
        """Return the end of the lease by the boot clock, NO_LEASE without one."""
        return self._lease[0] or NO_LEASE

    @property
    def leased_on(self) -> str | None:
        """Return the timeline that granted the lease."""
        return _text(self._numbers[1])

    def set_lease(self, end: float, timeline: str | None) -> None:
        """Store the timeline that grants a lease, None for the same as before, and then the end of the lease."""
        if timeline is not None:
            self._numbers[1] = _number(timeline)
        self._lease[0] = end

    @property
    def replica(self) -> Replica:
        """Return the replica, so that another process of the machine can go on where its keeper was killed."""
        incarnation, number, mark, timeline = (self._numbers[place] for place in (5, 6, 7, 8))
        applied = Revision(number, _text(mark) or "") if mark else None
        return Replica(_text(incarnation), applied, _text(timeline))

    @replica.setter
    def replica(self, replica: Replica) -> None:
        applied = replica.applied
        # Nothing applied while the parts are written: a process that goes on from here forgets once too often.
        self._numbers[7] = 0
        self._numbers[5], self._numbers[8] = _number(replica.incarnation), _number(replica.timeline)
        self._numbers[6] = applied.number if applied else 0
        self._numbers[7] = _number(applied.mark) if applied else 0

    @property
    def keeper(self) -> int:
        """Return the process that keeps the lease, or kept it last; 0 if there was none."""
        return self._keeper[0]

    @keeper.setter
    def keeper(self, pid: int) -> None:
        self._keeper[0] = pid

    def set_clock(self, seconds: float, at: float) -> None:
        """Store that the database's clock showed so many seconds since 1970 when the boot clock was `at`."""
        self._numbers[4] = int((seconds - at) * 1_000_000)

    def database_clock(self) -> datetime:
        """Return the present instant in UTC by the database's clock; each request asks."""
        return datetime.fromtimestamp(clock_gettime(CLOCK_BOOTTIME) + self._numbers[4] / 1_000_000, UTC)


def _number(text: str | None) -> int:
    """Return 16 hexadecimal digits as a number; 0 stands for None."""
    return int(text, 16) if text else 0


def _text(number: int) -> str | None:
    return f"{number:016x}" if number else None
