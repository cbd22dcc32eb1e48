"""The storage engines that the service's tests run on: another one is another class here, and a name in `ENGINES`."""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from psycopg import sql

from canary import files_of
from database_address import ADDRESS
from postgres import Databases
from private_integrations_service.sandbox.storage.tables import metadata
from private_integrations_service.storage.postgresql.engine import open_postgresql
from private_integrations_service.storage.postgresql.schema import prepare_schema
from private_integrations_service.storage.sqlite.engine import WRITE_LOCK_NAME, open_database
from private_integrations_service.storage.write_lock import WriteLock
from used_databases import UsedDatabases


class EngineUnderTest(Protocol):
    """Make, copy and open databases of one storage engine."""

    name: str

    def new(self, folder: Path) -> Path:
        """Make the data folder of a service that has never run; returns it."""

    def stored(self, folder: Path) -> dict[str, bytes]:
        """Read the files of a data folder, and the tables that are no files of it, by name."""

    def open(self, folder: Path, clock: Callable[[], datetime]) -> Any:
        """Open the database of a data folder; make it if there is none."""

    def copy(self, folder: Path, to: Path) -> Path:
        """Make a data folder with a copy of the closed database of another one; returns it."""

    def copy_open(self, engine: Any, to: Path) -> Path:
        """Make a data folder with all that an open database has stored, as a killed process leaves it; returns it."""

    def remove(self, folder: Path) -> None:
        """Remove what a closed database has outside of its data folder."""

    def shorten_patience(self, engine: Any) -> None:
        """Have changes wait some milliseconds only, except those that end access."""


class SQLiteUnderTest:
    """Databases in files."""

    name = "sqlite"

    def new(self, folder: Path) -> Path:
        """Make an empty folder: the service makes its files."""
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def stored(self, folder: Path) -> dict[str, bytes]:
        """Read the files."""
        return files_of(folder)

    def open(self, folder: Path, clock: Callable[[], datetime]) -> Any:
        """Open the file in the folder."""
        return open_database(folder, clock)

    def copy(self, folder: Path, to: Path) -> Path:
        """Copy the files."""
        return Path(shutil.copytree(folder, to))

    def copy_open(self, engine: Any, to: Path) -> Path:
        """Copy the files, the journal among them."""
        return Path(shutil.copytree(engine.folder, to))

    def remove(self, folder: Path) -> None:
        """Do nothing: everything is in the folder."""

    def shorten_patience(self, engine: Any) -> None:
        """Give the engine another write lock."""
        engine._write_lock.close()
        engine._write_lock = WriteLock(engine.folder / WRITE_LOCK_NAME, patience=0.01)


class PostgreSQLUnderTest:
    """Databases on a server; a data folder names its own in a file."""

    name = "postgresql"

    def __init__(self, server: Databases) -> None:
        self._server = server
        self._used = UsedDatabases(server, all_tables)
        self._migrated: str | None = None

    def new(self, folder: Path) -> Path:
        """Make a database with empty tables."""
        if self._migrated is None:
            self._migrated = self._server.new_database()
            prepare_schema(self._migrated)
        folder.mkdir(parents=True, mode=0o700)
        (folder / ADDRESS).write_text(self._used.copy(self._migrated))
        return folder

    def stored(self, folder: Path) -> dict[str, bytes]:
        """Read the files, and each table in the format that has texts and bytes as they are."""
        rows = sql.SQL("COPY {} TO STDOUT (FORMAT binary)")
        with psycopg.connect((folder / ADDRESS).read_text()) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
            found = files_of(folder)
            for (table,) in tables.fetchall():
                with connection.cursor().copy(rows.format(sql.Identifier(table))) as copy:
                    found[table] = b"".join(bytes(block) for block in copy)
        return found

    def open(self, folder: Path, clock: Callable[[], datetime]) -> Any:
        """Open the database that the folder names, or a new one, as a replica with a lease."""
        file = folder / ADDRESS
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.write_text(self._server.new_database())
        opened = open_postgresql(file.read_text(), folder, clock=clock)
        opened.begin()
        return opened

    def copy(self, folder: Path, to: Path) -> Path:
        """Make a database from the one that the folder names."""
        to.mkdir(parents=True, mode=0o700)
        (to / ADDRESS).write_text(self._used.copy((folder / ADDRESS).read_text()))
        return to

    def copy_open(self, engine: Any, to: Path) -> Path:
        """Make a folder for another replica of the same database."""
        to.mkdir(parents=True, mode=0o700)
        (to / ADDRESS).write_text(engine.address)
        return to

    def remove(self, folder: Path) -> None:
        """Put the database back, for the next copy."""
        self._used.give_back((folder / ADDRESS).read_text())

    def shorten_patience(self, engine: Any) -> None:
        """Give the engine another write lock."""
        engine._write_lock.close()
        engine._write_lock = WriteLock(engine.folder / WRITE_LOCK_NAME, patience=0.01)


_OWN_TABLES = (
    *("authority", "revisions", "replicas", "webhook_claims", "alembic_version"),
    *(f"activity_{name}" for name in ("tokens", "requests", "uses", "callers", "workers", "observation")),
)


def all_tables() -> tuple[str, ...]:
    """Return the names of the tables on PostgreSQL, in an order that foreign keys allow."""
    return (*(table.name for table in metadata.sorted_tables), *_OWN_TABLES)


ENGINES = ("sqlite", "postgresql")

postgresql_only = pytest.mark.parametrize("under_test", ["postgresql"], indirect=True, scope="session")
"""Marks a test of replicas."""

sqlite_only = pytest.mark.parametrize("under_test", ["sqlite"], indirect=True, scope="session")
"""Marks a test of files, or one that sees what happens with SQLite's means."""

storage_independent = pytest.mark.parametrize("under_test", ["sqlite"], indirect=True, scope="session")
"""Marks a test that no storage engine can change, such as one of how requests are parsed: it runs on one."""


def engine_under_test(name: str, server: Databases) -> EngineUnderTest:
    """Return the engine of this name; PostgreSQL's makes its databases on the server."""
    return SQLiteUnderTest() if name == "sqlite" else PostgreSQLUnderTest(server)
