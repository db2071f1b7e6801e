-- What a key is limited to is in its column `limits` since the first version; nothing wrote it until now. How often
-- a key was used that may be used so often only; other keys have no row here.
CREATE TABLE key_use (
    account_id TEXT NOT NULL REFERENCES account (id),
    key_id TEXT NOT NULL,
    -- Days since 1970-01-01, and the uses on that one.
    day BIGINT NOT NULL,
    used_on_day BIGINT NOT NULL,
    -- The uses of the last minute, by the second.
    minute BYTEA NOT NULL,
    -- When it was last told that there were too many in a minute, and the day of which it was told.
    rate_told_at BIGINT,
    quota_told_on BIGINT,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, key_id)
) /*sqlite WITHOUT ROWID sqlite*/;

CREATE INDEX key_use_by_age ON key_use (used_at);

-- One-time-password entries may belong to a contact, and go with it.
CREATE INDEX totp_by_contact ON totp (account_id, contact_id);
