"""The generation word: how readers in every process know that a remembered verdict may no longer hold."""

from collections.abc import Iterator
from contextlib import contextmanager


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
