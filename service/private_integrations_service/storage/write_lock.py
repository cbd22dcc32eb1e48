"""The write lock: one thread of one process of the service writes at a time, and only so many wait for it."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..private_files import open_private
from .engine import StorageBusy

WAITING = 40
"""How many threads of a process may wait; the server has as many again for reads (server/serve.py)."""

WAITING_YIELDING = 10
"""How many more may wait that let all others go first."""

# SQLite's own wait looks ten times a second, between writers that follow each other within microseconds.
_PAUSE = 0.001


class WriteLock:
    """The right to write, among the threads of all processes that share `file`.

    The kernel releases the lock of a process that dies.

    Args:
        patience: how many seconds a change waits at most.
        patience_ending: the same for a change that ends tokens or rights.

    """

    def __init__(self, file: Path, *, patience: float = 5, patience_ending: float = 30) -> None:
        # A record lock belongs to the process: a forked descriptor will do, and no other one of this file may
        # be closed while it is held, for that would release it.
        self._descriptor = open_private(file, os.O_RDWR | os.O_CREAT)
        self._patience = patience
        self._patience_ending = patience_ending
        self._waiting = threading.BoundedSemaphore(WAITING)
        self._waiting_yielding = threading.BoundedSemaphore(WAITING_YIELDING)
        self._thread = threading.Lock()
        # How many threads that do not yield wait for the lock or have it.
        self._others = 0
        self._others_changed = threading.Condition()
        self._yielding = threading.Lock()

    @contextmanager
    def held(self, *, ending: bool = False, yielding: bool = False) -> Iterator[None]:
        """Wait for the lock and hold it for the block.

        Args:
            ending: wait longer, however many others wait.
            yielding: wait until no other thread of this process wants the lock, and count apart from the others. A
                write that a client without a credential can cause yields.

        Raises:
            StorageBusy: the lock was not free in time, or too many threads wait already; then at once, because a burst
                of changes must not take every thread from requests that only read.

        """
        if ending:
            with self._ahead(), self._locked_for(self._patience_ending):
                yield
        elif yielding:
            places = _one_of(self._waiting_yielding, WAITING_YIELDING)
            with places, self._behind() as patience, self._locked_for(patience):
                yield
        else:
            with _one_of(self._waiting, WAITING), self._ahead(), self._locked_for(self._patience):
                yield

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    @contextmanager
    def _ahead(self) -> Iterator[None]:
        """Wait ahead of the threads that yield."""
        with self._others_changed:
            self._others += 1
        try:
            yield
        finally:
            with self._others_changed:
                self._others -= 1
                if not self._others:
                    self._others_changed.notify_all()

    @contextmanager
    def _behind(self) -> Iterator[float]:
        """Wait until no other thread wants the lock; yields the seconds of patience that are left.

        One yielding thread at a time: another change that comes meanwhile waits for a single one of them.
        """
        deadline = time.monotonic() + self._patience
        busy = StorageBusy(f"other changes took {self._patience:g} s")
        if not self._yielding.acquire(timeout=self._patience):
            raise busy
        try:
            with self._others_changed:
                if not self._others_changed.wait_for(lambda: not self._others, max(0, deadline - time.monotonic())):
                    raise busy
            yield max(0, deadline - time.monotonic())
        finally:
            self._yielding.release()

    @contextmanager
    def _locked_for(self, patience: float) -> Iterator[None]:
        deadline = time.monotonic() + patience
        if not self._thread.acquire(timeout=patience):
            raise StorageBusy(f"other changes took {patience:g} s")
        try:
            while not self._try_lock():
                if time.monotonic() > deadline:
                    raise StorageBusy(f"another worker's changes took {patience:g} s")
                time.sleep(_PAUSE)
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        finally:
            self._thread.release()

    def _try_lock(self) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            # POSIX lets a system raise either.
            return False
        return True


@contextmanager
def _one_of(waiting: threading.BoundedSemaphore, count: int) -> Iterator[None]:
    if not waiting.acquire(blocking=False):
        raise StorageBusy(f"{count} changes are waiting already")
    try:
        yield
    finally:
        waiting.release()
