//! Tables `event_chain`, `event_checkpoint` and `event_key`, and events in the order of their chains: what the
//! audit trail is proved with.

use std::ops::ControlFlow;

use keyfob_core::{
    audit::{Birth, Checkpoint, Hash, Head, PublicKey},
    id::{AccountId, EventId},
    time::Timestamp,
};

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
        "INSERT INTO event_chain (id, started_at, node, key_id, covered, covered_at)
         VALUES ($1, $2, $3, $4, 0, $2)"
    );
    let Birth { chain, started_at, node, key_id } = birth;
    conn.execute(insert, &[chain, &started_at.as_millis(), node, key_id]).map(drop)
}

fn read_birth(row: &Row<'_>) -> Result<Birth, StoreError> {
    let started_at = row.time(1)?;
    Ok(Birth { chain: row.get(0)?, started_at, node: row.get(2)?, key_id: row.get(3)? })
}

/// How the chain began, if that is known.
pub fn find_birth(tx: &mut ReadTx<'_>, chain: &str) -> Result<Option<Birth>, StoreError> {
    let find =
        sql!(event_chain, "SELECT id, started_at, node, key_id FROM event_chain WHERE id = $1");
    tx.one(find, &[&chain], read_birth)
}

/// The next chain after `after` that a row says the beginning of, or that an event is in.
pub fn next_chain(tx: &mut ReadTx<'_>, after: &str) -> Result<Option<String>, StoreError> {
    let born = sql!(event_chain, "SELECT id FROM event_chain WHERE id > $1 ORDER BY id LIMIT 1");
    let used = sql!(
        event,
        "SELECT chain FROM event WHERE chain > $1 AND position IS NOT NULL ORDER BY chain LIMIT 1"
    );
    let born = tx.one(born, &[&after], |row| row.get::<String>(0))?;
    let used = tx.one(used, &[&after], |row| row.get::<String>(0))?;
    Ok(born.into_iter().chain(used).min())
}

/// Up to `limit` events of the chain after a position, in order.
pub fn walk(
    tx: &mut ReadTx<'_>,
    chain: &str,
    after: i64,
    limit: u32,
) -> Result<Page<Stored, EventId>, StoreError> {
    let walk = select!(
        "WHERE chain = $1 AND position > $2 AND position IS NOT NULL ORDER BY position LIMIT $3"
    );
    let params: [&dyn Bind; 3] = [&chain, &after, &i64::from(limit)];
    tx.page(walk, &params, (0, EventId::from_stored), read)
}

/// The position and the time of the events of the chain after a position, in order, up to `limit`.
pub fn ages(
    tx: &mut ReadTx<'_>,
    chain: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<(i64, Timestamp)>, StoreError> {
    let ages = sql!(
        event,
        "SELECT position, created_at, id FROM event
         WHERE chain = $1 AND position > $2 AND position IS NOT NULL ORDER BY position LIMIT $3"
    );
    let params: [&dyn Bind; 3] = [&chain, &after, &i64::from(limit)];
    tx.many(ages, &params, |row| Ok((row.get(0)?, row.time(1)?)))
}

/// Up to `limit` events that have no place in a chain, after one: its account and its id.
pub fn unchained(
    tx: &mut ReadTx<'_>,
    after: Option<(&AccountId, &EventId)>,
    limit: u32,
) -> Result<Page<Stored, EventId>, StoreError> {
    let unchained = select!(
        "WHERE position IS NULL AND (account_id, id) > ($1, $2) ORDER BY account_id, id LIMIT $3"
    );
    let (account, id) = after.map_or(("", ""), |(account, id)| (account.as_str(), id.as_str()));
    let params: [&dyn Bind; 3] = [&account, &id, &i64::from(limit)];
    tx.page(unchained, &params, (0, EventId::from_stored), read)
}

/// Up to `limit` events that have a position, but no chain: Keyfob writes none.
pub fn misplaced(tx: &mut ReadTx<'_>, limit: u32) -> Result<Page<Stored, EventId>, StoreError> {
    let misplaced = select!("WHERE chain IS NULL AND position IS NOT NULL LIMIT $1");
    tx.page(misplaced, &[&i64::from(limit)], (0, EventId::from_stored), read)
}

/// Up to `limit` checkpoints after a number, in order. Those that cannot be read are errors.
pub fn checkpoints(
    tx: &mut ReadTx<'_>,
    after: i64,
    limit: u32,
) -> Result<Vec<Result<Checkpoint, StoreError>>, StoreError> {
    let list = sql!(
        event_checkpoint,
        "SELECT number, created_at, previous, heads, key_id, signature FROM event_checkpoint
         WHERE number > $1 ORDER BY number LIMIT $2"
    );
    tx.many(list, &[&after, &i64::from(limit)], |row| Ok(read_checkpoint(row)))
}

/// The newest checkpoint.
pub fn newest(tx: &mut ReadTx<'_>) -> Result<Option<Checkpoint>, StoreError> {
    let newest = sql!(
        event_checkpoint,
        "SELECT number, created_at, previous, heads, key_id, signature FROM event_checkpoint
         ORDER BY number DESC LIMIT 1"
    );
    tx.one(newest, &[], read_checkpoint)
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

/// Stores a checkpoint, and up to where it covers its chains.
pub fn insert(tx: &mut WriteTx<'_>, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let insert = sql!(
        event_checkpoint,
        "INSERT INTO event_checkpoint (number, created_at, previous, heads, key_id, signature)
         VALUES ($1, $2, $3, $4, $5, $6)"
    );
    let cover = sql!(
        event_chain,
        "UPDATE event_chain SET covered = $2, covered_at = $3 WHERE id = $1 AND covered <= $2"
    );
    let Checkpoint { number, created_at, previous, heads, key_id, signature } = checkpoint;
    let (at, heads_text) = (created_at.as_millis(), Head::write_all(heads));
    tx.execute(insert, &[number, &at, &previous.as_bytes(), &heads_text, key_id, signature])?;
    for head in heads {
        tx.execute(cover, &[&head.chain, &head.position, &at])?;
    }
    Ok(())
}

/// Stores what checks the signatures of an audit key, if it is not there.
pub fn insert_key(tx: &mut WriteTx<'_>, key: &PublicKey, now: Timestamp) -> Result<(), StoreError> {
    let insert = sql!(
        event_key,
        "INSERT INTO event_key (id, public_key, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO NOTHING"
    );
    tx.execute(insert, &[&key.id(), &key.as_bytes(), &now.as_millis()]).map(drop)
}

/// What checks the signatures of audit keys. One that does not have its id is left out: it checks nothing.
pub fn keys(tx: &mut ReadTx<'_>) -> Result<Vec<PublicKey>, StoreError> {
    let keys = sql!(event_key, "SELECT id, public_key FROM event_key ORDER BY created_at");
    let keys = tx.many(keys, &[], |row| {
        let (id, key) = (row.get::<String>(0)?, row.get::<Vec<u8>>(1)?);
        Ok(PublicKey::from_stored(&key).filter(|key| key.id() == id))
    })?;
    Ok(keys.into_iter().flatten().collect())
}

/// Up to `limit` chains after `after` with events that no checkpoint covers, and that none has covered since
/// `before`; and up to where they are covered.
pub fn stale(
    tx: &mut ReadTx<'_>,
    before: Timestamp,
    after: &str,
    limit: u32,
) -> Result<Vec<(Birth, i64)>, StoreError> {
    let stale = sql!(
        event_chain,
        "SELECT id, started_at, node, key_id, covered FROM event_chain
         WHERE id > $1 AND covered_at < $2 AND EXISTS
             (SELECT 1 FROM event WHERE event.chain = event_chain.id
              AND event.position > event_chain.covered AND event.position IS NOT NULL)
         ORDER BY id LIMIT $3"
    );
    let params: [&dyn Bind; 3] = [&after, &before.as_millis(), &i64::from(limit)];
    tx.many(stale, &params, |row| Ok((read_birth(row)?, row.get(4)?)))
}

/// Removes the first events of the chain up to a position, `limit` positions of them; how many there were.
pub fn expire(tx: &mut WriteTx<'_>, chain: &str, edge: i64, limit: u32) -> Result<u64, StoreError> {
    let first = sql!(
        event,
        "SELECT position FROM event WHERE chain = $1 AND position IS NOT NULL
         ORDER BY position LIMIT 1"
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

/// Removes up to `limit` events of the account that are from before there were chains and happened before a
/// moment; how many.
pub fn expire_unchained(
    tx: &mut WriteTx<'_>,
    account: &str,
    before: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    let expire = sql!(
        event,
        "DELETE FROM event WHERE (account_id, id) IN
             (SELECT account_id, id FROM event
              WHERE position IS NULL AND account_id = $1 AND created_at < $2
              ORDER BY id LIMIT $3)"
    );
    tx.execute(expire, &[&account, &before.as_millis(), &i64::from(limit)])
}

/// The next account after `after` with events from before there were chains.
pub fn next_unchained(tx: &mut ReadTx<'_>, after: &str) -> Result<Option<String>, StoreError> {
    let next = sql!(
        event,
        "SELECT account_id FROM event WHERE position IS NULL AND account_id > $1
         ORDER BY account_id LIMIT 1"
    );
    let mut found = None;
    tx.each(next, &[&after], |row| {
        found = Some(row.get(0)?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}
