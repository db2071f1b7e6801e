-- What contacts have connected: each contact's own value of a personal secret.
CREATE TABLE connection (
    account_id TEXT NOT NULL,
    contact_id TEXT NOT NULL,
    -- The secret may be another account's, which lets this one use it. No foreign key: of a secret with very
    -- many connections the row goes first, and they follow (table `deletion`).
    secret_id TEXT NOT NULL,
    id TEXT NOT NULL,
    -- What the value is: the type that the secret came to when it was connected.
    type TEXT NOT NULL,
    -- Sealed.
    value BYTEA NOT NULL,
    expires_at BIGINT,
    -- Separated by blanks, as OAuth has them.
    scopes TEXT,
    -- Why it cannot be used any more, if it cannot.
    broken TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, contact_id, secret_id),
    FOREIGN KEY (account_id, contact_id) REFERENCES contact (account_id, id) ON DELETE CASCADE
) /*sqlite WITHOUT ROWID sqlite*/;

-- Ids sort by age.
CREATE UNIQUE INDEX connection_by_age ON connection (account_id, contact_id, id);

-- Deleting a secret goes through its connections in this order.
CREATE INDEX connection_by_secret ON connection (secret_id, account_id, contact_id);

-- Secrets that are gone, while connections of theirs are still to be removed.
CREATE TABLE deletion (
    secret_id TEXT NOT NULL PRIMARY KEY,
    -- Whose secret it was.
    account_id TEXT NOT NULL REFERENCES account (id),
    -- Sealed, as `secret` had it: grants are revoked with it.
    config BYTEA,
    -- How many connections were removed.
    removed BIGINT NOT NULL,
    -- The account some of whose connections were removed and some were not, and how many were.
    partial_account_id TEXT,
    partial_removed BIGINT
) /*sqlite WITHOUT ROWID sqlite*/;

-- Links at which a person hands over a credential. Nothing refers to them, so that one whose contact or
-- secret was deleted can still be told so.
CREATE TABLE authentication (
    -- SHA-256 of the link's state.
    state_hash BYTEA NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    -- Empty for the one value of a shared secret.
    contact_id TEXT NOT NULL,
    secret_id TEXT NOT NULL,
    -- The key that asked for the link, which ends with it; empty for a command on the machine itself.
    key_id TEXT NOT NULL,
    return_url TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- SHA-256 of what the first browser holds that sent the form.
    browser_hash BYTEA,
    ended_at BIGINT,
    -- connected, declined or withdrawn.
    outcome TEXT
) /*sqlite WITHOUT ROWID sqlite*/;

CREATE INDEX authentication_by_secret ON authentication (secret_id, account_id, contact_id);

CREATE INDEX authentication_by_contact ON authentication (account_id, contact_id);

CREATE INDEX authentication_by_end ON authentication (expires_at);

-- Grants that still have to be revoked at their provider. What a row needs is moved here unopened.
CREATE TABLE revocation (
    account_id TEXT NOT NULL REFERENCES account (id),
    -- The connection's id.
    id TEXT NOT NULL,
    contact_id TEXT NOT NULL,
    secret_id TEXT NOT NULL,
    -- Whose secret it was.
    secret_account_id TEXT NOT NULL,
    -- Sealed, as `connection` had it.
    value BYTEA NOT NULL,
    -- Sealed, as `secret` had it.
    config BYTEA,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, id)
) /*sqlite WITHOUT ROWID sqlite*/;

-- Where the pages of an account's contacts may send them, one origin a line.
ALTER TABLE account ADD COLUMN allowed_origins TEXT;
