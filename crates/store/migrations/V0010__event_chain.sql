-- The hash chain that an event is part of, and its place there. Null: from before there were chains.
ALTER TABLE event ADD COLUMN chain TEXT;
-- Compared byte by byte, as SQLite does: what nobody gives a chain as its name has a place between them too.
/*sqlite -- sqlite*/ ALTER TABLE event ALTER COLUMN chain TYPE TEXT COLLATE "C";
ALTER TABLE event ADD COLUMN position BIGINT;
ALTER TABLE event ADD COLUMN previous_hash BYTEA;
ALTER TABLE event ADD COLUMN hash BYTEA;
-- What only the holder of the audit key can have made.
ALTER TABLE event ADD COLUMN tag BYTEA;

-- No position is used twice, and chains are read in order.
CREATE UNIQUE INDEX event_by_position ON event (chain, position) WHERE position IS NOT NULL;
-- What is from before there were chains is found without a look at everything else, in the order in which it is
-- sealed.
CREATE INDEX event_without_position ON event (created_at, account_id, id) WHERE position IS NULL;

-- How chains began. A row is written together with the first event of its chain.
CREATE TABLE event_chain (
    id TEXT NOT NULL PRIMARY KEY,
    started_at BIGINT NOT NULL,
    -- Which process writes it, for people.
    node TEXT NOT NULL,
    -- The newest checkpoint at that time: its number, and its hash.
    checkpoint BIGINT NOT NULL,
    checkpoint_hash BYTEA NOT NULL
) /*sqlite WITHOUT ROWID sqlite*/;
/*sqlite -- sqlite*/ ALTER TABLE event_chain ALTER COLUMN id TYPE TEXT COLLATE "C";

-- One log for all chains: how far they had come, signed. The first one seals what is from before there were any.
CREATE TABLE event_checkpoint (
    number BIGINT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    previous BYTEA NOT NULL,
    heads TEXT NOT NULL,
    key_id TEXT NOT NULL,
    signature BYTEA NOT NULL
) /*sqlite WITHOUT ROWID sqlite*/;
