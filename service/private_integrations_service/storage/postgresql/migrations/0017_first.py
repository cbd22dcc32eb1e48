"""The first schema on PostgreSQL: SQLite's tables at this version, those of revision and replicas, and the activity.

Frozen: a migration is history. Change a table with a new migration.
"""

from pathlib import Path

from alembic import op

from private_integrations_service.storage.postgresql.connections import TIMELINE, new_mark

revision = "0017"
down_revision = None
branch_labels = None
depends_on = None
usable_from = "0017"


def upgrade() -> None:
    """Create every table, and the rows that a database has once; its list of replicas is complete, as there is none."""
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        if statement.strip():
            op.execute(statement)
    connection, mark = op.get_bind(), new_mark()
    connection.exec_driver_sql(
        f"INSERT INTO authority (id, number, mark, settled, usable_from, installation) "
        f"SELECT 1, 1, %s, {TIMELINE}, %s, %s",
        (mark, usable_from, new_mark()),
    )
    connection.exec_driver_sql("INSERT INTO revisions (number, mark, ended) VALUES (1, %s, '{}')", (mark,))
