-- Help without an account: a code that an engineer reads over the phone, and the guest that came with it.
CREATE TABLE invitations (
    invitation_id BLOB PRIMARY KEY CHECK (length(invitation_id) = 16),
    tenant_id     INTEGER NOT NULL REFERENCES tenants,
    account       TEXT NOT NULL,
    -- SHA-256 of the code's secret; the code is shown once and stored nowhere.
    secret_hash   BLOB NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    -- The engineer's public key as SSH writes it. The guest compares words with a person, not with this.
    engineer_key  BLOB NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    -- The guest, once it came. Its host name is a stranger's text.
    came_at       INTEGER,
    transport_key BLOB UNIQUE CHECK (length(transport_key) = 32),
    agent_id      BLOB CHECK (length(agent_id) = 32),
    genesis       BLOB CHECK (length(genesis) = 32),
    hostname      TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_by_tenant ON invitations (tenant_id, account, created_at);
