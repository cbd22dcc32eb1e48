"""Upgrade the schema of a PostgreSQL database, which is a step of its own: no replica does it while others run."""

from ..storage.postgresql.connections import checked_address, place_of, usable_database
from ..storage.postgresql.schema import migrate


def upgrade_schema(database: str) -> str:
    """Upgrade the schema of a database; return the line that says what was done.

    Raises ConfigurationError if the database can't be reached, has other tables, or a schema that is not known.
    """
    address = checked_address(database)
    with usable_database():
        before, after = migrate(address)
    if before is None:
        return f"made schema {after} in {place_of(address)}"
    if before == after:
        return f"{place_of(address)} has schema {after} already"
    return f"upgraded {place_of(address)} from schema {before} to {after}"
