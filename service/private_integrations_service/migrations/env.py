"""Alembic runs the migrations on the connection that the service opened, in its one transaction."""

from typing import Any

from alembic import context
from sqlalchemy.dialects.sqlite.base import SQLiteDDLCompiler, SQLiteTypeCompiler

from private_integrations_service.storage.columns import metadata


class StrictTypes(SQLiteTypeCompiler):
    """Names types as strict tables know them, so that a migration may add a `String` to one."""

    def visit_VARCHAR(self, type_: Any, **_: Any) -> str:
        """Return the type of a text."""
        return "TEXT"

    def visit_JSON(self, type_: Any, **_: Any) -> str:
        """Return the type of a text."""
        return "TEXT"

    def visit_BIGINT(self, type_: Any, **_: Any) -> str:
        """Return the type of an integer, which has 64 bits always."""
        return "INTEGER"

    def visit_BOOLEAN(self, type_: Any, **_: Any) -> str:
        """0 or 1."""
        return "INTEGER"


class StrictTables(SQLiteDDLCompiler):
    """Makes every table strict, also one that a migration builds anew."""

    def post_create_table(self, table: Any) -> str:
        """Say STRICT, where the table doesn't say it itself."""
        options: str = super().post_create_table(table)  # type: ignore[no-untyped-call]
        return options if "STRICT" in options else f"{options}\n STRICT"


connection = context.config.attributes["connection"]
if connection.dialect.name == "sqlite":
    connection.dialect.type_compiler_instance = StrictTypes(connection.dialect)
    connection.dialect.ddl_compiler = StrictTables
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
