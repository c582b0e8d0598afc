-- Scans: runs of checks over many servers. Each server that was selected has a row until the scan is forgotten.
CREATE TABLE scans (
    scan_no    INTEGER PRIMARY KEY,
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    -- A hash of the seed: whoever drew it recognises the scan.
    scan_id    BLOB NOT NULL CHECK (length(scan_id) = 16),
    -- Servers' nonces follow from it.
    seed       BLOB NOT NULL CHECK (length(seed) = 16),
    -- The plan that started it; '' when somebody did.
    plan       TEXT NOT NULL,
    account    TEXT NOT NULL,
    client     TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    cancelled  INTEGER NOT NULL DEFAULT 0 CHECK (cancelled IN (0, 1)),
    -- In order, with blanks between; '' means all.
    labels     TEXT NOT NULL,
    checks     TEXT NOT NULL,
    at_once    INTEGER NOT NULL CHECK (at_once > 0),
    wait_secs  INTEGER NOT NULL CHECK (wait_secs > 0),
    -- How many were selected.
    servers    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX scans_by_id ON scans (tenant_id, scan_id);
-- What a scan is compared with.
CREATE INDEX scans_by_selection ON scans (tenant_id, labels, checks);
CREATE INDEX scans_by_tenant ON scans (tenant_id, started_at, servers);
CREATE INDEX scans_open ON scans (tenant_id) WHERE ended_at IS NULL;

CREATE TABLE scan_servers (
    tenant_id INTEGER NOT NULL REFERENCES tenants,
    scan_no   INTEGER NOT NULL REFERENCES scans,
    agent_id  BLOB NOT NULL CHECK (length(agent_id) = 32),
    -- As it was called then.
    name      TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('pending', 'asked', 'report', 'refused', 'absent', 'silent', 'dropped',
                                             'broke', 'failed', 'cancelled')),
    -- Why, by an id, and the value that its sentence names.
    reason    TEXT NOT NULL DEFAULT '',
    detail    TEXT NOT NULL DEFAULT '',
    -- The report among the kept runs.
    run_id    BLOB CHECK (length(run_id) = 16),
    took_ms   INTEGER,
    -- The worst that nobody answers for: 0 critical, 1 warning, 2 it could not be told, 3 good; 4 not known yet.
    rank      INTEGER NOT NULL DEFAULT 4 CHECK (rank BETWEEN 0 AND 4),
    PRIMARY KEY (tenant_id, scan_no, agent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX scan_servers_by_rank ON scan_servers (tenant_id, scan_no, rank, name, agent_id);
CREATE INDEX scan_servers_by_state ON scan_servers (tenant_id, scan_no, state, rank);

-- What is not as it should be, small enough to count a fleet's at once. The signed reports are in check_runs.
CREATE TABLE scan_findings (
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    scan_no    INTEGER NOT NULL REFERENCES scans,
    agent_id   BLOB NOT NULL CHECK (length(agent_id) = 32),
    check_id   TEXT NOT NULL,
    subject    TEXT NOT NULL,
    -- 0 critical, 1 warning, 2 it could not be told, 3 it was bad and is not any more.
    rank       INTEGER NOT NULL CHECK (rank BETWEEN 0 AND 3),
    -- Somebody answers for it.
    waived     INTEGER NOT NULL CHECK (waived IN (0, 1)),
    -- Since the server's last report in a scan of the same selection; '' as it was, or there is none.
    change     TEXT NOT NULL CHECK (change IN ('', 'new', 'worse', 'better', 'gone')),
    en         TEXT NOT NULL,
    zh         TEXT NOT NULL,
    PRIMARY KEY (tenant_id, scan_no, agent_id, check_id, subject)
) STRICT, WITHOUT ROWID;
-- Pages.
CREATE INDEX scan_findings_by_rank ON scan_findings (tenant_id, scan_no, rank, check_id, agent_id, subject);
-- Counts, without sorting.
CREATE INDEX scan_findings_counted ON scan_findings (tenant_id, scan_no, rank, check_id, waived, change, agent_id);

-- Scans by the clock.
CREATE TABLE scan_plans (
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    plan_id    BLOB NOT NULL CHECK (length(plan_id) = 16),
    name       TEXT NOT NULL,
    -- Minute, hour, day of the month, month, weekday, in UTC.
    cron       TEXT NOT NULL,
    labels     TEXT NOT NULL,
    checks     TEXT NOT NULL,
    at_once    INTEGER NOT NULL CHECK (at_once > 0),
    wait_secs  INTEGER NOT NULL CHECK (wait_secs > 0),
    account    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, plan_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX scan_plans_by_name ON scan_plans (tenant_id, name);
CREATE INDEX scan_plans_by_time ON scan_plans (next_at);
