//! Table `data_key`: each account's data keys, wrapped by the master key.

use keyfob_core::{crypto::Sealed, id::AccountId, time::Timestamp};

use crate::{ReadTx, StoreError, WriteTx, conn::sql};

/// The account's newest data key: its number and its wrapped form.
pub fn find_newest(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
) -> Result<Option<(u32, Sealed)>, StoreError> {
    let find = sql!(
        data_key,
        "SELECT id, wrapped FROM data_key WHERE account_id = $1 ORDER BY id DESC LIMIT 1"
    );
    tx.one(find, &[&account.as_str()], |row| {
        let number = u32::try_from(row.get::<i64>(0)?).map_err(|_| row.damaged("id"))?;
        Ok((number, Sealed::from_stored(row.get(1)?)))
    })
}

/// The account's data key number `id`, wrapped.
pub fn find(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    id: u32,
) -> Result<Option<Sealed>, StoreError> {
    let find = sql!(data_key, "SELECT wrapped FROM data_key WHERE account_id = $1 AND id = $2");
    let params: [&dyn crate::conn::Bind; 2] = [&account.as_str(), &i64::from(id)];
    tx.one(find, &params, |row| Ok(Sealed::from_stored(row.get(0)?)))
}

/// Stores a new data key. [`StoreError::Conflict`] if the account has one of this number.
pub fn insert(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: u32,
    wrapped: &Sealed,
    now: Timestamp,
) -> Result<(), StoreError> {
    let insert = sql!(
        data_key,
        "INSERT INTO data_key (account_id, id, wrapped, created_at) VALUES ($1, $2, $3, $4)"
    );
    let (id, now) = (i64::from(id), now.as_millis());
    tx.execute(insert, &[&account.as_str(), &id, &wrapped.as_bytes(), &now]).map(drop)
}
