"""Keys that may do nothing but ask what a token opens.

Frozen: a migration is history. Change a table with a new migration.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a management key be an introspector's."""
    with op.batch_alter_table("management_keys") as keys:
        keys.drop_constraint(op.f("ck_management_keys_role"), type_="check")
        keys.create_check_constraint(
            op.f("ck_management_keys_role"), "role IN ('admin', 'deployer', 'viewer', 'introspector')"
        )
