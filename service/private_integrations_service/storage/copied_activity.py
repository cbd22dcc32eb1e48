"""The tables of recorded activity that are copied with an installation; those of running processes are not."""

from sqlalchemy import BigInteger, Column, MetaData, Table, Text

_COLUMNS = {
    "tokens": ("token_id", "integration_id", "generation"),
    "requests": ("token_id", "hour", "scope", "reason", "requests"),
    "uses": ("token_id", "scope", "reason", "last_at"),
    "callers": ("token_id", "address", "agent", "requests", "first_at", "last_at"),
    "observation": ("id", "since"),
}
_KEYS = {"id", "token_id", "hour", "scope", "reason", "address", "agent"}
_TEXTS = {"integration_id", "scope", "reason", "address", "agent"}


def activity_tables(prefix: str = "") -> list[Table]:
    """Return the tables, whose names begin with `prefix`."""
    return [
        Table(
            prefix + name,
            MetaData(),
            *(
                Column(column, Text if column in _TEXTS else BigInteger, primary_key=column in _KEYS)
                for column in names
            ),
        )
        for name, names in _COLUMNS.items()
    ]
