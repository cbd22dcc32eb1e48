"""The first schema on PostgreSQL: the tables that SQLite has at this version, and those of the revision and the replicas.

Frozen: a migration is history. Change a table with a new migration.
"""

from pathlib import Path

from alembic import op

from private_integrations_service.storage.postgresql.connections import TIMELINE, new_mark

revision = "0017"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table, and the rows that each database has once; no replica is there yet, so its list is complete."""
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        if statement.strip():
            op.execute(statement)
    mark = new_mark()
    op.execute(f"INSERT INTO authority (id, number, mark, settled) SELECT 1, 1, '{mark}', {TIMELINE}")
    op.execute(f"INSERT INTO revisions (number, mark) VALUES (1, '{mark}')")
