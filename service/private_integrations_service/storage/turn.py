"""Whose turn it is to write: one thread of one process of the service, and how many may wait for it."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ..private_files import open_private

PLACES = 40
"""How many threads of a process may wait; the server has as many again for reads (server.py)."""

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
        self._thread = threading.Lock()

    @contextmanager
    def taken(self, *, ending: bool = False) -> Iterator[None]:
        """Wait for the turn and have it for the block; `ending` waits longer, however many others do.

        Raises StorageBusy when it doesn't come, or at once when all places to wait are taken: a burst of
        changes must not take every thread from those that only read.
        """
        if ending:
            with self._held(self._patience_ending):
                yield
            return
        if not self._places.acquire(blocking=False):
            raise StorageBusy(f"{PLACES} changes are waiting already")
        try:
            with self._held(self._patience):
                yield
        finally:
            self._places.release()

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

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
