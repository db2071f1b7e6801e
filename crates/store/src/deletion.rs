//! Table `deletion`: secrets that are gone, while connections of theirs are still to be removed. A secret may
//! have millions, and one transaction of all of them would hold up every other one for as long.

use std::collections::BTreeMap;

use std::ops::ControlFlow;

use keyfob_core::id::{AccountId, ContactId, SecretId};

use crate::{
    ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
    refresh,
};

/// A secret that is gone before its connections are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The secret.
    pub secret: SecretId,
    /// Whose secret it was.
    pub account: AccountId,
    /// How many connections were removed so far.
    pub removed: u64,
    /// The account some of whose connections were removed and some were not, and how many were.
    pub partial: Option<(AccountId, u64)>,
}

/// How much is removed at once.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// So many connections.
    pub connections: u32,
    /// Fewer if their sealed values have this many bytes together.
    pub bytes: u64,
}

/// Up to which connection of a secret some are removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its account.
    pub account: AccountId,
    /// Its contact.
    pub contact: ContactId,
    /// Whether it is the secret's last one.
    pub is_all: bool,
}

fn read(row: &Row<'_>) -> Result<Deletion, StoreError> {
    let count = |index, column| -> Result<Option<u64>, StoreError> {
        let count = row.get::<Option<i64>>(index)?.map(u64::try_from);
        count.transpose().map_err(|_| row.damaged(column))
    };
    let partial = row.get::<Option<String>>(3)?.map(|id| AccountId::from_stored(&id));
    Ok(Deletion {
        secret: SecretId::from_stored(&row.get::<String>(0)?),
        account: AccountId::from_stored(&row.get::<String>(1)?),
        removed: count(2, "removed")?.unwrap_or_default(),
        partial: partial.zip(count(4, "partial_removed")?),
    })
}

/// Moves what its connections still need of the secret here. The caller holds the secret, and deletes it.
pub fn begin(tx: &mut WriteTx<'_>, secret: &SecretId) -> Result<(), StoreError> {
    let begin = sql!(
        deletion,
        "INSERT INTO deletion (secret_id, account_id, config, type, removed)
         SELECT id, account_id, config, type, 0 FROM secret WHERE id = $1"
    );
    tx.execute(begin, &[&secret.as_str()]).map(drop)
}

/// The deletion of this secret, which nobody else goes on with until the unit ends.
pub fn hold(tx: &mut WriteTx<'_>, secret: &SecretId) -> Result<Option<Deletion>, StoreError> {
    let hold = sql!(
        deletion,
        "UPDATE deletion SET removed = removed WHERE secret_id = $1
         RETURNING secret_id, account_id, removed, partial_account_id, partial_removed"
    );
    tx.change(hold, &[&secret.as_str()], read)
}

/// Up to which connection of the secret `most` are removed; `None` if it has no connection.
pub fn last(
    tx: &mut ReadTx<'_>,
    secret: &SecretId,
    most: Most,
) -> Result<Option<Last>, StoreError> {
    let first = sql!(
        connection,
        "SELECT account_id, contact_id, CAST(length(value) AS BIGINT) FROM connection
         WHERE secret_id = $1 ORDER BY account_id, contact_id LIMIT $2"
    );
    let (mut last, mut count, mut bytes): (Option<Last>, u32, u64) = (None, 0, 0);
    // One more tells whether there are more.
    let params: [&dyn Bind; 2] = [&secret.as_str(), &(i64::from(most.connections) + 1)];
    tx.each(first, &params, |row| {
        if count == most.connections || bytes >= most.bytes {
            if let Some(last) = &mut last {
                last.is_all = false;
            }
            return Ok(ControlFlow::Break(()));
        }
        let account = AccountId::from_stored(&row.get::<String>(0)?);
        let contact = ContactId::from_stored(&row.get::<String>(1)?);
        last = Some(Last { account, contact, is_all: true });
        count += 1;
        bytes += row.get::<i64>(2)?.unsigned_abs();
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(last)
}

/// Sees to it that nobody changes the connections of the secret up to and with `last` until the unit ends.
pub fn hold_connections(
    tx: &mut WriteTx<'_>,
    secret: &SecretId,
    last: &Last,
) -> Result<(), StoreError> {
    let hold = sql!(
        connection,
        "UPDATE connection SET updated_at = updated_at
         WHERE secret_id = $1 AND (account_id, contact_id) <= ($2, $3)"
    );
    let params: [&dyn Bind; 3] = [&secret.as_str(), &last.account.as_str(), &last.contact.as_str()];
    tx.execute(hold, &params).map(drop)
}

/// Removes the connections of the secret up to and with `last`; how many each account had.
pub fn remove(
    tx: &mut WriteTx<'_>,
    secret: &SecretId,
    last: &Last,
) -> Result<BTreeMap<AccountId, u64>, StoreError> {
    let remove = sql!(
        connection,
        "DELETE FROM connection
         WHERE secret_id = $1 AND (account_id, contact_id) <= ($2, $3) RETURNING account_id"
    );
    let params: [&dyn Bind; 3] = [&secret.as_str(), &last.account.as_str(), &last.contact.as_str()];
    refresh::end_deleted(tx, secret, last)?;
    let accounts =
        tx.change_many(remove, &params, |row| Ok(AccountId::from_stored(&row.get::<String>(0)?)))?;
    let mut removed = BTreeMap::new();
    for account in accounts {
        *removed.entry(account).or_default() += 1;
    }
    Ok(removed)
}

/// Notes how far it has come, after [`hold`].
pub fn note(tx: &mut WriteTx<'_>, deletion: &Deletion) -> Result<(), StoreError> {
    let note = sql!(
        deletion,
        "UPDATE deletion SET removed = $2, partial_account_id = $3, partial_removed = $4
         WHERE secret_id = $1"
    );
    let partial = deletion.partial.as_ref();
    let params: [&dyn Bind; 4] = [
        &deletion.secret.as_str(),
        &deletion.removed.cast_signed(),
        &partial.map(|(account, _)| account.as_str()),
        &partial.map(|(_, removed)| removed.cast_signed()),
    ];
    tx.execute(note, &params).map(drop)
}

/// Ends the deletion: the secret has no connection any more.
pub fn end(tx: &mut WriteTx<'_>, secret: &SecretId) -> Result<(), StoreError> {
    let end = sql!(deletion, "DELETE FROM deletion WHERE secret_id = $1");
    tx.execute(end, &[&secret.as_str()]).map(drop)
}

/// Up to `limit` secrets whose deletion has not ended.
pub fn list(tx: &mut ReadTx<'_>, limit: u32) -> Result<Vec<SecretId>, StoreError> {
    let list = sql!(deletion, "SELECT secret_id FROM deletion ORDER BY secret_id LIMIT $1");
    tx.many(list, &[&i64::from(limit)], |row| Ok(SecretId::from_stored(&row.get::<String>(0)?)))
}
