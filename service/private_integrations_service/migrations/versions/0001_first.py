"""The first release's tables.

Frozen: a migration is history. Change a table with a new migration.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table, and the one row of the clock."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("agency_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(kind = 'agency') = (agency_id IS NULL)", name=op.f("ck_accounts_agency")),
        sa.CheckConstraint("kind IN ('agency', 'sub_account')", name=op.f("ck_accounts_kind")),
        sa.ForeignKeyConstraint(["agency_id"], ["accounts.id"], name=op.f("fk_accounts_agency_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("integration_id", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_integration_id", "audit", ["integration_id"], unique=False)
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("high_water", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_clock_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock")),
    )
    op.create_table(
        "management_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("hash_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("role IN ('admin', 'viewer')", name=op.f("ck_management_keys_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_management_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_management_keys_digest")),
    )
    op.create_table(
        "contacts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("phone", sa.String(), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_contacts_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
    )
    op.create_index("ix_contacts_account_id_added_at_id", "contacts", ["account_id", "added_at", "id"], unique=False)
    op.create_table(
        "integrations",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("rotation", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("claim", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_generation", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_integrations_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_integrations")),
    )
    op.create_index(
        "uq_integrations_live_external_id",
        "integrations",
        ["account_id", "external_id"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "claims",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("claim", sa.String(), nullable=False),
        sa.Column("integration_id", sa.String(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_claims_account_id")),
        sa.ForeignKeyConstraint(["integration_id"], ["integrations.id"], name=op.f("fk_claims_integration_id")),
        sa.PrimaryKeyConstraint("account_id", "claim", name=op.f("pk_claims")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("integration_id", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("hash_version", sa.Integer(), nullable=False),
        sa.Column("overlap_seconds", sa.Integer(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_because", sa.String(), nullable=True),
        sa.CheckConstraint(
            "(role = 'previous') = (expires_at IS NOT NULL)", name=op.f("ck_tokens_previous_has_a_deadline")
        ),
        sa.CheckConstraint(
            "role <> 'current' OR delivered_at IS NOT NULL", name=op.f("ck_tokens_current_is_delivered")
        ),
        sa.CheckConstraint("role <> 'pending' OR delivered_at IS NULL", name=op.f("ck_tokens_pending_is_undelivered")),
        sa.CheckConstraint("role IN ('pending', 'current', 'previous')", name=op.f("ck_tokens_role")),
        sa.CheckConstraint("length(digest) = 32", name=op.f("ck_tokens_digest_length")),
        sa.ForeignKeyConstraint(["integration_id"], ["integrations.id"], name=op.f("fk_tokens_integration_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
        sa.UniqueConstraint(
            "integration_id",
            "generation",
            "run",
            "attempt",
            name=op.f("uq_tokens_integration_id_generation_run_attempt"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_tokens_live_generation",
        "tokens",
        ["integration_id", "generation"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "uq_tokens_one_current",
        "tokens",
        ["integration_id"],
        unique=True,
        sqlite_where=sa.text("role = 'current' AND ended_at IS NULL"),
        postgresql_where=sa.text("role = 'current' AND ended_at IS NULL"),
    )
    op.create_index(
        "uq_tokens_one_pending",
        "tokens",
        ["integration_id"],
        unique=True,
        sqlite_where=sa.text("role = 'pending' AND ended_at IS NULL"),
        postgresql_where=sa.text("role = 'pending' AND ended_at IS NULL"),
    )
    op.execute("INSERT INTO clock (id, high_water) VALUES (1, 0)")
