//! Table `secret`: the definitions of credentials.

use keyfob_core::{
    crypto::Sealed,
    id::{AccountId, SecretId},
    secret::{Kind, SecretType, Visibility},
    time::Timestamp,
};

use crate::{
    Page, ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
};

/// The definition of a credential (contract/contacts-and-secrets, section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The account it belongs to.
    pub account: AccountId,
    /// Its id.
    pub id: SecretId,
    /// What the account calls it by in paths. No two secrets of an account have the same.
    pub alias: Option<String>,
    /// What people call it.
    pub name: String,
    /// More about it, for people.
    pub description: String,
    /// The blueprint it belongs to, in the account's own words.
    pub blueprint_id: Option<String>,
    /// Whose value it has.
    pub kind: Kind,
    /// What its value is.
    pub secret_type: SecretType,
    /// Its one value for everybody, sealed.
    pub value: Option<Sealed>,
    /// When that value ends, if it says so.
    pub expires_at: Option<Timestamp>,
    /// What it allows, separated by blanks, if it says so.
    pub scopes: Option<String>,
    /// Why it cannot be used any more, if it cannot.
    pub broken: Option<String>,
    /// A JSON object that says how it is used, sealed.
    pub config: Option<Sealed>,
    /// Who may use it.
    pub visibility: Visibility,
    /// A JSON object of the account's own, as text.
    pub meta: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

fn read(row: &Row<'_>) -> Result<Secret, StoreError> {
    let sealed = |index| Ok(row.get::<Option<Vec<u8>>>(index)?.map(Sealed::from_stored));
    let kind = Kind::parse(&row.get::<String>(6)?);
    let secret_type = SecretType::parse(&row.get::<String>(7)?);
    let visibility = Visibility::parse(&row.get::<String>(10)?);
    Ok(Secret {
        id: SecretId::from_stored(&row.get::<String>(0)?),
        account: AccountId::from_stored(&row.get::<String>(1)?),
        alias: row.get(2)?,
        name: row.get(3)?,
        description: row.get(4)?,
        blueprint_id: row.get(5)?,
        kind: kind.ok_or_else(|| row.damaged("kind"))?,
        secret_type: secret_type.ok_or_else(|| row.damaged("type"))?,
        value: sealed(8)?,
        config: sealed(9)?,
        visibility: visibility.ok_or_else(|| row.damaged("visibility"))?,
        meta: row.get(11)?,
        created_at: row.time(12)?,
        updated_at: row.time(13)?,
        expires_at: row.time_if_any(14)?,
        scopes: row.get(15)?,
        broken: row.get(16)?,
    })
}

macro_rules! columns {
    () => {
        "id, account_id, alias, name, description, blueprint_id, kind, type, value, config,
         visibility, meta, created_at, updated_at, expires_at, scopes, broken"
    };
}

macro_rules! select {
    ($rest:literal) => {
        sql!(secret, concat!("SELECT ", columns!(), " FROM secret ", $rest))
    };
}

/// The account's secret with this id.
pub fn find(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    id: &SecretId,
) -> Result<Option<Secret>, StoreError> {
    let find = select!("WHERE account_id = $1 AND id = $2");
    tx.one(find, &[&account.as_str(), &id.as_str()], read)
}

/// The account that the secret with this id belongs to. Reads nothing else of it: who asks has yet to
/// be allowed to.
pub fn account_of(tx: &mut ReadTx<'_>, id: &SecretId) -> Result<Option<AccountId>, StoreError> {
    let find = sql!(secret, "SELECT account_id FROM secret WHERE id = $1");
    tx.one(find, &[&id.as_str()], |row| Ok(AccountId::from_stored(&row.get::<String>(0)?)))
}

/// The account's secret with this alias.
pub fn id_of_alias(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    alias: &str,
) -> Result<Option<SecretId>, StoreError> {
    let find = sql!(secret, "SELECT id FROM secret WHERE account_id = $1 AND alias = $2");
    tx.one(find, &[&account.as_str(), &alias], read_id)
}

/// The account's oldest secret with this name.
pub fn id_of_name(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    name: &str,
) -> Result<Option<SecretId>, StoreError> {
    let find = sql!(
        secret,
        "SELECT id FROM secret WHERE account_id = $1 AND name = $2 ORDER BY id LIMIT 1"
    );
    tx.one(find, &[&account.as_str(), &name], read_id)
}

fn read_id(row: &Row<'_>) -> Result<SecretId, StoreError> {
    Ok(SecretId::from_stored(&row.get::<String>(0)?))
}

/// Up to `limit` secrets of the account after `after`, oldest first.
pub fn list(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&SecretId>,
    limit: u32,
) -> Result<Page<Secret, SecretId>, StoreError> {
    let list = select!("WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let after = after.map_or("", SecretId::as_str);
    let params: [&dyn Bind; 3] = [&account.as_str(), &after, &i64::from(limit)];
    tx.page(list, &params, (0, SecretId::from_stored), read)
}

/// Up to `limit` secrets of the account before `before`, newest first.
pub fn list_newest(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    before: Option<&SecretId>,
    limit: u32,
) -> Result<Page<Secret, SecretId>, StoreError> {
    let list = select!("WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let end = SecretId::last();
    let before = before.unwrap_or(&end).as_str();
    let params: [&dyn Bind; 3] = [&account.as_str(), &before, &i64::from(limit)];
    tx.page(list, &params, (0, SecretId::from_stored), read)
}

/// Stores a new secret. `false` if its account has one with its alias: of any number of concurrent
/// calls exactly one gets `true`.
pub fn insert(tx: &mut WriteTx<'_>, secret: &Secret) -> Result<bool, StoreError> {
    let insert = sql!(
        secret,
        "INSERT INTO secret (account_id, id, alias, name, description, blueprint_id, kind, type,
                             value, config, visibility, meta, created_at, updated_at,
                             expires_at, scopes, broken)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (account_id, alias) DO NOTHING"
    );
    let stored = tx.execute(
        insert,
        &[
            &secret.account.as_str(),
            &secret.id.as_str(),
            &secret.alias,
            &secret.name,
            &secret.description,
            &secret.blueprint_id,
            &secret.kind.as_str(),
            &secret.secret_type.as_str(),
            &secret.value.as_ref().map(Sealed::as_bytes),
            &secret.config.as_ref().map(Sealed::as_bytes),
            &secret.visibility.as_str(),
            &secret.meta,
            &secret.created_at.as_millis(),
            &secret.updated_at.as_millis(),
            &secret.expires_at.map(Timestamp::as_millis),
            &secret.scopes,
            &secret.broken,
        ],
    )?;
    Ok(stored == 1)
}

/// Begins a change at `now`: what the secret holds, which nobody else changes until the unit ends.
pub fn touch(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &SecretId,
    now: Timestamp,
) -> Result<Option<Secret>, StoreError> {
    let touch = sql!(
        secret,
        concat!(
            "UPDATE secret SET updated_at = $3 WHERE account_id = $1 AND id = $2 RETURNING ",
            columns!()
        )
    );
    tx.change(touch, &[&account.as_str(), &id.as_str(), &now.as_millis()], read)
}

/// The secret, which nobody else changes or deletes until the unit ends.
pub fn hold(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &SecretId,
) -> Result<Option<Secret>, StoreError> {
    let hold = sql!(
        secret,
        concat!(
            "UPDATE secret SET updated_at = updated_at
             WHERE account_id = $1 AND id = $2 RETURNING ",
            columns!()
        )
    );
    tx.change(hold, &[&account.as_str(), &id.as_str()], read)
}

/// Changes the secret to what `secret` holds, after [`touch`]. [`StoreError::Conflict`] if another one
/// of its account has its alias.
pub fn update(tx: &mut WriteTx<'_>, secret: &Secret) -> Result<(), StoreError> {
    let update = sql!(
        secret,
        "UPDATE secret SET alias = $3, name = $4, description = $5, blueprint_id = $6, kind = $7,
                           type = $8, value = $9, config = $10, visibility = $11, meta = $12,
                           expires_at = $13, scopes = $14, broken = $15
         WHERE account_id = $1 AND id = $2"
    );
    tx.execute(
        update,
        &[
            &secret.account.as_str(),
            &secret.id.as_str(),
            &secret.alias,
            &secret.name,
            &secret.description,
            &secret.blueprint_id,
            &secret.kind.as_str(),
            &secret.secret_type.as_str(),
            &secret.value.as_ref().map(Sealed::as_bytes),
            &secret.config.as_ref().map(Sealed::as_bytes),
            &secret.visibility.as_str(),
            &secret.meta,
            &secret.expires_at.map(Timestamp::as_millis),
            &secret.scopes,
            &secret.broken,
        ],
    )
    .map(drop)
}

/// Puts a renewed value, and what goes with it, in the place of `old`, or of none. `false` if the secret does
/// not hold that any more: of any number of concurrent calls for one old value exactly one gets `true`.
pub fn swap(
    tx: &mut WriteTx<'_>,
    renewed: &Secret,
    old: Option<&Sealed>,
) -> Result<bool, StoreError> {
    let swap = sql!(
        secret,
        "UPDATE secret SET value = $3, expires_at = $4, scopes = $5, broken = $6
         WHERE account_id = $1 AND id = $2 AND value IS NOT DISTINCT FROM $7"
    );
    let params: [&dyn Bind; 7] = [
        &renewed.account.as_str(),
        &renewed.id.as_str(),
        &renewed.value.as_ref().map(Sealed::as_bytes),
        &renewed.expires_at.map(Timestamp::as_millis),
        &renewed.scopes,
        &renewed.broken,
        &old.map(Sealed::as_bytes),
    ];
    Ok(tx.execute(swap, &params)? == 1)
}

/// Deletes the secret, but none of its connections: that is for [`crate::deletion`]. `false` if there is
/// none.
pub fn delete(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &SecretId,
) -> Result<bool, StoreError> {
    let delete = sql!(secret, "DELETE FROM secret WHERE account_id = $1 AND id = $2");
    Ok(tx.execute(delete, &[&account.as_str(), &id.as_str()])? == 1)
}
