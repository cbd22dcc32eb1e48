"""Read and write rows as they are stored, not as their types present them, to copy them to another database."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Row,
    Table,
    TypeDecorator,
    insert,
    literal,
    select,
    true,
    tuple_,
)

PAGE = 1000
"""How many rows are read and written at once."""


def plain(table: Table) -> Table:
    """Return the table without what its types do to values: an instant is a number, JSON is its text."""
    columns = [Column(column.name, _stored_type(column), primary_key=column.primary_key) for column in table.columns]
    return Table(table.name, MetaData(), *columns)


def read_rows(connection: Connection, table: Table) -> Iterator[Row[Any]]:
    """Yield every row in the order of the primary key, but those that belong to another row of the table last."""
    stored = plain(table)
    keys = list(stored.primary_key)
    for condition in _parents_first(table, stored):
        query = select(stored).where(condition).order_by(*keys).limit(PAGE)
        after: ColumnElement[bool] = true()
        while rows := connection.execute(query.where(after)).all():
            yield from rows
            last = [literal(rows[-1]._mapping[key.name], key.type) for key in keys]
            after = tuple_(*keys) > tuple_(*last)


def add_rows(connection: Connection, table: Table, rows: Iterator[Row[Any]]) -> None:
    """Add rows, page by page."""
    statement = insert(plain(table))
    page: list[dict[str, Any]] = []
    for row in rows:
        page.append(dict(row._mapping))
        if len(page) == PAGE:
            connection.execute(statement, page)
            page = []
    if page:
        connection.execute(statement, page)


def numbered_by(table: Table) -> str | None:
    """Return the column whose numbers the database gives, None if it gives none."""
    column = table.autoincrement_column
    return None if column is None or column.autoincrement is not True else column.name


def _stored_type(column: Any) -> Any:
    return column.type.impl if isinstance(column.type, TypeDecorator) else column.type


def _parents_first(table: Table, stored: Table) -> list[ColumnElement[bool]]:
    own = [column.name for column in table.columns for key in column.foreign_keys if key.column.table is table]
    if not own:
        return [true()]
    # No row that belongs to another one has rows of its own.
    (parent,) = own
    return [stored.c[parent].is_(None), stored.c[parent].is_not(None)]
