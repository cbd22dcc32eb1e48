CREATE TABLE accounts (
    id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    agency_id TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    inactive_after BIGINT,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT ck_accounts_kind CHECK (kind IN ('agency', 'sub_account')),
    CONSTRAINT ck_accounts_agency CHECK ((kind = 'agency') = (agency_id IS NULL)),
    CONSTRAINT fk_accounts_agency_id FOREIGN KEY(agency_id) REFERENCES accounts (id)
);
CREATE TABLE announced_until (
    event TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL,
    CONSTRAINT pk_announced_until PRIMARY KEY (event)
);
CREATE TABLE audit (
    id BIGSERIAL NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C",
    integration_id TEXT COLLATE "C",
    detail TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    agent TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    previous TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_audit PRIMARY KEY (id),
    CONSTRAINT uq_audit_account_id_sequence UNIQUE (account_id, sequence)
);
CREATE INDEX ix_audit_integration_id ON audit (integration_id);
CREATE UNIQUE INDEX uq_audit_own_sequence ON audit (sequence) WHERE account_id IS NULL;
CREATE TABLE clock (
    id BIGINT NOT NULL,
    high_water BIGINT NOT NULL,
    CONSTRAINT pk_clock PRIMARY KEY (id),
    CONSTRAINT ck_clock_one_row CHECK (id = 1)
);
CREATE TABLE management_keys (
    id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    hash_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    accounts TEXT COLLATE "C",
    CONSTRAINT pk_management_keys PRIMARY KEY (id),
    CONSTRAINT ck_management_keys_role CHECK (role IN ('admin', 'deployer', 'viewer', 'introspector')),
    CONSTRAINT uq_management_keys_digest UNIQUE (digest)
);
CREATE TABLE sign_in_failures (
    counted BYTEA NOT NULL,
    failures BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    forgotten_at BIGINT NOT NULL,
    CONSTRAINT pk_sign_in_failures PRIMARY KEY (counted)
);
CREATE INDEX ix_sign_in_failures_forgotten_at ON sign_in_failures (forgotten_at);
CREATE TABLE signing_key (
    id BIGINT NOT NULL,
    public TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    made_at BIGINT NOT NULL,
    CONSTRAINT pk_signing_key PRIMARY KEY (id),
    CONSTRAINT ck_signing_key_one_row CHECK (id = 1)
);
CREATE TABLE users (
    id TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    password TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    disabled_at BIGINT,
    password_by TEXT COLLATE "C",
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_email UNIQUE (email)
);
CREATE TABLE businesses (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    fields TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_businesses PRIMARY KEY (id),
    CONSTRAINT fk_businesses_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE INDEX ix_businesses_account_id_created_at_id ON businesses (account_id, created_at, id);
CREATE TABLE calendars (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    active BOOLEAN NOT NULL,
    fields TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_calendars PRIMARY KEY (id),
    CONSTRAINT fk_calendars_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE INDEX ix_calendars_account_id ON calendars (account_id);
CREATE TABLE campaigns (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_campaigns PRIMARY KEY (id),
    CONSTRAINT fk_campaigns_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE INDEX ix_campaigns_account_id ON campaigns (account_id);
CREATE TABLE custom_fields (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    fields TEXT COLLATE "C" NOT NULL,
    added_at BIGINT NOT NULL,
    CONSTRAINT pk_custom_fields PRIMARY KEY (id),
    CONSTRAINT ck_custom_fields_model CHECK (model IN ('contact', 'opportunity')),
    CONSTRAINT uq_custom_fields_account_id_key UNIQUE (account_id, key),
    CONSTRAINT fk_custom_fields_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE custom_values (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_custom_values PRIMARY KEY (id),
    CONSTRAINT uq_custom_values_account_id_key UNIQUE (account_id, key),
    CONSTRAINT fk_custom_values_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE identities (
    issuer TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    linked_at BIGINT NOT NULL,
    CONSTRAINT pk_identities PRIMARY KEY (issuer, subject),
    CONSTRAINT uq_identities_user_id_issuer UNIQUE (user_id, issuer),
    CONSTRAINT fk_identities_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE TABLE integrations (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    external_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    rotation TEXT COLLATE "C",
    owner_nonce TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    last_generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    held_until BIGINT,
    CONSTRAINT pk_integrations PRIMARY KEY (id),
    CONSTRAINT fk_integrations_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE UNIQUE INDEX uq_integrations_live_external_id ON integrations (account_id, external_id)
    WHERE deleted_at IS NULL;
CREATE TABLE known_browsers (
    digest BYTEA NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    used_at BIGINT NOT NULL,
    CONSTRAINT pk_known_browsers PRIMARY KEY (digest),
    CONSTRAINT fk_known_browsers_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX ix_known_browsers_user_id ON known_browsers (user_id);
CREATE TABLE labs_off (
    account_id TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    CONSTRAINT pk_labs_off PRIMARY KEY (account_id),
    CONSTRAINT fk_labs_off_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE location_tags (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_location_tags PRIMARY KEY (id),
    CONSTRAINT uq_location_tags_account_id_name UNIQUE (account_id, name),
    CONSTRAINT fk_location_tags_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE memberships (
    user_id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    own BOOLEAN,
    sub_accounts BOOLEAN,
    CONSTRAINT pk_memberships PRIMARY KEY (user_id, account_id),
    CONSTRAINT ck_memberships_role CHECK (role IN ('admin', 'user')),
    CONSTRAINT fk_memberships_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_memberships_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE INDEX ix_memberships_account_id ON memberships (account_id);
CREATE TABLE object_fields (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    object_key TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    folder_id TEXT COLLATE "C",
    fields TEXT COLLATE "C" NOT NULL,
    added_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_object_fields PRIMARY KEY (id),
    CONSTRAINT uq_object_fields_account_id_key UNIQUE (account_id, key),
    CONSTRAINT fk_object_fields_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_object_fields_folder_id FOREIGN KEY(folder_id) REFERENCES object_fields (id)
);
CREATE INDEX ix_object_fields_folder_id ON object_fields (folder_id);
CREATE TABLE one_time_codes (
    digest BYTEA NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    places BYTEA NOT NULL,
    made_by TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_one_time_codes PRIMARY KEY (digest),
    CONSTRAINT fk_one_time_codes_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX ix_one_time_codes_made_by ON one_time_codes (made_by);
CREATE INDEX ix_one_time_codes_user_id ON one_time_codes (user_id);
CREATE TABLE person_events (
    id BIGSERIAL NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    agent TEXT COLLATE "C" NOT NULL,
    session_id TEXT COLLATE "C",
    detail TEXT COLLATE "C" NOT NULL,
    noticed BOOLEAN NOT NULL,
    CONSTRAINT pk_person_events PRIMARY KEY (id),
    CONSTRAINT fk_person_events_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX ix_person_events_user_id_id ON person_events (user_id, id);
CREATE TABLE pipelines (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    stages TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_pipelines PRIMARY KEY (id),
    CONSTRAINT fk_pipelines_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE INDEX ix_pipelines_account_id ON pipelines (account_id);
CREATE TABLE sessions (
    digest BYTEA NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    form_key TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    agent TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_sessions PRIMARY KEY (digest),
    CONSTRAINT uq_sessions_id UNIQUE (id),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX ix_sessions_user_id ON sessions (user_id);
CREATE TABLE upstream_credentials (
    account_id TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    set_at BIGINT NOT NULL,
    set_by TEXT COLLATE "C" NOT NULL,
    asked_at BIGINT,
    outcome TEXT COLLATE "C",
    status BIGINT,
    CONSTRAINT pk_upstream_credentials PRIMARY KEY (account_id),
    CONSTRAINT ck_upstream_credentials_verification CHECK ((asked_at IS NULL) = (outcome IS NULL)),
    CONSTRAINT fk_upstream_credentials_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE announced (
    integration_id TEXT COLLATE "C" NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    occurrence BIGINT NOT NULL,
    CONSTRAINT pk_announced PRIMARY KEY (integration_id, event),
    CONSTRAINT fk_announced_integration_id FOREIGN KEY(integration_id) REFERENCES integrations (id)
);
CREATE TABLE contacts (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C",
    phone TEXT COLLATE "C",
    fields TEXT COLLATE "C" NOT NULL,
    added_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    business_id TEXT COLLATE "C",
    first_name TEXT COLLATE "C" DEFAULT '' NOT NULL,
    last_name TEXT COLLATE "C" DEFAULT '' NOT NULL,
    CONSTRAINT pk_contacts PRIMARY KEY (id),
    CONSTRAINT fk_contacts_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_contacts_business_id FOREIGN KEY(business_id) REFERENCES businesses (id)
);
CREATE INDEX ix_contacts_account_id_added_at_id ON contacts (account_id, added_at, id);
CREATE INDEX ix_contacts_account_id_email ON contacts (account_id, email);
CREATE INDEX ix_contacts_account_id_phone ON contacts (account_id, phone);
CREATE INDEX ix_contacts_business_id ON contacts (business_id);
CREATE TABLE owner_nonces (
    account_id TEXT COLLATE "C" NOT NULL,
    owner_nonce TEXT COLLATE "C" NOT NULL,
    integration_id TEXT COLLATE "C" NOT NULL,
    used_at BIGINT NOT NULL,
    CONSTRAINT pk_owner_nonces PRIMARY KEY (account_id, owner_nonce),
    CONSTRAINT fk_owner_nonces_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_owner_nonces_integration_id FOREIGN KEY(integration_id) REFERENCES integrations (id)
);
CREATE TABLE tokens (
    id BIGSERIAL NOT NULL,
    integration_id TEXT COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    issuer TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    hash_version BIGINT NOT NULL,
    overlap_seconds BIGINT NOT NULL,
    issued_at BIGINT NOT NULL,
    delivered_at BIGINT,
    expires_at BIGINT,
    ended_at BIGINT,
    end_reason TEXT COLLATE "C",
    superseded_by BIGINT,
    inactive_since BIGINT,
    inactive_ends_at BIGINT,
    inactive_warned BIGINT,
    inactive_seen_at BIGINT,
    end_detail TEXT COLLATE "C",
    CONSTRAINT pk_tokens PRIMARY KEY (id),
    CONSTRAINT ck_tokens_role CHECK (role IN ('pending', 'current', 'previous')),
    CONSTRAINT ck_tokens_pending_is_undelivered CHECK (role <> 'pending' OR delivered_at IS NULL),
    CONSTRAINT ck_tokens_current_is_delivered CHECK (role <> 'current' OR delivered_at IS NOT NULL),
    CONSTRAINT ck_tokens_previous_has_a_deadline CHECK ((role = 'previous') = (expires_at IS NOT NULL)),
    CONSTRAINT ck_tokens_digest_length CHECK (length(digest) = 32),
    CONSTRAINT uq_tokens_integration_id_generation_run_attempt UNIQUE (integration_id, generation, run, attempt),
    CONSTRAINT fk_tokens_integration_id FOREIGN KEY(integration_id) REFERENCES integrations (id),
    CONSTRAINT uq_tokens_digest UNIQUE (digest)
);
CREATE INDEX ix_tokens_expires_at ON tokens (expires_at);
CREATE UNIQUE INDEX uq_tokens_live_generation ON tokens (integration_id, generation) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX uq_tokens_one_current ON tokens (integration_id) WHERE role = 'current' AND ended_at IS NULL;
CREATE UNIQUE INDEX uq_tokens_one_pending ON tokens (integration_id) WHERE role = 'pending' AND ended_at IS NULL;
CREATE TABLE webhook_endpoints (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    sub_accounts BOOLEAN NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    integration_id TEXT COLLATE "C",
    url TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    events TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    sealed BYTEA,
    former_sealed BYTEA,
    former_until BIGINT,
    disabled_at BIGINT,
    disabled_because TEXT COLLATE "C",
    failing_since BIGINT,
    CONSTRAINT pk_webhook_endpoints PRIMARY KEY (id),
    CONSTRAINT ck_webhook_endpoints_kind CHECK (kind IN ('service', 'data')),
    CONSTRAINT ck_webhook_endpoints_of CHECK ((kind = 'data') = (integration_id IS NOT NULL)),
    CONSTRAINT ck_webhook_endpoints_secret CHECK ((kind = 'service') = (sealed IS NOT NULL)),
    CONSTRAINT ck_webhook_endpoints_former_secret CHECK ((former_sealed IS NULL) = (former_until IS NULL)),
    CONSTRAINT ck_webhook_endpoints_disabled CHECK ((disabled_at IS NULL) = (disabled_because IS NULL)),
    CONSTRAINT fk_webhook_endpoints_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_webhook_endpoints_integration_id FOREIGN KEY(integration_id) REFERENCES integrations (id)
);
CREATE INDEX ix_webhook_endpoints_account_id ON webhook_endpoints (account_id);
CREATE INDEX ix_webhook_endpoints_integration_id ON webhook_endpoints (integration_id);
CREATE TABLE notes (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    contact_id TEXT COLLATE "C" NOT NULL,
    fields TEXT COLLATE "C" NOT NULL,
    added_at BIGINT NOT NULL,
    CONSTRAINT pk_notes PRIMARY KEY (id),
    CONSTRAINT fk_notes_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_notes_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id) ON DELETE CASCADE
);
CREATE INDEX ix_notes_contact_id_added_at_id ON notes (contact_id, added_at, id);
CREATE TABLE opportunities (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    contact_id TEXT COLLATE "C" NOT NULL,
    pipeline_id TEXT COLLATE "C" NOT NULL,
    stage_id TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    fields TEXT COLLATE "C" NOT NULL,
    added_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    stage_changed_at BIGINT NOT NULL,
    status_changed_at BIGINT NOT NULL,
    CONSTRAINT pk_opportunities PRIMARY KEY (id),
    CONSTRAINT ck_opportunities_status CHECK (status IN ('open', 'won', 'lost', 'abandoned', 'all')),
    CONSTRAINT fk_opportunities_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_opportunities_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id) ON DELETE CASCADE,
    CONSTRAINT fk_opportunities_pipeline_id FOREIGN KEY(pipeline_id) REFERENCES pipelines (id)
);
CREATE INDEX ix_opportunities_account_id_added_at_id ON opportunities (account_id, added_at, id);
CREATE INDEX ix_opportunities_contact_id ON opportunities (contact_id);
CREATE INDEX ix_opportunities_pipeline_id ON opportunities (pipeline_id);
CREATE TABLE tasks (
    id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    contact_id TEXT COLLATE "C" NOT NULL,
    fields TEXT COLLATE "C" NOT NULL,
    added_at BIGINT NOT NULL,
    CONSTRAINT pk_tasks PRIMARY KEY (id),
    CONSTRAINT fk_tasks_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_tasks_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id) ON DELETE CASCADE
);
CREATE INDEX ix_tasks_contact_id_added_at_id ON tasks (contact_id, added_at, id);
CREATE TABLE webhook_deliveries (
    id BIGSERIAL NOT NULL,
    endpoint_id TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    headers TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt_at BIGINT,
    settled_at BIGINT,
    CONSTRAINT pk_webhook_deliveries PRIMARY KEY (id),
    CONSTRAINT ck_webhook_deliveries_state CHECK (state IN ('waiting', 'delivered', 'failed')),
    CONSTRAINT ck_webhook_deliveries_next CHECK ((state = 'waiting') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT ck_webhook_deliveries_settled CHECK ((state = 'waiting') = (settled_at IS NULL)),
    CONSTRAINT uq_webhook_deliveries_endpoint_id_message_id UNIQUE (endpoint_id, message_id),
    CONSTRAINT fk_webhook_deliveries_endpoint_id
        FOREIGN KEY(endpoint_id) REFERENCES webhook_endpoints (id) ON DELETE CASCADE
);
CREATE INDEX ix_webhook_deliveries_state_next_attempt_at ON webhook_deliveries (state, next_attempt_at);
CREATE TABLE webhook_attempts (
    id BIGSERIAL NOT NULL,
    delivery_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    status BIGINT,
    milliseconds BIGINT NOT NULL,
    CONSTRAINT pk_webhook_attempts PRIMARY KEY (id),
    CONSTRAINT fk_webhook_attempts_delivery_id
        FOREIGN KEY(delivery_id) REFERENCES webhook_deliveries (id) ON DELETE CASCADE
);
CREATE INDEX ix_webhook_attempts_delivery_id ON webhook_attempts (delivery_id);
CREATE TABLE authority (
    id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    mark TEXT COLLATE "C" NOT NULL,
    settled TEXT COLLATE "C" NOT NULL,
    usable_from TEXT COLLATE "C" NOT NULL,
    installation TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_authority PRIMARY KEY (id),
    CONSTRAINT ck_authority_one_row CHECK (id = 1)
);
CREATE TABLE revisions (
    number BIGINT NOT NULL,
    mark TEXT COLLATE "C" NOT NULL,
    changed TEXT[] COLLATE "C",
    ended BYTEA[] NOT NULL,
    CONSTRAINT pk_revisions PRIMARY KEY (number)
);
CREATE TABLE replicas (
    incarnation TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    beat BIGINT NOT NULL,
    beat_at BIGINT NOT NULL,
    acknowledged_number BIGINT,
    acknowledged_mark TEXT COLLATE "C",
    CONSTRAINT pk_replicas PRIMARY KEY (incarnation)
);
CREATE TABLE webhook_claims (
    endpoint_id TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_webhook_claims PRIMARY KEY (endpoint_id)
);
CREATE TABLE activity_tokens (
    token_id BIGINT PRIMARY KEY,
    integration_id TEXT COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL
);
CREATE INDEX activity_tokens_by_integration ON activity_tokens (integration_id);
CREATE TABLE activity_requests (
    token_id BIGINT,
    hour BIGINT,
    scope TEXT COLLATE "C",
    reason TEXT COLLATE "C",
    requests BIGINT NOT NULL,
    PRIMARY KEY (token_id, hour, scope, reason)
);
CREATE INDEX activity_requests_refused ON activity_requests (hour) WHERE reason = 'scope-missing';
CREATE TABLE activity_uses (
    token_id BIGINT,
    scope TEXT COLLATE "C",
    reason TEXT COLLATE "C",
    last_at BIGINT NOT NULL,
    PRIMARY KEY (token_id, scope, reason)
);
CREATE TABLE activity_callers (
    token_id BIGINT,
    address TEXT COLLATE "C",
    agent TEXT COLLATE "C",
    requests BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (token_id, address, agent)
);
CREATE TABLE activity_workers (
    run TEXT COLLATE "C",
    pid BIGINT,
    flushed_at BIGINT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (run, pid)
);
CREATE TABLE activity_observation (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    since BIGINT NOT NULL,
    purged_hour BIGINT NOT NULL DEFAULT 0
);
INSERT INTO clock (id, high_water) VALUES (1, 0);
INSERT INTO announced_until (event, until) VALUES ('token.retired', 0);
