-- What servers found in their checks, as their own identities signed it. A client verifies that; the relay only keeps it.
CREATE TABLE check_runs (
    -- The nonce of the request, which stands in the signed report too.
    run_id      BLOB NOT NULL CHECK (length(run_id) = 16),
    tenant_id   INTEGER NOT NULL REFERENCES tenants,
    agent_id    BLOB NOT NULL CHECK (length(agent_id) = 32),
    -- By the host's clock.
    at          INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    why         TEXT NOT NULL CHECK (why IN ('asked', 'schedule')),
    -- Who asked; '' for the schedule.
    account     TEXT NOT NULL,
    -- All checks that the ceiling allows were asked for: what others are compared with.
    whole       INTEGER NOT NULL CHECK (whole IN (0, 1)),
    critical    INTEGER NOT NULL,
    warning     INTEGER NOT NULL,
    unknown     INTEGER NOT NULL,
    ok          INTEGER NOT NULL,
    notes       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    signature   BLOB NOT NULL CHECK (length(signature) = 64),
    -- Last, so that lists need not read past it.
    report      BLOB NOT NULL
) STRICT;
-- A nonce counts once for a server: an answer that comes twice has no place.
CREATE UNIQUE INDEX check_runs_by_id ON check_runs (tenant_id, agent_id, run_id);
CREATE INDEX check_runs_by_agent ON check_runs (tenant_id, agent_id, received_at);
CREATE INDEX check_runs_by_time ON check_runs (received_at);
-- What a customer's take, without reading them.
CREATE INDEX check_runs_by_size ON check_runs (tenant_id, received_at, bytes);

-- Findings that somebody answers for until a day.
CREATE TABLE check_waivers (
    waiver_id  BLOB NOT NULL CHECK (length(waiver_id) = 16),
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    agent_id   BLOB NOT NULL CHECK (length(agent_id) = 32),
    check_id   TEXT NOT NULL,
    subject    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    account    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, agent_id, check_id, subject)
) STRICT, WITHOUT ROWID;

-- How often the relay asks by itself.
CREATE TABLE check_schedules (
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    agent_id   BLOB NOT NULL CHECK (length(agent_id) = 32),
    every_secs INTEGER NOT NULL CHECK (every_secs > 0),
    PRIMARY KEY (tenant_id, agent_id)
) STRICT, WITHOUT ROWID;
