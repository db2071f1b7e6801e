//! Table `key_use`: how often keys were used that may be used so often only.

use keyfob_core::{
    id::{AccountId, KeyId},
    policy::Usage,
    time::Timestamp,
};

use crate::{
    StoreError, WriteTx,
    conn::{Bind, Row, sql},
};

fn read(row: &Row<'_>) -> Result<Usage, StoreError> {
    let today = u32::try_from(row.get::<i64>(2)?).map_err(|_| row.damaged("used_on_day"))?;
    let mut usage = Usage::default();
    (usage.day, usage.today) = (row.get(1)?, today);
    (usage.rate_told_at, usage.quota_told_on) = (row.get(4)?, row.get(5)?);
    let minute = row.get::<Vec<u8>>(3)?;
    usage.with_stored_minute(&minute).ok_or_else(|| row.damaged("minute"))
}

/// How often a key was used lately. Nobody else counts a use of it until the unit ends, on whichever node: of any
/// number of concurrent uses each counts those before it.
pub fn hold(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    key: &KeyId,
    now: Timestamp,
) -> Result<Usage, StoreError> {
    // A read would not do: of two units that read and then write, one would not count.
    let hold = sql!(
        key_use,
        "UPDATE key_use SET used_at = $3 WHERE account_id = $1 AND key_id = $2
         RETURNING key_id AS id, day, used_on_day, minute, rate_told_at, quota_told_on"
    );
    let params: [&dyn Bind; 3] = [&account.as_str(), &key.as_str(), &now.as_millis()];
    if let Some(usage) = tx.change(hold, &params, read)? {
        return Ok(usage);
    }
    let begin = sql!(
        key_use,
        "INSERT INTO key_use (account_id, key_id, day, used_on_day, minute, used_at)
         VALUES ($1, $2, 0, 0, $4, $3)
         ON CONFLICT (account_id, key_id) DO NOTHING"
    );
    let nothing: &[u8] = &[];
    tx.execute(begin, &[&account.as_str(), &key.as_str(), &now.as_millis(), &nothing])?;
    // Whoever made it, it is there now.
    tx.change(hold, &params, read).map(Option::unwrap_or_default)
}

/// Stores what was counted, after [`hold`].
pub fn update(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    key: &KeyId,
    usage: &Usage,
) -> Result<(), StoreError> {
    let update = sql!(
        key_use,
        "UPDATE key_use SET day = $3, used_on_day = $4, minute = $5, rate_told_at = $6,
                            quota_told_on = $7
         WHERE account_id = $1 AND key_id = $2"
    );
    tx.execute(
        update,
        &[
            &account.as_str(),
            &key.as_str(),
            &usage.day,
            &i64::from(usage.today),
            &usage.minute_to_stored().as_slice(),
            &usage.rate_told_at,
            &usage.quota_told_on,
        ],
    )
    .map(drop)
}

/// Forgets up to `limit` keys that were not used since `before`; how many.
pub fn forget(tx: &mut WriteTx<'_>, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let forget = sql!(
        key_use,
        "DELETE FROM key_use WHERE (account_id, key_id) IN
           (SELECT account_id, key_id FROM key_use WHERE used_at < $1 ORDER BY used_at LIMIT $2)
           AND used_at < $1"
    );
    tx.execute(forget, &[&before.as_millis(), &i64::from(limit)])
}
