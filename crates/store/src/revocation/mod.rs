//! Table `revocation`: grants that have to be revoked at their provider, after what held them is gone. They
//! are moved as they are sealed; who works the queue (`worker`) opens them at the place they came from. What
//! has ended holds nothing sealed any more, and tells for a while how it went (`progress`).

mod progress;
mod worker;

use keyfob_core::{
    crypto::Sealed,
    id::{AccountId, ConnectionId, ContactId, SecretId},
    secret::SecretType,
    time::Timestamp,
};

pub use self::{
    progress::{Outcome, Progress, forget, list_progress, list_progress_newest},
    worker::{
        Again, Leased, Waiting, due_hosts, end, has_others_due, lease, list_due, list_unsorted,
        put_off, sort,
    },
};

use crate::{
    Page, ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
    connection,
    deletion::{self, Last},
};

/// A grant that has to be revoked at its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The account of the contact whose grant it is.
    pub account: AccountId,
    /// The connection it was.
    pub id: ConnectionId,
    /// The contact; `None` for the one value of a shared secret.
    pub contact: Option<ContactId>,
    /// The secret.
    pub secret: SecretId,
    /// Whose secret it was.
    pub secret_account: AccountId,
    /// What the secret was: it says what its config means.
    pub secret_type: SecretType,
    /// The grant, sealed for the connection's row, or for that of the shared secret.
    pub value: Sealed,
    /// The secret's config, sealed for the secret's row.
    pub config: Option<Sealed>,
    /// When it was queued.
    pub created_at: Timestamp,
}

/// Queues grants of secrets that are in this table: `secret`, or `deletion` if they are gone.
macro_rules! queue {
    (secret, $which:literal) => {
        queue!("secret ON secret.id", "secret", $which)
    };
    (deletion, $which:literal) => {
        queue!("deletion ON deletion.secret_id", "deletion", $which)
    };
    ($join:literal, $table:literal, $which:literal) => {
        sql!(
            revocation,
            concat!(
                "INSERT INTO revocation (account_id, id, contact_id, secret_id, secret_account_id,
                                         secret_type, value, config, created_at, due_at)
                 SELECT connection.account_id, connection.id, connection.contact_id,
                        connection.secret_id, ",
                $table,
                ".account_id, ",
                $table,
                ".type, connection.value, ",
                $table,
                ".config, CAST($1 AS BIGINT), CAST($1 AS BIGINT)
                 FROM connection JOIN ",
                $join,
                " = connection.secret_id WHERE connection.type = 'oauth' AND ",
                $which,
                // A contact and its secret that are deleted at once queue one grant twice.
                " ON CONFLICT (account_id, id) DO NOTHING"
            )
        )
    };
}

/// Queues a grant.
pub fn insert(tx: &mut WriteTx<'_>, new: &Revocation) -> Result<(), StoreError> {
    let insert = sql!(
        revocation,
        "INSERT INTO revocation (account_id, id, contact_id, secret_id, secret_account_id,
                                 secret_type, value, config, created_at, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)"
    );
    let params: [&dyn Bind; 9] = [
        &new.account.as_str(),
        &new.id.as_str(),
        &new.contact.as_ref().map_or("", ContactId::as_str),
        &new.secret.as_str(),
        &new.secret_account.as_str(),
        &new.secret_type.as_str(),
        &new.value.as_bytes(),
        &new.config.as_ref().map(Sealed::as_bytes),
        &new.created_at.as_millis(),
    ];
    tx.execute(insert, &params).map(drop)
}

/// Queues the grant of one connection, if its secret is there.
pub fn queue_connection(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    secret: &SecretId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let queue = queue!(
        secret,
        "connection.account_id = $2 AND connection.contact_id = $3 AND connection.secret_id = $4"
    );
    // What is queued is what is taken away: whoever renews it meanwhile comes before or after.
    connection::hold(tx, account, contact, Some(secret))?;
    let now = now.as_millis();
    tx.execute(queue, &[&now, &account.as_str(), &contact.as_str(), &secret.as_str()])
}

/// Queues the grants of all connections of a contact, also of secrets that are being deleted.
pub fn queue_contact(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    // In this order: a secret that is deleted between the two statements is found by the second.
    let there = queue!(secret, "connection.account_id = $2 AND connection.contact_id = $3");
    let gone = queue!(deletion, "connection.account_id = $2 AND connection.contact_id = $3");
    connection::hold(tx, account, contact, None)?;
    let params: [&dyn Bind; 3] = [&now.as_millis(), &account.as_str(), &contact.as_str()];
    Ok(tx.execute(there, &params)? + tx.execute(gone, &params)?)
}

/// Queues the grants of the connections of a secret that is being deleted, up to and with `last`.
pub fn queue_deleted(
    tx: &mut WriteTx<'_>,
    secret: &SecretId,
    last: &Last,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let queue = queue!(
        deletion,
        "connection.secret_id = $2
         AND (connection.account_id, connection.contact_id) <= ($3, $4)"
    );
    deletion::hold_connections(tx, secret, last)?;
    let Last { account, contact, .. } = last;
    let now = now.as_millis();
    tx.execute(queue, &[&now, &secret.as_str(), &account.as_str(), &contact.as_str()])
}

macro_rules! columns {
    () => {
        "id, account_id, contact_id, secret_id, secret_account_id, secret_type, value, config,
         created_at"
    };
}
use columns;

/// Up to `limit` of the account's grants that wait to be revoked, after the one that was connection `after`,
/// by the age of what were connections.
pub fn list(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&ConnectionId>,
    limit: u32,
) -> Result<Page<Revocation, ConnectionId>, StoreError> {
    let list = sql!(
        revocation,
        concat!(
            "SELECT ",
            columns!(),
            " FROM revocation WHERE account_id = $1 AND id > $2 AND outcome IS NULL
             ORDER BY id LIMIT $3"
        )
    );
    let after = after.map_or("", ConnectionId::as_str);
    let params: [&dyn Bind; 3] = [&account.as_str(), &after, &i64::from(limit)];
    tx.page(list, &params, (0, ConnectionId::from_stored), read)
}

fn read(row: &Row<'_>) -> Result<Revocation, StoreError> {
    let secret_type = row.get::<Option<String>>(5)?;
    let secret_type = secret_type.map_or(Some(SecretType::OAuth), |word| SecretType::parse(&word));
    Ok(Revocation {
        id: ConnectionId::from_stored(&row.get::<String>(0)?),
        account: AccountId::from_stored(&row.get::<String>(1)?),
        contact: contact(row.get(2)?),
        secret: SecretId::from_stored(&row.get::<String>(3)?),
        secret_account: AccountId::from_stored(&row.get::<String>(4)?),
        secret_type: secret_type.ok_or_else(|| row.damaged("secret_type"))?,
        value: Sealed::from_stored(row.get(6)?),
        config: row.get::<Option<Vec<u8>>>(7)?.map(Sealed::from_stored),
        created_at: row.time(8)?,
    })
}

/// The contact in its column, which is empty for the one value of a shared secret.
fn contact(column: String) -> Option<ContactId> {
    Some(column).filter(|id| !id.is_empty()).map(|id| ContactId::from_stored(&id))
}
