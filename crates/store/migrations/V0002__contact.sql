-- End users for whom agents act.
CREATE TABLE contact (
    account_id TEXT NOT NULL REFERENCES account (id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    -- What the account itself calls the contact by: it is never given to two of them.
    fingerprint TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    nick TEXT,
    preferences TEXT,
    verified_at BIGINT,
    -- A JSON object, or null.
    meta TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, id)
) /*sqlite WITHOUT ROWID sqlite*/;

CREATE UNIQUE INDEX contact_by_fingerprint ON contact (account_id, fingerprint);

-- Who acts as a child account may name it by its e-mail address.
CREATE UNIQUE INDEX account_by_email ON account (parent_id, email);
