//! Table `authentication`: links at which a person hands over a credential.

use keyfob_core::{
    id::{AccountId, ContactId, SecretId},
    ticket::TicketHash,
    time::Timestamp,
};

use crate::{
    ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
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
        contact: row.get::<Option<String>>(2)?.map(|id| ContactId::from_stored(&id)),
        secret: SecretId::from_stored(&row.get::<String>(3)?),
        return_url: row.get(4)?,
        created_at: row.time(5)?,
        expires_at: row.time(6)?,
        browser: hash(7, "browser_hash")?,
        outcome: outcome.transpose()?,
    })
}

/// The authentication with this state.
pub fn find(tx: &mut ReadTx<'_>, state: &TicketHash) -> Result<Option<Authentication>, StoreError> {
    let find = sql!(
        authentication,
        "SELECT account_id, state_hash, contact_id, secret_id, return_url, created_at, expires_at,
                browser_hash, outcome
         FROM authentication WHERE state_hash = $1"
    );
    tx.one(find, &[&state.as_bytes()], read)
}

/// How many authentications of the secret for the contact, or for its one shared value, are open at `now`;
/// no more than `limit` are counted.
pub fn count_open(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    secret: &SecretId,
    contact: Option<&ContactId>,
    now: Timestamp,
    limit: u32,
) -> Result<usize, StoreError> {
    // Two statements: `=` finds no null, and what finds both uses no index. A secret has links of as many
    // contacts as there are.
    macro_rules! open {
        ($of:literal) => {
            sql!(
                authentication,
                concat!(
                    "SELECT account_id FROM authentication
                     WHERE account_id = $1 AND secret_id = $2 AND outcome IS NULL
                       AND expires_at > $3 AND ",
                    $of,
                    " LIMIT $4"
                )
            )
        };
    }
    let (account, secret, limit) = (account.as_str(), secret.as_str(), i64::from(limit));
    let params: [&dyn Bind; 4] = [&account, &secret, &now.as_millis(), &limit];
    let open = match contact.map(ContactId::as_str) {
        Some(contact) => {
            let [a, b, c, d] = params;
            tx.many(open!("contact_id = $5"), &[a, b, c, d, &contact], |_| Ok(()))?
        }
        None => tx.many(open!("contact_id IS NULL"), &params, |_| Ok(()))?,
    };
    Ok(open.len())
}

/// Stores a new authentication.
pub fn insert(tx: &mut WriteTx<'_>, new: &Authentication) -> Result<(), StoreError> {
    let insert = sql!(
        authentication,
        "INSERT INTO authentication (state_hash, account_id, contact_id, secret_id, return_url,
                                     created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)"
    );
    tx.execute(
        insert,
        &[
            &new.state.as_bytes(),
            &new.account.as_str(),
            &new.contact.as_ref().map(ContactId::as_str),
            &new.secret.as_str(),
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
    macro_rules! withdraw {
        ($of:literal) => {
            sql!(
                authentication,
                concat!(
                    "UPDATE authentication SET ended_at = $3, outcome = 'withdrawn'
                     WHERE account_id = $1 AND secret_id = $2 AND outcome IS NULL AND ",
                    $of
                )
            )
        };
    }
    let (account, secret, now) = (account.as_str(), secret.as_str(), now.as_millis());
    let withdrawn = match contact.map(ContactId::as_str) {
        Some(contact) => {
            tx.execute(withdraw!("contact_id = $4"), &[&account, &secret, &now, &contact])
        }
        None => tx.execute(withdraw!("contact_id IS NULL"), &[&account, &secret, &now]),
    };
    withdrawn.map(drop)
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

/// Withdraws the open authentications of a secret, of all accounts.
pub fn withdraw_secret(
    tx: &mut WriteTx<'_>,
    secret: &SecretId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let withdraw = sql!(
        authentication,
        "UPDATE authentication SET ended_at = $2, outcome = 'withdrawn'
         WHERE secret_id = $1 AND outcome IS NULL"
    );
    tx.execute(withdraw, &[&secret.as_str(), &now.as_millis()]).map(drop)
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
