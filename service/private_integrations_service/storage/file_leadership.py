"""Leadership by a lock file in the data folder: the kernel releases the lock of a process that dies."""

import fcntl
import os
from pathlib import Path

from ..private_files import open_private
from .engine import StorageUnavailable


class FileLeadership:
    """The right to do one kind of work; made in the process that wants it, because the lock must not cross a fork."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lead if no other process has it; returns whether this process leads.

        Raises StorageUnavailable if the lock file can't be used.
        """
        if self._descriptor is None:
            try:
                self._descriptor = open_private(self._file, os.O_RDWR | os.O_CREAT)
            except OSError as error:
                raise StorageUnavailable(f"{self._file} can't be used: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the lead to others, if this process has it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
