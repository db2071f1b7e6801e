//! Sealed columns that are read one at a time, by whoever knows what for, and all of them by the doctor only.

use keyfob_core::{
    crypto::Sealed,
    id::{AccountId, SecretId},
    ticket::TicketHash,
};

use crate::{
    Page, ReadTx, StoreError,
    conn::{Bind, sql},
};

/// Up to `limit` configs of the account's secrets that are being deleted (table `deletion`), after that of
/// the secret `after`.
pub fn list_deleted_configs(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&SecretId>,
    limit: u32,
) -> Result<Page<(SecretId, Sealed), SecretId>, StoreError> {
    let list = sql!(
        deletion,
        "SELECT secret_id, config FROM deletion
         WHERE account_id = $1 AND secret_id > $2 AND config IS NOT NULL
         ORDER BY secret_id LIMIT $3"
    );
    let after = after.map_or("", SecretId::as_str);
    let params: [&dyn Bind; 3] = [&account.as_str(), &after, &i64::from(limit)];
    tx.page(list, &params, (0, SecretId::from_stored), |row| {
        Ok((SecretId::from_stored(&row.get::<String>(0)?), Sealed::from_stored(row.get(1)?)))
    })
}

/// Up to `limit` of what was asked of providers at the account's links (table `authentication`), after that
/// at the link `after`.
pub fn list_requests(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&TicketHash>,
    limit: u32,
) -> Result<Vec<(TicketHash, Sealed)>, StoreError> {
    let list = sql!(
        authentication,
        "SELECT state_hash, request FROM authentication
         WHERE account_id = $1 AND state_hash > $2 AND request IS NOT NULL
         ORDER BY state_hash LIMIT $3"
    );
    let after = after.map_or(&[][..], |state| state.as_bytes());
    let params: [&dyn Bind; 3] = [&account.as_str(), &after, &i64::from(limit)];
    tx.many(list, &params, |row| {
        let state = TicketHash::from_stored(&row.get::<Vec<u8>>(0)?);
        let state = state.ok_or_else(|| row.damaged("state_hash"))?;
        Ok((state, Sealed::from_stored(row.get(1)?)))
    })
}

/// Where a registered client is: its secret, and the issuer that knows it.
pub type ClientPlace = (SecretId, String);

/// Up to `limit` of the clients that Keyfob has registered for the account's secrets (table `registration`),
/// after the one at `after`.
pub fn list_clients(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&ClientPlace>,
    limit: u32,
) -> Result<Vec<(ClientPlace, Sealed)>, StoreError> {
    let list = sql!(
        registration,
        "SELECT secret_id, issuer, client FROM registration
         WHERE account_id = $1 AND (secret_id, issuer) > ($2, $3) AND client IS NOT NULL
         ORDER BY secret_id, issuer LIMIT $4"
    );
    let (secret, issuer) =
        after.map_or(("", ""), |(secret, issuer)| (secret.as_str(), issuer.as_str()));
    let params: [&dyn Bind; 4] = [&account.as_str(), &secret, &issuer, &i64::from(limit)];
    tx.many(list, &params, |row| {
        let place = (SecretId::from_stored(&row.get::<String>(0)?), row.get(1)?);
        Ok((place, Sealed::from_stored(row.get(2)?)))
    })
}
