//! Table `data_key`: each account's data keys, wrapped by the master key.

use keyfob_core::{crypto::Sealed, id::AccountId, time::Timestamp};

use crate::{
    Page, ReadTx, StoreError, WriteTx,
    conn::{Bind, sql},
};

/// What a data key is found by: its account's id, and its number.
pub type Place = (String, i64);

/// A data key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whose it is.
    pub account: AccountId,
    /// Its number.
    pub id: u32,
    /// Wrapped by the master key.
    pub wrapped: Sealed,
}

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
    let params: [&dyn Bind; 2] = [&account.as_str(), &i64::from(id)];
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

/// Up to `limit` data keys of all accounts, after one.
pub fn list(
    tx: &mut ReadTx<'_>,
    after: Option<&Place>,
    limit: u32,
) -> Result<Page<Stored, Place>, StoreError> {
    let list = sql!(
        data_key,
        "SELECT account_id, id, wrapped FROM data_key WHERE (account_id, id) > ($1, $2)
         ORDER BY account_id, id LIMIT $3"
    );
    let before_all = (String::new(), i64::MIN);
    let (account, id) = after.unwrap_or(&before_all);
    let params: [&dyn Bind; 3] = [account, id, &i64::from(limit)];
    tx.page_by(
        list,
        &params,
        |row| Ok((row.get(0)?, row.get(1)?)),
        |row| {
            let account = AccountId::from_stored(&row.get::<String>(0)?);
            let id = u32::try_from(row.get::<i64>(1)?).map_err(|_| row.damaged("id"))?;
            Ok(Stored { account, id, wrapped: Sealed::from_stored(row.get(2)?) })
        },
    )
}

/// Stores the same key wrapped anew.
pub fn replace(tx: &mut WriteTx<'_>, key: &Stored) -> Result<(), StoreError> {
    let replace =
        sql!(data_key, "UPDATE data_key SET wrapped = $3 WHERE account_id = $1 AND id = $2");
    let Stored { account, id, wrapped } = key;
    let params: [&dyn Bind; 3] = [&account.as_str(), &i64::from(*id), &wrapped.as_bytes()];
    tx.execute(replace, &params).map(drop)
}
