-- Every table carries tenant_id. Times are Unix seconds. Ids are raw bytes.

CREATE TABLE tenants (
    tenant_id  INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    -- SHA-256 of the first entry of the customer's trust log; unknown until the customer posts it.
    genesis    BLOB UNIQUE CHECK (length(genesis) = 32),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE accounts (
    account_id INTEGER PRIMARY KEY,
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    -- Signing in names no tenant, so names are unique on the whole relay.
    name       TEXT NOT NULL UNIQUE,
    role       TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    -- PHC string of argon2id.
    password   TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX accounts_by_tenant ON accounts (tenant_id);

CREATE TABLE logins (
    -- SHA-256 of the bearer token; the token itself is stored nowhere.
    token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_by_account ON logins (account_id);
CREATE INDEX logins_by_end ON logins (ends_at);

-- Networks from which an account has signed in before: guesses from elsewhere cannot lock its owner out.
CREATE TABLE known_places (
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    prefix     BLOB NOT NULL,
    seen_at    INTEGER NOT NULL,
    PRIMARY KEY (account_id, prefix)
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
    agent_id      BLOB PRIMARY KEY CHECK (length(agent_id) = 32),
    tenant_id     INTEGER NOT NULL REFERENCES tenants,
    transport_key BLOB NOT NULL UNIQUE CHECK (length(transport_key) = 32),
    name          TEXT NOT NULL,
    hostname      TEXT NOT NULL DEFAULT '',
    os            TEXT NOT NULL DEFAULT '',
    kernel        TEXT NOT NULL DEFAULT '',
    arch          TEXT NOT NULL DEFAULT '',
    build         TEXT NOT NULL DEFAULT '',
    enrolled_at   INTEGER NOT NULL,
    last_seen_at  INTEGER,
    removed_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX agents_by_tenant ON agents (tenant_id, name);

CREATE TABLE trust_entries (
    tenant_id INTEGER NOT NULL REFERENCES tenants,
    seq       INTEGER NOT NULL,
    hash      BLOB NOT NULL CHECK (length(hash) = 32),
    entry     BLOB NOT NULL,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER trust_entries_only_grow BEFORE UPDATE ON trust_entries
BEGIN SELECT RAISE(ABORT, 'a trust log only grows'); END;
CREATE TRIGGER trust_entries_keep BEFORE DELETE ON trust_entries
BEGIN SELECT RAISE(ABORT, 'a trust log only grows'); END;

CREATE TABLE enrol_tokens (
    token_id    BLOB PRIMARY KEY CHECK (length(token_id) = 16),
    tenant_id   INTEGER NOT NULL REFERENCES tenants,
    -- SHA-256 of the secret; the secret is shown once and stored nowhere.
    secret_hash BLOB NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    label       TEXT NOT NULL,
    created_by  TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    uses_max    INTEGER NOT NULL CHECK (uses_max > 0),
    uses        INTEGER NOT NULL DEFAULT 0 CHECK (uses <= uses_max),
    revoked_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX enrol_tokens_by_tenant ON enrol_tokens (tenant_id, created_at);

-- Streams between clients and agents: who, when, how much. Never what.
CREATE TABLE streams (
    stream_id     BLOB PRIMARY KEY CHECK (length(stream_id) = 16),
    tenant_id     INTEGER NOT NULL REFERENCES tenants,
    account       TEXT NOT NULL,
    agent_id      BLOB NOT NULL,
    client        TEXT NOT NULL,
    purpose       TEXT NOT NULL,
    visit_id      BLOB,
    channel_id    BLOB,
    opened_at     INTEGER NOT NULL,
    closed_at     INTEGER,
    bytes_up      INTEGER NOT NULL DEFAULT 0,
    bytes_down    INTEGER NOT NULL DEFAULT 0,
    close_reason  TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX streams_by_tenant ON streams (tenant_id, opened_at);
CREATE INDEX streams_open ON streams (opened_at) WHERE closed_at IS NULL;

CREATE TABLE audit (
    tenant_id INTEGER NOT NULL REFERENCES tenants,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    account   TEXT NOT NULL,
    client    TEXT NOT NULL,
    action    TEXT NOT NULL,
    subject   TEXT NOT NULL,
    PRIMARY KEY (tenant_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_only_grows BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER audit_keeps BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;

-- Grants that wait for a second signature. The relay carries the bytes and can use none of them.
CREATE TABLE approvals (
    approval_id BLOB PRIMARY KEY CHECK (length(approval_id) = 16),
    tenant_id   INTEGER NOT NULL REFERENCES tenants,
    agent_id    BLOB NOT NULL,
    account     TEXT NOT NULL,
    grant_bytes BLOB NOT NULL,
    signature   BLOB NOT NULL,
    challenge   BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    second      BLOB,
    second_by   TEXT,
    second_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX approvals_by_tenant ON approvals (tenant_id, created_at);
