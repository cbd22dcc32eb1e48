"""Define the tables of the sandbox, as the newest migration leaves them."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, UniqueConstraint

from ...storage.columns import JSON, Boolean, Instant, Text, metadata

businesses = Table(
    "businesses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("fields", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index("ix_businesses_account_id_created_at_id", "account_id", "created_at", "id"),
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("email", Text),
    Column("phone", Text),
    Column("fields", JSON, nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("business_id", Text, ForeignKey("businesses.id")),
    # In lower case: SQLite's own lower() knows ASCII only.
    Column("first_name", Text, nullable=False, server_default=""),
    Column("last_name", Text, nullable=False, server_default=""),
    Index("ix_contacts_account_id_added_at_id", "account_id", "added_at", "id"),
    Index("ix_contacts_account_id_email", "account_id", "email"),
    Index("ix_contacts_account_id_phone", "account_id", "phone"),
    Index("ix_contacts_business_id", "business_id"),
)

location_tags = Table(
    "location_tags",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("account_id", "name"),
)

custom_fields = Table(
    "custom_fields",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("model", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("added_at", Instant, nullable=False),
    CheckConstraint("model IN ('contact', 'opportunity')", name="model"),
    UniqueConstraint("account_id", "key"),
)

custom_values = Table(
    "custom_values",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    UniqueConstraint("account_id", "key"),
)


def _of_contacts(name: str) -> Table:
    """Define a table of contacts' items, which are removed with their contact."""
    return Table(
        name,
        metadata,
        Column("id", Text, primary_key=True),
        Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
        Column("contact_id", Text, ForeignKey("contacts.id", ondelete="CASCADE"), nullable=False),
        Column("fields", JSON, nullable=False),
        Column("added_at", Instant, nullable=False),
        Index(f"ix_{name}_contact_id_added_at_id", "contact_id", "added_at", "id"),
    )


notes = _of_contacts("notes")
tasks = _of_contacts("tasks")

pipelines = Table(
    "pipelines",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("stages", JSON, nullable=False),
    Index("ix_pipelines_account_id", "account_id"),
)

opportunities = Table(
    "opportunities",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("contact_id", Text, ForeignKey("contacts.id", ondelete="CASCADE"), nullable=False),
    Column("pipeline_id", Text, ForeignKey("pipelines.id"), nullable=False),
    Column("stage_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("stage_changed_at", Instant, nullable=False),
    Column("status_changed_at", Instant, nullable=False),
    CheckConstraint("status IN ('open', 'won', 'lost', 'abandoned', 'all')", name="status"),
    Index("ix_opportunities_account_id_added_at_id", "account_id", "added_at", "id"),
    Index("ix_opportunities_contact_id", "contact_id"),
    Index("ix_opportunities_pipeline_id", "pipeline_id"),
)

calendars = Table(
    "calendars",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("fields", JSON, nullable=False),
    Index("ix_calendars_account_id", "account_id"),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Index("ix_campaigns_account_id", "account_id"),
)

object_fields = Table(
    "object_fields",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("object_key", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("folder_id", Text, ForeignKey("object_fields.id")),
    Column("fields", JSON, nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("account_id", "key"),
    Index("ix_object_fields_folder_id", "folder_id"),
)

# A column takes values of its own type only. SQLite's other tables store a text as a BLOB, which no comparison finds.
for _table in metadata.tables.values():
    _table.dialect_options["sqlite"]["strict"] = True
