//! Table `creation`: the creates of the last minutes, so that a repeated one is known again.

use keyfob_core::{id::AccountId, time::Timestamp};

use crate::{StoreError, WriteTx, conn::sql};

/// A create that was remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Keyed fingerprint of what makes a request the same one.
    pub fingerprint: [u8; 32],
    /// Keyed fingerprint of the request's content.
    pub content: [u8; 32],
    /// What it made.
    pub object_id: String,
    /// When.
    pub created_at: Timestamp,
    /// When it became known that the answer could not be sent, if that is so.
    pub unanswered_at: Option<Timestamp>,
}

/// Remembers a create, in place of an older one that looked the same.
pub fn replace(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    creation: &Creation,
) -> Result<(), StoreError> {
    remember(tx, account, creation, i64::MAX).map(drop)
}

/// Remembers a create unless one that looks the same was remembered at or after `since`: then that
/// one is the answer. Of any number of concurrent calls exactly one gets `None`.
pub fn claim(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    creation: &Creation,
    since: Timestamp,
) -> Result<Option<Creation>, StoreError> {
    if remember(tx, account, creation, since.as_millis())? {
        return Ok(None);
    }
    let find = sql!(
        creation,
        "SELECT content, object_id, created_at, unanswered_at, account_id FROM creation
         WHERE account_id = $1 AND fingerprint = $2"
    );
    let fingerprint = creation.fingerprint;
    let found = tx.one(find, &[&account.as_str(), &fingerprint.as_slice()], |row| {
        let content: Vec<u8> = row.get(0)?;
        Ok(Creation {
            fingerprint,
            content: content.try_into().map_err(|_| row.damaged("content"))?,
            object_id: row.get(1)?,
            created_at: row.time(2)?,
            unanswered_at: row.time_if_any(3)?,
        })
    })?;
    // It was there a statement ago, and only a clean-up of old rows removes it.
    found.map_or(Err(StoreError::Conflict), |found| Ok(Some(found)))
}

fn remember(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    creation: &Creation,
    replaceable_before: i64,
) -> Result<bool, StoreError> {
    let remember = sql!(
        creation,
        "INSERT INTO creation (account_id, fingerprint, content, object_id, created_at, unanswered_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (account_id, fingerprint) DO UPDATE
         SET content = excluded.content, object_id = excluded.object_id,
             created_at = excluded.created_at, unanswered_at = excluded.unanswered_at
         WHERE creation.created_at < $7"
    );
    let changed = tx.execute(
        remember,
        &[
            &account.as_str(),
            &creation.fingerprint.as_slice(),
            &creation.content.as_slice(),
            &creation.object_id,
            &creation.created_at.as_millis(),
            &creation.unanswered_at.map(Timestamp::as_millis),
            &replaceable_before,
        ],
    )?;
    Ok(changed == 1)
}

/// Notes that a create's answer could not be sent, unless that of a later repetition is noted, or
/// another create took its place. The create may
/// not be committed yet: then this waits for it, or comes before it.
pub fn note_unanswered(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    creation: &Creation,
) -> Result<(), StoreError> {
    let note = sql!(
        creation,
        "INSERT INTO creation (account_id, fingerprint, content, object_id, created_at, unanswered_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (account_id, fingerprint) DO UPDATE
         SET unanswered_at = excluded.unanswered_at
         WHERE creation.object_id = excluded.object_id
           AND (creation.unanswered_at IS NULL OR creation.unanswered_at < excluded.unanswered_at)"
    );
    tx.execute(
        note,
        &[
            &account.as_str(),
            &creation.fingerprint.as_slice(),
            &creation.content.as_slice(),
            &creation.object_id,
            &creation.created_at.as_millis(),
            &creation.unanswered_at.map(Timestamp::as_millis),
        ],
    )?;
    Ok(())
}

/// Forgets up to `limit` of the creates before `before`; how many there were.
pub fn forget(tx: &mut WriteTx<'_>, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let forget = sql!(
        creation,
        "DELETE FROM creation WHERE (account_id, fingerprint) IN
             (SELECT account_id, fingerprint FROM creation WHERE created_at < $1 LIMIT $2)"
    );
    tx.execute(forget, &[&before.as_millis(), &i64::from(limit)])
}
