"""The generation word: how readers in every process know that a remembered verdict may no longer hold."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Revision:
    """A shared counter that is odd while a change of tokens or scopes commits, and higher afterwards.

    A verdict read while the word was even may be kept for as long as the word stays what it was.
    The change is answered only after the word has moved, so no later request meets an old verdict.
    Moved only by who has the writers' turn, or one writer's even would hide another's odd.
    """

    def __init__(self, number: "memoryview[int]") -> None:
        self._number = number

    @property
    def word(self) -> int:
        """What the counter is now."""
        return self._number[0]

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Around a commit; also moves on when the commit fails, which only costs a re-read."""
        # It is odd already if the last writer was killed in the middle.
        self._number[0] |= 1
        try:
            yield
        finally:
            self._number[0] += 1

    def settle(self) -> None:
        """Make it even if a writer was killed in the middle; until then every request asks the database."""
        self._number[0] += self._number[0] % 2


class Remembered(Generic[Key, Value]):
    """Values kept for exactly as long as nothing has changed: while the word is even and what it was.

    At most `limit` of them; used by one thread.
    """

    def __init__(self, revision: Revision, limit: int) -> None:
        self._revision = revision
        self._limit = limit
        self._word = revision.word
        self._kept: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """The value kept under this key. If there is none, ask the database, and `keep` what it says."""
        word = self._revision.word
        if word != self._word:
            self._kept.clear()
            self._word = word
        return self._kept.get(key)

    def keep(self, key: Key, value: Value) -> None:
        """Keep what was read since the last `get`, if nothing has changed meanwhile."""
        # An odd word: a change is being committed. A moved one: what was read may be older than it.
        if self._word % 2 or self._revision.word != self._word or self._limit < 1:
            return
        if len(self._kept) >= self._limit:
            # Beginning anew costs one read per value; an order of use would cost every request.
            self._kept.clear()
        self._kept[key] = value

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)
