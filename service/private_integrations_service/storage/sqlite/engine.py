"""The SQLite engine: one database file in the data folder, written by one transaction at a time."""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
from sqlalchemy import Connection

from private_integrations.errors import ConfigurationError

from ...access import security_log
from ...migrations import upgrade
from ...private_files import open_private, prepare_folder
from ..clock import store_instant, stored_instant
from ..engine import Answer, StorageError, StorageFull, Write
from ..epoch import NUMBERS, Epoch
from ..file_leadership import FileLeadership
from ..shared_memory import shared_numbers
from ..steady_clock import Clock, SteadyClock
from ..write_lock import WriteLock
from .activity import SQLiteActivity
from .claims import SoleClaims
from .connections import SQLiteDecisionConnection, connection_pool, storage_errors
from .reserved_space import ReservedSpace
from .watched_files import WatchedFiles

FILE_NAME = "private-integrations.db"
LOCK_NAME = "server.lock"
WRITE_LOCK_NAME = "writer.lock"

# The journal and its index, which SQLite keeps beside the database.
_PARTS = ("-wal", "-shm")

# Versions 3.7.0 to 3.51.2 can lose a committed transaction, here: a revocation (sqlite.org/wal.html, "WAL reset bug").
_OLDEST_SQLITE = (3, 51, 3)


class SQLiteEngine:
    """The storage engine over one file (storage/engine.py says what each method does).

    Processes forked from the one that opened it share the epoch, the clock, the counts of the security log, the write
    lock and the name of the run; connections never cross a fork.

    Args:
        file: the database.
        lock: the descriptor of the lock by which one service at a time has the data folder.
        clock: the machine's clock.

    """

    def __init__(self, file: Path, lock: int, clock: Clock) -> None:
        self.effective_by: datetime | None = None
        self.file = file
        self.place = str(file)
        self.folder = file.parent
        self.run = secrets.token_hex(8)
        watched = (file, *(file.with_name(file.name + part) for part in _PARTS), file.with_name(LOCK_NAME))
        numbers = shared_numbers(2 + 2 * len(watched))
        self.security_counts = shared_numbers(security_log.NUMBERS)
        self.epoch = Epoch(shared_numbers(NUMBERS))
        self._clock = SteadyClock(clock, numbers[:2])
        self._files = WatchedFiles(watched, numbers[2:])
        self._lock = lock
        self._write_lock = WriteLock(self.folder / WRITE_LOCK_NAME)
        self._writer = connection_pool(file, size=1, begin="BEGIN IMMEDIATE")
        self._readers = connection_pool(file, size=8, begin="BEGIN", query_only=True)
        with storage_errors(self.folder), self._writer.begin() as connection:
            upgrade(connection)
        self._clock.note_stored(self._stored_clock())
        self._files.note()
        self._reserved_space = ReservedSpace(self.folder)
        self._reserved_space.renew()

    def without_waiting(self) -> "SQLiteEngine":
        """Return this engine: there is no other machine to wait for."""
        return self

    def now(self) -> datetime:
        """Return the present instant in UTC, which never runs backwards."""
        return self._clock.now()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a read-only transaction: one consistent view."""
        self._files.require_lately()
        with storage_errors(self.folder), self._readers.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, yielding: bool = False) -> Iterator[Write]:
        """Begin a write transaction, which has the write lock from its start and commits at the end of the block."""
        with self._write_lock.held(yielding=yielding):
            with self._transaction() as write:
                yield write
            self._reserved_space.renew()

    def end_access(self, step: Callable[[Write], Answer]) -> Answer:
        """Run a step that ends tokens or rights; if the disk is full, once more in the reserved space.

        A step that refuses raises, since a refusal is no reason to use the reserved space.
        """
        with self._write_lock.held(ending=True):
            try:
                with self._transaction() as write:
                    answer = step(write)
            except StorageFull:
                # Another request may have released it a moment ago, and even then the second try is worth it.
                self._reserved_space.release()
                with self._transaction() as write:
                    answer = step(write)
            self._reserved_space.renew()
            return answer

    def has_stored(self, instant: datetime) -> bool:
        """Return whether the clock goes on at this instant or later after a restart."""
        return self._clock.stored >= instant

    def keep_ended(self, deadline: datetime | None) -> None:
        """Store that `deadline` has passed, before a client hears of it, if that isn't stored yet."""
        if deadline is not None and not self.has_stored(deadline) and deadline <= self.now():
            with self.write():
                """Every write stores the latest instant."""

    def begin(self) -> None:
        """Put right what a killed process left of the epoch."""
        with self._write_lock.held(ending=True):
            # Reading opens the journal, which is closed before workers are forked.
            self._stored_clock()
            self._files.note()
            self._files.require()
            self.epoch.settle()

    def require(self) -> None:
        """Raise StorageUnavailable if the database isn't where it was opened; looked at every quarter of a second."""
        self._files.require_lately()

    def decision_connection(self) -> SQLiteDecisionConnection:
        """Open a connection for the statements that requests need."""
        return SQLiteDecisionConnection(self.file)

    def activity(self) -> SQLiteActivity:
        """Open the file of the recorded activity."""
        return SQLiteActivity(self.folder, self.run)

    def notices(self) -> list[str]:
        """Return nothing: a change is on the disk of this machine when it is answered."""
        return []

    def lease(self) -> None:
        """Return nothing: no other machine changes the file."""

    def replication(self) -> None:
        """Return nothing: the file is this machine's alone."""

    def leadership(self, work: str) -> FileLeadership:
        """Return the leadership for a kind of work, by a lock file of its own."""
        return self.machine_leadership(work)

    def machine_leadership(self, work: str) -> FileLeadership:
        """Return the same: there is one machine."""
        return FileLeadership(self.folder / f"{work}.lock")

    def claims(self) -> SoleClaims:
        """Return the claims on webhooks, which no other machine wants."""
        return SoleClaims()

    def disconnect(self) -> None:
        """Close every connection; the next use opens new ones."""
        in_place = self._files.moved is None
        self._readers.dispose()
        self._writer.dispose()
        if in_place:
            self._files.forget_closed()

    def close(self) -> None:
        """Close every connection, and release the data folder once no forked process has it either."""
        self.disconnect()
        self._write_lock.close()
        os.close(self._lock)

    @contextmanager
    def _transaction(self) -> Iterator[Write]:
        self._files.require()
        with storage_errors(self.folder), self._writer.connect() as connection, connection.begin() as transaction:
            write = Write(connection, self.now())
            store_instant(connection, write.now)
            yield write
            with self.epoch.changing(write.subjects) if write.moves_epoch else nullcontext():
                transaction.commit()
        self._clock.note_stored(write.now)
        # Check once more before the answer: a commit to a deleted file would be lost when this process ends.
        self._files.require()

    def _stored_clock(self) -> datetime:
        with self.read() as connection:
            return stored_instant(connection)


def open_database(folder: Path, clock: Clock) -> SQLiteEngine:
    """Open the database of a data folder, creating and migrating it as needed.

    Raises ConfigurationError when the SQLite library is too old, the folder can't be used or trusted, or another
    server has it open.
    """
    if sqlite.sqlite_version_info < _OLDEST_SQLITE:
        raise ConfigurationError(
            f"SQLite {sqlite.sqlite_version} can lose committed changes; 3.51.3 or newer is needed: "
            "pip install --upgrade pysqlite3"
        )
    prepare_folder(folder)
    try:
        lock = open_private(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT)
        for name in (FILE_NAME, WRITE_LOCK_NAME):
            os.close(open_private(folder / name, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise ConfigurationError(f"data folder {folder} can't be used: {error.strerror}") from error
    _take(lock, folder)
    try:
        return SQLiteEngine(folder / FILE_NAME, lock, clock)
    except StorageError as error:
        os.close(lock)
        cause = getattr(error.__cause__, "orig", None) or error.__cause__ or error
        reason = "the disk is full" if isinstance(error, StorageFull) else cause
        raise ConfigurationError(f"{folder / FILE_NAME} can't be used: {reason}") from error


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(lock, 20).decode(errors="replace")
        os.close(lock)
        who = f" (process {holder})" if re.fullmatch(r"\d+", holder) else ""
        raise ConfigurationError(
            f"data folder {folder} is in use by another server{who}; stop it or give another --data-dir"
        ) from error
    # For people only: there may be no room for it.
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
