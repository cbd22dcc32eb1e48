BEGIN TRANSACTION;
CREATE TABLE accounts (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	agency_id VARCHAR, 
	created_at BIGINT NOT NULL, inactive_after INTEGER, 
	CONSTRAINT pk_accounts PRIMARY KEY (id), 
	CONSTRAINT ck_accounts_agency CHECK ((kind = 'agency') = (agency_id IS NULL)), 
	CONSTRAINT ck_accounts_kind CHECK (kind IN ('agency', 'sub_account')), 
	CONSTRAINT fk_accounts_agency_id FOREIGN KEY(agency_id) REFERENCES accounts (id)
);
INSERT INTO "accounts" VALUES('G7FWCXT6EojiCtiQtUkO','Agency','agency',NULL,1795176000000,NULL);
INSERT INTO "accounts" VALUES('G4x02VWhGHgJngIACUSt','Demo account','sub_account','G7FWCXT6EojiCtiQtUkO',1795176000000,NULL);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0011');
CREATE TABLE announced (
	integration_id VARCHAR NOT NULL, 
	event VARCHAR NOT NULL, 
	occurrence BIGINT NOT NULL, 
	CONSTRAINT pk_announced PRIMARY KEY (integration_id, event), 
	CONSTRAINT fk_announced_integration_id FOREIGN KEY(integration_id) REFERENCES integrations (id)
);
CREATE TABLE announced_until (
	event VARCHAR NOT NULL, 
	until BIGINT NOT NULL, 
	CONSTRAINT pk_announced_until PRIMARY KEY (event)
);
INSERT INTO "announced_until" VALUES('token.retired',0);
CREATE TABLE "audit" (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at BIGINT NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	account_id VARCHAR, 
	integration_id VARCHAR, 
	detail JSON NOT NULL, 
	address VARCHAR NOT NULL, 
	agent VARCHAR NOT NULL, 
	sequence INTEGER NOT NULL, 
	previous VARCHAR NOT NULL, 
	hash VARCHAR NOT NULL, 
	CONSTRAINT uq_audit_account_id_sequence UNIQUE (account_id, sequence)
);
INSERT INTO "audit" VALUES(1,1795176000000,'person/ada@example.com/usr_1','do 0','G4x02VWhGHgJngIACUSt',NULL,'{"scopes": ["contacts.readonly", "\u00e9"], "nested": {"a": null}}','203.0.113.9','Mozilla/5.0 (é)',1,'0000000000000000000000000000000000000000000000000000000000000000','ab5b89c63baa98e64fefdbdc16588b00d72ac125df6317a75afd9bf143c1f9ff');
INSERT INTO "audit" VALUES(2,1795176000000,'person/ada@example.com/usr_1','own 0',NULL,NULL,'{"name": "ci"}','203.0.113.9','Mozilla/5.0 (é)',1,'0000000000000000000000000000000000000000000000000000000000000000','d8941becd3b620a0869525eb0787a4a8f03ddc86a9b4173fc92b4b5ba63bd7b2');
INSERT INTO "audit" VALUES(3,1795176001000,'person/ada@example.com/usr_1','do 1','G4x02VWhGHgJngIACUSt',NULL,'{"scopes": ["contacts.readonly", "\u00e9"], "nested": {"a": null}}','203.0.113.9','Mozilla/5.0 (é)',2,'ab5b89c63baa98e64fefdbdc16588b00d72ac125df6317a75afd9bf143c1f9ff','21bbca1a5a6d7b94d76180c7c14fefcbb470a21799639831ed84cff73601f143');
INSERT INTO "audit" VALUES(4,1795176001000,'person/ada@example.com/usr_1','own 1',NULL,NULL,'{"name": "ci"}','203.0.113.9','Mozilla/5.0 (é)',2,'d8941becd3b620a0869525eb0787a4a8f03ddc86a9b4173fc92b4b5ba63bd7b2','531583c40eb5af852f9a22df29487b0cd71660b82490f91a8d6b80abdaa91871');
INSERT INTO "audit" VALUES(5,1795176002000,'person/ada@example.com/usr_1','do 2','G4x02VWhGHgJngIACUSt',NULL,'{"scopes": ["contacts.readonly", "\u00e9"], "nested": {"a": null}}','203.0.113.9','Mozilla/5.0 (é)',3,'21bbca1a5a6d7b94d76180c7c14fefcbb470a21799639831ed84cff73601f143','c0d9051de4bce148c37d3be0fcb981fb3ad126f8243d0ec23136ae18c929f918');
INSERT INTO "audit" VALUES(6,1795176002000,'person/ada@example.com/usr_1','own 2',NULL,NULL,'{"name": "ci"}','203.0.113.9','Mozilla/5.0 (é)',3,'531583c40eb5af852f9a22df29487b0cd71660b82490f91a8d6b80abdaa91871','369c9b39f232f1242ee19b480a7ef8329be11664b2852ef5999b58f7e17a4927');
CREATE TABLE businesses (
	id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	fields JSON NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_businesses PRIMARY KEY (id), 
	CONSTRAINT fk_businesses_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE claims (
	account_id VARCHAR NOT NULL, 
	claim VARCHAR NOT NULL, 
	integration_id VARCHAR NOT NULL, 
	used_at BIGINT NOT NULL, 
	CONSTRAINT pk_claims PRIMARY KEY (account_id, claim), 
	CONSTRAINT fk_claims_account_id FOREIGN KEY(account_id) REFERENCES accounts (id), 
	CONSTRAINT fk_claims_integration_id FOREIGN KEY(integration_id) REFERENCES integrations (id)
);
CREATE TABLE clock (
	id INTEGER NOT NULL, 
	high_water BIGINT NOT NULL, 
	CONSTRAINT pk_clock PRIMARY KEY (id), 
	CONSTRAINT ck_clock_one_row CHECK (id = 1)
);
INSERT INTO "clock" VALUES(1,1795176002000);
CREATE TABLE "contacts" (
	id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	email VARCHAR, 
	phone VARCHAR, 
	fields JSON NOT NULL, 
	added_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	business_id VARCHAR, 
	first_name VARCHAR DEFAULT '' NOT NULL, 
	last_name VARCHAR DEFAULT '' NOT NULL, 
	CONSTRAINT pk_contacts PRIMARY KEY (id), 
	CONSTRAINT fk_contacts_account_id FOREIGN KEY(account_id) REFERENCES accounts (id), 
	CONSTRAINT fk_contacts_business_id FOREIGN KEY(business_id) REFERENCES businesses (id)
);
INSERT INTO "contacts" VALUES('ZQatPpJcJxW8CgZcrQ0u','G4x02VWhGHgJngIACUSt','amira.haddad@example.com','+12025550143','{"name": "Amira Haddad", "email": "amira.haddad@example.com", "phone": "+12025550143", "companyName": "Haddad Dental", "tags": ["lead", "newsletter"], "firstName": "Amira", "lastName": "Haddad"}',1795089600000,1795089600000,NULL,'amira','haddad');
INSERT INTO "contacts" VALUES('mVd1urRX7VsVPwiluhPh','G4x02VWhGHgJngIACUSt','jonas@example.org','+12025550178','{"name": "Jonas Lindqvist", "email": "jonas@example.org", "phone": "+12025550178", "companyName": "Lindqvist Roofing", "tags": ["customer"], "firstName": "Jonas", "lastName": "Lindqvist"}',1795003200000,1795003200000,NULL,'jonas','lindqvist');
INSERT INTO "contacts" VALUES('cjhbKwzQ7aMxtplSJZhr','G4x02VWhGHgJngIACUSt','grace.okafor@example.net','+12025550112','{"name": "Grace Okafor", "email": "grace.okafor@example.net", "phone": "+12025550112", "companyName": "Okafor & Partners", "tags": ["customer", "vip"], "firstName": "Grace", "lastName": "Okafor"}',1794916800000,1794916800000,NULL,'grace','okafor');
INSERT INTO "contacts" VALUES('EijwqPa7LBaHEqxFTZeP','G4x02VWhGHgJngIACUSt','mateo.ruiz@example.com','+12025550199','{"name": "Mateo Ruiz", "email": "mateo.ruiz@example.com", "phone": "+12025550199", "companyName": "Ruiz Fitness", "tags": ["trial"], "firstName": "Mateo", "lastName": "Ruiz"}',1794830400000,1794830400000,NULL,'mateo','ruiz');
INSERT INTO "contacts" VALUES('NLYfSn0ebSbvesjlQGjI','G4x02VWhGHgJngIACUSt','hana.sato@example.org','+12025550126','{"name": "Hana Sato", "email": "hana.sato@example.org", "phone": "+12025550126", "companyName": "Studio Sato", "tags": [], "firstName": "Hana", "lastName": "Sato"}',1794744000000,1794744000000,NULL,'hana','sato');
CREATE TABLE custom_fields (
	id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	model VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	fields JSON NOT NULL, 
	added_at BIGINT NOT NULL, 
	CONSTRAINT pk_custom_fields PRIMARY KEY (id), 
	CONSTRAINT fk_custom_fields_account_id FOREIGN KEY(account_id) REFERENCES accounts (id), 
	CONSTRAINT ck_custom_fields_model CHECK (model IN ('contact', 'opportunity')), 
	CONSTRAINT uq_custom_fields_account_id_key UNIQUE (account_id, "key")
);
CREATE TABLE custom_values (
	id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	CONSTRAINT pk_custom_values PRIMARY KEY (id), 
	CONSTRAINT fk_custom_values_account_id FOREIGN KEY(account_id) REFERENCES accounts (id), 
	CONSTRAINT uq_custom_values_account_id_key UNIQUE (account_id, "key")
);
CREATE TABLE identities (
	issuer VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	user_id VARCHAR NOT NULL, 
	linked_at BIGINT NOT NULL, 
	CONSTRAINT pk_identities PRIMARY KEY (issuer, subject), 
	CONSTRAINT fk_identities_user_id FOREIGN KEY(user_id) REFERENCES users (id), 
	CONSTRAINT uq_identities_user_id_issuer UNIQUE (user_id, issuer)
);
CREATE TABLE integrations (
	id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	external_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	description VARCHAR NOT NULL, 
	scopes JSON NOT NULL, 
	rotation JSON, 
	claim VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	last_generation INTEGER NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	deleted_at BIGINT, held_until BIGINT, 
	CONSTRAINT pk_integrations PRIMARY KEY (id), 
	CONSTRAINT fk_integrations_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE known_browsers (
	digest BLOB NOT NULL, 
	user_id VARCHAR NOT NULL, 
	used_at BIGINT NOT NULL, 
	CONSTRAINT pk_known_browsers PRIMARY KEY (digest), 
	CONSTRAINT fk_known_browsers_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE TABLE labs_off (
	account_id VARCHAR NOT NULL, 
	since BIGINT NOT NULL, 
	CONSTRAINT pk_labs_off PRIMARY KEY (account_id), 
	CONSTRAINT fk_labs_off_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE location_tags (
	id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	CONSTRAINT pk_location_tags PRIMARY KEY (id), 
	CONSTRAINT fk_location_tags_account_id FOREIGN KEY(account_id) REFERENCES accounts (id), 
	CONSTRAINT uq_location_tags_account_id_name UNIQUE (account_id, name)
);
INSERT INTO "location_tags" VALUES('ZjmMtIer5Zqp9s240eRF','G4x02VWhGHgJngIACUSt','lead');
INSERT INTO "location_tags" VALUES('6gJno4RmQV43JJeliney','G4x02VWhGHgJngIACUSt','newsletter');
INSERT INTO "location_tags" VALUES('2ySn9GQuzUJCCxOBqq8j','G4x02VWhGHgJngIACUSt','customer');
INSERT INTO "location_tags" VALUES('jqW1dkmra5FY5LUBzyAo','G4x02VWhGHgJngIACUSt','vip');
INSERT INTO "location_tags" VALUES('91VzoY7mZi0Ypr1Chq2K','G4x02VWhGHgJngIACUSt','trial');
CREATE TABLE "management_keys" (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	digest BLOB NOT NULL, 
	hash_version INTEGER NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT, 
	revoked_at BIGINT, 
	accounts JSON, 
	CONSTRAINT pk_management_keys PRIMARY KEY (id), 
	CONSTRAINT uq_management_keys_digest UNIQUE (digest), 
	CONSTRAINT ck_management_keys_role CHECK (role IN ('admin', 'deployer', 'viewer', 'introspector'))
);
INSERT INTO "management_keys" VALUES('key_V9HHT6CYPxCNVOUuREr4','admin','admin',X'DDDC45096393300EC3F93DDBEEB5D0CEB7399C7EBC11E026526A833BECA7EDAD',1,1795176000000,NULL,NULL,NULL);
CREATE TABLE memberships (
	user_id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	own BOOLEAN, 
	sub_accounts BOOLEAN, 
	CONSTRAINT pk_memberships PRIMARY KEY (user_id, account_id), 
	CONSTRAINT ck_memberships_role CHECK (role IN ('admin', 'user')), 
	CONSTRAINT fk_memberships_account_id FOREIGN KEY(account_id) REFERENCES accounts (id), 
	CONSTRAINT fk_memberships_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE TABLE notes (
	id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	contact_id VARCHAR NOT NULL, 
	fields JSON NOT NULL, 
	added_at BIGINT NOT NULL, 
	CONSTRAINT pk_notes PRIMARY KEY (id), 
	CONSTRAINT fk_notes_account_id FOREIGN KEY(account_id) REFERENCES accounts (id), 
	CONSTRAINT fk_notes_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id) ON DELETE CASCADE
);
CREATE TABLE object_fields (
	id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	object_key VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	folder_id VARCHAR, 
	fields JSON NOT NULL, 
	added_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_object_fields PRIMARY KEY (id), 
	CONSTRAINT fk_object_fields_account_id FOREIGN KEY(account_id) REFERENCES accounts (id), 
	CONSTRAINT fk_object_fields_folder_id FOREIGN KEY(folder_id) REFERENCES object_fields (id), 
	CONSTRAINT uq_object_fields_account_id_key UNIQUE (account_id, "key")
);
CREATE TABLE one_time_codes (
	digest BLOB NOT NULL, 
	user_id VARCHAR NOT NULL, 
	expires_at BIGINT NOT NULL, 
	CONSTRAINT pk_one_time_codes PRIMARY KEY (digest), 
	CONSTRAINT fk_one_time_codes_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE TABLE sessions (
	digest BLOB NOT NULL, 
	id VARCHAR NOT NULL, 
	user_id VARCHAR NOT NULL, 
	form_key VARCHAR NOT NULL, 
	created_at BIGINT NOT NULL, 
	seen_at BIGINT NOT NULL, 
	address VARCHAR NOT NULL, 
	agent VARCHAR NOT NULL, 
	CONSTRAINT pk_sessions PRIMARY KEY (digest), 
	CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id), 
	CONSTRAINT uq_sessions_id UNIQUE (id)
);
CREATE TABLE sign_in_failures (
	counted BLOB NOT NULL, 
	failures INTEGER NOT NULL, 
	last_at BIGINT NOT NULL, 
	forgotten_at BIGINT NOT NULL, 
	CONSTRAINT pk_sign_in_failures PRIMARY KEY (counted)
);
CREATE TABLE signing_key (
	id INTEGER NOT NULL, 
	public VARCHAR NOT NULL, 
	sealed BLOB NOT NULL, 
	made_at BIGINT NOT NULL, 
	CONSTRAINT pk_signing_key PRIMARY KEY (id), 
	CONSTRAINT ck_signing_key_one_row CHECK (id = 1)
);
CREATE TABLE tasks (
	id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	contact_id VARCHAR NOT NULL, 
	fields JSON NOT NULL, 
	added_at BIGINT NOT NULL, 
	CONSTRAINT pk_tasks PRIMARY KEY (id), 
	CONSTRAINT fk_tasks_account_id FOREIGN KEY(account_id) REFERENCES accounts (id), 
	CONSTRAINT fk_tasks_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id) ON DELETE CASCADE
);
CREATE TABLE tokens (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	integration_id VARCHAR NOT NULL, 
	generation INTEGER NOT NULL, 
	role VARCHAR NOT NULL, 
	issuer VARCHAR NOT NULL, 
	run VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	digest BLOB NOT NULL, 
	hash_version INTEGER NOT NULL, 
	overlap_seconds INTEGER NOT NULL, 
	issued_at BIGINT NOT NULL, 
	delivered_at BIGINT, 
	expires_at BIGINT, 
	ended_at BIGINT, 
	ended_because VARCHAR, superseded_by INTEGER, unused_since BIGINT, unused_ends_at BIGINT, unused_warned INTEGER, unused_seen_at BIGINT, 
	CONSTRAINT ck_tokens_previous_has_a_deadline CHECK ((role = 'previous') = (expires_at IS NOT NULL)), 
	CONSTRAINT ck_tokens_current_is_delivered CHECK (role <> 'current' OR delivered_at IS NOT NULL), 
	CONSTRAINT ck_tokens_pending_is_undelivered CHECK (role <> 'pending' OR delivered_at IS NULL), 
	CONSTRAINT ck_tokens_role CHECK (role IN ('pending', 'current', 'previous')), 
	CONSTRAINT ck_tokens_digest_length CHECK (length(digest) = 32), 
	CONSTRAINT fk_tokens_integration_id FOREIGN KEY(integration_id) REFERENCES integrations (id), 
	CONSTRAINT uq_tokens_digest UNIQUE (digest), 
	CONSTRAINT uq_tokens_integration_id_generation_run_attempt UNIQUE (integration_id, generation, run, attempt)
);
CREATE TABLE upstream_credentials (
	account_id VARCHAR NOT NULL, 
	sealed BLOB NOT NULL, 
	set_at BIGINT NOT NULL, 
	set_by VARCHAR NOT NULL, 
	asked_at BIGINT, 
	outcome VARCHAR, 
	status INTEGER, 
	CONSTRAINT pk_upstream_credentials PRIMARY KEY (account_id), 
	CONSTRAINT ck_upstream_credentials_verification CHECK ((asked_at IS NULL) = (outcome IS NULL)), 
	CONSTRAINT fk_upstream_credentials_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE users (
	id VARCHAR NOT NULL, 
	email VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	password VARCHAR, 
	created_at BIGINT NOT NULL, 
	disabled_at BIGINT, 
	CONSTRAINT pk_users PRIMARY KEY (id), 
	CONSTRAINT uq_users_email UNIQUE (email)
);
CREATE TABLE webhook_attempts (
	id INTEGER NOT NULL, 
	delivery_id INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	outcome VARCHAR NOT NULL, 
	status INTEGER, 
	milliseconds INTEGER NOT NULL, 
	CONSTRAINT pk_webhook_attempts PRIMARY KEY (id), 
	CONSTRAINT fk_webhook_attempts_delivery_id FOREIGN KEY(delivery_id) REFERENCES webhook_deliveries (id) ON DELETE CASCADE
);
CREATE TABLE webhook_deliveries (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	endpoint_id VARCHAR NOT NULL, 
	message_id VARCHAR NOT NULL, 
	event VARCHAR NOT NULL, 
	body BLOB NOT NULL, 
	headers JSON NOT NULL, 
	created_at BIGINT NOT NULL, 
	state VARCHAR NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_at BIGINT, 
	settled_at BIGINT, 
	CONSTRAINT ck_webhook_deliveries_state CHECK (state IN ('waiting', 'delivered', 'failed')), 
	CONSTRAINT ck_webhook_deliveries_next CHECK ((state = 'waiting') = (next_attempt_at IS NOT NULL)), 
	CONSTRAINT ck_webhook_deliveries_settled CHECK ((state = 'waiting') = (settled_at IS NULL)), 
	CONSTRAINT fk_webhook_deliveries_endpoint_id FOREIGN KEY(endpoint_id) REFERENCES webhook_endpoints (id) ON DELETE CASCADE, 
	CONSTRAINT uq_webhook_deliveries_endpoint_id_message_id UNIQUE (endpoint_id, message_id)
);
CREATE TABLE webhook_endpoints (
	id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	sub_accounts BOOLEAN NOT NULL, 
	kind VARCHAR NOT NULL, 
	integration_id VARCHAR, 
	url VARCHAR NOT NULL, 
	description VARCHAR NOT NULL, 
	events JSON, 
	created_at BIGINT NOT NULL, 
	created_by VARCHAR NOT NULL, 
	sealed BLOB, 
	former_sealed BLOB, 
	former_until BIGINT, 
	disabled_at BIGINT, 
	disabled_because VARCHAR, 
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
CREATE UNIQUE INDEX uq_integrations_live_external_id ON integrations (account_id, external_id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX uq_tokens_live_generation ON tokens (integration_id, generation) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX uq_tokens_one_current ON tokens (integration_id) WHERE role = 'current' AND ended_at IS NULL;
CREATE UNIQUE INDEX uq_tokens_one_pending ON tokens (integration_id) WHERE role = 'pending' AND ended_at IS NULL;
CREATE INDEX ix_businesses_account_id_created_at_id ON businesses (account_id, created_at, id);
CREATE INDEX ix_contacts_account_id_added_at_id ON contacts (account_id, added_at, id);
CREATE INDEX ix_contacts_account_id_email ON contacts (account_id, email);
CREATE INDEX ix_contacts_account_id_phone ON contacts (account_id, phone);
CREATE INDEX ix_contacts_business_id ON contacts (business_id);
CREATE INDEX ix_notes_contact_id_added_at_id ON notes (contact_id, added_at, id);
CREATE INDEX ix_tasks_contact_id_added_at_id ON tasks (contact_id, added_at, id);
CREATE INDEX ix_object_fields_folder_id ON object_fields (folder_id);
CREATE INDEX ix_memberships_account_id ON memberships (account_id);
CREATE INDEX ix_sessions_user_id ON sessions (user_id);
CREATE INDEX ix_one_time_codes_user_id ON one_time_codes (user_id);
CREATE INDEX ix_known_browsers_user_id ON known_browsers (user_id);
CREATE INDEX ix_sign_in_failures_forgotten_at ON sign_in_failures (forgotten_at);
CREATE INDEX ix_audit_integration_id ON audit (integration_id);
CREATE UNIQUE INDEX uq_audit_own_sequence ON audit (sequence) WHERE account_id IS NULL;
CREATE INDEX ix_webhook_endpoints_account_id ON webhook_endpoints (account_id);
CREATE INDEX ix_webhook_endpoints_integration_id ON webhook_endpoints (integration_id);
CREATE INDEX ix_webhook_deliveries_state_next_attempt_at ON webhook_deliveries (state, next_attempt_at);
CREATE INDEX ix_webhook_attempts_delivery_id ON webhook_attempts (delivery_id);
CREATE INDEX ix_tokens_expires_at ON tokens (expires_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',6);
COMMIT;
