"""The epoch: a seqlock by which every process knows whether a remembered decision may no longer hold."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Epoch:
    """A shared number: odd while a change of tokens or scopes commits, the next even number afterwards.

    A writer sets the epoch to an odd value, commits, sets it to the next even value, and then answers. Readers keep
    what they read only while the epoch is even and unchanged, so no later request meets an older decision. Only the
    holder of the write lock moves it: otherwise the even value of one writer would hide the odd value of another.

    Args:
        number: one unsigned number of eight bytes, shared by all processes of the service.

    """

    def __init__(self, number: "memoryview[int]") -> None:
        self._number = number

    @property
    def value(self) -> int:
        """Return the present epoch."""
        return self._number[0]

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Move the epoch around a commit, also when the commit fails, which only costs a read."""
        # It is odd already if the last writer was killed in the middle.
        self._number[0] |= 1
        try:
            yield
        finally:
            self._number[0] += 1

    def settle(self) -> None:
        """Make the epoch even after a writer was killed; until then every request asks the database."""
        self._number[0] += self._number[0] % 2


class Remembered(Generic[Key, Value]):
    """Values that are kept while the epoch is even and unchanged, at most `limit` of them; used by one event loop.

    For example, with `read` for the database's answer, during which other tasks may use the same values:

        value = remembered.get(key)
        if value is None:
            since = remembered.epoch
            remembered.keep(key, await read(key), since)

    """

    def __init__(self, epoch: Epoch, limit: int) -> None:
        self._epoch = epoch
        self._limit = limit
        self._seen = epoch.value
        self._kept: dict[Key, Value] = {}

    @property
    def epoch(self) -> int:
        """Return the present epoch: take it before the database is asked."""
        return self._epoch.value

    def get(self, key: Key) -> Value | None:
        """Return the value kept under this key, None if there is none."""
        epoch = self._epoch.value
        if epoch != self._seen:
            self._kept.clear()
            self._seen = epoch
        return self._kept.get(key)

    def keep(self, key: Key, value: Value, since: int) -> None:
        """Keep a value that was read after the epoch `since`, if nothing has changed from then on."""
        # Odd: a change is being committed. Moved: the value may be older than the change.
        if since % 2 or self._epoch.value != since or self._limit < 1:
            return
        if self._seen != since:
            self._kept.clear()
            self._seen = since
        if len(self._kept) >= self._limit:
            # Beginning anew costs one read per value; an order of use would cost every request.
            self._kept.clear()
        self._kept[key] = value

    def clear(self) -> None:
        """Forget all values."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)
