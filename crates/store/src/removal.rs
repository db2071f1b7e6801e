//! Removing an account with all that belongs to it. It is marked first (`account.deleted_at`), and is not there
//! for anybody from then on; its rows follow in small transactions, and its data key and its own row last.

use keyfob_core::{
    id::{AccountId, ContactId, SecretId},
    time::Timestamp,
};

use crate::{
    ReadTx, StoreError, WriteTx,
    conn::{Bind, sql},
};

/// An account that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The account.
    pub account: AccountId,
    /// The one whose child it was.
    pub parent: Option<AccountId>,
    /// When it was marked.
    pub deleted_at: Timestamp,
}

/// Marks an account, and frees its e-mail address. `false` if there is none that is not marked.
pub fn begin(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let begin = sql!(
        account,
        "UPDATE account SET deleted_at = $2, email = NULL WHERE id = $1 AND deleted_at IS NULL"
    );
    Ok(tx.execute(begin, &[&account.as_str(), &now.as_millis()])? == 1)
}

/// Whether the account has a child, also one that is being deleted.
pub fn has_children(tx: &mut ReadTx<'_>, account: &AccountId) -> Result<bool, StoreError> {
    let find = sql!(account, "SELECT id FROM account WHERE parent_id = $1 LIMIT 1");
    Ok(tx.one(find, &[&account.as_str()], |row| row.get::<String>(0))?.is_some())
}

/// Up to `limit` accounts that are being deleted, after `after`.
pub fn list(
    tx: &mut ReadTx<'_>,
    after: Option<&AccountId>,
    limit: u32,
) -> Result<Vec<Removal>, StoreError> {
    let list = sql!(
        account,
        "SELECT id, parent_id, deleted_at FROM account
         WHERE deleted_at IS NOT NULL AND id > $1 ORDER BY id LIMIT $2"
    );
    let after = after.map_or("", AccountId::as_str);
    tx.many(list, &[&after, &i64::from(limit)], |row| {
        Ok(Removal {
            account: AccountId::from_stored(&row.get::<String>(0)?),
            parent: row.get::<Option<String>>(1)?.map(|id| AccountId::from_stored(&id)),
            deleted_at: row.time(2)?,
        })
    })
}

/// Up to `limit` of the account's contacts.
pub fn contacts(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    limit: u32,
) -> Result<Vec<ContactId>, StoreError> {
    let list = sql!(contact, "SELECT id FROM contact WHERE account_id = $1 ORDER BY id LIMIT $2");
    let params: [&dyn Bind; 2] = [&account.as_str(), &i64::from(limit)];
    tx.many(list, &params, |row| Ok(ContactId::from_stored(&row.get::<String>(0)?)))
}

/// One of the account's secrets, if it has one.
pub fn secret(tx: &mut ReadTx<'_>, account: &AccountId) -> Result<Option<SecretId>, StoreError> {
    let find = sql!(secret, "SELECT id FROM secret WHERE account_id = $1 ORDER BY id LIMIT 1");
    tx.one(find, &[&account.as_str()], |row| Ok(SecretId::from_stored(&row.get::<String>(0)?)))
}

/// One of the account's secrets that are on their way out, if there is one.
pub fn deletion(tx: &mut ReadTx<'_>, account: &AccountId) -> Result<Option<SecretId>, StoreError> {
    let find = sql!(deletion, "SELECT secret_id FROM deletion WHERE account_id = $1 LIMIT 1");
    tx.one(find, &[&account.as_str()], |row| Ok(SecretId::from_stored(&row.get::<String>(0)?)))
}

/// Whether a grant still has to be revoked that needs the account's data key.
pub fn has_revocations(tx: &mut ReadTx<'_>, account: &AccountId) -> Result<bool, StoreError> {
    let own = sql!(
        revocation,
        "SELECT id FROM revocation WHERE account_id = $1 AND outcome IS NULL LIMIT 1"
    );
    let of_secret = sql!(
        revocation,
        "SELECT id FROM revocation WHERE secret_account_id = $1 AND outcome IS NULL LIMIT 1"
    );
    for find in [own, of_secret] {
        if tx.one(find, &[&account.as_str()], |row| row.get::<String>(0))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes rows of one table that belong to an account.
macro_rules! some_of {
    ($table:ident, $table_name:literal, $id:literal, $which:literal) => {
        sql!(
            $table,
            concat!(
                "DELETE FROM ",
                $table_name,
                " WHERE account_id = $1 AND (",
                $id,
                ") IN (SELECT ",
                $id,
                " FROM ",
                $table_name,
                " WHERE account_id = $1 ",
                $which,
                " LIMIT $2)"
            )
        )
    };
}

/// Removes up to `limit` rows of each table whose rows need nothing else done: keys and their uses, one-time-password
/// entries, links at which nothing was asked of a provider, what is remembered of creates, what is kept alive, registered
/// clients, and revocations that have ended; how many.
pub fn remove_some(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    limit: u32,
) -> Result<u64, StoreError> {
    let all = [
        some_of!(key_use, "key_use", "key_id", ""),
        some_of!(key, "key", "id", ""),
        some_of!(totp, "totp", "id", ""),
        some_of!(creation, "creation", "fingerprint", ""),
        some_of!(authentication, "authentication", "state_hash", "AND request_hash IS NULL"),
        some_of!(refresh, "refresh", "contact_id, secret_id", ""),
        some_of!(registration, "registration", "secret_id, issuer", ""),
        some_of!(revocation, "revocation", "id", "AND outcome IS NOT NULL"),
    ];
    let mut removed = 0;
    for remove in all {
        removed += tx.execute(remove, &[&account.as_str(), &i64::from(limit)])?;
    }
    Ok(removed)
}

/// Removes up to `limit` of an account's links, also of those whose provider may still answer; how many.
pub fn remove_links(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    limit: u32,
) -> Result<u64, StoreError> {
    let remove = some_of!(authentication, "authentication", "state_hash", "");
    tx.execute(remove, &[&account.as_str(), &i64::from(limit)])
}

/// Destroys the data keys of an account that nothing belongs to any more, and removes it. `false` if it is not there, or not marked.
pub fn end(tx: &mut WriteTx<'_>, account: &AccountId) -> Result<bool, StoreError> {
    let keys = sql!(
        data_key,
        "DELETE FROM data_key WHERE account_id = $1
           AND EXISTS (SELECT 1 FROM account WHERE id = $1 AND deleted_at IS NOT NULL)"
    );
    let end = sql!(account, "DELETE FROM account WHERE id = $1 AND deleted_at IS NOT NULL");
    tx.execute(keys, &[&account.as_str()])?;
    Ok(tx.execute(end, &[&account.as_str()])? == 1)
}
