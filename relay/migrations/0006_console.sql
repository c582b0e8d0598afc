-- What the console shows of a server beside its name. Facts are a stranger's words.
ALTER TABLE agents ADD COLUMN cpus INTEGER;
ALTER TABLE agents ADD COLUMN memory_bytes INTEGER;
ALTER TABLE agents ADD COLUMN booted_at INTEGER;

-- What the customer's people call a server by: a word, or key=value with one value per key.
CREATE TABLE labels (
    tenant_id INTEGER NOT NULL REFERENCES tenants,
    agent_id  BLOB NOT NULL CHECK (length(agent_id) = 32),
    -- The word, or what stands before the '='.
    key       TEXT NOT NULL,
    -- What stands behind it; NULL for a word.
    value     TEXT,
    PRIMARY KEY (tenant_id, agent_id, key)
) STRICT, WITHOUT ROWID;

-- Who is on a server now.
CREATE INDEX streams_open_by_agent ON streams (tenant_id, agent_id) WHERE closed_at IS NULL;

-- How a request for a second signature ended when nobody signed it. What is neither signed nor ended waits or expired.
ALTER TABLE approvals ADD COLUMN ended_as TEXT CHECK (ended_as IN ('denied', 'withdrawn'));
ALTER TABLE approvals ADD COLUMN ended_by TEXT;
ALTER TABLE approvals ADD COLUMN ended_at INTEGER;
-- Why it was denied, in a sentence by whoever said no.
ALTER TABLE approvals ADD COLUMN why TEXT;

-- Links that let a new person in. The other half of each, a secret that vouches for the person's key, never comes here.
CREATE TABLE joins (
    -- The token's name, which is a hash of it.
    join_id    BLOB PRIMARY KEY CHECK (length(join_id) = 16),
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    -- SHA-256 of the token, which is shown once and stored nowhere.
    token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- Who is invited and as what, as the inviter said: for lists. What counts is what a root signs.
    person     TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('engineer', 'approver')),
    device     INTEGER NOT NULL CHECK (device IN (0, 1)),
    -- The account that was made with the token.
    account    TEXT,
    -- The new person's key, as the person's browser sent it.
    key_line   TEXT,
    key_kind   TEXT,
    key_mac    BLOB,
    ended_as   TEXT CHECK (ended_as IN ('accepted', 'refused', 'revoked')),
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX joins_by_tenant ON joins (tenant_id, created_at);
CREATE INDEX joins_by_account ON joins (tenant_id, account) WHERE account IS NOT NULL;
