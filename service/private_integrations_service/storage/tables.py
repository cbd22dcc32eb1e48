"""Define the tables as the newest migration leaves them; a test compares the two."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, UniqueConstraint, text

from .columns import JSON, Boolean, Instant, Integer, Text, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("agency_id", Text, ForeignKey("accounts.id")),
    Column("created_at", Instant, nullable=False),
    # Seconds; null: the service's setting, 0: never.
    Column("inactive_after", Integer),
    CheckConstraint("kind IN ('agency', 'sub_account')", name="kind"),
    CheckConstraint("(kind = 'agency') = (agency_id IS NULL)", name="agency"),
)

management_keys = Table(
    "management_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("hash_version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("accounts", JSON(none_as_null=True)),
    CheckConstraint("role IN ('admin', 'deployer', 'viewer', 'introspector')", name="role"),
)

integrations = Table(
    "integrations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("external_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("rotation", JSON(none_as_null=True)),
    Column("owner_nonce", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("last_generation", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Column("held_until", Instant),
    Index(
        "uq_integrations_live_external_id",
        "account_id",
        "external_id",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
)

owner_nonces = Table(
    "owner_nonces",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("owner_nonce", Text, primary_key=True),
    Column("integration_id", Text, ForeignKey("integrations.id"), nullable=False),
    Column("used_at", Instant, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("integration_id", Text, ForeignKey("integrations.id"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("hash_version", Integer, nullable=False),
    Column("overlap_seconds", Integer, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    Column("expires_at", Instant),
    Column("ended_at", Instant),
    Column("end_reason", Text),
    Column("superseded_by", Integer),
    Column("inactive_since", Instant),
    Column("inactive_ends_at", Instant),
    Column("inactive_warned", Integer),
    Column("inactive_seen_at", Instant),
    Column("end_detail", Text),
    CheckConstraint("role IN ('pending', 'current', 'previous')", name="role"),
    CheckConstraint("role <> 'pending' OR delivered_at IS NULL", name="pending_is_undelivered"),
    CheckConstraint("role <> 'current' OR delivered_at IS NOT NULL", name="current_is_delivered"),
    CheckConstraint("(role = 'previous') = (expires_at IS NOT NULL)", name="previous_has_a_deadline"),
    CheckConstraint("length(digest) = 32", name="digest_length"),
    UniqueConstraint("integration_id", "generation", "run", "attempt"),
    *(
        Index(
            f"uq_tokens_one_{role}",
            "integration_id",
            unique=True,
            sqlite_where=text(f"role = '{role}' AND ended_at IS NULL"),
            postgresql_where=text(f"role = '{role}' AND ended_at IS NULL"),
        )
        for role in ("pending", "current")
    ),
    Index(
        "uq_tokens_live_generation",
        "integration_id",
        "generation",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("ix_tokens_expires_at", "expires_at"),
    sqlite_autoincrement=True,
)

# A row of the audit log in which a value is not of the type that was written; `at` and `sequence` come first.
AUDIT_TEXTS = ("actor", "action", "account_id", "integration_id", "detail", "address", "agent", "previous", "hash")
AUDIT_IS_DAMAGED = (
    "typeof(at) || typeof(sequence) || "
    + " || ".join(f"typeof(ifnull({name}, ''))" if name.endswith("_id") else f"typeof({name})" for name in AUDIT_TEXTS)
    + f" <> '{'integer' * 2 + 'text' * len(AUDIT_TEXTS)}'"
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("account_id", Text),
    Column("integration_id", Text),
    Column("detail", JSON, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    UniqueConstraint("account_id", "sequence"),
    Index("ix_audit_integration_id", "integration_id"),
    # To the constraint every row without an account is another one.
    Index(
        "uq_audit_own_sequence",
        "sequence",
        unique=True,
        sqlite_where=text("account_id IS NULL"),
        postgresql_where=text("account_id IS NULL"),
    ),
    # Finds damaged rows at once; it is empty unless the log was tampered with.
    Index("ix_audit_damaged", "id", sqlite_where=text(AUDIT_IS_DAMAGED)).ddl_if(dialect="sqlite"),
    sqlite_autoincrement=True,
)

clock = Table(
    "clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("high_water", Instant, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

upstream_credentials = Table(
    "upstream_credentials",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("set_at", Instant, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("asked_at", Instant),
    Column("outcome", Text),
    Column("status", Integer),
    CheckConstraint("(asked_at IS NULL) = (outcome IS NULL)", name="verification"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("sub_accounts", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("integration_id", Text, ForeignKey("integrations.id")),
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("events", JSON(none_as_null=True)),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("sealed", LargeBinary),
    Column("former_sealed", LargeBinary),
    Column("former_until", Instant),
    Column("disabled_at", Instant),
    Column("disabled_because", Text),
    Column("failing_since", Instant),
    CheckConstraint("kind IN ('service', 'data')", name="kind"),
    CheckConstraint("(kind = 'data') = (integration_id IS NOT NULL)", name="of"),
    CheckConstraint("(kind = 'service') = (sealed IS NOT NULL)", name="secret"),
    CheckConstraint("(former_sealed IS NULL) = (former_until IS NULL)", name="former_secret"),
    CheckConstraint("(disabled_at IS NULL) = (disabled_because IS NULL)", name="disabled"),
    Index("ix_webhook_endpoints_account_id", "account_id"),
    Index("ix_webhook_endpoints_integration_id", "integration_id"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("endpoint_id", Text, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant),
    Column("settled_at", Instant),
    CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state"),
    CheckConstraint("(state = 'waiting') = (next_attempt_at IS NOT NULL)", name="next"),
    CheckConstraint("(state = 'waiting') = (settled_at IS NULL)", name="settled"),
    UniqueConstraint("endpoint_id", "message_id"),
    Index("ix_webhook_deliveries_state_next_attempt_at", "state", "next_attempt_at"),
    sqlite_autoincrement=True,
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("delivery_id", Integer, ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer),
    Column("milliseconds", Integer, nullable=False),
    Index("ix_webhook_attempts_delivery_id", "delivery_id"),
)

# The occurrences that a job has published, so that it publishes each one once.
announced = Table(
    "announced",
    metadata,
    Column("integration_id", Text, ForeignKey("integrations.id"), primary_key=True),
    Column("event", Text, primary_key=True),
    Column("occurrence", Instant, nullable=False),
)

announced_until = Table(
    "announced_until",
    metadata,
    Column("event", Text, primary_key=True),
    Column("until", Instant, nullable=False),
)

signing_key = Table(
    "signing_key",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("public", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("made_at", Instant, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password", Text),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    # The id of the maker of the link with which the password was chosen; null: no password, or not known.
    Column("password_by", Text),
)

memberships = Table(
    "memberships",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("role", Text, nullable=False),
    # Null: by the role.
    Column("own", Boolean),
    Column("sub_accounts", Boolean),
    CheckConstraint("role IN ('admin', 'user')", name="role"),
    Index("ix_memberships_account_id", "account_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    # The name of a session on the person's own page, in place of its digest.
    Column("id", Text, nullable=False, unique=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("form_key", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Index("ix_sessions_user_id", "user_id"),
)

one_time_codes = Table(
    "one_time_codes",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("expires_at", Instant, nullable=False),
    # A digest of the memberships that the person had when the code was made.
    Column("places", LargeBinary, nullable=False),
    # The id of the person or the management key that made it.
    Column("made_by", Text, nullable=False),
    Index("ix_one_time_codes_user_id", "user_id"),
    Index("ix_one_time_codes_made_by", "made_by"),
)

# The events that a person sees on their own page.
person_events = Table(
    "person_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    # Of a sign-in; the session itself may have ended.
    Column("session_id", Text),
    Column("detail", JSON, nullable=False),
    Column("noticed", Boolean, nullable=False),
    Index("ix_person_events_user_id_id", "user_id", "id"),
    sqlite_autoincrement=True,
)

known_browsers = Table(
    "known_browsers",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("used_at", Instant, nullable=False),
    Index("ix_known_browsers_user_id", "user_id"),
)

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    # A digest, since a person may type a password as the address.
    Column("counted", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("forgotten_at", Instant, nullable=False),
    Index("ix_sign_in_failures_forgotten_at", "forgotten_at"),
)

identities = Table(
    "identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("linked_at", Instant, nullable=False),
    UniqueConstraint("user_id", "issuer"),
)

# Accounts for which private integrations are switched off.
labs_off = Table(
    "labs_off",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("since", Instant, nullable=False),
)

# A column takes values of its own type only. SQLite's other tables store a text as a BLOB, which no comparison finds.
for _table in metadata.tables.values():
    _table.dialect_options["sqlite"]["strict"] = True
