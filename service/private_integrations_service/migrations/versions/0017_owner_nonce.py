"""Owner nonces, inactivity and declared rotation policies under their present names.

Frozen: a migration is history. Change a table with a new migration.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from private_integrations.rotation.schedules import read_schedule

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_DAY = 86_400


def upgrade() -> None:
    """Rename, and leave out of every policy what the provider had filled in: from now on the service has the defaults.

    Until now the provider sent its defaults as if they had been declared. A value that equals the default of then is
    taken for one.
    """
    for before, after in _COLUMNS:
        table, _, column = before.partition(".")
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO {after}")
    op.create_table(
        "owner_nonces",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("owner_nonce", sa.String(), nullable=False),
        sa.Column("integration_id", sa.String(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_owner_nonces_account_id")),
        sa.ForeignKeyConstraint(["integration_id"], ["integrations.id"], name=op.f("fk_owner_nonces_integration_id")),
        sa.PrimaryKeyConstraint("account_id", "owner_nonce", name=op.f("pk_owner_nonces")),
    )
    op.execute("INSERT INTO owner_nonces SELECT account_id, claim, integration_id, used_at FROM claims")
    op.drop_table("claims")
    connection = op.get_bind()
    stored = connection.execute(sa.text("SELECT id, rotation FROM integrations WHERE rotation IS NOT NULL")).all()
    for integration_id, rotation in stored:
        connection.execute(
            sa.text("UPDATE integrations SET rotation = :rotation WHERE id = :id"),
            {"id": integration_id, "rotation": json.dumps(_as_declared(json.loads(rotation)))},
        )


_COLUMNS = (
    ("integrations.claim", "owner_nonce"),
    ("tokens.unused_since", "inactive_since"),
    ("tokens.unused_ends_at", "inactive_ends_at"),
    ("tokens.unused_warned", "inactive_warned"),
    ("tokens.unused_seen_at", "inactive_seen_at"),
)


def _as_declared(rotation: dict[str, Any]) -> dict[str, Any]:
    """Return the policy without the values that were defaults when it was stored."""
    every, period = rotation.get("every_seconds"), _period(rotation)
    defaults = {
        "overlap_seconds": 7 * _DAY if period is None else min(7 * _DAY, period // 2),
        "early_window_seconds": 0 if every is None else min(3_600, every // 10),
        "timezone": "UTC",
    }
    return {name: None if value == defaults.get(name, ...) else value for name, value in rotation.items()}


def _period(rotation: dict[str, Any]) -> int | None:
    """Return the shortest time between two rotations in seconds; None without a rule, or with one that can't be."""
    if rotation.get("schedule") is None:
        every: int | None = rotation.get("every_seconds")
        return every
    try:
        return int(read_schedule(rotation["schedule"], rotation.get("timezone") or "UTC").shortest_gap.total_seconds())
    except ValueError:
        return None
