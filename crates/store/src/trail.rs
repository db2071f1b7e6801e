//! Tables `event_chain` and `event_checkpoint`, and events in the order of their chains: what the audit trail is
//! proved with.
//!
//! SQLite stores a value of any type in any column. What rows are found by here is therefore compared with itself
//! as the type that it must have, which no other type is equal to: one row of another type, which has its place
//! behind all others, must not keep anybody from reading those. [`mistyped`] names it.

use std::ops::ControlFlow;

use keyfob_core::audit::{Birth, Checkpoint, Hash, Head};

use crate::{
    Page, ReadTx, StoreError, WriteTx,
    conn::{Bind, Conn, Row, sql},
    error::Failure,
    event::{Stored, read, select},
};

/// Writes how a chain begins.
pub(crate) fn insert_birth(conn: &mut Conn, birth: &Birth) -> Result<(), Failure> {
    let insert = sql!(
        event_chain,
        "INSERT INTO event_chain (id, started_at, node, checkpoint, checkpoint_hash)
         VALUES ($1, $2, $3, $4, $5)"
    );
    let Birth { chain, started_at, node, checkpoint: (number, hash) } = birth;
    let params: [&dyn Bind; 5] = [chain, &started_at.as_millis(), node, number, &hash.as_bytes()];
    conn.execute(insert, &params).map(drop)
}

fn read_birth(row: &Row<'_>) -> Result<Birth, StoreError> {
    let hash = Hash::from_stored(&row.get::<Vec<u8>>(4)?);
    let hash = hash.ok_or_else(|| row.damaged("checkpoint_hash"))?;
    let (started_at, checkpoint) = (row.time(1)?, (row.get(3)?, hash));
    Ok(Birth { chain: row.get(0)?, started_at, node: row.get(2)?, checkpoint })
}

/// How the chain began, if that is known.
pub fn find_birth(tx: &mut ReadTx<'_>, chain: &str) -> Result<Option<Birth>, StoreError> {
    let find = sql!(
        event_chain,
        "SELECT id, started_at, node, checkpoint, checkpoint_hash FROM event_chain WHERE id = $1"
    );
    tx.one(find, &[&chain], read_birth)
}

/// The next chain that a row says the beginning of, or that an event is in; the first one if `after` is none.
/// What is no name of a chain is one here too.
pub fn next_chain(tx: &mut ReadTx<'_>, after: Option<&str>) -> Result<Option<String>, StoreError> {
    let (born, used) = match after {
        None => (
            sql!(
                event_chain,
                "SELECT id FROM event_chain WHERE id >= $1 AND id = CAST(id AS TEXT)
                 ORDER BY id LIMIT 1"
            ),
            sql!(
                event,
                "SELECT chain FROM event WHERE chain >= $1 AND position IS NOT NULL
                 AND chain = CAST(chain AS TEXT)
                 ORDER BY chain LIMIT 1"
            ),
        ),
        Some(_) => (
            sql!(
                event_chain,
                "SELECT id FROM event_chain WHERE id > $1 AND id = CAST(id AS TEXT)
                 ORDER BY id LIMIT 1"
            ),
            sql!(
                event,
                "SELECT chain FROM event WHERE chain > $1 AND position IS NOT NULL
                 AND chain = CAST(chain AS TEXT)
                 ORDER BY chain LIMIT 1"
            ),
        ),
    };
    let after = after.unwrap_or_default();
    let born = tx.one(born, &[&after], |row| row.get::<String>(0))?;
    let used = tx.one(used, &[&after], |row| row.get::<String>(0))?;
    Ok(born.into_iter().chain(used).min())
}

/// Up to `limit` events of the chain from a position on, in order. They are found by their positions.
pub fn walk(
    tx: &mut ReadTx<'_>,
    chain: &str,
    from: i64,
    limit: u32,
) -> Result<Page<Stored, i64>, StoreError> {
    let walk = select!(
        "WHERE chain = $1 AND position >= $2 AND position IS NOT NULL
         AND position = CAST(position AS BIGINT) ORDER BY position LIMIT $3"
    );
    let params: [&dyn Bind; 3] = [&chain, &from, &i64::from(limit)];
    tx.page_by(walk, &params, |row| row.get(15), read)
}

/// What events that have no place in a chain are found by: their time, their account and their id.
pub type Outside = (i64, String, String);

/// Up to `limit` events that have no place in a chain, after one, by time.
pub fn unchained(
    tx: &mut ReadTx<'_>,
    after: Option<&Outside>,
    limit: u32,
) -> Result<Page<Stored, Outside>, StoreError> {
    let unchained = select!(
        "WHERE position IS NULL AND (created_at, account_id, id) > ($1, $2, $3)
         AND created_at = CAST(created_at AS BIGINT) AND account_id = CAST(account_id AS TEXT)
         AND id = CAST(id AS TEXT)
         ORDER BY created_at, account_id, id LIMIT $4"
    );
    let before_all = (i64::MIN, String::new(), String::new());
    let (created_at, account, id) = after.unwrap_or(&before_all);
    let params: [&dyn Bind; 4] = [created_at, account, id, &i64::from(limit)];
    tx.page_by(unchained, &params, |row| Ok((row.get(2)?, row.get(1)?, row.get(0)?)), read)
}

/// How many events there are, wherever they are.
pub fn count(tx: &mut ReadTx<'_>) -> Result<u64, StoreError> {
    let count = sql!(event, "SELECT count(*) FROM event");
    let count = tx.one(count, &[], |row| row.get::<i64>(0))?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

/// Up to `limit` events that have a position, but no chain: Keyfob writes none.
pub fn misplaced(
    tx: &mut ReadTx<'_>,
    from: i64,
    limit: u32,
) -> Result<Page<Stored, i64>, StoreError> {
    let misplaced = select!(
        "WHERE chain IS NULL AND position >= $1 AND position IS NOT NULL
         AND position = CAST(position AS BIGINT) ORDER BY position LIMIT $2"
    );
    tx.page_by(misplaced, &[&from, &i64::from(limit)], |row| row.get(15), read)
}

/// Up to `limit` rows of each table that no other function here finds, as what they are found by has another type:
/// those of events first, with how many of all these are events.
pub fn mistyped(tx: &mut ReadTx<'_>, limit: u32) -> Result<(Vec<StoreError>, usize), StoreError> {
    let events = sql!(
        event,
        "SELECT id FROM event
         WHERE CASE WHEN position IS NULL
                    THEN created_at <> CAST(created_at AS BIGINT) OR id <> CAST(id AS TEXT)
                         OR account_id <> CAST(account_id AS TEXT)
                    ELSE position <> CAST(position AS BIGINT) OR chain <> CAST(chain AS TEXT) END
         LIMIT $1"
    );
    let chains =
        sql!(event_chain, "SELECT id FROM event_chain WHERE id <> CAST(id AS TEXT) LIMIT $1");
    let checkpoints = sql!(
        event_checkpoint,
        "SELECT number AS id FROM event_checkpoint WHERE number <> CAST(number AS BIGINT) LIMIT $1"
    );
    let limit = i64::from(limit);
    let mut damaged =
        tx.many(events, &[&limit], |row| Ok(row.damaged("position, chain or time")))?;
    let found = damaged.len();
    damaged.extend(tx.many(chains, &[&limit], |row| Ok(row.damaged("id")))?);
    damaged.extend(tx.many(checkpoints, &[&limit], |row| Ok(row.damaged("number")))?);
    Ok((damaged, found))
}

/// A checkpoint's number, and the checkpoint, or why it cannot be read.
pub type Numbered = (i64, Result<Checkpoint, StoreError>);

/// Up to `limit` checkpoints from a number on, in order.
pub fn checkpoints(
    tx: &mut ReadTx<'_>,
    from: i64,
    limit: u32,
) -> Result<Vec<Numbered>, StoreError> {
    let list = sql!(
        event_checkpoint,
        "SELECT number, created_at, previous, heads, key_id, signature FROM event_checkpoint
         WHERE number >= $1 AND number = CAST(number AS BIGINT) ORDER BY number LIMIT $2"
    );
    tx.many(list, &[&from, &i64::from(limit)], |row| Ok((row.get(0)?, read_checkpoint(row))))
}

/// The newest checkpoint's number and hash, as the birth of a chain names them; zeros where there is none. Of one
/// that cannot be read the hash is zeros, which nobody has signed: events are written all the same.
pub(crate) fn newest(conn: &mut Conn) -> Result<(i64, Hash), Failure> {
    let newest = sql!(
        event_checkpoint,
        "SELECT number, created_at, previous, heads, key_id, signature FROM event_checkpoint
         WHERE number = CAST(number AS BIGINT) ORDER BY number DESC LIMIT 1"
    );
    let mut found = (0, Checkpoint::NOTHING);
    conn.query(newest, &[], &mut |row| {
        let hash = read_checkpoint(row).map_or(Checkpoint::NOTHING, |newest| newest.hash());
        found = (row.get(0).unwrap_or(0), hash);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

fn read_checkpoint(row: &Row<'_>) -> Result<Checkpoint, StoreError> {
    let (previous, heads) = (row.get::<Vec<u8>>(2)?, row.get::<String>(3)?);
    Ok(Checkpoint {
        number: row.get(0)?,
        created_at: row.time(1)?,
        previous: Hash::from_stored(&previous).ok_or_else(|| row.damaged("previous"))?,
        heads: Head::read_all(&heads).map_err(|_| row.damaged("heads"))?,
        key_id: row.get(4)?,
        signature: row.get(5)?,
    })
}

/// Stores a checkpoint.
pub fn insert(tx: &mut WriteTx<'_>, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let insert = sql!(
        event_checkpoint,
        "INSERT INTO event_checkpoint (number, created_at, previous, heads, key_id, signature)
         VALUES ($1, $2, $3, $4, $5, $6)"
    );
    let Checkpoint { number, created_at, previous, heads, key_id, signature } = checkpoint;
    let (at, heads) = (created_at.as_millis(), Head::write_all(heads));
    let params: [&dyn Bind; 6] = [number, &at, &previous.as_bytes(), &heads, key_id, signature];
    tx.execute(insert, &params).map(drop)
}

/// Up to `limit` chains after `after`, with the position of the last event of each; 0 where there is none.
pub fn ends(
    tx: &mut ReadTx<'_>,
    after: &str,
    limit: u32,
) -> Result<Vec<(String, i64)>, StoreError> {
    let ends = sql!(
        event_chain,
        "SELECT id, COALESCE((SELECT position FROM event
                              WHERE event.chain = event_chain.id AND position IS NOT NULL
                              AND position = CAST(position AS BIGINT)
                              ORDER BY position DESC LIMIT 1), 0)
         FROM event_chain WHERE id > $1 AND id = CAST(id AS TEXT) ORDER BY id LIMIT $2"
    );
    tx.many(ends, &[&after, &i64::from(limit)], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Removes the first events of the chain up to a position, `limit` positions of them; how many there were.
pub fn expire(tx: &mut WriteTx<'_>, chain: &str, edge: i64, limit: u32) -> Result<u64, StoreError> {
    let first = sql!(
        event,
        "SELECT position FROM event WHERE chain = $1 AND position IS NOT NULL
         AND position = CAST(position AS BIGINT) ORDER BY position LIMIT 1"
    );
    let expire = sql!(
        event,
        "DELETE FROM event WHERE chain = $1 AND position <= $2 AND position IS NOT NULL"
    );
    let Some(first) = tx.one(first, &[&chain], |row| row.get::<i64>(0))? else { return Ok(0) };
    if first > edge {
        return Ok(0);
    }
    let last = edge.min(first.saturating_add(i64::from(limit) - 1));
    tx.execute(expire, &[&chain, &last])
}

/// Removes the events that are from before there were chains, up to this one, by time; how many.
pub fn expire_unchained(tx: &mut WriteTx<'_>, last: &Outside) -> Result<u64, StoreError> {
    let expire = sql!(
        event,
        "DELETE FROM event WHERE position IS NULL AND chain IS NULL
         AND (created_at, account_id, id) <= ($1, $2, $3)"
    );
    let (created_at, account, id) = last;
    tx.execute(expire, &[created_at, account, id])
}
