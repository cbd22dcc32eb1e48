"""Reserved space: a file that is deleted when the disk is full, so that tokens can still be ended."""

import errno
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
from sqlalchemy.exc import DBAPIError

from ...private_files import open_private

FILE_NAME = "reserved-space"

# Room for a whole journal: after 1000 pages of 4 KiB SQLite writes it back and begins anew at its start, so
# that from then on an end costs only its audit row.
SIZE = 4 * 1024 * 1024

_PROBE = 64 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)

_log = logging.getLogger(__name__)


class ReservedSpace:
    """A file of random bytes, which no file system can make smaller, beside the database.

    Only the holder of the write lock uses it, so that workers neither make it twice nor delete each other's.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME
        # Its name in version 0.1.
        (folder / "ballast").unlink(missing_ok=True)

    def renew(self) -> None:
        """Make the file if it is missing and there is room; cheap when it is there, and never an error."""
        with suppress(OSError):
            # Twice the size: the file itself must not fill the disk.
            if not self._is_there() and shutil.disk_usage(self._file.parent).free >= 2 * SIZE:
                _fill(self._file)

    def release(self) -> None:
        """Delete the file, if it is there, and raise the alarm."""
        try:
            self._file.unlink()
            outcome = "the reserve was released so that tokens can still be ended"
        except OSError:
            outcome = "the reserve is spent: tokens can't be ended"
        _log.critical(
            "ALARM: the disk of %s is full; %s. Make room now: it is made anew when there is some",
            self._file.parent,
            outcome,
        )

    def _is_there(self) -> bool:
        # Asked anew each time: another worker may have released it.
        with suppress(FileNotFoundError):
            return self._file.lstat().st_size == SIZE
        return False


def disk_is_full(error: DBAPIError | sqlite.Error, folder: Path) -> bool:
    """Return whether `error` comes from a lack of room in `folder`."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    kind = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    # An exhausted quota, and a lack of room for the journal's index, are I/O errors to SQLite.
    return kind == sqlite.SQLITE_FULL or (kind == sqlite.SQLITE_IOERR and not _takes_more(folder))


def _takes_more(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno not in _FULL
    return True


def _fill(file: Path) -> None:
    """Write the whole file, or delete what was written of it."""
    descriptor = open_private(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(os.urandom(SIZE))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        file.unlink()
        raise
