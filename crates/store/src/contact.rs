//! Table `contact`: the end users for whom agents act.

use keyfob_core::{
    id::{AccountId, ContactId},
    time::Timestamp,
};

use crate::{
    Page, ReadTx, StoreError, WriteTx,
    conn::{Row, sql},
};

/// An end user for whom an agent acts (contract/contacts-and-secrets, section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// What people call it.
    pub name: String,
    /// More about it, for people.
    pub description: String,
    /// What the account itself calls it by. No two contacts of an account have the same.
    pub fingerprint: String,
    /// An e-mail address.
    pub email: Option<String>,
    /// A phone number, E.164.
    pub phone: Option<String>,
    /// A nickname.
    pub nick: Option<String>,
    /// What it prefers, in its own words.
    pub preferences: Option<String>,
    /// Since when the account vouches for it.
    pub verified_at: Option<Timestamp>,
    /// A JSON object of the account's own, as text.
    pub meta: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

fn read(row: &Row<'_>) -> Result<Contact, StoreError> {
    Ok(Contact {
        id: ContactId::from_stored(&row.get::<String>(0)?),
        name: row.get(1)?,
        description: row.get(2)?,
        fingerprint: row.get(3)?,
        email: row.get(4)?,
        phone: row.get(5)?,
        nick: row.get(6)?,
        preferences: row.get(7)?,
        verified_at: row.time_if_any(8)?,
        meta: row.get(9)?,
        created_at: row.time(10)?,
        updated_at: row.time(11)?,
    })
}

macro_rules! columns {
    () => {
        "id, name, description, fingerprint, email, phone, nick, preferences, verified_at, meta,
         created_at, updated_at"
    };
}

macro_rules! select {
    ($rest:literal) => {
        sql!(contact, concat!("SELECT ", columns!(), " FROM contact ", $rest))
    };
}

/// The account's contact with this id.
pub fn find(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    id: &ContactId,
) -> Result<Option<Contact>, StoreError> {
    let find = select!("WHERE account_id = $1 AND id = $2");
    tx.one(find, &[&account.as_str(), &id.as_str()], read)
}

/// The account's contact with this fingerprint.
pub fn find_by_fingerprint(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    fingerprint: &str,
) -> Result<Option<Contact>, StoreError> {
    let find = select!("WHERE account_id = $1 AND fingerprint = $2");
    tx.one(find, &[&account.as_str(), &fingerprint], read)
}

/// Up to `limit` contacts of the account after `after`, oldest first.
pub fn list(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&ContactId>,
    limit: u32,
) -> Result<Page<Contact, ContactId>, StoreError> {
    let list = select!("WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let after = after.map_or("", ContactId::as_str);
    let params: [&dyn crate::conn::Bind; 3] = [&account.as_str(), &after, &i64::from(limit)];
    tx.page(list, &params, (0, ContactId::from_stored), read)
}

/// Up to `limit` contacts of the account before `before`, newest first.
pub fn list_newest(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    before: Option<&ContactId>,
    limit: u32,
) -> Result<Page<Contact, ContactId>, StoreError> {
    let list = select!("WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let end = ContactId::last();
    let before = before.unwrap_or(&end).as_str();
    let params: [&dyn crate::conn::Bind; 3] = [&account.as_str(), &before, &i64::from(limit)];
    tx.page(list, &params, (0, ContactId::from_stored), read)
}

/// Stores a new contact. `false` if the account has one with its fingerprint: of any number of
/// concurrent calls exactly one gets `true`.
pub fn insert(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &Contact,
) -> Result<bool, StoreError> {
    let insert = sql!(
        contact,
        "INSERT INTO contact (account_id, id, name, description, fingerprint, email, phone, nick,
                              preferences, verified_at, meta, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (account_id, fingerprint) DO NOTHING"
    );
    let stored = tx.execute(
        insert,
        &[
            &account.as_str(),
            &contact.id.as_str(),
            &contact.name,
            &contact.description,
            &contact.fingerprint,
            &contact.email,
            &contact.phone,
            &contact.nick,
            &contact.preferences,
            &contact.verified_at.map(Timestamp::as_millis),
            &contact.meta,
            &contact.created_at.as_millis(),
            &contact.updated_at.as_millis(),
        ],
    )?;
    Ok(stored == 1)
}

/// Begins a change at `now`: what the contact holds, which nobody else changes until the unit ends.
pub fn touch(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &ContactId,
    now: Timestamp,
) -> Result<Option<Contact>, StoreError> {
    let touch = sql!(
        contact,
        concat!(
            "UPDATE contact SET updated_at = $3 WHERE account_id = $1 AND id = $2 RETURNING ",
            columns!()
        )
    );
    tx.change(touch, &[&account.as_str(), &id.as_str(), &now.as_millis()], read)
}

/// The contact, which nobody else changes or deletes until the unit ends.
pub fn hold(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &ContactId,
) -> Result<Option<Contact>, StoreError> {
    let hold = sql!(
        contact,
        concat!(
            "UPDATE contact SET updated_at = updated_at
             WHERE account_id = $1 AND id = $2 RETURNING ",
            columns!()
        )
    );
    tx.change(hold, &[&account.as_str(), &id.as_str()], read)
}

/// Changes the contact to what `contact` holds. [`StoreError::Conflict`] if another one has its
/// fingerprint.
pub fn update(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &Contact,
) -> Result<(), StoreError> {
    let update = sql!(
        contact,
        "UPDATE contact SET name = $3, description = $4, fingerprint = $5, email = $6, phone = $7,
                            nick = $8, preferences = $9, verified_at = $10, meta = $11
         WHERE account_id = $1 AND id = $2"
    );
    tx.execute(
        update,
        &[
            &account.as_str(),
            &contact.id.as_str(),
            &contact.name,
            &contact.description,
            &contact.fingerprint,
            &contact.email,
            &contact.phone,
            &contact.nick,
            &contact.preferences,
            &contact.verified_at.map(Timestamp::as_millis),
            &contact.meta,
        ],
    )
    .map(drop)
}

/// Deletes the contact. `false` if there is none.
pub fn delete(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &ContactId,
) -> Result<bool, StoreError> {
    let delete = sql!(contact, "DELETE FROM contact WHERE account_id = $1 AND id = $2");
    Ok(tx.execute(delete, &[&account.as_str(), &id.as_str()])? == 1)
}
