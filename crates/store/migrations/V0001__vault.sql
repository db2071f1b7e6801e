-- One text for SQLite and PostgreSQL. Times are unix milliseconds from Keyfob's own clock.
--
-- What stands in /*sqlite … sqlite*/ is for SQLite only, a comment to PostgreSQL. WITHOUT ROWID keeps
-- rows in their primary key's tree: one tree to search and to write instead of two.

-- One row: which master key this database was sealed with.
CREATE TABLE vault (
    id BIGINT NOT NULL PRIMARY KEY,
    master_key_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- When somebody last tried whether the database takes a write.
    probed_at BIGINT NOT NULL
);

CREATE TABLE account (
    id TEXT NOT NULL PRIMARY KEY,
    parent_id TEXT REFERENCES account (id),
    name TEXT NOT NULL,
    email TEXT,
    -- How many one-time-password entries it holds: counting 100,000 rows on each create would not do.
    totp_count BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The account's data keys, wrapped by the master key.
CREATE TABLE data_key (
    account_id TEXT NOT NULL REFERENCES account (id),
    id BIGINT NOT NULL,
    wrapped BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, id)
) /*sqlite WITHOUT ROWID sqlite*/;

CREATE TABLE key (
    account_id TEXT NOT NULL REFERENCES account (id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    -- What the key is limited to, as JSON; nothing yet reads it but null.
    limits TEXT,
    -- SHA-256 of the secret part.
    secret_hash BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (account_id, id)
) /*sqlite WITHOUT ROWID sqlite*/;

-- A caller names its key, not its account.
CREATE UNIQUE INDEX key_by_id ON key (id);

CREATE TABLE totp (
    account_id TEXT NOT NULL REFERENCES account (id),
    id TEXT NOT NULL,
    contact_id TEXT,
    label TEXT NOT NULL,
    issuer TEXT,
    kind TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    digits BIGINT NOT NULL,
    period BIGINT NOT NULL,
    secret BYTEA NOT NULL,
    policy_unique BOOLEAN NOT NULL,
    policy_min_validity BIGINT NOT NULL,
    -- The last time step that was reserved or told; -1 before the first.
    last_step BIGINT NOT NULL,
    -- The last one that was told to callers who do not need it for themselves.
    last_told BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, id)
) /*sqlite WITHOUT ROWID sqlite*/;

-- Creates of the last minutes, so that a repeated one is known again. Fingerprints are keyed.
CREATE TABLE creation (
    account_id TEXT NOT NULL REFERENCES account (id),
    -- Of what makes the request the same: its Idempotency-Key, or else its content.
    fingerprint BYTEA NOT NULL,
    -- Of its content.
    content BYTEA NOT NULL,
    object_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, fingerprint)
) /*sqlite WITHOUT ROWID sqlite*/;

CREATE INDEX creation_by_age ON creation (created_at);

-- Who did what to which object, when, with what result. Never a value, never a code.
CREATE TABLE event (
    account_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    object_type TEXT NOT NULL,
    object_id TEXT NOT NULL,
    contact_id TEXT,
    result TEXT NOT NULL,
    reason TEXT,
    ip TEXT,
    request_id TEXT NOT NULL,
    PRIMARY KEY (account_id, id)
) /*sqlite WITHOUT ROWID sqlite*/;
