-- A plan that waits until somebody lets it go on.
ALTER TABLE scan_plans ADD COLUMN paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1));
-- A plan's last scan.
CREATE INDEX scans_by_plan ON scans (tenant_id, plan, scan_no) WHERE plan <> '';

-- Any two scans can be compared: what one of them does not list was good there only if its server has looked. Of most
-- servers the same checks have looked, so a scan has each set of them once. NULL: nobody knows.
ALTER TABLE scan_servers ADD COLUMN looked INTEGER;
CREATE TABLE scan_looked (
    tenant_id INTEGER NOT NULL REFERENCES tenants,
    scan_no   INTEGER NOT NULL REFERENCES scans,
    -- From a hash of the set.
    looked    INTEGER NOT NULL,
    check_id  TEXT NOT NULL,
    PRIMARY KEY (tenant_id, scan_no, looked, check_id)
) STRICT, WITHOUT ROWID;
