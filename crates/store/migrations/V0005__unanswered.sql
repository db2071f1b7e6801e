-- When it became known that the answer of this create, or of a repetition, could not be sent; null if it was.
ALTER TABLE creation ADD COLUMN unanswered_at BIGINT;
