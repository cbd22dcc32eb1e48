"""Connections to the database file: how each is opened, and which StorageError a driver's error is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pysqlite3.dbapi2 as sqlite
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..engine import StorageBusy, StorageError, StorageFull, StorageUnavailable
from .reserved_space import disk_is_full


def connection_pool(file: Path, *, size: int, begin: str, query_only: bool = False) -> Engine:
    """Return a pool of at most `size` connections, whose transactions start with the statement `begin`."""
    engine = create_engine(
        "sqlite://",
        module=sqlite,
        creator=lambda: connect(file, query_only=query_only),
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def connect(file: Path, *, query_only: bool, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> Any:
    """Open a connection of the driver's; it begins no transactions by itself."""
    # Never creates the file (mode=rw): in place of one that was deleted there would be an empty one.
    path = f"{file.absolute().as_uri()}?mode=rw"
    connection = sqlite.connect(path, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    if query_only:
        connection.execute("PRAGMA query_only=ON")
    return connection


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Raise errors of the driver and the file system in the block as a StorageError."""
    try:
        yield
    except (SQLAlchemyError, sqlite.Error, OSError) as error:
        raise _storage_error(error, folder) from error


class SQLiteDecisionConnection:
    """A read-only connection for the statements that requests need; used by one event loop."""

    def __init__(self, file: Path) -> None:
        with storage_errors(file.parent):
            self._connection = connect(file, query_only=True)

    async def row(self, statement: str, *parameters: object) -> tuple[Any, ...] | None:
        """Return the first row of a query with `?` for each parameter, None without one; raises StorageUnavailable.

        A lookup takes some microseconds, less than handing it to another thread.
        """
        try:
            row: tuple[Any, ...] | None = self._connection.execute(statement, parameters).fetchone()
        except sqlite.Error as error:
            raise StorageUnavailable("the database does not answer") from error
        return row

    def close(self) -> None:
        """Close the connection; from then on every query raises StorageUnavailable."""
        self._connection.close()


def _storage_error(error: SQLAlchemyError | sqlite.Error | OSError, folder: Path) -> StorageError:
    if not isinstance(error, DBAPIError | sqlite.Error):
        return StorageUnavailable("the database does not answer")
    if disk_is_full(error, folder):
        return StorageFull(f"there is no room for a change in {folder}")
    cause = error.orig if isinstance(error, DBAPIError) else error
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite.SQLITE_BUSY:
        return StorageBusy("another program writes to the database")
    return StorageUnavailable("the database does not answer")
