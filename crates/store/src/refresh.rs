//! Table `refresh`: OAuth grants that are kept alive, when each has to be renewed, and who is at it.
//!
//! Whoever renews a grant has a lease. It is taken before the provider is asked, in the same write that notes
//! that an answer may be lost from now on, and it has a number that grows with every lease and every new
//! value, so that one who was late finds that it is not at it any more.

use keyfob_core::{
    id::{AccountId, ContactId, SecretId},
    time::Timestamp,
};

use crate::{
    ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
    deletion::Last,
};

/// Whose grant it is: a contact's connection, or a shared secret's one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The contact's account; that of the secret for its one shared value.
    pub account: AccountId,
    /// The contact; `None` for the one value of a shared secret.
    pub contact: Option<ContactId>,
    /// The secret.
    pub secret: SecretId,
}

impl Holder {
    fn contact_column(&self) -> &str {
        self.contact.as_ref().map_or("", ContactId::as_str)
    }
}

/// A grant that is kept alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Whose it is.
    pub holder: Holder,
    /// The host that its tokens come from.
    pub host: String,
    /// When the background job renews it, or tries again; `None` is never.
    pub due_at: Option<Timestamp>,
    /// The number of the newest lease.
    pub fence: i64,
    /// Until when that lease lasts, if it has not ended.
    pub leased_until: Option<Timestamp>,
    /// Since when a request may be out there whose answer nobody knows.
    pub unanswered_since: Option<Timestamp>,
    /// How often it failed since it last succeeded.
    pub failures: u32,
    /// Why it failed the last time, for people.
    pub problem: Option<String>,
}

impl Refresh {
    /// Whether somebody may be waiting for the provider at `now`.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until.is_some_and(|until| until > now)
    }

    /// Until when it is left alone at `now`, after it failed.
    #[must_use]
    pub fn backs_off_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.due_at.filter(|due| self.failures > 0 && *due > now)
    }
}

/// How a request failed, after which the grant is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// When it is worth asking again.
    pub due_at: Timestamp,
    /// What went wrong, for people.
    pub problem: String,
    /// Since when the provider may have renewed the grant all the same, without anybody knowing.
    pub unanswered_since: Option<Timestamp>,
}

macro_rules! columns {
    () => {
        "account_id, contact_id, secret_id, host, due_at, fence, leased_until, unanswered_since,
         failures, problem"
    };
}

fn read(row: &Row<'_>) -> Result<Refresh, StoreError> {
    let contact = Some(row.get::<String>(1)?).filter(|id| !id.is_empty());
    Ok(Refresh {
        holder: Holder {
            account: AccountId::from_stored(&row.get::<String>(0)?),
            contact: contact.map(|id| ContactId::from_stored(&id)),
            secret: SecretId::from_stored(&row.get::<String>(2)?),
        },
        host: row.get(3)?,
        due_at: row.time_if_any(4)?,
        fence: row.get(5)?,
        leased_until: row.time_if_any(6)?,
        unanswered_since: row.time_if_any(7)?,
        failures: u32::try_from(row.get::<i64>(8)?).map_err(|_| row.damaged("failures"))?,
        problem: row.get(9)?,
    })
}

/// How the holder's grant is kept alive, if it is.
pub fn find(tx: &mut ReadTx<'_>, holder: &Holder) -> Result<Option<Refresh>, StoreError> {
    let find = sql!(
        refresh,
        concat!(
            "SELECT ",
            columns!(),
            " FROM refresh WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3"
        )
    );
    let params: [&dyn Bind; 3] =
        [&holder.account.as_str(), &holder.contact_column(), &holder.secret.as_str()];
    tx.one(find, &params, read)
}

/// The first host after `after` with grants that are to be renewed some time, and when the first of them is.
pub fn next_host(
    tx: &mut ReadTx<'_>,
    after: &str,
) -> Result<Option<(String, Timestamp)>, StoreError> {
    let next = sql!(
        refresh,
        "SELECT host, due_at FROM refresh WHERE host > $1 AND due_at IS NOT NULL
         ORDER BY host, due_at LIMIT 1"
    );
    tx.one(next, &[&after], |row| Ok((row.get(0)?, row.time(1)?)))
}

/// Up to `limit` grants from `host` that are due at `now` and that nobody is at, the longest due first.
pub fn list_due(
    tx: &mut ReadTx<'_>,
    host: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Refresh>, StoreError> {
    let list = sql!(
        refresh,
        concat!(
            "SELECT ",
            columns!(),
            " FROM refresh
             WHERE host = $1 AND due_at <= $2 AND (leased_until IS NULL OR leased_until <= $2)
             ORDER BY due_at LIMIT $3"
        )
    );
    tx.many(list, &[&host, &now.as_millis(), &i64::from(limit)], read)
}

/// Has a grant kept alive that was just stored, from `due_at` on. Whoever is still renewing what was there
/// before has lost its lease.
pub fn plan(
    tx: &mut WriteTx<'_>,
    holder: &Holder,
    host: &str,
    due_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let plan = sql!(
        refresh,
        "INSERT INTO refresh (account_id, contact_id, secret_id, host, due_at, fence, failures)
         VALUES ($1, $2, $3, $4, $5, 1, 0)
         ON CONFLICT (account_id, contact_id, secret_id) DO UPDATE
         SET host = excluded.host, due_at = excluded.due_at, fence = refresh.fence + 1,
             leased_until = NULL, unanswered_since = NULL, failures = 0, problem = NULL"
    );
    let params: [&dyn Bind; 5] = [
        &holder.account.as_str(),
        &holder.contact_column(),
        &holder.secret.as_str(),
        &host,
        &due_at.map(Timestamp::as_millis),
    ];
    tx.execute(plan, &params).map(drop)
}

/// Makes a grant one that is kept alive, if it is not: only when it is asked for, until it is planned.
pub fn begin(tx: &mut WriteTx<'_>, holder: &Holder, host: &str) -> Result<(), StoreError> {
    let begin = sql!(
        refresh,
        "INSERT INTO refresh (account_id, contact_id, secret_id, host, fence, failures)
         VALUES ($1, $2, $3, $4, 1, 0)
         ON CONFLICT (account_id, contact_id, secret_id) DO NOTHING"
    );
    let params: [&dyn Bind; 4] =
        [&holder.account.as_str(), &holder.contact_column(), &holder.secret.as_str(), &host];
    tx.execute(begin, &params).map(drop)
}

/// Takes the lease of a grant that was read as `seen`, until `until`, and notes that a request may be out
/// there from `now` on. `None` if somebody else has it, or had it since: of any number of concurrent calls
/// exactly one gets the lease, whose number it is.
pub fn lease(
    tx: &mut WriteTx<'_>,
    seen: &Refresh,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let lease = sql!(
        refresh,
        "UPDATE refresh
         SET fence = fence + 1, leased_until = $6,
             unanswered_since = COALESCE(unanswered_since, $5)
         WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3 AND fence = $4
           AND (leased_until IS NULL OR leased_until <= $5)
         RETURNING fence"
    );
    let holder = &seen.holder;
    let params: [&dyn Bind; 6] = [
        &holder.account.as_str(),
        &holder.contact_column(),
        &holder.secret.as_str(),
        &seen.fence,
        &now.as_millis(),
        &until.as_millis(),
    ];
    tx.change(lease, &params, |row| row.get(0))
}

/// Ends the lease number `fence` after a request that failed, or that was never sent. `false` if there is a
/// newer one, or a new value: then nothing changes.
pub fn fail(
    tx: &mut WriteTx<'_>,
    holder: &Holder,
    fence: i64,
    failed: &Failed,
) -> Result<bool, StoreError> {
    let fail = sql!(
        refresh,
        "UPDATE refresh
         SET due_at = $5, failures = failures + 1, problem = $6, leased_until = NULL,
             unanswered_since = $7
         WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3 AND fence = $4"
    );
    let params: [&dyn Bind; 7] = [
        &holder.account.as_str(),
        &holder.contact_column(),
        &holder.secret.as_str(),
        &fence,
        &failed.due_at.as_millis(),
        &failed.problem.as_str(),
        &failed.unanswered_since.map(Timestamp::as_millis),
    ];
    Ok(tx.execute(fail, &params)? == 1)
}

/// Keeps the grant alive no longer; whether it was.
pub fn end(tx: &mut WriteTx<'_>, holder: &Holder) -> Result<bool, StoreError> {
    let end = sql!(
        refresh,
        "DELETE FROM refresh WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3"
    );
    let params: [&dyn Bind; 3] =
        [&holder.account.as_str(), &holder.contact_column(), &holder.secret.as_str()];
    Ok(tx.execute(end, &params)? == 1)
}

/// Keeps none of the grants alive any longer that go with the connections of a deleted secret, up to and
/// with `last`.
pub fn end_deleted(tx: &mut WriteTx<'_>, secret: &SecretId, last: &Last) -> Result<(), StoreError> {
    let end = sql!(
        refresh,
        "DELETE FROM refresh
         WHERE secret_id = $1 AND (account_id, contact_id) <= ($2, $3)"
    );
    let Last { account, contact, .. } = last;
    tx.execute(end, &[&secret.as_str(), &account.as_str(), &contact.as_str()]).map(drop)
}

/// Keeps no grant of the contact alive any longer.
pub fn end_contact(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &ContactId,
) -> Result<(), StoreError> {
    let end = sql!(refresh, "DELETE FROM refresh WHERE account_id = $1 AND contact_id = $2");
    tx.execute(end, &[&account.as_str(), &contact.as_str()]).map(drop)
}
