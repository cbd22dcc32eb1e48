"""The whole installation in a data folder, to copy it: no service has the folder meanwhile."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, text

from private_integrations.errors import ConfigurationError

from ..copied_activity import activity_tables
from ..plain_rows import numbered_by
from ..steady_clock import Clock
from .activity import FILE_NAME as ACTIVITY_NAME
from .connections import connection_pool
from .engine import FILE_NAME, open_database


class SQLiteInstallation:
    """The databases of a data folder, which this process alone has open.

    Args:
        folder: the data folder.
        stack: closes what was opened.
        clock: the machine's clock.

    """

    activity = activity_tables()

    def __init__(self, folder: Path, stack: ExitStack, clock: Clock) -> None:
        self.place = str(folder)
        engine = open_database(folder, clock)
        stack.callback(engine.close)
        # It makes the file of the activity if there is none.
        engine.activity().close()
        self._main = _opened(folder / FILE_NAME, stack)
        self._activity = _opened(folder / ACTIVITY_NAME, stack)

    @contextmanager
    def reading(self) -> Iterator[tuple[Connection, Connection]]:
        """Begin to read the service's tables and those of the activity."""
        with self._main.begin() as main, self._activity.begin() as activity:
            yield main, activity

    @contextmanager
    def writing(self) -> Iterator[tuple[Connection, Connection]]:
        """Begin to write them. The activity is committed first: without the rest it belongs to nothing."""
        with self.reading() as connections:
            yield connections

    def last_number(self, connection: Connection, table: Table) -> int:
        """Return the highest number that a row of the table ever had, 0 if that isn't known."""
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
        return connection.execute(query, {"table": table.name}).scalar() or 0

    def continue_numbers(self, connection: Connection, table: Table, number: int) -> None:
        """Give the next row a number behind this one."""
        if table.dialect_options["sqlite"]["autoincrement"] and numbered_by(table):
            values = {"table": table.name, "number": number}
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), values)
            connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :number)"), values)

    def forget_decisions(self, connection: Connection) -> None:
        """Do nothing: no process remembers a decision of a database that no service has open."""

    def require_stopped(self) -> None:
        """Do nothing: the lock of the data folder says it."""


@contextmanager
def open_sqlite_installation(folder: Path, clock: Clock, *, new: bool) -> Iterator[SQLiteInstallation]:
    """Open a data folder; with `new` it is made if there is none.

    Raises ConfigurationError if there is no installation, a service has it open, or it can't be used.
    """
    if not new and not (folder / FILE_NAME).is_file():
        raise ConfigurationError(f"there is no installation in {folder}: it has no {FILE_NAME}")
    with ExitStack() as stack:
        yield SQLiteInstallation(folder, stack, clock)


def _opened(file: Path, stack: ExitStack) -> Engine:
    pool = connection_pool(file, size=1, begin="BEGIN IMMEDIATE")
    stack.callback(pool.dispose)
    return pool
