-- OAuth grants that are kept alive: when each has to be renewed, and who is at it. A row for each connection
-- and for each shared secret whose tokens can be renewed. Nothing refers to what it is about: a row that is
-- left over is removed when its turn comes.
CREATE TABLE refresh (
    -- The contact's account; that of the secret for its one shared value.
    account_id TEXT NOT NULL REFERENCES account (id),
    -- Empty for the one value of a shared secret.
    contact_id TEXT NOT NULL,
    secret_id TEXT NOT NULL,
    -- Where the tokens come from: how many requests a provider gets at a time is bounded.
    host TEXT NOT NULL,
    -- When the background job renews it, or tries again; null is never.
    due_at BIGINT,
    -- The number of the newest lease.
    fence BIGINT NOT NULL,
    -- Until when whoever has that lease may be waiting for the provider.
    leased_until BIGINT,
    -- Since when a request may be out there whose answer nobody knows. Set before it is sent.
    unanswered_since BIGINT,
    -- How often it failed since it last succeeded, and why the last time.
    failures BIGINT NOT NULL,
    problem TEXT,
    PRIMARY KEY (account_id, contact_id, secret_id)
) /*sqlite WITHOUT ROWID sqlite*/;

CREATE INDEX refresh_by_due ON refresh (host, due_at);

-- Deleting a secret goes through them in this order.
CREATE INDEX refresh_by_secret ON refresh (secret_id, account_id, contact_id);

-- What connections say of their value, for the one value of a shared secret.
ALTER TABLE secret ADD COLUMN expires_at BIGINT;
ALTER TABLE secret ADD COLUMN scopes TEXT;
ALTER TABLE secret ADD COLUMN broken TEXT;

-- What was asked of a provider at this link: SHA-256 of the state that it was sent with, and what the answer
-- needs, sealed. Both are taken away by the answer.
ALTER TABLE authentication ADD COLUMN request_hash BYTEA;
ALTER TABLE authentication ADD COLUMN request BYTEA;
-- When the provider may be asked again whether a person has let a device in (RFC 8628, section 3.5).
ALTER TABLE authentication ADD COLUMN poll_at BIGINT;

CREATE UNIQUE INDEX authentication_by_request ON authentication (request_hash);

-- Clients that Keyfob has registered at providers (RFC 7591).
CREATE TABLE registration (
    -- The secret's.
    account_id TEXT NOT NULL REFERENCES account (id),
    secret_id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    -- The client, sealed; null until it is registered.
    client BYTEA,
    -- The number of the newest lease, and until when its holder may be registering.
    fence BIGINT NOT NULL,
    leased_until BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, secret_id, issuer)
) /*sqlite WITHOUT ROWID sqlite*/;

-- How the revocation of a grant at its provider goes.
ALTER TABLE revocation ADD COLUMN due_at BIGINT;
ALTER TABLE revocation ADD COLUMN leased_until BIGINT;
ALTER TABLE revocation ADD COLUMN attempts BIGINT;
ALTER TABLE revocation ADD COLUMN problem TEXT;
-- revoked, unsupported or failed; null while it is still to be done.
ALTER TABLE revocation ADD COLUMN outcome TEXT;
ALTER TABLE revocation ADD COLUMN ended_at BIGINT;

UPDATE revocation SET due_at = created_at;

CREATE INDEX revocation_by_due ON revocation (due_at);
