"""Add the data that clients of the sandbox read first: pipelines, opportunities, calendars and campaigns.

Frozen: a migration is history. Change a table with a new migration.
"""

import secrets
import string
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_BASE62 = string.ascii_letters + string.digits


def upgrade() -> None:
    """Add the tables, and give existing locations their first pipeline, calendar and campaign."""
    op.create_table(
        "pipelines",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("stages", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipelines")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_pipelines_account_id")),
    )
    op.create_index("ix_pipelines_account_id", "pipelines", ["account_id"], unique=False)
    op.create_table(
        "opportunities",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("pipeline_id", sa.String(), nullable=False),
        sa.Column("stage_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("stage_changed_at", sa.BigInteger(), nullable=False),
        sa.Column("status_changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status IN ('open', 'won', 'lost', 'abandoned', 'all')", name=op.f("ck_opportunities_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opportunities")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_opportunities_account_id")),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_opportunities_contact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["pipeline_id"], ["pipelines.id"], name=op.f("fk_opportunities_pipeline_id")),
    )
    op.create_index(
        "ix_opportunities_account_id_added_at_id", "opportunities", ["account_id", "added_at", "id"], unique=False
    )
    op.create_index("ix_opportunities_contact_id", "opportunities", ["contact_id"], unique=False)
    op.create_index("ix_opportunities_pipeline_id", "opportunities", ["pipeline_id"], unique=False)
    op.create_table(
        "calendars",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendars")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_calendars_account_id")),
    )
    op.create_index("ix_calendars_account_id", "calendars", ["account_id"], unique=False)
    op.create_table(
        "campaigns",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_campaigns_account_id")),
    )
    op.create_index("ix_campaigns_account_id", "campaigns", ["account_id"], unique=False)
    _furnish()


def _furnish() -> None:
    connection = op.get_bind()
    locations = connection.execute(sa.text("SELECT id FROM accounts WHERE kind = 'sub_account'")).scalars().all()
    for location in locations:
        of = {"account_id": location}
        stages = [
            {"id": str(uuid.uuid4()), "name": name} for name in ("New Lead", "Contacted", "Proposal Sent", "Closed")
        ]
        _add("pipelines", sa.column("stages", sa.JSON), **of, name="Sales Pipeline", stages=stages)
        half_hours = {"slotDuration": 30, "slotDurationUnit": "mins", "slotInterval": 30, "slotIntervalUnit": "mins"}
        fields = {"calendarType": "event", "slug": "first-meeting", **half_hours}
        _add("calendars", sa.column("fields", sa.JSON), **of, name="First Meeting", active=True, fields=fields)
        _add("campaigns", **of, name="Welcome", status="draft")


def _add(table: str, *columns: sa.ColumnClause, **values: object) -> None:
    typed = {column.name for column in columns}
    plain = [sa.column(name) for name in ("id", *values) if name not in typed]
    row = {"id": "".join(secrets.choice(_BASE62) for _ in range(20)), **values}
    op.get_bind().execute(sa.table(table, *plain, *columns).insert().values(row))
