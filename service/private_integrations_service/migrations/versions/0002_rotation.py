"""Cancelled rotations with a hold, deployers' keys, and an audit log that also speaks of keys.

Frozen: a migration is history. Change a table with a new migration.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what cancelling needs; bind keys to accounts; let an audit row be about no integration."""
    op.add_column("integrations", sa.Column("held_until", sa.BigInteger(), nullable=True))
    op.add_column("tokens", sa.Column("superseded_by", sa.Integer(), nullable=True))
    with op.batch_alter_table("management_keys") as keys:
        keys.add_column(sa.Column("accounts", sa.JSON(none_as_null=True), nullable=True))
        keys.drop_constraint(op.f("ck_management_keys_role"), type_="check")
        keys.create_check_constraint(op.f("ck_management_keys_role"), "role IN ('admin', 'deployer', 'viewer')")
    with op.batch_alter_table("audit", table_kwargs={"sqlite_autoincrement": True}) as audit:
        audit.alter_column("account_id", existing_type=sa.String(), nullable=True)
        audit.alter_column("integration_id", existing_type=sa.String(), nullable=True)
