"""The longest wait of the last minutes, in numbers that all processes of a replica share."""

MINUTES = 5
"""How many minutes are looked back on."""
NUMBERS = 2 * MINUTES

_MICROSECONDS = 1_000_000


class SlowestWait:
    """Keeps the longest wait of each minute.

    Two processes that note at the same moment may lose the shorter or the longer of the two waits, which is no harm to
    a figure for people.

    Args:
        numbers: `NUMBERS` shared numbers, a minute and its longest wait in microseconds each.

    """

    def __init__(self, numbers: "memoryview[int]") -> None:
        self._numbers = numbers

    def note(self, seconds: float, now: float) -> None:
        """Note a wait that ended at `now`, in seconds of the boot clock."""
        minute = int(now // 60) + 1
        place = 2 * (minute % MINUTES)
        longest = self._numbers[place + 1] if self._numbers[place] == minute else 0
        self._numbers[place + 1] = max(longest, int(seconds * _MICROSECONDS))
        self._numbers[place] = minute

    def longest(self, now: float) -> float:
        """Return the longest wait in seconds, 0 without one."""
        oldest = int(now // 60) + 2 - MINUTES
        noted = zip(self._numbers[::2], self._numbers[1::2], strict=True)
        return max((wait for minute, wait in noted if minute >= oldest), default=0) / _MICROSECONDS
