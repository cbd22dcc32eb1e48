"""Databases with the same contents again and again: putting rows back takes a tenth of the time of a new database."""

from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from psycopg import Connection, sql

from postgres import Databases, database_name


@dataclass(frozen=True)
class Contents:
    """The rows of all tables, in an order that foreign keys allow, and the state of each sequence."""

    tables: tuple[str, ...]
    rows: dict[str, bytes]
    sequences: dict[str, tuple[int, bool]]


@dataclass
class UsedDatabases:
    """Copies of a database, whose contents are put back after each use.

    Attributes:
        server: Where the databases are.
        tables: Returns the names of all tables, in an order that foreign keys allow.

    """

    server: Databases
    tables: Callable[[], tuple[str, ...]]
    _contents: dict[str, Contents] = field(default_factory=dict)
    _free: dict[str, list[str]] = field(default_factory=dict)
    _original: dict[str, str] = field(default_factory=dict)

    def copy(self, original: str) -> str:
        """Return the address of a database with the contents of the original one, which has no connections."""
        if original not in self._contents:
            with psycopg.connect(original, autocommit=True) as connection:
                self._contents[original] = _read(connection, self.tables())
        free = self._free.setdefault(original, [])
        copied = free.pop() if free else self.server.new_database(template=database_name(original))
        self._original[copied] = original
        return copied

    def give_back(self, database: str) -> None:
        """Put the contents of a copy back, or drop a database that is none, or that a test has changed too much."""
        original = self._original.get(database)
        if original is None:
            self.server.drop(database)
            return
        try:
            with psycopg.connect(database) as connection:
                _put_back(connection, self._contents[original])
        except psycopg.Error:
            self.server.drop(database)
        else:
            self._free[original].append(database)


def _read(connection: Connection, tables: tuple[str, ...]) -> Contents:
    rows = {}
    for table in tables:
        with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
            found = b"".join(bytes(block) for block in copy)
        if found:
            rows[table] = found
    names = [name for (name,) in connection.execute("SELECT sequencename FROM pg_sequences")]
    read = sql.SQL("SELECT last_value, is_called FROM {}")
    sequences = {name: connection.execute(read.format(sql.Identifier(name))).fetchone() or (1, False) for name in names}
    return Contents(tables, rows, sequences)


def _put_back(connection: Connection, contents: Contents) -> None:
    emptied = [sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in reversed(contents.tables)]
    connection.execute(sql.SQL("; ").join(emptied))
    for table, rows in contents.rows.items():
        with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
            copy.write(rows)
    for name, (value, is_called) in contents.sequences.items():
        connection.execute("SELECT setval(%s, %s, %s)", (name, value, is_called))
