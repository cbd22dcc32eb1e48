"""Upstream credentials, sealed.

Frozen: a migration is history. Change a table with a new migration.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of the credentials that requests are forwarded with."""
    op.create_table(
        "upstream_credentials",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.CheckConstraint("(asked_at IS NULL) = (outcome IS NULL)", name=op.f("ck_upstream_credentials_verification")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_upstream_credentials_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_upstream_credentials")),
    )
