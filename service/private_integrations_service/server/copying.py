"""Copy a whole installation from one database to another: from a data folder to PostgreSQL, or back.

All rows are committed at once at the end, after each was read again and every audit chain was verified. So
the target has everything or nothing, and an interrupted copy is repeated.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pysqlite3.dbapi2 as sqlite
from sqlalchemy import Connection, Table, delete, func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from private_integrations.contract.audit_chain import ChainHead, Fault, examine
from private_integrations.errors import ConfigurationError

from ..access.audit_search import AuditSearch
from ..operations.audit import exported
from ..sandbox.storage import tables as sandbox_tables
from ..settings import Settings
from ..storage.clock import store_instant, stored_instant
from ..storage.engine import StorageError
from ..storage.plain_rows import add_rows, numbered_by, plain, read_rows
from ..storage.postgresql.connections import checked_address
from ..storage.postgresql.installation import open_postgresql_installation
from ..storage.postgresql.lease import LeaseTimes
from ..storage.sqlite.installation import open_sqlite_installation
from ..storage.tables import announced_until, clock
from .clock import utc_now

Heads = dict[str | None, ChainHead]

# The migrations give each of these its rows.
_NEVER_EMPTY = (announced_until, clock)
# The instants of two clocks are not compared: the target's goes on from the later one.
_TABLES = [table for table in sandbox_tables.businesses.metadata.sorted_tables if table is not clock]


class Installation(Protocol):
    """The databases of an installation. The service's tables and the activity's may have connections of their own."""

    place: str
    activity: list[Table]

    def reading(self) -> AbstractContextManager[tuple[Connection, Connection]]:
        """Begin to read; nothing changes meanwhile."""

    def writing(self) -> AbstractContextManager[tuple[Connection, Connection]]:
        """Begin to write."""

    def last_number(self, connection: Connection, table: Table) -> int:
        """Return the highest number that a row of the table ever had."""

    def continue_numbers(self, connection: Connection, table: Table, number: int) -> None:
        """Give the next row a number behind this one."""

    def forget_decisions(self, connection: Connection) -> None:
        """Have no process use what it remembers of this database."""

    def require_stopped(self) -> None:
        """Raise ConfigurationError if a service runs on it."""


@dataclass(frozen=True)
class Copied:
    """Hold the numbers of rows and of audit chains; `is_new` is False if the target had everything already."""

    source: str
    target: str
    rows: dict[str, int]
    chains: int
    is_new: bool


def copy(source: str, target: str) -> Copied:
    """Copy an installation; the source stays as it is.

    Args:
        source: A data folder, or the address of a PostgreSQL database.
        target: The same; it is made if it doesn't exist or is empty.

    Raises:
        ConfigurationError: One of them can't be used, a service runs on it, or the target has another installation.

    """
    times = LeaseTimes(Settings.from_environment().lease.total_seconds())
    try:
        with _opened(source, "--from", times, new=False) as old:
            old.require_stopped()
            with old.reading() as read:
                _require_filled(old, read[0])
                with _opened(target, "--to", times, new=True) as new:
                    if old.place == new.place:
                        raise ConfigurationError(f"--from and --to are both {old.place}")
                    return _copied(old, read, new)
    except (StorageError, SQLAlchemyError, psycopg.Error, sqlite.Error, OSError) as error:
        raise ConfigurationError(f"the installation can't be copied: {_reason(error)}") from error


@contextmanager
def _opened(place: str, option: str, times: LeaseTimes, *, new: bool) -> Iterator[Installation]:
    is_address = place.startswith(("postgresql://", "postgres://")) or "=" in place
    if is_address:
        with open_postgresql_installation(checked_address(place, option), times, new=new) as database:
            yield database
    elif "://" in place:
        raise ConfigurationError(
            f"{option} is neither a data folder nor an address such as postgresql://user@host/name"
        )
    else:
        with open_sqlite_installation(Path(place).expanduser(), utc_now, new=new) as folder:
            yield folder


def _copied(old: Installation, read: tuple[Connection, Connection], new: Installation) -> Copied:
    with new.reading() as present:
        is_new = _is_empty(present[0])
        if not is_new:
            return _verified(old, read, new, present, is_new=False)
    new.require_stopped()
    with new.writing() as write:
        # Another copy may have been first.
        if not _is_empty(write[0]):
            raise ConfigurationError(f"{new.place} was filled meanwhile by another program")
        _copy_rows(old, read, new, write)
        copied = _verified(old, read, new, write, is_new=True)
        # A replica that was started since would write to what is left behind.
        old.require_stopped()
    return copied


def _copy_rows(
    old: Installation,
    read: tuple[Connection, Connection],
    new: Installation,
    write: tuple[Connection, Connection],
) -> None:
    (source, recorded), (target, activity) = read, write
    # An interrupted copy may have left some, and a new database has a row in one table.
    for table in new.activity:
        activity.execute(delete(table))
    target.execute(delete(announced_until))
    for table in _TABLES:
        add_rows(target, table, read_rows(source, table))
        if numbered_by(table) is not None:
            new.continue_numbers(target, table, _highest(old, source, table))
    for table, stored in zip(new.activity, old.activity, strict=True):
        add_rows(activity, table, read_rows(recorded, stored))
    store_instant(target, max(stored_instant(source), stored_instant(target)))
    new.forget_decisions(target)


def _highest(old: Installation, source: Connection, table: Table) -> int:
    column = plain(table).c[numbered_by(table) or ""]
    return max(old.last_number(source, table), source.execute(select(func.max(column))).scalar() or 0)


def _verified(
    old: Installation,
    read: tuple[Connection, Connection],
    new: Installation,
    there: tuple[Connection, Connection],
    *,
    is_new: bool,
) -> Copied:
    """Compare every row and compute every audit chain; raises ConfigurationError at the first difference."""
    (source, recorded), (target, activity) = read, there
    rows = {}
    for table in _TABLES:
        rows[table.name] = _same(new.place, table.name, is_new, read_rows(source, table), read_rows(target, table))
    for table, stored in zip(new.activity, old.activity, strict=True):
        name = f"activity {table.name.removeprefix('activity_')}"
        rows[name] = _same(new.place, name, is_new, read_rows(recorded, stored), read_rows(activity, table))
    heads = _chains(old.place, source, {})
    if _chains(new.place, target, heads) != heads:
        raise ConfigurationError(f"the audit chains of {new.place} are not those of {old.place}")
    return Copied(old.place, new.place, rows, len(heads), is_new)


def _same(place: str, name: str, is_new: bool, source: Iterator[Any], target: Iterator[Any]) -> int:
    """Return the number of rows, which are the same in both."""
    number = 0
    for one, other in zip_longest(source, target):
        if one is None or other is None or tuple(one) != tuple(other):
            raise ConfigurationError(
                f"row {number + 1} of {name} was not stored in {place} as it was read: nothing was copied"
                if is_new
                else f"{place} has another installation, or was changed since it was copied ({name} differs): "
                "give an empty one"
            )
        number += 1
    return number


def _chains(place: str, connection: Connection, noted: Heads) -> Heads:
    found = examine(_log(connection), noted.items())
    if isinstance(found, Fault):
        raise ConfigurationError(f"the audit log in {place} is not whole, so nothing was copied: {found.reason}")
    return dict(found.heads)


def _log(connection: Connection) -> Iterator[str]:
    page = exported.step(connection, AuditSearch(own=True))
    while page.lines:
        yield from page.lines
        page = exported.step(connection, AuditSearch(own=True), after=page.cursor)


def _require_filled(old: Installation, connection: Connection) -> None:
    if _is_empty(connection):
        raise ConfigurationError(f"there is no installation in {old.place}: it is empty")


def _is_empty(connection: Connection) -> bool:
    """Return whether the service was never started on this database."""
    tables = [table for table in _TABLES if table not in _NEVER_EMPTY]
    return not any(connection.execute(select(1).select_from(table).limit(1)).scalar() for table in tables)


def _reason(error: BaseException) -> str:
    """Return the first line of what the driver says; no row is in it."""
    cause = error.__cause__ if isinstance(error, StorageError) and error.__cause__ else error
    said = str(cause.orig if isinstance(cause, DBAPIError) else cause).strip()
    return said.splitlines()[0] if said else type(cause).__name__
