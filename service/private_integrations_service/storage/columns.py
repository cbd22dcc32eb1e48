"""Define the types of columns, and the metadata that all tables of the service share."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON as AnyJSON
from sqlalchemy import BigInteger, Dialect, Integer, MetaData, TypeDecorator
from sqlalchemy import Boolean as AnyBoolean
from sqlalchemy.ext.compiler import compiles

from ..instants import from_milliseconds, to_milliseconds


class Instant(TypeDecorator[datetime]):
    """Store an aware UTC datetime as milliseconds since the Unix epoch."""

    impl = BigInteger().with_variant(Integer(), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Refuse naive datetimes by arithmetic: subtracting the epoch raises."""
        return None if value is None else to_milliseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give the instant back."""
        return None if value is None else from_milliseconds(value)


class JSON(AnyJSON):
    """Store JSON in a strict table as TEXT."""


class Boolean(AnyBoolean):
    """Store a truth value in a strict table as INTEGER."""


@compiles(JSON, "sqlite")
def _json(*_: object, **__: object) -> str:
    return "TEXT"


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
