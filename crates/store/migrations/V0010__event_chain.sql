-- The hash chain that an event is part of, and its place there. Null: from before there were chains.
ALTER TABLE event ADD COLUMN chain TEXT;
ALTER TABLE event ADD COLUMN position BIGINT;
ALTER TABLE event ADD COLUMN previous_hash BYTEA;
ALTER TABLE event ADD COLUMN hash BYTEA;
-- What only the holder of the audit key can have made.
ALTER TABLE event ADD COLUMN tag BYTEA;

-- No position is used twice, and chains are read in order.
CREATE UNIQUE INDEX event_by_position ON event (chain, position) WHERE position IS NOT NULL;
-- What is from before there were chains is found without a look at everything else.
CREATE INDEX event_without_position ON event (account_id, id) WHERE position IS NULL;

-- How chains began. A row is written together with the first event of its chain.
CREATE TABLE event_chain (
    id TEXT NOT NULL PRIMARY KEY,
    started_at BIGINT NOT NULL,
    -- Which process writes it, for people.
    node TEXT NOT NULL,
    -- The audit key that its events are tagged with.
    key_id TEXT NOT NULL,
    -- Up to where checkpoints cover it and when one last did, for whoever makes the next one. What counts is
    -- what is signed.
    covered BIGINT NOT NULL,
    covered_at BIGINT NOT NULL
) /*sqlite WITHOUT ROWID sqlite*/;

-- One log for all chains: how far they had come, signed.
CREATE TABLE event_checkpoint (
    number BIGINT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    previous BYTEA NOT NULL,
    heads TEXT NOT NULL,
    key_id TEXT NOT NULL,
    signature BYTEA NOT NULL
) /*sqlite WITHOUT ROWID sqlite*/;

-- What checks the signatures of audit keys, of those before the last change of the master key too.
CREATE TABLE event_key (
    id TEXT NOT NULL PRIMARY KEY,
    public_key BYTEA NOT NULL,
    created_at BIGINT NOT NULL
) /*sqlite WITHOUT ROWID sqlite*/;
