"""Businesses, notes and tasks; contacts belong to businesses and are found by their names.

Frozen: a migration is history. Change a table with a new migration.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and give existing contacts their names in lower case."""
    op.create_table(
        "businesses",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_businesses_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_businesses")),
    )
    op.create_index("ix_businesses_account_id_created_at_id", "businesses", ["account_id", "created_at", "id"])
    with op.batch_alter_table("contacts") as contacts:
        contacts.add_column(sa.Column("business_id", sa.String(), nullable=True))
        contacts.add_column(sa.Column("first_name", sa.String(), nullable=False, server_default=""))
        contacts.add_column(sa.Column("last_name", sa.String(), nullable=False, server_default=""))
        contacts.create_foreign_key(op.f("fk_contacts_business_id"), "businesses", ["business_id"], ["id"])
    op.create_index("ix_contacts_account_id_email", "contacts", ["account_id", "email"])
    op.create_index("ix_contacts_account_id_phone", "contacts", ["account_id", "phone"])
    op.create_index("ix_contacts_business_id", "contacts", ["business_id"])
    _write_names()
    for name in ("notes", "tasks"):
        op.create_table(
            name,
            sa.Column("id", sa.String(), nullable=False),
            sa.Column("account_id", sa.String(), nullable=False),
            sa.Column("contact_id", sa.String(), nullable=False),
            sa.Column("fields", sa.JSON(), nullable=False),
            sa.Column("added_at", sa.BigInteger(), nullable=False),
            sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f(f"fk_{name}_account_id")),
            sa.ForeignKeyConstraint(
                ["contact_id"], ["contacts.id"], name=op.f(f"fk_{name}_contact_id"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        )
        op.create_index(f"ix_{name}_contact_id_added_at_id", name, ["contact_id", "added_at", "id"])


def _write_names() -> None:
    connection = op.get_bind()
    for id_, text in connection.execute(sa.text("SELECT id, fields FROM contacts")).all():
        fields = json.loads(text)
        names = {name: (fields.get(key) or "").lower() for name, key in (("first", "firstName"), ("last", "lastName"))}
        connection.execute(
            sa.text("UPDATE contacts SET first_name = :first, last_name = :last WHERE id = :id"), {"id": id_, **names}
        )
