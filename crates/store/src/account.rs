//! Table `account`: the tenants. One that is being deleted is not there for anybody; see `removal`.

use keyfob_core::{id::AccountId, time::Timestamp};

use crate::{
    Page, ReadTx, StoreError, WriteTx,
    conn::{Row, sql},
};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The account it is a child of; the first account has none.
    pub parent: Option<AccountId>,
    /// What people call it.
    pub name: String,
    /// The e-mail address it can be named by, if any.
    pub email: Option<String>,
    /// Where the pages of its contacts may send them, and whom they may tell how it went: origins (RFC
    /// 6454).
    pub allowed_origins: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

fn read(row: &Row<'_>) -> Result<Account, StoreError> {
    Ok(Account {
        id: AccountId::from_stored(&row.get::<String>(0)?),
        parent: row.get::<Option<String>>(1)?.map(|id| AccountId::from_stored(&id)),
        name: row.get(2)?,
        email: row.get(3)?,
        allowed_origins: lines(row.get(4)?),
        created_at: row.time(5)?,
    })
}

fn lines(text: Option<String>) -> Vec<String> {
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

macro_rules! select {
    ($rest:literal) => {
        sql!(
            account,
            concat!(
                "SELECT id, parent_id, name, email, allowed_origins, created_at FROM account ",
                $rest
            )
        )
    };
}

/// The account with this id.
pub fn find(tx: &mut ReadTx<'_>, id: &AccountId) -> Result<Option<Account>, StoreError> {
    let find = select!("WHERE id = $1 AND deleted_at IS NULL");
    tx.one(find, &[&id.as_str()], read)
}

/// The account with this id, if `parent` is its parent.
pub fn find_child(
    tx: &mut ReadTx<'_>,
    parent: &AccountId,
    id: &AccountId,
) -> Result<Option<Account>, StoreError> {
    let find = select!("WHERE id = $2 AND parent_id = $1 AND deleted_at IS NULL");
    tx.one(find, &[&parent.as_str(), &id.as_str()], read)
}

/// The child of `parent` with this e-mail address.
pub fn find_child_by_email(
    tx: &mut ReadTx<'_>,
    parent: &AccountId,
    email: &str,
) -> Result<Option<Account>, StoreError> {
    let find = select!("WHERE parent_id = $1 AND email = $2 AND deleted_at IS NULL");
    tx.one(find, &[&parent.as_str(), &email], read)
}

/// The first account, made at first start: the one without a parent.
pub fn find_first(tx: &mut ReadTx<'_>) -> Result<Option<Account>, StoreError> {
    let find = select!("WHERE parent_id IS NULL ORDER BY created_at, id LIMIT 1");
    tx.one(find, &[], read)
}

/// Up to `limit` accounts after `after`, by id, those that are being deleted included.
pub fn list(
    tx: &mut ReadTx<'_>,
    after: Option<&AccountId>,
    limit: u32,
) -> Result<Page<Account, AccountId>, StoreError> {
    let list = select!("WHERE id > $1 ORDER BY id LIMIT $2");
    let after = after.map_or("", AccountId::as_str);
    tx.page(list, &[&after, &i64::from(limit)], (0, AccountId::from_stored), read)
}

/// Stores a new account, without entries. [`StoreError::Conflict`] if a child of its parent has its
/// e-mail address.
pub fn insert(tx: &mut WriteTx<'_>, account: &Account) -> Result<(), StoreError> {
    let insert = sql!(
        account,
        "INSERT INTO account (id, parent_id, name, email, totp_count, allowed_origins, created_at)
         VALUES ($1, $2, $3, $4, 0, $5, $6)"
    );
    let parent = account.parent.as_ref().map(AccountId::as_str);
    let Account { id, name, email, created_at, .. } = account;
    let created_at = created_at.as_millis();
    let origins = account.allowed_origins.join("\n");
    tx.execute(insert, &[&id.as_str(), &parent, name, email, &origins, &created_at]).map(drop)
}

/// Begins a change: what the account holds, which nobody else changes until the unit ends.
pub fn hold(tx: &mut WriteTx<'_>, id: &AccountId) -> Result<Option<Account>, StoreError> {
    let hold = sql!(
        account,
        "UPDATE account SET name = name WHERE id = $1 AND deleted_at IS NULL
         RETURNING id, parent_id, name, email, allowed_origins, created_at"
    );
    tx.change(hold, &[&id.as_str()], read)
}

/// Changes name and allowed origins of the account to what `account` holds.
pub fn update(tx: &mut WriteTx<'_>, account: &Account) -> Result<(), StoreError> {
    let update = sql!(account, "UPDATE account SET name = $2, allowed_origins = $3 WHERE id = $1");
    let origins = account.allowed_origins.join("\n");
    tx.execute(update, &[&account.id.as_str(), &account.name, &origins]).map(drop)
}

/// Counts one more one-time-password entry. `false` if the account holds `limit` already.
pub fn add_totp(tx: &mut WriteTx<'_>, id: &AccountId, limit: i64) -> Result<bool, StoreError> {
    let add = sql!(
        account,
        "UPDATE account SET totp_count = totp_count + 1 WHERE id = $1 AND totp_count < $2"
    );
    Ok(tx.execute(add, &[&id.as_str(), &limit])? == 1)
}

/// Counts so many one-time-password entries less.
pub fn remove_totp(tx: &mut WriteTx<'_>, id: &AccountId, count: usize) -> Result<(), StoreError> {
    let remove = sql!(account, "UPDATE account SET totp_count = totp_count - $2 WHERE id = $1");
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    tx.execute(remove, &[&id.as_str(), &count]).map(drop)
}
