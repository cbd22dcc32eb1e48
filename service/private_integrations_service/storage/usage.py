"""What accounts have used of their rate limits: a file of fixed size that all processes of a host share."""

import fcntl
import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from private_integrations.errors import ConfigurationError

from ..private_files import open_private

FILE_NAME = "rate-limits"

# An account's place is one of the eight of its group; 640 KiB in all.
_GROUPS = 2048
_PLACES = 8
_KEY_BYTES = 16
_PLACE = struct.Struct(f"<{_KEY_BYTES}sqqII")
_GROUP_SIZE = _PLACES * _PLACE.size
# Changed whenever the layout changes: a file that begins otherwise is replaced.
_HEADER = b"private-integrations rate limits, layout 1\n".ljust(64, b"\0")

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Usage:
    """Requests counted of an account; instants are milliseconds since the epoch.

    `in_window` since `window_start`, `in_day` on the day (UTC) of `latest`, the last instant that counted.
    """

    window_start: int = 0
    latest: int = 0
    in_window: int = 0
    in_day: int = 0


class UsageFile:
    """The usage of up to 16,384 accounts; of the accounts that share a full group, the one unused longest is forgotten.

    Counts survive a restart and a killed process, since the kernel has them; a power cut may take the last seconds.
    Used by one thread of a process, and by any number of processes: a lock on the file is held during each change.
    Each process opens it for itself: over a fork the lock is inherited, and keeps nobody out.
    """

    def __init__(self, folder: Path, groups: int = _GROUPS) -> None:
        """Open the file in a data folder, or make it; raises ConfigurationError when that can't be done."""
        self._groups = groups
        size = len(_HEADER) + groups * _GROUP_SIZE
        try:
            self._file = _open(folder / FILE_NAME, size)
        except OSError as error:
            raise ConfigurationError(f"{folder / FILE_NAME} can't be used: {error.strerror}") from error

    def change(self, account_id: str, step: Callable[[Usage], tuple[Usage, Answer]]) -> Answer:
        """Put the usage that `step` makes of the present one in its place, and give what else it answers."""
        key = hashlib.sha256(account_id.encode()).digest()[:_KEY_BYTES]
        with _locked(self._file):
            offset, usage = self._find(key)
            changed, answer = step(usage)
            place = _PLACE.pack(key, changed.window_start, changed.latest, changed.in_window, changed.in_day)
            # Where the file system copies on write, a full disk has no room even for what is there already. Limits
            # keep scripts in check; they are no reason to turn a good token away.
            with suppress(OSError):
                os.pwrite(self._file, place, offset)
        return answer

    def close(self) -> None:
        """Give the file free."""
        os.close(self._file)

    def _find(self, key: bytes) -> tuple[int, Usage]:
        """Where the account's usage is, or belongs, and what it is."""
        start = len(_HEADER) + int.from_bytes(key[:8]) % self._groups * _GROUP_SIZE
        oldest, longest_unused = start, None
        group = _PLACE.iter_unpack(os.pread(self._file, _GROUP_SIZE, start))
        for place, (found, window_start, latest, in_window, in_day) in enumerate(group):
            offset = start + place * _PLACE.size
            if found == key:
                return offset, Usage(window_start, latest, in_window, in_day)
            if longest_unused is None or latest < longest_unused:
                oldest, longest_unused = offset, latest
        return oldest, Usage()


def _open(file: Path, size: int) -> int:
    """A descriptor of the file, made first if it is missing or of another layout."""
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        # On the folder: the file itself may be about to be replaced by another process that starts now.
        with _locked(folder):
            if not _is_whole(file, size):
                _make(file, size)
            return open_private(file, os.O_RDWR)
    finally:
        os.close(folder)


def _is_whole(file: Path, size: int) -> bool:
    try:
        with os.fdopen(open_private(file, os.O_RDONLY), "rb") as stream:
            return stream.read(len(_HEADER)) == _HEADER and os.fstat(stream.fileno()).st_size == size
    except FileNotFoundError:
        return False


def _make(file: Path, size: int) -> None:
    unfinished = file.with_suffix(".new")
    descriptor = open_private(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        # Written whole, so that later there is room for every place. Not posix_fallocate, which macOS lacks.
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(_HEADER.ljust(size, b"\0"))
            stream.flush()
            os.fsync(descriptor)
        unfinished.replace(file)
    except OSError:
        unfinished.unlink()
        raise


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
