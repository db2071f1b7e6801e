-- Definitions of credentials.
CREATE TABLE secret (
    account_id TEXT NOT NULL REFERENCES account (id),
    id TEXT NOT NULL,
    -- What the account calls it by in paths: it is never given to two of them.
    alias TEXT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    blueprint_id TEXT,
    kind TEXT NOT NULL,
    type TEXT NOT NULL,
    -- Sealed. The one value for everybody; a personal secret has none.
    value BYTEA,
    -- Sealed as a whole: a JSON object.
    config BYTEA,
    visibility TEXT NOT NULL,
    -- A JSON object, or null.
    meta TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, id)
) /*sqlite WITHOUT ROWID sqlite*/;

-- A path may name a secret of another account, which may share it.
CREATE UNIQUE INDEX secret_by_id ON secret (id);

CREATE UNIQUE INDEX secret_by_alias ON secret (account_id, alias);

-- The first of a name is the oldest.
CREATE INDEX secret_by_name ON secret (account_id, name, id);
