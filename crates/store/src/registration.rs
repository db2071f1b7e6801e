//! Table `registration`: clients that Keyfob has registered at providers (RFC 7591), each for one secret.
//!
//! Whoever registers has a lease, whose number grows with every lease, so that of any number of first visitors
//! one registers, and one who was late finds that it is not at it any more.

use keyfob_core::{
    crypto::Sealed,
    id::{AccountId, SecretId},
    time::Timestamp,
};

use crate::{
    ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
};

/// Which registration it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The secret's account.
    pub account: AccountId,
    /// The secret.
    pub secret: SecretId,
    /// The authorization server, in its own words.
    pub issuer: String,
}

/// A client that is registered, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Which one it is.
    pub place: Place,
    /// The client, sealed; `None` until it is registered.
    pub client: Option<Sealed>,
    /// The number of the newest lease.
    pub fence: i64,
    /// Until when whoever has that lease may be registering; `None` if it has ended.
    pub leased_until: Option<Timestamp>,
}

impl Registration {
    /// Whether somebody may be registering at `now`.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until.is_some_and(|until| until > now)
    }
}

macro_rules! columns {
    () => {
        "account_id, secret_id, issuer, client, fence, leased_until"
    };
}

fn read(row: &Row<'_>) -> Result<Registration, StoreError> {
    Ok(Registration {
        place: Place {
            account: AccountId::from_stored(&row.get::<String>(0)?),
            secret: SecretId::from_stored(&row.get::<String>(1)?),
            issuer: row.get(2)?,
        },
        client: row.get::<Option<Vec<u8>>>(3)?.map(Sealed::from_stored),
        fence: row.get(4)?,
        leased_until: row.time_if_any(5)?,
    })
}

/// The registration at this place, if there is one or somebody is at it.
pub fn find(tx: &mut ReadTx<'_>, place: &Place) -> Result<Option<Registration>, StoreError> {
    let find = sql!(
        registration,
        concat!(
            "SELECT ",
            columns!(),
            " FROM registration WHERE account_id = $1 AND secret_id = $2 AND issuer = $3"
        )
    );
    let params: [&dyn Bind; 3] =
        [&place.account.as_str(), &place.secret.as_str(), &place.issuer.as_str()];
    tx.one(find, &params, read)
}

/// The registrations of a secret.
pub fn list(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    secret: &SecretId,
) -> Result<Vec<Registration>, StoreError> {
    let list = sql!(
        registration,
        concat!(
            "SELECT ",
            columns!(),
            " FROM registration WHERE account_id = $1 AND secret_id = $2 ORDER BY issuer"
        )
    );
    tx.many(list, &[&account.as_str(), &secret.as_str()], read)
}

/// Takes the lease to register a client at a place, until `until`. `seen` is the number of the newest lease
/// that was read there, 0 if there was none. `None` if somebody else has it, or had it since: of any number of
/// concurrent calls exactly one gets the lease, whose number it is.
pub fn lease(
    tx: &mut WriteTx<'_>,
    place: &Place,
    seen: i64,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let lease = sql!(
        registration,
        "INSERT INTO registration (account_id, secret_id, issuer, fence, leased_until, created_at)
         VALUES ($1, $2, $3, 1, $6, $5)
         ON CONFLICT (account_id, secret_id, issuer) DO UPDATE
         SET fence = registration.fence + 1, leased_until = excluded.leased_until
         WHERE registration.fence = $4
           AND (registration.leased_until IS NULL OR registration.leased_until <= $5)
         RETURNING fence"
    );
    let params: [&dyn Bind; 6] = [
        &place.account.as_str(),
        &place.secret.as_str(),
        &place.issuer.as_str(),
        &seen,
        &now.as_millis(),
        &until.as_millis(),
    ];
    tx.change(lease, &params, |row| row.get(0))
}

/// Stores the client that was registered with the lease number `fence`, which ends. `false` if there is a newer
/// lease, or the secret is gone: then nothing changes.
pub fn finish(
    tx: &mut WriteTx<'_>,
    place: &Place,
    fence: i64,
    client: &Sealed,
) -> Result<bool, StoreError> {
    let finish = sql!(
        registration,
        "UPDATE registration SET client = $5, leased_until = NULL
         WHERE account_id = $1 AND secret_id = $2 AND issuer = $3 AND fence = $4"
    );
    let params: [&dyn Bind; 5] = [
        &place.account.as_str(),
        &place.secret.as_str(),
        &place.issuer.as_str(),
        &fence,
        &client.as_bytes(),
    ];
    Ok(tx.execute(finish, &params)? == 1)
}

/// Ends the lease number `fence` after no client was registered. What was there before stays.
pub fn give_up(tx: &mut WriteTx<'_>, place: &Place, fence: i64) -> Result<(), StoreError> {
    let give_up = sql!(
        registration,
        "UPDATE registration SET leased_until = NULL
         WHERE account_id = $1 AND secret_id = $2 AND issuer = $3 AND fence = $4"
    );
    let params: [&dyn Bind; 4] =
        [&place.account.as_str(), &place.secret.as_str(), &place.issuer.as_str(), &fence];
    tx.execute(give_up, &params).map(drop)
}

/// Forgets the client that was read as `seen`. `false` if somebody is at it, or was since.
pub fn forget(tx: &mut WriteTx<'_>, seen: &Registration) -> Result<bool, StoreError> {
    let forget = sql!(
        registration,
        "UPDATE registration SET client = NULL, fence = fence + 1
         WHERE account_id = $1 AND secret_id = $2 AND issuer = $3 AND fence = $4
           AND leased_until IS NULL"
    );
    let Place { account, secret, issuer } = &seen.place;
    let params: [&dyn Bind; 4] =
        [&account.as_str(), &secret.as_str(), &issuer.as_str(), &seen.fence];
    Ok(tx.execute(forget, &params)? == 1)
}

/// Forgets all clients of a secret that is deleted.
pub fn delete(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    secret: &SecretId,
) -> Result<(), StoreError> {
    let delete =
        sql!(registration, "DELETE FROM registration WHERE account_id = $1 AND secret_id = $2");
    tx.execute(delete, &[&account.as_str(), &secret.as_str()]).map(drop)
}
