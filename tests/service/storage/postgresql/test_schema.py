"""The schema on PostgreSQL: its migrations lead to the tables that the code is written for."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from engines import postgresql_only
from private_integrations_service.sandbox.storage.tables import metadata


def _is_of_both_engines(_, name, kind, *__) -> bool:
    """Leave out the engine's own tables, and the index by which SQLite finds damaged rows."""
    return name in metadata.tables if kind == "table" else name != "ix_audit_damaged"


@postgresql_only
def test_migrations_lead_to_the_tables(database):
    """Tables, columns with their types, indexes and constraints; beside them are the engine's own tables."""
    with database.read() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"include_object": _is_of_both_engines},
        )
        assert compare_metadata(context, metadata) == []
        found = connection.exec_driver_sql("SELECT conname FROM pg_constraint WHERE contype = 'c'").scalars()
        declared = {
            str(constraint.name)
            for table in metadata.tables.values()
            for constraint in table.constraints
            if constraint.__visit_name__ == "check_constraint"
        }
        assert declared <= set(found)


@postgresql_only
@pytest.mark.parametrize("text", ["ä", "A", "_"])
def test_texts_are_in_the_order_of_their_bytes(database, text):
    """As SQLite has them: lists and their pages are the same over both engines, whatever the database's language."""
    with database.read() as connection:
        row = connection.exec_driver_sql(
            "SELECT attcollation::regcollation::text FROM pg_attribute "
            "WHERE attrelid = 'accounts'::regclass AND attname = 'name'"
        ).scalar_one()
        order = connection.exec_driver_sql("SELECT %s COLLATE \"C\" > 'a'", (text,)).scalar_one()
    assert row == '"C"'
    assert order == (text.encode() > b"a")
