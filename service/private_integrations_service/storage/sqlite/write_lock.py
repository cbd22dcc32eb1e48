"""Whose turn it is to write: one thread of one process of the service, and how many may wait for it."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ...private_files import open_private

PLACES = 40
"""How many threads of a process may wait; the server has as many again for reads (serve.py)."""

YIELDING_PLACES = 10
"""How many more may wait that let all others go first."""

# SQLite's own wait looks ten times a second, between writers that follow each other within microseconds.
_PAUSE = 0.001


class StorageBusy(SQLAlchemyError):
    """Too many changes are waiting for their turn; nothing of this one was stored."""


class Turn:
    """The right to write, among the threads of all processes that share `file`.

    A process that dies loses it: the kernel gives a dead process's lock free.
    """

    def __init__(self, file: Path, *, patience: float = 5, patience_ending: float = 30) -> None:
        """`patience`: how many seconds a change waits at most, and one that ends tokens."""
        # A record lock belongs to the process: a forked descriptor will do, and no other one of this file may
        # be closed while it is held, for that would give it free.
        self._descriptor = open_private(file, os.O_RDWR | os.O_CREAT)
        self._patience = patience
        self._patience_ending = patience_ending
        self._places = threading.BoundedSemaphore(PLACES)
        self._yielding_places = threading.BoundedSemaphore(YIELDING_PLACES)
        self._thread = threading.Lock()
        # How many wait for the turn, or have it, and do not yield.
        self._others = 0
        self._others_changed = threading.Condition()
        self._yielding = threading.Lock()

    @contextmanager
    def taken(self, *, ending: bool = False, yielding: bool = False) -> Iterator[None]:
        """Wait for the turn and have it for the block.

        `ending` waits longer, however many others do. `yielding` goes only when no other thread of this process wants
        the turn, and takes none of the others' places: a write that a client without a key or a session can cause
        yields. Raises StorageBusy when the turn doesn't come, or at once when all places to wait are taken: a burst
        of changes must not take every thread from those that only read.
        """
        if ending:
            with self._ahead(), self._held(self._patience_ending):
                yield
        elif yielding:
            with _place_among(self._yielding_places, YIELDING_PLACES), self._behind() as patience, self._held(patience):
                yield
        else:
            with _place_among(self._places, PLACES), self._ahead(), self._held(self._patience):
                yield

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    @contextmanager
    def _ahead(self) -> Iterator[None]:
        """Want the turn before those that yield."""
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
        """Wait until no other wants the turn; gives the seconds of patience that are left.

        One at a time: another that comes meanwhile waits for a single change of those that yield.
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
    def _held(self, patience: float) -> Iterator[None]:
        deadline = time.monotonic() + patience
        if not self._thread.acquire(timeout=patience):
            raise StorageBusy(f"other changes took {patience:g} s")
        try:
            while not self._locked():
                if time.monotonic() > deadline:
                    raise StorageBusy(f"another worker's changes took {patience:g} s")
                time.sleep(_PAUSE)
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        finally:
            self._thread.release()

    def _locked(self) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            # POSIX lets a system say either.
            return False
        return True


@contextmanager
def _place_among(places: threading.BoundedSemaphore, count: int) -> Iterator[None]:
    if not places.acquire(blocking=False):
        raise StorageBusy(f"{count} changes are waiting already")
    try:
        yield
    finally:
        places.release()
