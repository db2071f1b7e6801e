//! Working the queue. One node at a time is at a row: it has a lease, which ends by itself if the node dies.
//! When it ended tells leases apart, so whoever was late changes nothing any more.

use keyfob_core::{
    id::{AccountId, ConnectionId},
    time::Timestamp,
};

use super::{Outcome, Revocation, columns, read};
use crate::{
    ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
};

/// A row that somebody has to work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// The account of the contact whose grant it is.
    pub account: AccountId,
    /// The connection it was.
    pub id: ConnectionId,
}

/// A row that this node works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// The row.
    pub revocation: Revocation,
    /// How often the provider was asked in vain.
    pub attempts: u32,
    /// Until when nobody else works it: the name of this lease.
    pub until: Timestamp,
}

/// When a row is to be worked again, after it did not go well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// When it is worth asking again.
    pub due_at: Timestamp,
    /// What went wrong, for people.
    pub problem: String,
}

impl Leased {
    fn at(&self) -> [&str; 2] {
        [self.revocation.account.as_str(), self.revocation.id.as_str()]
    }
}

/// Up to `limit` hosts with rows that are due at `now`, in order, behind the host `after`; an empty one is in
/// front of all.
pub fn due_hosts(
    tx: &mut ReadTx<'_>,
    after: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    // From host to host by the index: many rows of one host cost no more than one.
    let hosts = sql!(
        revocation,
        "WITH RECURSIVE hosts (host) AS (
             SELECT min(host) FROM revocation WHERE host > $3 AND due_at IS NOT NULL
             UNION ALL
             SELECT (SELECT min(host) FROM revocation
                     WHERE host > hosts.host AND due_at IS NOT NULL)
             FROM hosts WHERE hosts.host IS NOT NULL
         )
         SELECT host FROM hosts
         WHERE host IS NOT NULL
           AND EXISTS (SELECT 1 FROM revocation
                       WHERE revocation.host = hosts.host AND revocation.due_at <= $1)
         LIMIT $2"
    );
    tx.many(hosts, &[&now.as_millis(), &i64::from(limit), &after], |row| row.get(0))
}

/// Whether rows of other accounts than `account` are due at `host`.
pub fn has_others_due(
    tx: &mut ReadTx<'_>,
    host: &str,
    account: &AccountId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let other = sql!(
        revocation,
        "SELECT account_id FROM revocation
         WHERE host = $1 AND due_at <= $2 AND account_id <> $3 LIMIT 1"
    );
    let found = tx.one(other, &[&host, &now.as_millis(), &account.as_str()], |_| Ok(()))?;
    Ok(found.is_some())
}

/// Up to `limit` rows of `host` that are due at `now` and that nobody works, the longest due first.
pub fn list_due(
    tx: &mut ReadTx<'_>,
    host: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Waiting>, StoreError> {
    let list = sql!(
        revocation,
        "SELECT account_id, id FROM revocation
         WHERE host = $1 AND due_at <= $2 AND (leased_until IS NULL OR leased_until <= $2)
         ORDER BY due_at LIMIT $3"
    );
    tx.many(list, &[&host, &now.as_millis(), &i64::from(limit)], waiting)
}

/// The same of rows whose host nobody has looked for.
pub fn list_unsorted(
    tx: &mut ReadTx<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Waiting>, StoreError> {
    let list = sql!(
        revocation,
        "SELECT account_id, id FROM revocation
         WHERE host IS NULL AND due_at <= $1 AND (leased_until IS NULL OR leased_until <= $1)
         ORDER BY due_at LIMIT $2"
    );
    tx.many(list, &[&now.as_millis(), &i64::from(limit)], waiting)
}

fn waiting(row: &Row<'_>) -> Result<Waiting, StoreError> {
    Ok(Waiting {
        account: AccountId::from_stored(&row.get::<String>(0)?),
        id: ConnectionId::from_stored(&row.get::<String>(1)?),
    })
}

/// Takes a row that is due, until `until`. `None` if it is not, or if somebody has it: of any number of
/// concurrent calls exactly one gets it.
pub fn lease(
    tx: &mut WriteTx<'_>,
    row: &Waiting,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Leased>, StoreError> {
    let lease = sql!(
        revocation,
        concat!(
            "UPDATE revocation SET leased_until = $4
             WHERE account_id = $1 AND id = $2 AND due_at <= $3
               AND (leased_until IS NULL OR leased_until <= $3)
             RETURNING ",
            columns!(),
            ", COALESCE(attempts, 0)"
        )
    );
    let params: [&dyn Bind; 4] =
        [&row.account.as_str(), &row.id.as_str(), &now.as_millis(), &until.as_millis()];
    tx.change(lease, &params, |row| {
        let attempts = u32::try_from(row.get::<i64>(9)?).map_err(|_| row.damaged("attempts"))?;
        Ok(Leased { revocation: read(row)?, attempts, until })
    })
}

/// Notes at which host a row is to be worked, and lets it go. `false` if the lease has been lost.
pub fn sort(tx: &mut WriteTx<'_>, leased: &Leased, host: &str) -> Result<bool, StoreError> {
    let sort = sql!(
        revocation,
        "UPDATE revocation SET host = $4, leased_until = NULL
         WHERE account_id = $1 AND id = $2 AND leased_until = $3"
    );
    let [account, id] = leased.at();
    Ok(tx.execute(sort, &[&account, &id, &leased.until.as_millis(), &host])? == 1)
}

/// Lets a row go that did not go well. `false` if the lease has been lost: then nothing changes.
pub fn put_off(tx: &mut WriteTx<'_>, leased: &Leased, again: &Again) -> Result<bool, StoreError> {
    let put_off = sql!(
        revocation,
        "UPDATE revocation
         SET due_at = $4, problem = $5, attempts = COALESCE(attempts, 0) + 1, leased_until = NULL
         WHERE account_id = $1 AND id = $2 AND leased_until = $3"
    );
    let [account, id] = leased.at();
    let params: [&dyn Bind; 5] = [
        &account,
        &id,
        &leased.until.as_millis(),
        &again.due_at.as_millis(),
        &again.problem.as_str(),
    ];
    Ok(tx.execute(put_off, &params)? == 1)
}

/// Ends a row, which holds nothing sealed any more. `false` if the lease has been lost: then nothing changes.
pub fn end(
    tx: &mut WriteTx<'_>,
    leased: &Leased,
    (outcome, problem): (Outcome, Option<&str>),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let end = sql!(
        revocation,
        "UPDATE revocation
         SET outcome = $4, problem = $5, ended_at = $6, value = $7, config = NULL, due_at = NULL,
             leased_until = NULL
         WHERE account_id = $1 AND id = $2 AND leased_until = $3"
    );
    let [account, id] = leased.at();
    let nothing: &[u8] = &[];
    let params: [&dyn Bind; 7] = [
        &account,
        &id,
        &leased.until.as_millis(),
        &outcome.as_str(),
        &problem,
        &now.as_millis(),
        &nothing,
    ];
    Ok(tx.execute(end, &params)? == 1)
}
