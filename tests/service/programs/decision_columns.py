"""Watch the columns that decisions are read from: who changes a row must move the epoch for its subject."""

import asyncio
from collections.abc import Collection
from contextlib import closing
from typing import Any

import pysqlite3.dbapi2 as sqlite
from sqlalchemy import Connection, event

from private_integrations_service.storage.epoch import number_of
from private_integrations_service.storage.grants import GrantReader
from private_integrations_service.storage.keys import KeyReader
from private_integrations_service.storage.sqlite.engine import SQLiteEngine
from private_integrations_service.storage.upstreams import CredentialReader

ColumnName = tuple[str, str]
"""Table and column."""


def columns_of_decisions(engine: SQLiteEngine, ended: bytes, account: str, key: bytes) -> set[ColumnName]:
    """Return the columns that the statements read whose answers are remembered, as SQLite compiles the statements.

    Args:
        engine: a database.
        ended: the digest of a token in it that has ended, so that the reader also asks why.
        account: an account with an upstream credential.
        key: the digest of a management key.

    """
    seen: set[ColumnName] = set()

    def note(action: int, table: str, column: str, *_: object) -> int:
        if action == sqlite.SQLITE_READ and column:
            seen.add((table, column))
        return int(sqlite.SQLITE_OK)

    readers: list[tuple[Any, object]] = [
        (GrantReader(engine), ended),
        (CredentialReader(engine), account),
        (KeyReader(engine), key),
    ]
    for reader, asked in readers:
        reader._connection._connection.set_authorizer(note)
        assert asyncio.run(reader.read(asked)) is not None
        reader.close()
    return seen


class Watch:
    """Raise AssertionError from each commit that changes one of these columns and does not move the epoch for the row.

    Args:
        engine: its database gets a table and triggers, which stay.
        columns: from `columns_of_decisions`.

    """

    def __init__(self, engine: SQLiteEngine, columns: Collection[ColumnName]) -> None:
        self._engine = engine
        self.changed: set[str] = set()
        """Each `table.column` that was changed since the watch began, and each `table` that lost a row."""
        # No transaction of the engine's, which would store the present instant.
        with closing(sqlite.connect(str(engine.file), isolation_level=None)) as connection:
            _add_triggers(connection, columns)
        with closing(engine._writer.raw_connection()) as writer:
            # Otherwise a REPLACE deletes rows without the triggers.
            writer.driver_connection.execute("PRAGMA recursive_triggers=ON")
        event.listen(engine._writer, "commit", self._look)

    def _look(self, connection: Connection) -> None:
        # SQLAlchemy calls this before the COMMIT, when the epoch is odd already if it moves.
        changed = connection.exec_driver_sql("SELECT DISTINCT place, subject FROM watched_changes").all()
        if not changed:
            return
        connection.exec_driver_sql("DELETE FROM watched_changes")
        self.changed |= {place for place, _ in changed}
        unnoticed = sorted({place for place, subject in changed if not self._moves(subject)})
        if unnoticed:
            # SQLAlchemy takes a transaction whose listener raises for one that ended.
            connection.exec_driver_sql("ROLLBACK")
            raise AssertionError(f"the epoch does not move with {unnoticed}")

    def _moves(self, subject: str) -> bool:
        """Return whether a process forgets this subject by the change that is being committed."""
        moving = self._engine.epoch.value
        if moving % 2 == 0:
            return False
        changed = self._engine.epoch.subjects_between(moving - 1, moving + 1)
        return changed is None or number_of(subject) in changed


_SUBJECTS = {
    "tokens": "integration_id",
    "integrations": "id",
    "accounts": "id",
    "upstream_credentials": "account_id",
    "management_keys": "id",
}


def _add_triggers(connection: Any, columns: Collection[ColumnName]) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS watched_changes (place TEXT NOT NULL, subject TEXT NOT NULL) STRICT")
    for table, column in columns:
        _add_trigger(connection, table, f"UPDATE OF {column}", f"{table}.{column}")
    for table in {table for table, _ in columns}:
        _add_trigger(connection, table, "DELETE", table)


def _add_trigger(connection: Any, table: str, change: str, place: str) -> None:
    connection.execute(
        f'CREATE TRIGGER IF NOT EXISTS "watch {place}" AFTER {change} ON {table}'
        f" BEGIN INSERT INTO watched_changes VALUES ('{place}', OLD.{_SUBJECTS[table]}); END"
    )
