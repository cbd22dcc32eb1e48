"""The SQLite database in a data folder: opened by one service at a time, written by one transaction at a time."""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pysqlite3.dbapi2 as sqlite
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from private_integrations.errors import ConfigurationError

from ...access import security_log
from ...migrations import upgrade
from ...private_files import open_private, prepare_folder
from .. import tables
from ..epoch import Revision
from .reserved_space import Ballast, disk_is_full
from .shared_memory import HighWater, shared_numbers
from .watched_files import WatchedFiles
from .write_lock import StorageBusy, Turn

FILE_NAME = "private-integrations.db"
LOCK_NAME = "server.lock"
TURN_NAME = "writer.lock"

# The journal and its index, which SQLite keeps beside the database.
_PARTS = ("-wal", "-shm")

# Versions 3.7.0 to 3.51.2 can lose a committed transaction, here: a revocation (sqlite.org/wal.html, "WAL reset bug").
_OLDEST_SQLITE = (3, 51, 3)

Answer = TypeVar("Answer")


class DiskFull(SQLAlchemyError):
    """There was no room for a change; nothing of it was stored."""


@dataclass(frozen=True)
class Write:
    """A write transaction and the instant it happens at, which never runs backwards."""

    connection: Connection
    now: datetime


class Database:
    """Engines for one writer and several readers over one file.

    `revision` moves with every change that verdicts depend on. Processes forked from the one that opened
    the database share it, the clock's high-water mark, the counts of the security log, the writers' turn and
    the name of this `run` of the service;
    connections never cross a fork.
    """

    def __init__(self, file: Path, lock: int) -> None:
        self.file = file
        self.run = secrets.token_hex(8)
        watched = (file, *(file.with_name(file.name + part) for part in _PARTS), file.with_name(LOCK_NAME))
        numbers = shared_numbers(2 + 2 * len(watched))
        self.security_counts = shared_numbers(security_log.NUMBERS)
        self.revision = Revision(numbers[:1])
        self._high_water = HighWater(numbers[1:2])
        self._files = WatchedFiles(watched, numbers[2:])
        self._lock = lock
        self._turn = Turn(file.parent / TURN_NAME)
        self._writer = _engine(file, pool_size=1, begin="BEGIN IMMEDIATE")
        self._readers = _engine(file, pool_size=8, begin="BEGIN", query_only=True)
        _migrate(self._writer)
        self._high_water.advance(self._stored_high_water())
        self._files.note()
        self._ballast = Ballast(file.parent)
        self._ballast.renew()

    @property
    def high_water(self) -> datetime:
        """The latest instant ever stored, by whichever process: a clock that steps back revives nothing."""
        return self._high_water.instant

    @contextmanager
    def write(self, now: datetime, *, verdicts: bool = True, yielding: bool = False) -> Iterator[Write]:
        """A transaction that has the writers' turn from its start and commits at the end of the block.

        `verdicts` says whether it may change what any token opens; then it also moves the revision. `yielding` lets
        other changes go first (`Turn.taken`).
        Raises StorageBusy, DiskFull, StorageMoved, or another of SQLAlchemy's errors, when nothing could be stored.
        """
        with self._turn.taken(yielding=yielding):
            with self._transaction(now, verdicts) as write:
                yield write
            self._ballast.renew()

    def outlives(self, deadline: datetime | None, now: datetime) -> bool:
        """Whether `now` is past a deadline that the stored clock has not reached: to be stored before it is said."""
        return deadline is not None and self.high_water < deadline <= now

    def remember(self, now: datetime) -> None:
        """Store the present instant, so that no clock set back revives what was dead at it."""
        with self.write(now, verdicts=False):
            """Every write stores the latest instant."""

    def ending(self, now: datetime, operation: Callable[[Write], Answer]) -> Answer:
        """Run an operation that ends tokens in a transaction; if the disk is full, once more in the ballast's room.

        It waits for its turn longer than other changes. An operation that refuses raises: a refusal is no
        reason to spend the ballast.
        """
        with self._turn.taken(ending=True):
            try:
                return self._ended(now, operation)
            except DiskFull:
                # Another request may have released it a moment ago; the second try is worth it all the same.
                self._ballast.release()
            return self._ended(now, operation)

    def settle(self) -> None:
        """Put right what a killed process left of the revision; raises StorageBusy, and StorageMoved."""
        with self._turn.taken(ending=True):
            # Reading opens the journal, which is closed before workers are forked.
            self._stored_high_water()
            self._files.note()
            self._files.require()
            self.revision.settle()

    def require_files(self) -> None:
        """Raise StorageMoved if the database isn't where it was opened; looked at every quarter of a second."""
        self._files.require_lately()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a read-only transaction: one consistent view. Raises StorageMoved, or another SQLAlchemy error."""
        self._files.require_lately()
        with self._readers.connect() as connection, connection.begin():
            yield connection

    def verdict_connection(self) -> Any:
        """A plain read-only connection of the driver's, for the authorizer's one statement."""
        return _connect(self.file, query_only=True)

    def disconnect(self) -> None:
        """Close every connection; the next use opens new ones."""
        in_place = self._files.moved is None
        self._readers.dispose()
        self._writer.dispose()
        if in_place:
            self._files.forget_closed()

    def close(self) -> None:
        """Close every connection and give the data folder free, once no forked process has it either."""
        self.disconnect()
        self._turn.close()
        os.close(self._lock)

    @contextmanager
    def _transaction(self, now: datetime, verdicts: bool) -> Iterator[Write]:
        try:
            self._files.require()
            with self._writer.connect() as connection, connection.begin() as transaction:
                yield Write(connection, self._advance_clock(connection, now))
                with self.revision.changing() if verdicts else nullcontext():
                    transaction.commit()
            # Check once more before the answer: a commit to a deleted file would be lost when this process ends.
            self._files.require()
        except DBAPIError as error:
            if disk_is_full(error, self.file.parent):
                raise DiskFull(f"there is no room for a change in {self.file.parent}") from error
            if _is_busy(error):
                raise StorageBusy("another program writes to the database") from error
            raise

    def _ended(self, now: datetime, operation: Callable[[Write], Answer]) -> Answer:
        with self._transaction(now, verdicts=True) as write:
            answer = operation(write)
        self._ballast.renew()
        return answer

    def _advance_clock(self, connection: Connection, now: datetime) -> datetime:
        effective = max(now, self.high_water)
        connection.execute(tables.clock.update().values(high_water=effective))
        self._high_water.advance(effective)
        return effective

    def _stored_high_water(self) -> datetime:
        with self.read() as connection:
            stored: datetime = connection.execute(select(tables.clock.c.high_water)).scalar_one()
        return stored


def open_database(folder: Path) -> Database:
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
        for name in (FILE_NAME, TURN_NAME):
            os.close(open_private(folder / name, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise ConfigurationError(f"data folder {folder} can't be used: {error.strerror}") from error
    _take(lock, folder)
    try:
        return Database(folder / FILE_NAME, lock)
    except (DBAPIError, sqlite.Error) as error:
        os.close(lock)
        reason = "the disk is full" if disk_is_full(error, folder) else getattr(error, "orig", error)
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


def _engine(file: Path, *, pool_size: int, begin: str, query_only: bool = False) -> Engine:
    engine = create_engine(
        "sqlite://",
        module=sqlite,
        creator=lambda: _connect(file, query_only=query_only),
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _connect(file: Path, *, query_only: bool) -> Any:
    # The driver opens no transactions of its own (isolation_level=None): `begin` above says how.
    # Never creates it (mode=rw): in place of a file that was deleted there would be an empty one.
    path = f"{file.absolute().as_uri()}?mode=rw"
    connection = sqlite.connect(path, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    if query_only:
        connection.execute("PRAGMA query_only=ON")
    return connection


def _is_busy(error: DBAPIError) -> bool:
    return bool(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite.SQLITE_BUSY)


def _migrate(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrade(connection)
