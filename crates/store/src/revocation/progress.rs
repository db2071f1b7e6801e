//! How revocations go: what is told of them, for as long as it is remembered.

use keyfob_core::{
    id::{AccountId, ConnectionId, ContactId, SecretId},
    time::Timestamp,
};

use super::contact;
use crate::{
    Page, ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
};

/// How a revocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The provider says that the grant has ended.
    Revoked,
    /// The provider revokes nothing, as far as is known.
    Unsupported,
    /// It did not work, and is not tried any more.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Revoked, Self::Unsupported, Self::Failed];

    /// The outcome as it is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Unsupported => "unsupported",
            Self::Failed => "failed",
        }
    }

    /// The outcome of this word, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// How the revocation of a grant goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The connection that it was.
    pub id: ConnectionId,
    /// The contact; `None` for the one value of a shared secret.
    pub contact: Option<ContactId>,
    /// The secret.
    pub secret: SecretId,
    /// How often the provider was asked in vain.
    pub attempts: u32,
    /// What went wrong the last time, for people.
    pub problem: Option<String>,
    /// How it ended; `None` while it has not.
    pub outcome: Option<Outcome>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it is tried next; `None` once it has ended.
    pub due_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

macro_rules! select {
    ($rest:literal) => {
        sql!(
            revocation,
            concat!(
                "SELECT id, contact_id, secret_id, COALESCE(attempts, 0), problem, outcome,
                        created_at, due_at, ended_at
                 FROM revocation WHERE account_id = $1 AND ",
                $rest
            )
        )
    };
}

/// Up to `limit` of the account's revocations after `after`, ended ones included, by the age of what were
/// connections.
pub fn list_progress(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&ConnectionId>,
    limit: u32,
) -> Result<Page<Progress, ConnectionId>, StoreError> {
    let list = select!("id > $2 ORDER BY id LIMIT $3");
    let after = after.map_or("", ConnectionId::as_str);
    let params: [&dyn Bind; 3] = [&account.as_str(), &after, &i64::from(limit)];
    tx.page(list, &params, (0, ConnectionId::from_stored), read)
}

/// Up to `limit` of the account's revocations before `before`, ended ones included, the youngest of what were
/// connections first.
pub fn list_progress_newest(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    before: Option<&ConnectionId>,
    limit: u32,
) -> Result<Page<Progress, ConnectionId>, StoreError> {
    let list = select!("id < $2 ORDER BY id DESC LIMIT $3");
    let end = ConnectionId::last();
    let before = before.unwrap_or(&end).as_str();
    let params: [&dyn Bind; 3] = [&account.as_str(), &before, &i64::from(limit)];
    tx.page(list, &params, (0, ConnectionId::from_stored), read)
}

fn read(row: &Row<'_>) -> Result<Progress, StoreError> {
    let outcome = row.get::<Option<String>>(5)?;
    let parse = |word: String| Outcome::parse(&word).ok_or_else(|| row.damaged("outcome"));
    Ok(Progress {
        id: ConnectionId::from_stored(&row.get::<String>(0)?),
        contact: contact(row.get(1)?),
        secret: SecretId::from_stored(&row.get::<String>(2)?),
        attempts: u32::try_from(row.get::<i64>(3)?).map_err(|_| row.damaged("attempts"))?,
        problem: row.get(4)?,
        outcome: outcome.map(parse).transpose()?,
        created_at: row.time(6)?,
        due_at: row.time_if_any(7)?,
        ended_at: row.time_if_any(8)?,
    })
}

/// Forgets up to `limit` of the revocations that ended before `before`; how many there were.
pub fn forget(tx: &mut WriteTx<'_>, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let forget = sql!(
        revocation,
        "DELETE FROM revocation WHERE (account_id, id) IN
             (SELECT account_id, id FROM revocation WHERE ended_at < $1 LIMIT $2)"
    );
    tx.execute(forget, &[&before.as_millis(), &i64::from(limit)])
}
