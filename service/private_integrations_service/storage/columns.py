"""Define the types of columns, the same over every database, and the metadata that all tables of the service share."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Dialect, MetaData, TypeDecorator
from sqlalchemy import Boolean as AnyBoolean
from sqlalchemy import Integer as AnyInteger
from sqlalchemy import Text as AnyText
from sqlalchemy.ext.compiler import compiles

from ..instants import from_milliseconds, to_milliseconds

_AnyText = AnyText().with_variant(AnyText(collation="C"), "postgresql")
# SQLite's INTEGER has eight bytes, and only under this name numbers rows.
Integer = BigInteger().with_variant(AnyInteger(), "sqlite")


class Text(TypeDecorator[str]):
    """Store a text, compared byte by byte over every database: a language would order ids in another way."""

    impl = _AnyText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace NUL, which PostgreSQL refuses in texts, by the text that follows it in their order."""
        if value is not None and dialect.name == "postgresql":
            return value.replace("\0", "\x01")
        return value


class Instant(TypeDecorator[datetime]):
    """Store an aware UTC datetime as milliseconds since the Unix epoch."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Refuse naive datetimes by arithmetic: subtracting the epoch raises."""
        return None if value is None else to_milliseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give the instant back."""
        return None if value is None else from_milliseconds(value)


class JSON(TypeDecorator[Any]):
    """Store JSON as the text that was written: an audit row's hash is that of its text.

    Args:
        none_as_null: store None as NULL, in place of JSON's null.

    """

    impl = _AnyText
    cache_ok = True

    def __init__(self, none_as_null: bool = False) -> None:
        super().__init__()
        self.none_as_null = none_as_null

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write the text."""
        return None if value is None and self.none_as_null else json.dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Read the text."""
        return None if value is None else json.loads(value)


class Boolean(AnyBoolean):
    """Store a truth value in a strict table as INTEGER."""


@compiles(Boolean, "sqlite")
def _boolean(*_: object, **__: object) -> str:
    return "INTEGER"


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
