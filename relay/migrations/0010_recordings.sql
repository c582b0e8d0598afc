-- The last minutes of a server's summaries, written when it vanishes or the relay stops: one row each.
CREATE TABLE recordings (
    tenant_id   INTEGER NOT NULL REFERENCES tenants,
    agent_id    BLOB NOT NULL CHECK (length(agent_id) = 32),
    -- Milliseconds, by the relay's clock.
    vanished_at INTEGER NOT NULL,
    samples     BLOB NOT NULL,
    PRIMARY KEY (tenant_id, agent_id)
) STRICT, WITHOUT ROWID;
