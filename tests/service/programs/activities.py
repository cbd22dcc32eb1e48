"""The stores of activity that tests run on: what no caller of the service can do with them, tests do here."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol
from unittest.mock import patch

import psycopg
import pysqlite3.dbapi2 as sqlite
from sqlalchemy import Engine

from private_integrations_service.instants import to_milliseconds
from private_integrations_service.storage.activity import ActivityStore
from private_integrations_service.storage.postgresql.activity import PostgreSQLActivity
from private_integrations_service.storage.postgresql.connections import Watchdog, connection_pool
from private_integrations_service.storage.sqlite.activity import FILE_NAME, SQLiteActivity


class ActivityUnderTest(Protocol):
    """Open one store again and again, and look behind it."""

    def open(self, run: str) -> ActivityStore:
        """Open the store for a process of this run."""

    def count(self, table: str) -> int:
        """Count the rows of a table."""

    def callers_ever(self) -> int:
        """Count the callers that were ever added."""

    def add_worker(self, run: str, pid: int, flushed_at: datetime, *, silent: timedelta = timedelta(0)) -> None:
        """Add the last flush of another process; `silent` has passed since by the clock of the database."""

    def failing(self) -> Any:
        """Let every flush fail at its last table, for as long as the block."""

    def full(self) -> Any:
        """Let there be no room, for as long as the block."""

    def close(self) -> None:
        """Close the connections that the stores have not closed."""


class SQLiteActivityUnderTest:
    """A file in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / FILE_NAME

    def open(self, run: str) -> ActivityStore:
        """Open the file."""
        return SQLiteActivity(self._folder, run)

    def count(self, table: str) -> int:
        """Count in the file."""
        with self._connected() as connection:
            return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def callers_ever(self) -> int:
        """Return the latest id."""
        with self._connected() as connection:
            return connection.execute("SELECT max(id) FROM callers").fetchone()[0]

    def add_worker(self, run: str, pid: int, flushed_at: datetime, *, silent: timedelta = timedelta(0)) -> None:
        """Add a row; the file has no clock."""
        with self._connected() as connection:
            connection.execute("INSERT INTO workers VALUES (?, ?, ?)", (pid, run, to_milliseconds(flushed_at)))

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Rename the table."""
        with self._connected() as connection:
            connection.execute("ALTER TABLE callers RENAME TO elsewhere")
            yield
            connection.execute("ALTER TABLE elsewhere RENAME TO callers")

    @contextmanager
    def full(self) -> Iterator[None]:
        """Fill the disk."""
        with patch.object(shutil, "disk_usage", lambda _: SimpleNamespace(free=0)):
            yield

    def close(self) -> None:
        """Do nothing: each store has its own connections."""

    def _connected(self) -> Any:
        return closing(sqlite.connect(str(self._file), isolation_level=None))


class PostgreSQLActivityUnderTest:
    """Tables of a database; each process of the service has a pool of its own."""

    def __init__(self, address: str, *, size: int = 8) -> None:
        self.address = address
        self._watchdog = Watchdog()
        self._size = size
        self._pools: list[Engine] = []

    def open(self, run: str, address: str | None = None) -> PostgreSQLActivity:
        """Open the tables, perhaps through another server."""
        self._pools.append(connection_pool(address or self.address, size=self._size))
        return PostgreSQLActivity(self._pools[-1], run, self._watchdog)

    def count(self, table: str) -> int:
        """Count in the database."""
        with self.connected() as connection:
            return connection.execute(f"SELECT count(*) FROM activity_{table}").fetchone()[0]

    def callers_ever(self) -> int:
        """Return the number that the server has counted, once it has."""
        counted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'activity_callers'"
        with self.connected() as connection:
            while not (found := connection.execute(counted).fetchone()[0]):
                time.sleep(0.05)
            return found

    def add_worker(self, run: str, pid: int, flushed_at: datetime, *, silent: timedelta = timedelta(0)) -> None:
        """Add a row."""
        with self.connected() as connection:
            values = (run, pid, to_milliseconds(flushed_at), silent)
            connection.execute("INSERT INTO activity_workers VALUES (%s, %s, %s, clock_timestamp() - %s)", values)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Rename the table."""
        with self.connected() as connection:
            connection.execute("ALTER TABLE activity_callers RENAME TO elsewhere")
            yield
            connection.execute("ALTER TABLE elsewhere RENAME TO activity_callers")

    def full(self) -> Any:
        """Fail: a full tablespace needs a server of its own, and is no other failure for the store."""
        return self.failing()

    def close(self) -> None:
        """Close the pools."""
        for pool in self._pools:
            pool.dispose()
        self._watchdog.stop()

    def connected(self) -> Any:
        """Open a connection, as another program does."""
        return psycopg.connect(self.address, autocommit=True)
