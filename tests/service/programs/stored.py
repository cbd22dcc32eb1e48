"""What a service has committed, read from a checked copy of its database: the original is left to the service."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite

from private_integrations_service.storage.sqlite.engine import FILE_NAME


@contextmanager
def checked_copy(folder: Path) -> Iterator[Any]:
    """A connection to a copy of the database as it is on disk now, which must be sound; nobody may be writing."""
    with tempfile.TemporaryDirectory() as copy:
        for file in folder.glob(f"{FILE_NAME}*"):
            # The journal's index is made anew from the journal.
            if not file.name.endswith("-shm"):
                shutil.copy(file, copy)
        with closing(sqlite.connect(f"{copy}/{FILE_NAME}")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            yield connection


def content(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with checked_copy(folder) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: connection.execute(f'SELECT * FROM "{table}"').fetchall() for table in tables}
