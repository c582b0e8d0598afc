-- Ways to sign in beside a password, and what people want to know about their logins.
-- An account without a password has '' there: no hash is that.

ALTER TABLE accounts ADD COLUMN disabled_at INTEGER;
ALTER TABLE accounts ADD COLUMN signed_in_at INTEGER;
-- What passkeys call the account: random, so that it tells nothing to whoever finds a security key.
ALTER TABLE accounts ADD COLUMN user_handle BLOB CHECK (length(user_handle) = 16);
CREATE UNIQUE INDEX accounts_by_user_handle ON accounts (user_handle);

ALTER TABLE logins ADD COLUMN kind TEXT NOT NULL DEFAULT 'program' CHECK (kind IN ('browser', 'program'));
ALTER TABLE logins ADD COLUMN way TEXT NOT NULL DEFAULT 'password';
-- The address it was last used from, and what the client called itself when it signed in.
ALTER TABLE logins ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE logins ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';

CREATE TABLE passkeys (
    credential_id BLOB PRIMARY KEY,
    tenant_id     INTEGER NOT NULL REFERENCES tenants,
    account_id    INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name          TEXT NOT NULL,
    -- Public key and counter, as webauthn-rs writes them.
    passkey       TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    used_at       INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_by_account ON passkeys (account_id, created_at);

-- The second step after a password.
CREATE TABLE totp (
    account_id INTEGER PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    -- The secret under the key in factors.key, which is not in this file.
    sealed     BLOB NOT NULL,
    -- Codes of this step and earlier ones count no more.
    last_step  INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE recovery_codes (
    code_hash  BLOB PRIMARY KEY CHECK (length(code_hash) = 32),
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_codes_by_account ON recovery_codes (account_id);

-- One-time codes with which a person gives their account a new way to sign in. One per account.
CREATE TABLE reset_codes (
    account_id INTEGER PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    code_hash  BLOB NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    expires_at INTEGER NOT NULL
) STRICT;

-- Who an account is elsewhere. An e-mail address is a label here and never finds an account.
CREATE TABLE identities (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    tenant_id  INTEGER NOT NULL REFERENCES tenants,
    account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    label      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_by_account ON identities (account_id);
