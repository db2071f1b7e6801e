//! Table `connection`: what contacts have connected, each its own value of a personal secret. One whose
//! secret is gone is not there for anybody but [`crate::deletion`], which removes it.

use keyfob_core::{
    crypto::Sealed,
    id::{AccountId, ConnectionId, ContactId, SecretId},
    secret::{Kind, SecretType, Visibility},
    time::Timestamp,
};

use crate::{
    Page, ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
};

/// A contact's own value of a personal secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The contact's account.
    pub account: AccountId,
    /// The contact.
    pub contact: ContactId,
    /// The secret.
    pub secret: SecretId,
    /// Its id. Connecting anew keeps it.
    pub id: ConnectionId,
    /// What the value is.
    pub value_type: SecretType,
    /// The value, sealed.
    pub value: Sealed,
    /// What it was connected for: where the value may go. Sealed; `None` if that is not known.
    pub terms: Option<Sealed>,
    /// When the value ends, if it says so.
    pub expires_at: Option<Timestamp>,
    /// What it allows, separated by blanks, if it says so.
    pub scopes: Option<String>,
    /// Why it cannot be used any more, if it cannot.
    pub broken: Option<String>,
    /// When the contact first connected.
    pub created_at: Timestamp,
    /// When the value was last stored.
    pub updated_at: Timestamp,
}

/// A connection beside what people call its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The connection.
    pub connection: Connection,
    /// The secret's name.
    pub name: String,
    /// The secret's description.
    pub description: String,
    /// The secret's own type.
    pub secret_type: SecretType,
    /// Whose secret it is.
    pub secret_account: AccountId,
    /// Whose value the secret has.
    pub kind: Kind,
    /// Whom the secret lets in.
    pub visibility: Visibility,
}

macro_rules! columns {
    () => {
        "connection.id, connection.account_id, connection.contact_id, connection.secret_id,
         connection.type, connection.value, connection.expires_at, connection.scopes,
         connection.broken, connection.created_at, connection.updated_at, connection.terms"
    };
}

fn read(row: &Row<'_>) -> Result<Connection, StoreError> {
    let value_type = SecretType::parse(&row.get::<String>(4)?);
    Ok(Connection {
        id: ConnectionId::from_stored(&row.get::<String>(0)?),
        account: AccountId::from_stored(&row.get::<String>(1)?),
        contact: ContactId::from_stored(&row.get::<String>(2)?),
        secret: SecretId::from_stored(&row.get::<String>(3)?),
        value_type: value_type.ok_or_else(|| row.damaged("type"))?,
        value: Sealed::from_stored(row.get(5)?),
        expires_at: row.time_if_any(6)?,
        scopes: row.get(7)?,
        broken: row.get(8)?,
        created_at: row.time(9)?,
        updated_at: row.time(10)?,
        terms: row.get::<Option<Vec<u8>>>(11)?.map(Sealed::from_stored),
    })
}

fn read_named(row: &Row<'_>) -> Result<Named, StoreError> {
    let connection = read(row)?;
    // It is the secret's row that has to be mended.
    let damaged = |column: &str| {
        let (row, column) = (connection.secret.to_string(), column.to_owned());
        StoreError::Corrupt { table: "secret", column, row }
    };
    let secret_type = SecretType::parse(&row.get::<String>(14)?);
    let kind = Kind::parse(&row.get::<String>(16)?);
    let visibility = Visibility::parse(&row.get::<String>(17)?);
    Ok(Named {
        name: row.get(12)?,
        description: row.get(13)?,
        secret_type: secret_type.ok_or_else(|| damaged("type"))?,
        secret_account: AccountId::from_stored(&row.get::<String>(15)?),
        kind: kind.ok_or_else(|| damaged("kind"))?,
        visibility: visibility.ok_or_else(|| damaged("visibility"))?,
        connection,
    })
}

/// Connections of one contact, `$1` and `$2`, beside what people call their secrets.
macro_rules! select_named {
    ($rest:literal) => {
        sql!(
            connection,
            concat!(
                "SELECT ",
                columns!(),
                ", secret.name, secret.description, secret.type, secret.account_id, secret.kind,
                   secret.visibility
                 FROM connection JOIN secret ON secret.id = connection.secret_id
                 WHERE connection.account_id = $1 AND connection.contact_id = $2 ",
                $rest
            )
        )
    };
}

/// What the contact has connected the secret with.
pub fn find(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    secret: &SecretId,
) -> Result<Option<Connection>, StoreError> {
    let find = sql!(
        connection,
        concat!(
            "SELECT ",
            columns!(),
            " FROM connection JOIN secret ON secret.id = connection.secret_id
             WHERE connection.account_id = $1 AND connection.contact_id = $2
               AND connection.secret_id = $3"
        )
    );
    tx.one(find, &[&account.as_str(), &contact.as_str(), &secret.as_str()], read)
}

/// Up to `limit` connections of the contact after `after`, oldest first.
pub fn list(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    after: Option<&ConnectionId>,
    limit: u32,
) -> Result<Page<Named, ConnectionId>, StoreError> {
    let list = select_named!("AND connection.id > $3 ORDER BY connection.id LIMIT $4");
    let after = after.map_or("", ConnectionId::as_str);
    let params: [&dyn Bind; 4] = [&account.as_str(), &contact.as_str(), &after, &i64::from(limit)];
    tx.page(list, &params, (0, ConnectionId::from_stored), read_named)
}

/// Up to `limit` connections of the contact before `before`, newest first.
pub fn list_newest(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    before: Option<&ConnectionId>,
    limit: u32,
) -> Result<Page<Named, ConnectionId>, StoreError> {
    let list = select_named!("AND connection.id < $3 ORDER BY connection.id DESC LIMIT $4");
    let end = ConnectionId::last();
    let before = before.unwrap_or(&end).as_str();
    let params: [&dyn Bind; 4] = [&account.as_str(), &contact.as_str(), &before, &i64::from(limit)];
    tx.page(list, &params, (0, ConnectionId::from_stored), read_named)
}

/// Up to `limit` connections of the contact whose secret comes after `after`, by the age of the secrets.
pub fn list_by_secret(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    after: Option<&SecretId>,
    limit: u32,
) -> Result<Page<Named, SecretId>, StoreError> {
    let list =
        select_named!("AND connection.secret_id > $3 ORDER BY connection.secret_id LIMIT $4");
    let after = after.map_or("", SecretId::as_str);
    let params: [&dyn Bind; 4] = [&account.as_str(), &contact.as_str(), &after, &i64::from(limit)];
    tx.page(list, &params, (3, SecretId::from_stored), read_named)
}

/// Up to `limit` connections of the contact whose secret comes before `before`, the newest secrets first.
pub fn list_by_secret_newest(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    before: Option<&SecretId>,
    limit: u32,
) -> Result<Page<Named, SecretId>, StoreError> {
    let list =
        select_named!("AND connection.secret_id < $3 ORDER BY connection.secret_id DESC LIMIT $4");
    let end = SecretId::last();
    let before = before.unwrap_or(&end).as_str();
    let params: [&dyn Bind; 4] = [&account.as_str(), &contact.as_str(), &before, &i64::from(limit)];
    tx.page(list, &params, (3, SecretId::from_stored), read_named)
}

/// Up to `limit` connections of all the account's contacts after `after`, for checks of a whole database.
/// They are found by contact and secret, with a blank between.
pub fn list_all(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&String>,
    limit: u32,
) -> Result<Page<Connection, String>, StoreError> {
    let list = sql!(
        connection,
        concat!(
            "SELECT ",
            columns!(),
            ", contact_id || ' ' || secret_id
             FROM connection JOIN secret ON secret.id = connection.secret_id
             WHERE connection.account_id = $1 AND (contact_id, secret_id) > ($2, $3)
             ORDER BY contact_id, secret_id LIMIT $4"
        )
    );
    let (contact, secret) = after.and_then(|after| after.split_once(' ')).unwrap_or_default();
    let params: [&dyn Bind; 4] = [&account.as_str(), &contact, &secret, &i64::from(limit)];
    tx.page(list, &params, (12, str::to_owned), read)
}

/// Stores what a contact connects a secret with, in place of what it had. Of one that is there the id and
/// the day it was made stay. The caller holds the secret ([`crate::secret::hold`]): it is there.
pub fn upsert(tx: &mut WriteTx<'_>, connection: &Connection) -> Result<(), StoreError> {
    let upsert = sql!(
        connection,
        "INSERT INTO connection (account_id, contact_id, secret_id, id, type, value, expires_at,
                                 scopes, broken, created_at, updated_at, terms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (account_id, contact_id, secret_id) DO UPDATE
         SET type = excluded.type, value = excluded.value, expires_at = excluded.expires_at,
             scopes = excluded.scopes, broken = excluded.broken,
             updated_at = excluded.updated_at, terms = excluded.terms"
    );
    tx.execute(
        upsert,
        &[
            &connection.account.as_str(),
            &connection.contact.as_str(),
            &connection.secret.as_str(),
            &connection.id.as_str(),
            &connection.value_type.as_str(),
            &connection.value.as_bytes(),
            &connection.expires_at.map(Timestamp::as_millis),
            &connection.scopes,
            &connection.broken,
            &connection.created_at.as_millis(),
            &connection.updated_at.as_millis(),
            &connection.terms.as_ref().map(Sealed::as_bytes),
        ],
    )
    .map(drop)
}

/// Has what the contact has connected hold under other terms: it was connected anew with the same value.
pub fn set_terms(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    secret: &SecretId,
    terms: &Sealed,
) -> Result<(), StoreError> {
    let set = sql!(
        connection,
        "UPDATE connection SET terms = $4
         WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3"
    );
    let params: [&dyn Bind; 4] =
        [&account.as_str(), &contact.as_str(), &secret.as_str(), &terms.as_bytes()];
    tx.execute(set, &params).map(drop)
}

/// Sees to it that nobody changes what the contact has connected, all of it or one secret, until the unit
/// ends: what is queued of it then is what is taken away.
pub fn hold(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    secret: Option<&SecretId>,
) -> Result<(), StoreError> {
    let hold = sql!(
        connection,
        "UPDATE connection SET updated_at = updated_at
         WHERE account_id = $1 AND contact_id = $2
           AND (secret_id = $3 OR CAST($3 AS TEXT) IS NULL)"
    );
    let secret = secret.map(SecretId::as_str);
    tx.execute(hold, &[&account.as_str(), &contact.as_str(), &secret]).map(drop)
}

/// Puts a renewed value, and what goes with it, in the place of `old`; its terms stay. `false` if the connection does not
/// hold that any more: of any number of concurrent calls for one old value exactly one gets `true`.
pub fn swap(tx: &mut WriteTx<'_>, renewed: &Connection, old: &Sealed) -> Result<bool, StoreError> {
    let swap = sql!(
        connection,
        "UPDATE connection
         SET value = $4, expires_at = $5, scopes = $6, broken = $7, updated_at = $8
         WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3 AND value = $9"
    );
    let params: [&dyn Bind; 9] = [
        &renewed.account.as_str(),
        &renewed.contact.as_str(),
        &renewed.secret.as_str(),
        &renewed.value.as_bytes(),
        &renewed.expires_at.map(Timestamp::as_millis),
        &renewed.scopes,
        &renewed.broken,
        &renewed.updated_at.as_millis(),
        &old.as_bytes(),
    ];
    Ok(tx.execute(swap, &params)? == 1)
}

/// Takes away what the contact has connected the secret with. `false` if it has not, or if the secret is
/// gone: then its deletion removes it, which also queues its grant.
pub fn delete(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    secret: &SecretId,
) -> Result<bool, StoreError> {
    let delete = sql!(
        connection,
        "DELETE FROM connection
         WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3
           AND EXISTS (SELECT 1 FROM secret WHERE secret.id = connection.secret_id)"
    );
    Ok(tx.execute(delete, &[&account.as_str(), &contact.as_str(), &secret.as_str()])? == 1)
}

/// Takes away all that the contact has connected; how many connections that were.
pub fn delete_of_contact(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &ContactId,
) -> Result<u64, StoreError> {
    let delete =
        sql!(connection, "DELETE FROM connection WHERE account_id = $1 AND contact_id = $2");
    tx.execute(delete, &[&account.as_str(), &contact.as_str()])
}
