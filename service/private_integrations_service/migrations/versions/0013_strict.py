"""Strict tables: a column takes values of its own type only.

Frozen: a migration is history. Change a table with a new migration.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TYPES = {"VARCHAR": "TEXT", "JSON": "TEXT", "BIGINT": "INTEGER", "BOOLEAN": "INTEGER"}

_DAMAGED = (
    "typeof(at) || typeof(sequence) || typeof(actor) || typeof(action) || typeof(ifnull(account_id, '')) || "
    "typeof(ifnull(integration_id, '')) || typeof(detail) || typeof(address) || typeof(agent) || typeof(previous) || "
    "typeof(hash) <> 'integerintegertexttexttexttexttexttexttexttexttext'"
)


def upgrade() -> None:
    """Declare every table STRICT in place; rows that were tampered with stay as they are, and can still be found.

    Only the declarations change (sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes"): a
    strict table stores its rows as any other does. A copy would refuse a log that was tampered with, or hide it.
    """
    connection = op.get_bind()
    tables = connection.execute(
        sa.text("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    ).all()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    for name, declared in tables:
        if name != "alembic_version" and not declared.rstrip().endswith("STRICT"):
            connection.execute(
                sa.text("UPDATE sqlite_schema SET sql = :sql WHERE type = 'table' AND name = :name"),
                {"name": name, "sql": f"{_strictly_typed(declared).rstrip()} STRICT"},
            )
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")
    op.create_index("ix_audit_damaged", "audit", ["id"], sqlite_where=sa.text(_DAMAGED))


def _strictly_typed(declared: str) -> str:
    return re.sub(rf"\b({'|'.join(_TYPES)})\b", lambda name: _TYPES[name[0]], declared)
