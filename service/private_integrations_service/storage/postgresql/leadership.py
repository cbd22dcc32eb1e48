"""Leadership by an advisory lock: the server releases the lock of a process that dies."""

import zlib
from contextlib import suppress

import psycopg

from .connections import ServiceConnection, Watchdog, connect, storage_errors


class AdvisoryLeadership:
    """The right to do one kind of work, of one process on any machine; used by one thread.

    The lock is that of a transaction which stays open, so that behind PgBouncer in transaction mode it belongs to
    this process too. The transaction has no snapshot, so it keeps no row from being vacuumed.
    """

    def __init__(self, address: str, work: str, watchdog: Watchdog) -> None:
        self._address = address
        self._key = zlib.crc32(work.encode())
        self._watchdog = watchdog
        self._connection: ServiceConnection | None = None

    def take(self) -> bool:
        """Take the lead if no other process has it; returns whether this process leads, asked anew each time.

        Raises StorageUnavailable if the database doesn't answer; then this process does not lead.
        """
        with storage_errors():
            try:
                return self._leads()
            except (psycopg.Error, OSError):
                self.release()
                raise

    def release(self) -> None:
        """Give the lead to others, if this process has it."""
        if self._connection is not None:
            with suppress(psycopg.Error, OSError):
                self._connection.close()
            self._connection = None

    def _leads(self) -> bool:
        if self._connection is not None:
            with self._watchdog.limit(self._connection):
                self._connection.execute("SELECT 1")
            return True
        connection = connect(self._address)
        with self._watchdog.limit(connection):
            connection.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")
            row = connection.execute("SELECT pg_try_advisory_xact_lock(1, %s)", (_signed(self._key),)).fetchone()
        if row is None or not row[0]:
            connection.close()
            return False
        self._connection = connection
        return True


def _signed(number: int) -> int:
    """Return 32 bits as PostgreSQL's integer."""
    return number - (1 << 32) if number >= 1 << 31 else number
