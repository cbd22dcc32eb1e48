"""The whole installation in a PostgreSQL database, to copy it: no replica writes meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Table, text

from private_integrations.errors import ConfigurationError

from ..copied_activity import activity_tables
from ..plain_rows import numbered_by
from . import replicas
from .connections import PATIENCE, WRITES, connect, connection_pool, new_mark, place_of
from .engine import new_revision
from .lease import LeaseTimes
from .revision import Revision
from .schema import prepare_schema, require_schema


class PostgreSQLInstallation:
    """The tables of a database.

    Args:
        address: of the database, as libpq reads it.
        pool: connections to it.
        times: how long the leases of its replicas last.

    """

    activity = activity_tables("activity_")

    def __init__(self, address: str, pool: Engine, times: LeaseTimes) -> None:
        self.place = place_of(address)
        self._address = address
        self._pool = pool
        self._times = times

    @contextmanager
    def reading(self) -> Iterator[tuple[Connection, Connection]]:
        """Begin to read, with the write lock: no replica writes until the end."""
        with self._transaction() as connection:
            yield connection, connection

    @contextmanager
    def writing(self) -> Iterator[tuple[Connection, Connection]]:
        """Begin to write, in one transaction with the write lock.

        Raises ConfigurationError if it is not known at the end whether a standby has everything.
        """
        with self._transaction() as connection:
            driver: Any = connection.connection.driver_connection
            yield connection, connection
            driver.is_warned = False
        if driver.is_warned:
            raise ConfigurationError(f"no standby of {self.place} has confirmed the copy, so it may be lost: repeat it")

    def last_number(self, connection: Connection, table: Table) -> int:
        """Return the highest number that a row of the table ever had."""
        query = text("SELECT coalesce(last_value, 0) FROM pg_sequences WHERE sequencename = :sequence")
        return int(connection.execute(query, {"sequence": _sequence(table)}).scalar_one())

    def continue_numbers(self, connection: Connection, table: Table, number: int) -> None:
        """Give the next row a number behind this one."""
        if number:
            values = {"sequence": _sequence(table), "number": number}
            connection.execute(text("SELECT setval(:sequence, :number)"), values)

    def forget_decisions(self, connection: Connection) -> None:
        """Make a new revision, so that no replica uses what it has remembered of this database."""
        number, mark = connection.exec_driver_sql("SELECT number, mark FROM authority").one()
        connection.exec_driver_sql(new_revision(Revision(number + 1, new_mark()), Revision(number, mark), None))

    def require_stopped(self) -> None:
        """Raise ConfigurationError if replicas run."""
        with connect(self._address) as connection:
            found = replicas.read_replication(connection, None, self._times).replicas
        running = [f"{one.name} (last heartbeat {one.heartbeat_age:.1f} s ago)" for one in found if not one.is_silent]
        if running:
            raise ConfigurationError(
                f"replicas of {self.place} are running: {', '.join(running)}; stop them. One that was killed counts "
                f"until it has been silent for {self._times.silence:g} s"
            )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._pool.connect() as connection, connection.begin():
            connection.exec_driver_sql(
                f"BEGIN; SET LOCAL lock_timeout = '{PATIENCE}s'; SET LOCAL statement_timeout = 0; "
                f"SET LOCAL idle_in_transaction_session_timeout = 0; SELECT pg_advisory_xact_lock({WRITES})"
            )
            yield connection


@contextmanager
def open_postgresql_installation(address: str, times: LeaseTimes, *, new: bool) -> Iterator[PostgreSQLInstallation]:
    """Open a database; with `new` its schema is made if it is empty.

    Raises ConfigurationError if there is another schema than this release's.
    """
    if new:
        prepare_schema(address)
    require_schema(address)
    pool = connection_pool(address, size=1)
    try:
        yield PostgreSQLInstallation(address, pool, times)
    finally:
        pool.dispose()


def _sequence(table: Table) -> str:
    return f"{table.name}_{numbered_by(table)}_seq"
