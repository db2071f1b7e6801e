//! Table `key`: API keys.

use std::sync::Arc;

use keyfob_core::{
    id::{AccountId, KeyId},
    policy::{Limits, Role},
    time::Timestamp,
    token::KeyHash,
};

use crate::{
    Page, ReadTx, StoreError, WriteTx,
    conn::{Row, sql},
};

/// A stored API key.
#[derive(Clone)]
pub struct Key {
    /// The account it belongs to.
    pub account: AccountId,
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it is limited to within that.
    pub limits: Arc<Limits>,
    /// Whether those are the limits that it was given. One whose limits are damaged, or of a newer version, has some
    /// that leave it nothing, and can be revoked.
    pub is_readable: bool,
    /// What is remembered of its secret.
    pub hash: KeyHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl Key {
    /// Whether it authenticates at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.is_readable && self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

fn read(row: &Row<'_>) -> Result<Key, StoreError> {
    let id: String = row.get(1)?;
    let damaged = |column| row.damaged(column);
    let limits = match row.get::<Option<String>>(8)? {
        Some(limits) => Limits::from_stored(&limits),
        None => Some(Limits::NONE),
    };
    Ok(Key {
        account: AccountId::from_stored(&row.get::<String>(0)?),
        id: KeyId::from_stored(&id),
        name: row.get(2)?,
        role: Role::parse(&row.get::<String>(3)?).ok_or_else(|| damaged("role"))?,
        is_readable: limits.is_some(),
        limits: Arc::new(limits.unwrap_or_else(Limits::nothing)),
        hash: KeyHash::from_stored(&row.get::<Vec<u8>>(4)?)
            .ok_or_else(|| damaged("secret_hash"))?,
        created_at: row.time(5)?,
        expires_at: row.time_if_any(6)?,
        revoked_at: row.time_if_any(7)?,
    })
}

macro_rules! columns {
    () => {
        "account_id, id, name, role, secret_hash, created_at, expires_at, revoked_at, limits"
    };
}

macro_rules! select {
    ($rest:literal) => {
        sql!(key, concat!("SELECT ", columns!(), " FROM key ", $rest))
    };
}

/// The key with this id, whichever account it belongs to, unless that is being deleted: how a caller is
/// recognised.
pub fn find_any(tx: &mut ReadTx<'_>, id: &KeyId) -> Result<Option<Key>, StoreError> {
    let find = select!(
        "WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM account WHERE account.id = key.account_id
                                         AND account.deleted_at IS NOT NULL)"
    );
    tx.one(find, &[&id.as_str()], read)
}

/// The account's key with this id.
pub fn find(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    id: &KeyId,
) -> Result<Option<Key>, StoreError> {
    let find = select!("WHERE account_id = $1 AND id = $2");
    tx.one(find, &[&account.as_str(), &id.as_str()], read)
}

/// Up to `limit` keys of the account after `after`, revoked ones included, by id.
pub fn list(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&KeyId>,
    limit: u32,
) -> Result<Page<Key, KeyId>, StoreError> {
    let list = select!("WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let after = after.map_or("", KeyId::as_str);
    tx.page(list, &[&account.as_str(), &after, &i64::from(limit)], (1, KeyId::from_stored), read)
}

/// Up to `limit` keys of the account before `before`, revoked ones included, newest first.
pub fn list_newest(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    before: Option<&KeyId>,
    limit: u32,
) -> Result<Page<Key, KeyId>, StoreError> {
    let list = select!("WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let end = KeyId::last();
    let before = before.unwrap_or(&end).as_str();
    tx.page(list, &[&account.as_str(), &before, &i64::from(limit)], (1, KeyId::from_stored), read)
}

/// Stores a new key.
pub fn insert(tx: &mut WriteTx<'_>, key: &Key) -> Result<(), StoreError> {
    let insert = sql!(
        key,
        "INSERT INTO key (account_id, id, name, role, secret_hash, created_at, expires_at, limits)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    );
    let expires_at = key.expires_at.map(Timestamp::as_millis);
    tx.execute(
        insert,
        &[
            &key.account.as_str(),
            &key.id.as_str(),
            &key.name,
            &key.role.as_str(),
            &key.hash.as_bytes(),
            &key.created_at.as_millis(),
            &expires_at,
            &key.limits.to_stored(),
        ],
    )
    .map(drop)
}

/// Begins a change: what the key is, which nobody else changes until the unit ends.
pub fn touch(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &KeyId,
) -> Result<Option<Key>, StoreError> {
    // A read would not do: of two units that read and then write, one would undo the other.
    let touch = sql!(
        key,
        concat!(
            "UPDATE key SET name = name WHERE account_id = $1 AND id = $2 RETURNING ",
            columns!()
        )
    );
    tx.change(touch, &[&account.as_str(), &id.as_str()], read)
}

/// Changes name, end and limits to what `key` holds, after [`touch`].
pub fn update(tx: &mut WriteTx<'_>, key: &Key) -> Result<(), StoreError> {
    let update = sql!(
        key,
        "UPDATE key SET name = $3, expires_at = $4, limits = $5 WHERE account_id = $1 AND id = $2"
    );
    tx.execute(
        update,
        &[
            &key.account.as_str(),
            &key.id.as_str(),
            &key.name,
            &key.expires_at.map(Timestamp::as_millis),
            &key.limits.to_stored(),
        ],
    )
    .map(drop)
}

/// Ends the key. `false` if there is no such key or it was revoked before.
pub fn revoke(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &KeyId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let revoke = sql!(
        key,
        "UPDATE key SET revoked_at = $3 WHERE account_id = $1 AND id = $2 AND revoked_at IS NULL"
    );
    Ok(tx.execute(revoke, &[&account.as_str(), &id.as_str(), &now.as_millis()])? == 1)
}
