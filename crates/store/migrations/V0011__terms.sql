-- What a secret said of where its credential may go, and where in a request, when the contact connected it,
-- sealed. Null: from before that was kept.
ALTER TABLE connection ADD COLUMN terms BYTEA;
