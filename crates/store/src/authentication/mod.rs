//! Table `authentication`: links at which a person hands over a credential.

use keyfob_core::{
    id::{AccountId, ContactId, KeyId, SecretId},
    ticket::TicketHash,
    time::Timestamp,
};

use crate::{
    ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
    refresh::Holder,
};

/// A link at which a person hands over a credential.
#[derive(Clone, Debug)]
pub struct Authentication {
    /// The hash of its state.
    pub state: TicketHash,
    /// The account it was made for.
    pub account: AccountId,
    /// The contact who connects; `None` for the one value of a shared secret.
    pub contact: Option<ContactId>,
    /// The secret.
    pub secret: SecretId,
    /// The key that asked for it; a command on the machine itself has none.
    pub key: Option<KeyId>,
    /// Where the contact goes at the end.
    pub return_url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be used.
    pub expires_at: Timestamp,
    /// The browser that it belongs to, since that sent the form.
    pub browser: Option<TicketHash>,
    /// How it ended, if it did.
    pub outcome: Option<Outcome>,
}

impl Authentication {
    /// Whose credential is handed over.
    #[must_use]
    pub fn holder(&self) -> Holder {
        let (account, contact) = (self.account.clone(), self.contact.clone());
        Holder { account, contact, secret: self.secret.clone() }
    }
}

/// How an authentication ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The credential was handed over.
    Connected,
    /// The person did not want to.
    Declined,
    /// The account took it back, or what it was for.
    Withdrawn,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Connected, Self::Declined, Self::Withdrawn];

    /// The outcome as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Declined => "declined",
            Self::Withdrawn => "withdrawn",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

macro_rules! columns {
    () => {
        "account_id, state_hash, contact_id, secret_id, return_url, created_at, expires_at,
         browser_hash, outcome, key_id"
    };
}

mod asked;

pub use self::asked::{Asked, ask, find_asked, find_asked_at, poll, slow_down, take};

fn read(row: &Row<'_>) -> Result<Authentication, StoreError> {
    let hash = |index, column| -> Result<Option<TicketHash>, StoreError> {
        let bytes: Option<Vec<u8>> = row.get(index)?;
        let hash =
            |bytes: Vec<u8>| TicketHash::from_stored(&bytes).ok_or_else(|| row.damaged(column));
        bytes.map(hash).transpose()
    };
    let outcome: Option<String> = row.get(8)?;
    let outcome = outcome.map(|text| Outcome::parse(&text).ok_or_else(|| row.damaged("outcome")));
    Ok(Authentication {
        account: AccountId::from_stored(&row.get::<String>(0)?),
        state: hash(1, "state_hash")?.ok_or_else(|| row.damaged("state_hash"))?,
        contact: Some(row.get::<String>(2)?)
            .filter(|id| !id.is_empty())
            .map(|id| ContactId::from_stored(&id)),
        secret: SecretId::from_stored(&row.get::<String>(3)?),
        key: Some(row.get::<String>(9)?)
            .filter(|id| !id.is_empty())
            .map(|id| KeyId::from_stored(&id)),
        return_url: row.get(4)?,
        created_at: row.time(5)?,
        expires_at: row.time(6)?,
        browser: hash(7, "browser_hash")?,
        outcome: outcome.transpose()?,
    })
}

/// The contact as it is stored: an index finds what is empty, but nothing that is null.
fn column(contact: Option<&ContactId>) -> &str {
    contact.map_or("", ContactId::as_str)
}

/// The key as it is stored.
fn key_column(authentication: &Authentication) -> &str {
    authentication.key.as_ref().map_or("", KeyId::as_str)
}

/// The authentication with this state.
pub fn find(tx: &mut ReadTx<'_>, state: &TicketHash) -> Result<Option<Authentication>, StoreError> {
    let find = sql!(
        authentication,
        concat!("SELECT ", columns!(), " FROM authentication WHERE state_hash = $1")
    );
    tx.one(find, &[&state.as_bytes()], read)
}

/// How many authentications are open at `now` that are for the same as `new`, and asked for by the same key;
/// no more than `limit` are counted.
pub fn count_like(
    tx: &mut ReadTx<'_>,
    new: &Authentication,
    now: Timestamp,
    limit: u32,
) -> Result<usize, StoreError> {
    let open = sql!(
        authentication,
        "SELECT account_id FROM authentication
         WHERE account_id = $1 AND secret_id = $2 AND contact_id = $3 AND key_id = $4
           AND outcome IS NULL AND expires_at > $5
         LIMIT $6"
    );
    let (contact, key) = (column(new.contact.as_ref()), key_column(new));
    let (now, limit) = (now.as_millis(), i64::from(limit));
    let params: [&dyn Bind; 6] =
        [&new.account.as_str(), &new.secret.as_str(), &contact, &key, &now, &limit];
    Ok(tx.many(open, &params, |_| Ok(()))?.len())
}

/// The authentication of this credential that this key asked for last, if its time is not over at `now`; it may have
/// ended.
pub fn last(
    tx: &mut ReadTx<'_>,
    holder: &Holder,
    key: &KeyId,
    now: Timestamp,
) -> Result<Option<Authentication>, StoreError> {
    // Of two in one millisecond the open one is the later one: nobody asks again for what was not looked at.
    let last = sql!(
        authentication,
        concat!(
            "SELECT ",
            columns!(),
            " FROM authentication
             WHERE account_id = $1 AND secret_id = $2 AND contact_id = $3 AND key_id = $4
               AND expires_at > $5
             ORDER BY created_at DESC, CASE WHEN outcome IS NULL THEN 0 ELSE 1 END LIMIT 1"
        )
    );
    let contact = column(holder.contact.as_ref());
    let (account, secret) = (holder.account.as_str(), holder.secret.as_str());
    let params: [&dyn Bind; 5] = [&account, &secret, &contact, &key.as_str(), &now.as_millis()];
    tx.one(last, &params, read)
}

/// Stores a new authentication.
pub fn insert(tx: &mut WriteTx<'_>, new: &Authentication) -> Result<(), StoreError> {
    let insert = sql!(
        authentication,
        "INSERT INTO authentication (state_hash, account_id, contact_id, secret_id, key_id,
                                     return_url, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    );
    tx.execute(
        insert,
        &[
            &new.state.as_bytes(),
            &new.account.as_str(),
            &column(new.contact.as_ref()),
            &new.secret.as_str(),
            &key_column(new),
            &new.return_url,
            &new.created_at.as_millis(),
            &new.expires_at.as_millis(),
        ],
    )
    .map(drop)
}

/// Binds an open authentication to a browser. `false` if it has ended, or belongs to another browser: of
/// any number of concurrent calls for different browsers exactly one gets `true`.
pub fn bind(
    tx: &mut WriteTx<'_>,
    state: &TicketHash,
    browser: &TicketHash,
) -> Result<bool, StoreError> {
    let bind = sql!(
        authentication,
        "UPDATE authentication SET browser_hash = $2
         WHERE state_hash = $1 AND outcome IS NULL
           AND (browser_hash IS NULL OR browser_hash = $2)"
    );
    Ok(tx.execute(bind, &[&state.as_bytes(), &browser.as_bytes()])? == 1)
}

/// Ends an open authentication. `false` if it has ended: of any number of concurrent calls exactly one
/// gets `true`.
pub fn end(
    tx: &mut WriteTx<'_>,
    state: &TicketHash,
    outcome: Outcome,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let end = sql!(
        authentication,
        "UPDATE authentication SET ended_at = $2, outcome = $3
         WHERE state_hash = $1 AND outcome IS NULL"
    );
    Ok(tx.execute(end, &[&state.as_bytes(), &now.as_millis(), &outcome.as_str()])? == 1)
}

/// Withdraws the open authentications of the secret for the contact, or for its one shared value.
pub fn withdraw(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    secret: &SecretId,
    contact: Option<&ContactId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let withdraw = sql!(
        authentication,
        "UPDATE authentication SET ended_at = $4, outcome = 'withdrawn'
         WHERE account_id = $1 AND secret_id = $2 AND contact_id = $3
           AND outcome IS NULL"
    );
    let contact = column(contact);
    let params: [&dyn Bind; 4] = [&account.as_str(), &secret.as_str(), &contact, &now.as_millis()];
    tx.execute(withdraw, &params).map(drop)
}

/// Withdraws the open authentications of a contact.
pub fn withdraw_contact(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &ContactId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let withdraw = sql!(
        authentication,
        "UPDATE authentication SET ended_at = $3, outcome = 'withdrawn'
         WHERE account_id = $1 AND contact_id = $2 AND outcome IS NULL"
    );
    tx.execute(withdraw, &[&account.as_str(), &contact.as_str(), &now.as_millis()]).map(drop)
}

/// Withdraws up to `limit` of the open authentications of a secret, of all accounts. The others open nothing
/// either once it is gone.
pub fn withdraw_secret(
    tx: &mut WriteTx<'_>,
    secret: &SecretId,
    now: Timestamp,
    limit: u32,
) -> Result<(), StoreError> {
    let withdraw = sql!(
        authentication,
        "UPDATE authentication SET ended_at = $2, outcome = 'withdrawn'
         WHERE state_hash IN (SELECT state_hash FROM authentication
                              WHERE secret_id = $1 AND outcome IS NULL LIMIT $3)
           AND outcome IS NULL"
    );
    let params: [&dyn Bind; 3] = [&secret.as_str(), &now.as_millis(), &i64::from(limit)];
    tx.execute(withdraw, &params).map(drop)
}

/// Forgets up to `limit` of the authentications that ended before `before`; how many there were.
pub fn forget(tx: &mut WriteTx<'_>, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let forget = sql!(
        authentication,
        "DELETE FROM authentication WHERE state_hash IN
             (SELECT state_hash FROM authentication WHERE expires_at < $1 LIMIT $2)"
    );
    tx.execute(forget, &[&before.as_millis(), &i64::from(limit)])
}
