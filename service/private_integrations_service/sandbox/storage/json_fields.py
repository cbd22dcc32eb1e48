"""Read fields of objects that are stored as JSON, in SQL that each database has its own names for.

For example, the contacts in a city: `select(contacts).where(text_of(contacts.c.fields, "city") == "Bonn")`.
"""

from collections.abc import Callable
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


def _written_as(template: str) -> Callable[..., str]:
    """Return a compiler of elements that puts the stored JSON and the field's name into a template."""

    def written(element: FunctionElement[Any], compiler: Any, **options: Any) -> str:
        return template.format(*(compiler.process(clause, **options) for clause in element.clauses))

    return written


compiles(_Text)(_written_as("json_extract({0}, '$.' || {1})"))
compiles(_Text, "postgresql")(_written_as("(CAST({0} AS jsonb) ->> {1})"))
compiles(_Items)(_written_as("json_each({0}, '$.' || {1})"))
compiles(_Items, "postgresql")(_written_as("jsonb_array_elements_text(coalesce(CAST({0} AS jsonb) -> {1}, '[]'))"))
