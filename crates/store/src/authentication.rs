//! Table `authentication`: links at which a person hands over a credential.

use keyfob_core::{
    crypto::Sealed,
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

/// What was asked of a provider at an authentication.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The authentication.
    pub authentication: Authentication,
    /// The hash of the state that it was asked with.
    pub request_state: TicketHash,
    /// What the answer needs, sealed; `None` if it has come.
    pub request: Option<Sealed>,
    /// When the provider may be asked again whether a person has let a device in.
    pub poll_at: Option<Timestamp>,
}

/// Notes what is being asked of a provider at an open authentication, in place of what was before. `false`
/// if it has ended.
pub fn ask(
    tx: &mut WriteTx<'_>,
    state: &TicketHash,
    request_state: &TicketHash,
    request: &Sealed,
    poll_at: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let ask = sql!(
        authentication,
        "UPDATE authentication SET request_hash = $2, request = $3, poll_at = $4
         WHERE state_hash = $1 AND outcome IS NULL"
    );
    let params: [&dyn Bind; 4] = [
        &state.as_bytes(),
        &request_state.as_bytes(),
        &request.as_bytes(),
        &poll_at.map(Timestamp::as_millis),
    ];
    Ok(tx.execute(ask, &params)? == 1)
}

/// Puts off the next poll about the device of this request, and changes what is kept of it. `false` if another
/// one took its place, its answer has come, or somebody else did.
pub fn slow_down(
    tx: &mut WriteTx<'_>,
    request_state: &TicketHash,
    request: &Sealed,
    seen: Timestamp,
    next: Timestamp,
) -> Result<bool, StoreError> {
    let slow_down = sql!(
        authentication,
        "UPDATE authentication SET request = $2, poll_at = $4
         WHERE request_hash = $1 AND poll_at = $3 AND request IS NOT NULL AND outcome IS NULL"
    );
    let (state, request) = (request_state.as_bytes(), request.as_bytes());
    let params: [&dyn Bind; 4] = [&state, &request, &seen.as_millis(), &next.as_millis()];
    Ok(tx.execute(slow_down, &params)? == 1)
}

/// What was asked with this state, if nothing was asked since.
pub fn find_asked(
    tx: &mut ReadTx<'_>,
    request_state: &TicketHash,
) -> Result<Option<Asked>, StoreError> {
    let find = sql!(
        authentication,
        concat!(
            "SELECT ",
            columns!(),
            ", request, poll_at, request_hash FROM authentication WHERE request_hash = $1"
        )
    );
    tx.one(find, &[&request_state.as_bytes()], read_asked)
}

/// What was asked last at this authentication, if anything was.
pub fn find_asked_at(tx: &mut ReadTx<'_>, state: &TicketHash) -> Result<Option<Asked>, StoreError> {
    let find = sql!(
        authentication,
        concat!(
            "SELECT ",
            columns!(),
            ", request, poll_at, request_hash FROM authentication
             WHERE state_hash = $1 AND request_hash IS NOT NULL"
        )
    );
    tx.one(find, &[&state.as_bytes()], read_asked)
}

fn read_asked(row: &Row<'_>) -> Result<Asked, StoreError> {
    let request_state = TicketHash::from_stored(&row.get::<Vec<u8>>(12)?);
    Ok(Asked {
        authentication: read(row)?,
        request_state: request_state.ok_or_else(|| row.damaged("request_hash"))?,
        request: row.get::<Option<Vec<u8>>>(10)?.map(Sealed::from_stored),
        poll_at: row.time_if_any(11)?,
    })
}

/// Takes the request that was sent with this state: its answer has come. `false` if it was taken, or if
/// another one took its place: of any number of concurrent calls exactly one gets `true`. The state itself
/// stays known, so that an answer that is sent again can be told from one to nothing.
pub fn take(tx: &mut WriteTx<'_>, request_state: &TicketHash) -> Result<bool, StoreError> {
    let take = sql!(
        authentication,
        "UPDATE authentication SET request = NULL, poll_at = NULL
         WHERE request_hash = $1 AND request IS NOT NULL"
    );
    Ok(tx.execute(take, &[&request_state.as_bytes()])? == 1)
}

/// Puts off when the provider may be asked again about a device, from `seen` to `next`. `false` if somebody
/// else did: of any number of concurrent calls exactly one gets `true`, and asks.
pub fn poll(
    tx: &mut WriteTx<'_>,
    state: &TicketHash,
    seen: Timestamp,
    next: Timestamp,
) -> Result<bool, StoreError> {
    let poll = sql!(
        authentication,
        "UPDATE authentication SET poll_at = $3
         WHERE state_hash = $1 AND poll_at = $2 AND request IS NOT NULL AND outcome IS NULL"
    );
    let params: [&dyn Bind; 3] = [&state.as_bytes(), &seen.as_millis(), &next.as_millis()];
    Ok(tx.execute(poll, &params)? == 1)
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
