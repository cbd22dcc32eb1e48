"""Notice that files of a running service were deleted, moved or replaced, because writes to them would be lost."""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from ..engine import StorageUnavailable

# Readers reuse a check for this long, because each check is a system call for each file.
_SECONDS = 0.25

_log = logging.getLogger(__name__)


class StorageMoved(StorageUnavailable):
    """The files at the database's paths are not those that the service has open: no change to them would last."""


class WatchedFiles:
    """Files that must stay where they are for as long as they are open, by device and inode.

    `numbers` are two for each file, shared by all processes of the service: a worker that is started after a file was
    replaced must not take the new one for the one that the others have open.
    """

    def __init__(self, files: Sequence[Path], numbers: "memoryview[int]") -> None:
        self._files = files
        self._numbers = numbers
        self._looked_at = float("-inf")
        self._is_logged = False

    def note(self) -> None:
        """Note the places of open files that weren't noted yet; only the holder of the write lock calls this."""
        for index, file in enumerate(self._files):
            if not self._noted(index):
                self._numbers[2 * index], self._numbers[2 * index + 1] = identity_of(file)

    def forget_closed(self) -> None:
        """Forget the files that were removed by closing the last connection to the database."""
        for index, file in enumerate(self._files):
            if identity_of(file) == (0, 0):
                self._numbers[2 * index] = self._numbers[2 * index + 1] = 0

    @property
    def moved(self) -> Path | None:
        """Return the first file that isn't at its place any more, None if all are."""
        for index, file in enumerate(self._files):
            if self._noted(index) and identity_of(file) != (self._numbers[2 * index], self._numbers[2 * index + 1]):
                return file
        return None

    def require(self) -> None:
        """Raise StorageMoved if a file isn't where it was, and log the alarm the first time."""
        moved = self.moved
        if moved is None:
            self._is_logged = False
            return
        if not self._is_logged:
            self._is_logged = True
            _log.critical(
                "ALARM: %s was deleted, moved or replaced under the running service: nothing is stored and every "
                "token is refused. Put it back where it was, or restart the service with the data that should hold",
                moved,
            )
        raise StorageMoved(f"{moved} was deleted, moved or replaced")

    def require_lately(self) -> None:
        """Check the same at most every quarter of a second, for callers that only read."""
        now = time.monotonic()
        if now - self._looked_at >= _SECONDS:
            self.require()
            self._looked_at = now

    def _noted(self, index: int) -> bool:
        return self._numbers[2 * index + 1] != 0


def identity_of(file: Path) -> tuple[int, int]:
    """Return device and inode of the file at a path, zeros if there is none; a symbolic link is not followed."""
    try:
        found = os.lstat(file)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino
