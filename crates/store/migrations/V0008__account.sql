-- Since when an account is being deleted. Nothing of it can be used from then on; what belongs to it follows.
ALTER TABLE account ADD COLUMN deleted_at BIGINT;

-- An account's data key is needed for as long as a grant of one of its secrets is queued.
CREATE INDEX revocation_by_secret_account ON revocation (secret_account_id);
