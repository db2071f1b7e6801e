//! Table `refresh`: OAuth grants that are kept alive, when each has to be renewed, and who is at it.
//!
//! Whoever renews a grant has a lease. It is taken before the provider is asked, in the same write that notes
//! that an answer may be lost from now on, and it has a number that grows with every lease and every new
//! value, so that one who was late finds that it is not at it any more.

use std::time::Duration;

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

/// No lease is for longer: one that seems to be is of a clock that was ahead, and holds nobody up.
const LONGEST_LEASE: Duration = Duration::from_mins(2);
/// The same for the pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_hours(2);
/// Whose lease ran out with a request that was not answered has so long to store new tokens: the database may
/// have been away, and nobody else may use the old ones meanwhile.
const GRACE: Duration = Duration::from_secs(5);

impl Refresh {
    /// Whether somebody may be waiting for the provider at `now`, or for the database to store its answer.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        let grace = self.unanswered_since.map_or(Duration::ZERO, |_| GRACE);
        let lasts = |until: Timestamp| until.plus(grace) > now && until <= now.plus(LONGEST_LEASE);
        self.leased_until.is_some_and(lasts)
    }

    /// Until when it is left alone at `now`, after it failed.
    #[must_use]
    pub fn backs_off_until(&self, now: Timestamp) -> Option<Timestamp> {
        let is_pause = |due: &Timestamp| *due > now && *due <= now.plus(LONGEST_PAUSE);
        self.due_at.filter(|due| self.failures > 0 && is_pause(due))
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

/// Up to `limit` hosts with grants that are due at `now`, in order, behind the host `after`; an empty one is in
/// front of all.
pub fn due_hosts(
    tx: &mut ReadTx<'_>,
    after: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    // From host to host by the index: many grants of one host cost no more than one.
    let hosts = sql!(
        refresh,
        "WITH RECURSIVE hosts (host) AS (
             SELECT min(host) FROM refresh WHERE host > $3
             UNION ALL
             SELECT (SELECT min(host) FROM refresh WHERE host > hosts.host) FROM hosts
             WHERE hosts.host IS NOT NULL
         )
         SELECT host FROM hosts
         WHERE host IS NOT NULL
           AND EXISTS (SELECT 1 FROM refresh
                       WHERE refresh.host = hosts.host AND refresh.due_at <= $1)
         LIMIT $2"
    );
    tx.many(hosts, &[&now.as_millis(), &i64::from(limit), &after], |row| row.get(0))
}

/// Whether grants of other accounts than `account` are due at `host`.
pub fn has_others_due(
    tx: &mut ReadTx<'_>,
    host: &str,
    account: &AccountId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let other = sql!(
        refresh,
        "SELECT account_id FROM refresh
         WHERE host = $1 AND due_at <= $2 AND account_id <> $3 LIMIT 1"
    );
    let found = tx.one(other, &[&host, &now.as_millis(), &account.as_str()], |_| Ok(()))?;
    Ok(found.is_some())
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
             WHERE host = $1 AND due_at <= $2
               AND (leased_until IS NULL OR leased_until > $3 OR (leased_until <= $2
                    AND (unanswered_since IS NULL OR leased_until <= $4)))
             ORDER BY due_at LIMIT $5"
        )
    );
    let too_long = now.plus(LONGEST_LEASE).as_millis();
    let grace = now.minus(GRACE).as_millis();
    tx.many(list, &[&host, &now.as_millis(), &too_long, &grace, &i64::from(limit)], read)
}

/// Has a grant kept alive that is there, if it is not yet. Of any number of concurrent calls one makes the
/// row, and none changes one.
pub fn insert(tx: &mut WriteTx<'_>, holder: &Holder, host: &str) -> Result<(), StoreError> {
    let insert = sql!(
        refresh,
        "INSERT INTO refresh (account_id, contact_id, secret_id, host, fence, failures)
         VALUES ($1, $2, $3, $4, 1, 0)
         ON CONFLICT (account_id, contact_id, secret_id) DO NOTHING"
    );
    let params: [&dyn Bind; 4] =
        [&holder.account.as_str(), &holder.contact_column(), &holder.secret.as_str(), &host];
    tx.execute(insert, &params).map(drop)
}

/// Notes that a grant that is there is to be renewed elsewhere, or at another time, from now on; failures
/// before that do not count. Whoever is renewing it goes on.
pub fn replan(
    tx: &mut WriteTx<'_>,
    holder: &Holder,
    host: &str,
    due_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let replan = sql!(
        refresh,
        "UPDATE refresh SET host = $4, due_at = $5, failures = 0, problem = NULL
         WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3"
    );
    let params: [&dyn Bind; 5] = [
        &holder.account.as_str(),
        &holder.contact_column(),
        &holder.secret.as_str(),
        &host,
        &due_at.map(Timestamp::as_millis),
    ];
    tx.execute(replan, &params).map(drop)
}

/// Puts off a grant that nobody is at and that was read as `seen`, without counting it as a failure.
pub fn put_off(tx: &mut WriteTx<'_>, seen: &Refresh, due_at: Timestamp) -> Result<(), StoreError> {
    let put_off = sql!(
        refresh,
        "UPDATE refresh SET due_at = $5
         WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3 AND fence = $4"
    );
    let holder = &seen.holder;
    let params: [&dyn Bind; 5] = [
        &holder.account.as_str(),
        &holder.contact_column(),
        &holder.secret.as_str(),
        &seen.fence,
        &due_at.as_millis(),
    ];
    tx.execute(put_off, &params).map(drop)
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
           AND (leased_until IS NULL OR leased_until > $7 OR (leased_until <= $5
                AND (unanswered_since IS NULL OR leased_until <= $8)))
         RETURNING fence"
    );
    let holder = &seen.holder;
    let too_long = now.plus(LONGEST_LEASE).as_millis();
    let grace = now.minus(GRACE).as_millis();
    let params: [&dyn Bind; 8] = [
        &holder.account.as_str(),
        &holder.contact_column(),
        &holder.secret.as_str(),
        &seen.fence,
        &now.as_millis(),
        &until.as_millis(),
        &too_long,
        &grace,
    ];
    tx.change(lease, &params, |row| row.get(0))
}

/// Ends the lease number `fence` of whoever has found that there is nothing to do: all is as it was when it
/// was read as `before`.
pub fn release(tx: &mut WriteTx<'_>, before: &Refresh, fence: i64) -> Result<(), StoreError> {
    let release = sql!(
        refresh,
        "UPDATE refresh SET leased_until = NULL, unanswered_since = $5
         WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3 AND fence = $4"
    );
    let holder = &before.holder;
    let params: [&dyn Bind; 5] = [
        &holder.account.as_str(),
        &holder.contact_column(),
        &holder.secret.as_str(),
        &fence,
        &before.unanswered_since.map(Timestamp::as_millis),
    ];
    tx.execute(release, &params).map(drop)
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

/// Keeps the grant alive no longer, if lease number `fence` is the newest; whether it is.
pub fn end_lease(tx: &mut WriteTx<'_>, holder: &Holder, fence: i64) -> Result<bool, StoreError> {
    let end = sql!(
        refresh,
        "DELETE FROM refresh
         WHERE account_id = $1 AND contact_id = $2 AND secret_id = $3 AND fence = $4"
    );
    let params: [&dyn Bind; 4] =
        [&holder.account.as_str(), &holder.contact_column(), &holder.secret.as_str(), &fence];
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
