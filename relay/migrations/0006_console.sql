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
