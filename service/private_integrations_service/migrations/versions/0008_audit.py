"""An audit log that is a chain of hashes, and says from where.

Frozen: a migration is history. Change a table with a new migration.
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NEW_COLUMNS = (
    ("address", sa.String()),
    ("agent", sa.String()),
    ("sequence", sa.Integer()),
    ("previous", sa.String()),
    ("hash", sa.String()),
)


def upgrade() -> None:
    """Chain the rows that are there, in the order in which they were written, and let none be without its place."""
    with op.batch_alter_table("audit", table_kwargs={"sqlite_autoincrement": True}) as audit:
        for name, kind in _NEW_COLUMNS:
            audit.add_column(sa.Column(name, kind, nullable=True))
    _chain(op.get_bind())
    with op.batch_alter_table("audit", table_kwargs={"sqlite_autoincrement": True}) as audit:
        for name, kind in _NEW_COLUMNS:
            audit.alter_column(name, existing_type=kind, nullable=False)
        audit.create_unique_constraint(op.f("uq_audit_account_id_sequence"), ["account_id", "sequence"])
    op.create_index(
        "uq_audit_own_sequence",
        "audit",
        ["sequence"],
        unique=True,
        sqlite_where=sa.text("account_id IS NULL"),
        postgresql_where=sa.text("account_id IS NULL"),
    )


def _chain(connection: sa.Connection) -> None:
    audit = sa.table(
        "audit",
        *(sa.column(name) for name in ("id", "at", "actor", "action", "account_id", "integration_id")),
        sa.column("detail", sa.JSON()),
        *(sa.column(name, kind) for name, kind in _NEW_COLUMNS),
    )
    heads: dict[str | None, tuple[int, str]] = {}
    # Whole pages in memory, not the whole log: it may be long.
    last = 0
    while rows := connection.execute(sa.select(audit).where(audit.c.id > last).order_by(audit.c.id).limit(1000)).all():
        chained = []
        for row in rows:
            sequence, previous = heads.get(row.account_id, (0, "0" * 64))
            written = {
                "account": row.account_id,
                "action": row.action,
                "actor": row.actor,
                "address": "",
                "agent": "",
                "at": _rfc3339(row.at),
                "detail": row.detail,
                "integration_id": row.integration_id,
                "previous": previous,
                "sequence": sequence + 1,
            }
            text = json.dumps(written, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            digest = hashlib.sha256(text.encode()).hexdigest()
            heads[row.account_id] = (sequence + 1, digest)
            chained.append({"row": row.id, "sequence": sequence + 1, "previous": previous, "hash": digest})
        connection.execute(
            sa.update(audit)
            .where(audit.c.id == sa.bindparam("row"))
            .values(
                address="",
                agent="",
                sequence=sa.bindparam("sequence"),
                previous=sa.bindparam("previous"),
                hash=sa.bindparam("hash"),
            ),
            chained,
        )
        last = rows[-1].id


def _rfc3339(milliseconds: int) -> str:
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
