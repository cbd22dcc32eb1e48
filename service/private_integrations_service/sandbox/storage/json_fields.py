"""Read fields of objects that are stored as JSON, in SQL that each database has its own names for.

For example, the contacts in a city: `select(contacts).where(text_of(contacts.c.fields, "city") == "Bonn")`.
"""

from typing import Any

from sqlalchemy import String, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement, TableValuedAlias
from sqlalchemy.sql.functions import FunctionElement


class _Text(FunctionElement[str]):
    type = String()
    inherit_cache = True


class _Items(FunctionElement[Any]):
    name = "items"
    inherit_cache = True


def text_of(stored: ColumnElement[Any], name: str) -> ColumnElement[str]:
    """Return a field of a stored object as text, NULL without it; `name` is one of the sandbox's own."""
    return _Text(stored, literal_column(f"'{name}'"))


def items_of(stored: ColumnElement[Any], name: str) -> TableValuedAlias:
    """Return the items of a list in a stored object, with each as text in the column `value`."""
    return _Items(stored, literal_column(f"'{name}'")).table_valued("value")


@compiles(_Text)
def _text_in_sqlite(element: _Text, compiler: Any, **options: Any) -> str:
    stored, name = (compiler.process(clause, **options) for clause in element.clauses)
    return f"json_extract({stored}, '$.' || {name})"


@compiles(_Text, "postgresql")
def _text_in_postgresql(element: _Text, compiler: Any, **options: Any) -> str:
    stored, name = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(CAST({stored} AS jsonb) ->> {name})"


@compiles(_Items)
def _items_in_sqlite(element: _Items, compiler: Any, **options: Any) -> str:
    stored, name = (compiler.process(clause, **options) for clause in element.clauses)
    return f"json_each({stored}, '$.' || {name})"


@compiles(_Items, "postgresql")
def _items_in_postgresql(element: _Items, compiler: Any, **options: Any) -> str:
    stored, name = (compiler.process(clause, **options) for clause in element.clauses)
    return f"jsonb_array_elements_text(coalesce(CAST({stored} AS jsonb) -> {name}, '[]'))"
