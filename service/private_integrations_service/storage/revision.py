"""The generation word: how readers know that a remembered verdict may no longer hold."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Revision:
    """A counter that is odd while a change of tokens or scopes commits, and higher afterwards.

    A verdict read while the word was even may be kept for as long as the word stays what it was.
    The change is answered only after the word has moved, so no later request meets an old verdict.
    """

    def __init__(self) -> None:
        self.word = 0
        self._lock = threading.Lock()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Around a commit; also moves on when the commit fails, which only costs a re-read."""
        with self._lock:
            self.word += 1
            try:
                yield
            finally:
                self.word += 1
