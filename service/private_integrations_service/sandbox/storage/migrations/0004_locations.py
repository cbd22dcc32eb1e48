"""Tags, custom fields and custom values of locations, and the fields of custom objects.

Frozen: a migration is history. Change a table with a new migration.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of a location's objects; each name or key is unique in its account."""
    op.create_table(
        "location_tags",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_location_tags")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_location_tags_account_id")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_location_tags_account_id_name")),
    )
    op.create_table(
        "custom_fields",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_fields")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_custom_fields_account_id")),
        sa.CheckConstraint("model IN ('contact', 'opportunity')", name=op.f("ck_custom_fields_model")),
        sa.UniqueConstraint("account_id", "key", name=op.f("uq_custom_fields_account_id_key")),
    )
    op.create_table(
        "custom_values",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_values")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_custom_values_account_id")),
        sa.UniqueConstraint("account_id", "key", name=op.f("uq_custom_values_account_id_key")),
    )
    op.create_table(
        "object_fields",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("object_key", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("folder_id", sa.String(), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_object_fields")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_object_fields_account_id")),
        sa.ForeignKeyConstraint(["folder_id"], ["object_fields.id"], name=op.f("fk_object_fields_folder_id")),
        sa.UniqueConstraint("account_id", "key", name=op.f("uq_object_fields_account_id_key")),
    )
    op.create_index("ix_object_fields_folder_id", "object_fields", ["folder_id"], unique=False)
