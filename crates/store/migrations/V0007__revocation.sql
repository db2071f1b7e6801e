-- Where a grant is revoked, with its port: how many requests a provider gets at a time is bounded. Null until
-- somebody has opened the row and looked.
ALTER TABLE revocation ADD COLUMN host TEXT;
-- The type of the secret, which says what its config means; null is oauth.
ALTER TABLE revocation ADD COLUMN secret_type TEXT;
ALTER TABLE deletion ADD COLUMN type TEXT;

CREATE INDEX revocation_by_host ON revocation (host, due_at);

-- What has ended is forgotten after a while.
CREATE INDEX revocation_by_end ON revocation (ended_at);
