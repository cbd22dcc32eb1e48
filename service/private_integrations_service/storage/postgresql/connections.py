"""Connections to the database: how each is opened, how long it may take, and which StorageError an error is."""

import re
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from anyio import to_thread
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from private_integrations.errors import ConfigurationError

from ..engine import StorageBusy, StorageError, StorageFull, StorageUnavailable

PATIENCE = 5
"""How many seconds a statement, and a wait for a free connection, may take."""

# The server ends a statement after PATIENCE; a commit that waits for a standby, or a network that drops everything,
# is ended from here.
_LONGEST = PATIENCE + 3

TIMELINE = (
    "(SELECT substr(encode(sha256(convert_to(system_identifier::text || ' ' || "
    "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), 'UTF8')), 'hex'), 1, 16) FROM pg_control_system())"
)
"""Names the database and its timeline in 16 hexadecimal digits; a standby refuses to answer."""

WRITES = 0x70697772  # "piwr"
"""The number of the advisory lock that every change holds, and every migration."""

_BUSY = (
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.TooManyConnections,
)


class ServiceConnection(psycopg.Connection[Any]):
    """A connection that begins no transactions by itself, and knows whether the server has warned."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_warned = False
        """Is True after a warning: that of COMMIT says that no standby may have the change."""
        self.last_statements = ""
        """Are sent with the next COMMIT, in one message: that saves a round trip."""
        self.add_notice_handler(self._note)

    def commit(self) -> None:
        """Send the last statements and COMMIT; if one of them fails, the server does not come to the COMMIT."""
        if self.last_statements:
            self.execute(f"{self.last_statements}; COMMIT")
        else:
            super().commit()

    def _note(self, notice: errors.Diagnostic) -> None:
        # Not by its text, which may be in another language.
        if notice.severity_nonlocalized == "WARNING":
            self.is_warned = True


def checked_address(address: str, option: str = "--database") -> str:
    """Return the address of a database, if libpq reads it as its writer meant it.

    Raises ConfigurationError; the address, which may have a password, is not in its message.
    """
    try:
        parts = conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            f"{option} is no address of a database that libpq can read: write postgresql://user@host/name"
        ) from None
    if _is_cut_wrongly(address) or not re.fullmatch(r"[\d,]*", str(parts.get("port", ""))):
        raise ConfigurationError(
            f"{option} has a password or a port that can't be read: in an address, write @ as %40, / as %2F, ? as %3F "
            "and : as %3A"
        )
    return address


def _is_cut_wrongly(address: str) -> bool:
    """Tell whether a password with an @ or / in it would be taken for a host or a database, and so be shown."""
    is_url = re.match("postgres(ql)?://", address)
    if is_url is None:
        return False
    rest = address[is_url.end() :]
    before = re.split("[/?]", rest, maxsplit=1)[0]
    return before.count("@") > 1 or rest.count("@") > before.count("@")


@contextmanager
def usable_database() -> Iterator[None]:
    """Raise a StorageError in the block as a ConfigurationError, with the first line of what the driver says."""
    try:
        yield
    except StorageError as error:
        cause = getattr(error.__cause__, "orig", None) or error.__cause__ or error
        said = str(cause).strip() or "it does not answer"
        raise ConfigurationError(f"the database can't be used: {said.splitlines()[0]}") from error


def place_of(address: str) -> str:
    """Return the address for people: without a password."""
    parts = conninfo_to_dict(address)
    host = parts.get("host") or parts.get("hostaddr") or parts.get("service") or "localhost"
    port = f":{parts['port']}" if "port" in parts else ""
    return f"database {parts.get('dbname', '')} at {host}{port}"


def connect(address: str) -> ServiceConnection:
    """Open a connection.

    Statements are not prepared, and settings are those of one transaction, so that PgBouncer in transaction mode works.
    """
    return ServiceConnection.connect(
        address,
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=PATIENCE,
        application_name="private-integrations",
        tcp_user_timeout=_LONGEST * 1000,
    )


def connection_pool(address: str, *, size: int) -> Engine:
    """Return a pool of at most `size` connections; one that the server has closed meanwhile is not used."""
    pool = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(address),
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=PATIENCE,
        pool_reset_on_return="rollback",
    )
    event.listen(pool, "checkout", _refuse_closed)
    return pool


def _refuse_closed(connection: ServiceConnection, *_: object) -> None:
    """Have the pool open another connection in place of one with something to read: the server's goodbye, or its end.

    Without a round trip, this spares one failed request for each connection after a restart of the database.
    """
    if connection.closed:
        raise DisconnectionError
    # Not select.select, which knows the first 1024 descriptors only.
    readable = select.poll()
    readable.register(connection.pgconn.socket, select.POLLIN)
    if readable.poll(0):
        raise DisconnectionError


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise errors of the driver in the block as a StorageError."""
    try:
        yield
    except (SQLAlchemyError, psycopg.Error, OSError) as error:
        raise _storage_error(error) from error


def _storage_error(error: BaseException) -> StorageError:
    if isinstance(error, PoolTimeout):
        return StorageBusy("every connection to the database is in use")
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, errors.DiskFull):
        return StorageFull("there is no room for a change in the database")
    if isinstance(cause, _BUSY):
        return StorageBusy("the database takes too long")
    return StorageUnavailable("the database does not answer")


class Watchdog:
    """Ends what the database doesn't answer in time: first by a cancel request, then by closing the connection."""

    def __init__(self) -> None:
        self._watched: dict[int, tuple[float, ServiceConnection]] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, connection: ServiceConnection, seconds: float = _LONGEST) -> Iterator[None]:
        """End what the block waits for on this connection after so many seconds."""
        key = id(connection)
        with self._lock:
            self._watched[key] = (time.monotonic() + seconds, connection)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="database watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._watched.pop(key, None)

    def stop(self) -> None:
        """Let the thread end; the next `limit` starts another one."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._wake.set()
        if thread is not None:
            thread.join()
        self._wake.clear()

    def _watch(self) -> None:
        cancelled: dict[int, float] = {}
        while not self._wake.wait(0.5):
            now = time.monotonic()
            with self._lock:
                overdue = [(key, found) for key, (end, found) in self._watched.items() if now >= end]
            cancelled = {key: cancelled.get(key, now) for key, _ in overdue}
            for key, connection in overdue:
                if cancelled[key] == now:
                    _cancel(connection)
                elif now - cancelled[key] > 1:
                    _cut(connection)


def _cancel(connection: ServiceConnection) -> None:
    with suppress(psycopg.Error, OSError):
        connection.cancel_safe(timeout=1)


def _cut(connection: ServiceConnection) -> None:
    """Close the socket under a thread that waits for it."""
    with suppress(psycopg.Error, OSError, ValueError), socket.socket(fileno=connection.pgconn.socket) as shared:
        try:
            shared.shutdown(socket.SHUT_RDWR)
        finally:
            # The descriptor is libpq's.
            shared.detach()


@contextmanager
def watched(pool: Engine, watchdog: Watchdog, seconds: float = _LONGEST) -> Iterator[tuple[Connection, Any]]:
    """Take a connection of a pool for the block, which may take so many seconds; yields it, and the driver's own.

    Raises StorageError.
    """
    with storage_errors(), pool.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, ServiceConnection)
        with watchdog.limit(driver, seconds):
            yield connection, driver


class PostgreSQLDecisionConnection:
    """Read-only access for the statements that requests need, in threads of their own; used by one event loop.

    Args:
        pool: the connections.
        watchdog: ends statements that take too long.
        check: raises StorageUnavailable unless an answer of this timeline may be used.

    """

    def __init__(self, pool: Engine, watchdog: Watchdog, check: Callable[[str], None]) -> None:
        self._pool = pool
        self._watchdog = watchdog
        self._check = check
        self._is_closed = False

    async def row(self, statement: str, *parameters: object) -> tuple[Any, ...] | None:
        """Return the first row of a query with `?` for each parameter, None without one; raises StorageError."""
        if self._is_closed:
            raise StorageUnavailable("the connection is closed")
        return await to_thread.run_sync(self._row, statement, parameters)

    def close(self) -> None:
        """Answer no more queries."""
        self._is_closed = True

    def _row(self, statement: str, parameters: tuple[object, ...]) -> tuple[Any, ...] | None:
        asked = _AROUND.format(timeline=TIMELINE, statement=statement.replace("?", "%s"))
        with storage_errors():
            pooled = self._pool.raw_connection()
            try:
                connection: Any = pooled.driver_connection
                with self._watchdog.limit(connection):
                    found = connection.execute(asked, parameters).fetchone()
            except psycopg.Error as error:
                pooled.invalidate(error)
                raise
            finally:
                pooled.close()
        timeline, is_found, *row = found
        self._check(timeline)
        return tuple(row) if is_found else None


# One statement is one round trip, and one transaction on one server also behind PgBouncer.
_AROUND = """
SELECT timeline, found.*
FROM (SELECT {timeline} AS timeline) AS server LEFT JOIN (SELECT true AS is_found, asked.* FROM ({statement}) AS asked)
AS found ON true LIMIT 1
"""


def new_mark() -> str:
    """Return a random mark of 16 hexadecimal digits, which is never 0."""
    return f"{secrets.randbits(64) | 1:016x}"
