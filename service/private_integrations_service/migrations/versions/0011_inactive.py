"""Inactive tokens: an account's rule for them, and the announced ends.

Frozen: a migration is history. Change a table with a new migration.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let accounts have a rule of their own, and tokens a notice of their end."""
    op.add_column("accounts", sa.Column("inactive_after", sa.Integer(), nullable=True))
    op.add_column("tokens", sa.Column("unused_since", sa.BigInteger(), nullable=True))
    op.add_column("tokens", sa.Column("unused_ends_at", sa.BigInteger(), nullable=True))
    op.add_column("tokens", sa.Column("unused_warned", sa.Integer(), nullable=True))
    op.add_column("tokens", sa.Column("unused_seen_at", sa.BigInteger(), nullable=True))
