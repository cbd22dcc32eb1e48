"""Store the activity of tokens in an SQLite file of its own; its loss costs history, but no token."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite
from sqlalchemy import Connection

from ...instants import from_milliseconds, to_milliseconds
from ...private_files import open_private
from ..activity import HOURS_KEPT, USES_KEPT, Batch, Queries, RecordedActivity, hour_of, lives
from ..engine import StorageError, StorageFull
from .connections import connect, connection_pool, storage_errors
from .reserved_space import SIZE as RESERVED
from .watched_files import identity_of

FILE_NAME = "activity.db"

_VERSION = 1
# `reason` is empty for an allowed request; `scope` if the needed scope is unknown.
_SCHEMA = (
    """
    CREATE TABLE tokens (
        token_id INTEGER PRIMARY KEY, integration_id TEXT NOT NULL, generation INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX tokens_by_integration ON tokens (integration_id)",
    """
    CREATE TABLE requests (
        token_id INTEGER NOT NULL, hour INTEGER NOT NULL, scope TEXT NOT NULL, reason TEXT NOT NULL,
        requests INTEGER NOT NULL,
        PRIMARY KEY (token_id, hour, scope, reason)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE uses (
        token_id INTEGER NOT NULL, scope TEXT NOT NULL, reason TEXT NOT NULL, last_at INTEGER NOT NULL,
        PRIMARY KEY (token_id, scope, reason)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE callers (
        id INTEGER PRIMARY KEY, token_id INTEGER NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL,
        requests INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        UNIQUE (token_id, address, agent)
    ) STRICT
    """,
    # Beside a database that was restored from an older copy or made anew, ids come again: what is known of the token
    # that had one before must not be shown to those who have it now.
    """
    CREATE TRIGGER tokens_given_again AFTER UPDATE ON tokens BEGIN
        DELETE FROM requests WHERE token_id = NEW.token_id;
        DELETE FROM uses WHERE token_id = NEW.token_id;
        DELETE FROM callers WHERE token_id = NEW.token_id;
    END
    """,
    # Fires for a new caller only, not for a known one.
    """
    CREATE TRIGGER callers_kept AFTER INSERT ON callers BEGIN
        DELETE FROM callers WHERE id IN (
            SELECT id FROM callers WHERE token_id = NEW.token_id ORDER BY last_at DESC, id DESC LIMIT -1 OFFSET 20
        );
    END
    """,
    "CREATE TABLE workers (pid INTEGER PRIMARY KEY, run TEXT NOT NULL, flushed_at INTEGER NOT NULL) STRICT",
    "CREATE TABLE observation (id INTEGER PRIMARY KEY CHECK (id = 1), since INTEGER NOT NULL) STRICT",
    "PRAGMA user_version = 1",
)

_ADD_OWNER = """
INSERT INTO tokens VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET integration_id = excluded.integration_id, generation = excluded.generation
WHERE (integration_id, generation) <> (excluded.integration_id, excluded.generation)
"""
_ADD_REQUESTS = """
INSERT INTO requests VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET requests = requests + excluded.requests
"""
_ADD_USE = """
INSERT INTO uses VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET last_at = max(last_at, excluded.last_at)
"""
_ADD_CALLER = """
INSERT INTO callers (token_id, address, agent, requests, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, last_at = max(last_at, excluded.last_at)
"""
_ADD_FLUSH = "INSERT INTO workers VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET run = excluded.run, flushed_at = ?3"
_OBSERVE = "INSERT INTO observation VALUES (1, ?) ON CONFLICT DO NOTHING"
_OBSERVE_ANEW = "UPDATE observation SET since = ?"
_PURGE = (
    ("DELETE FROM requests WHERE token_id IN (SELECT token_id FROM tokens) AND hour < ?", HOURS_KEPT),
    ("DELETE FROM uses WHERE last_at < ?", USES_KEPT),
    ("DELETE FROM callers WHERE last_at < ?", USES_KEPT),
)
# Without its last uses, all rows of a token are deleted.
_PURGE_TOKENS = "DELETE FROM tokens WHERE token_id NOT IN (SELECT token_id FROM uses)"

_QUERIES = Queries(
    observed_since="SELECT since FROM observation",
    last_uses="""
        SELECT token_id, max(last_at) FROM uses
        WHERE token_id IN (SELECT value FROM json_each(?)) AND reason NOT LIKE 'token-%'
        GROUP BY token_id
    """,
    counted="""
        SELECT generation, hour - hour % ? AS start, scope, reason, sum(requests)
        FROM tokens JOIN requests USING (token_id)
        WHERE integration_id = ? AND hour >= ?
        GROUP BY generation, start, scope, reason
    """,
    uses_of="""
        SELECT generation, scope, reason, max(last_at)
        FROM tokens JOIN uses USING (token_id)
        WHERE integration_id = ?
        GROUP BY generation, scope, reason
    """,
    callers_of="""
        SELECT generation, address, agent, sum(requests), min(first_at), max(last_at) AS last
        FROM tokens JOIN callers USING (token_id)
        WHERE integration_id = ? AND last_at >= ?
        GROUP BY generation, address, agent
        ORDER BY last DESC
    """,
    # CROSS keeps the order: a few steps for each token, where the other way round would read all that there is.
    refused_scopes="""
        SELECT integration_id, scope, sum(requests) AS refused
        FROM tokens CROSS JOIN requests USING (token_id)
        WHERE reason = 'scope-missing' AND hour >= ?
        GROUP BY integration_id, scope
        HAVING refused >= ?
    """,
)


class SQLiteActivity:
    """Read and write the file `activity.db` in a data folder, from any process of the service.

    `run` names the service's run, so that the rows of earlier workers are not taken for those of live ones.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self.file = folder / FILE_NAME
        self._run = run
        self._writer: Any = None
        self._purged_hour = 0
        # The identities of the written and the read file: it may be deleted, and another one made, at any time.
        self._written = self._identity = identity_of(self.file)
        self._readers = connection_pool(self.file, size=4, begin="BEGIN", query_only=True)
        # Readers need the tables. The service starts even on a full disk or with a damaged file.
        with suppress(StorageError), storage_errors(folder):
            self._connected()

    @property
    def place(self) -> str:
        """Return the path of the file."""
        return str(self.file)

    @contextmanager
    def read(self) -> Iterator[RecordedActivity]:
        """Begin a read-only transaction: one consistent view. Raises StorageError."""
        with self._reading() as connection:
            yield RecordedActivity(connection, _QUERIES)

    def store(self, batch: Batch, now: datetime) -> None:
        """Add a batch, and store that this process has flushed all uses until `now`; both or neither.

        Raises StorageError.
        """
        at = to_milliseconds(now)
        with self._transaction() as connection:
            connection.execute(_OBSERVE, (at,))
            if not batch.is_gapless:
                connection.execute(_OBSERVE_ANEW, (at,))
            connection.executemany(_ADD_OWNER, [(token, *of) for token, of in batch.tokens.items()])
            connection.executemany(_ADD_REQUESTS, [(*about, count) for about, count in batch.requests.items()])
            connection.executemany(_ADD_USE, [(*about, last) for about, last in batch.uses.items()])
            connection.executemany(_ADD_CALLER, [(*caller, *seen) for caller, seen in batch.callers.items()])
            connection.execute(_ADD_FLUSH, (os.getpid(), self._run, at))
            self._purge(connection, at)

    def leave(self) -> None:
        """Store that this process flushes no more; raises as `store` does."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM workers WHERE pid = ?", (os.getpid(),))

    def flushes(self) -> list[datetime]:
        """Return the last flush of each live worker of this run. Raises StorageError."""
        with self._reading() as connection:
            rows = connection.exec_driver_sql("SELECT pid, flushed_at FROM workers WHERE run = ?", (self._run,))
            return [from_milliseconds(flushed) for pid, flushed in rows if lives(pid)]

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()
        self._disconnect()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if identity_of(self.file) != self._identity:
            # Other workers write to the file that replaced this one, so a read of the old file would miss their writes.
            self._readers.dispose()
            self._identity = identity_of(self.file)
        with storage_errors(self.file.parent), self._readers.connect() as connection, connection.begin():
            yield connection

    def _connected(self) -> Any:
        if shutil.disk_usage(self.file.parent).free < 2 * RESERVED:
            raise StorageFull(f"less than {2 * RESERVED >> 20} MiB are free")
        if self._writer is not None and identity_of(self.file) != self._written:
            self._disconnect()
        if self._writer is None:
            self._writer = _opened(self.file)
            self._written = identity_of(self.file)
        return self._writer

    def _disconnect(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with storage_errors(self.file.parent):
            connection = self._connected()
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except sqlite.Error:
                # Roll back, and check the file again: it may be another one by now.
                self._disconnect()
                raise

    def _purge(self, connection: Any, at: int) -> None:
        hour = hour_of(at)
        if hour == self._purged_hour:
            return
        for statement, kept in _PURGE:
            connection.execute(statement, (at - kept // timedelta(milliseconds=1),))
        connection.execute(_PURGE_TOKENS)
        self._purged_hour = hour


def _opened(file: Path) -> Any:
    """Open a connection that writes, over the newest schema."""
    os.close(open_private(file, os.O_RDWR | os.O_CREAT))
    # A killed process loses nothing by NORMAL, a power cut perhaps the last seconds.
    connection = connect(file, query_only=False, synchronous="NORMAL")
    try:
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA:
                connection.execute(statement)
        connection.execute("COMMIT")
        if version not in (0, _VERSION):
            raise sqlite.DatabaseError(f"it was written by a release that has layout {version}, not {_VERSION}")
    except sqlite.Error:
        connection.close()
        raise
    return connection
