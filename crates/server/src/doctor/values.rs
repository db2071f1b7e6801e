//! Opens every sealed value of a vault.

use keyfob_core::{
    crypto::{DataKey, MasterKey},
    id::{AccountId, TotpId},
    policy::connection_row,
    time::Timestamp,
};
use keyfob_store::{
    Page, ReadTx, Store, StoreError, account, connection, data_key, revocation,
    revocation::{Outcome, Revocation},
    secret::{self, Secret},
    totp::{self, SealedTotp},
};

use super::{checked::Checked, columns, read};

/// Rows that are read at a time.
pub(super) const PAGE: u32 = 500;

/// Reads every row that holds a sealed value, opens it, and shows none.
pub(super) async fn check(
    store: &Store,
    master: MasterKey,
    now: Timestamp,
) -> Result<Checked, String> {
    let mut checked = Checked::new(now);
    let mut after: Option<AccountId> = None;
    loop {
        let page = read(store, move |tx| account::list(tx, after.as_ref(), PAGE)).await?;
        checked.damaged(&page.damaged);
        for account in page.rows {
            check_account(store, &master, &account.id, &mut checked).await?;
        }
        let Some(last) = page.last else {
            return Ok(checked);
        };
        after = Some(last);
    }
}

async fn check_account(
    store: &Store,
    master: &MasterKey,
    account: &AccountId,
    checked: &mut Checked,
) -> Result<(), String> {
    let wanted = account.clone();
    let newest = match store.read(move |tx| data_key::find_newest(tx, &wanted)).await {
        Err(error @ StoreError::Corrupt { .. }) => {
            checked.damaged(&[error]);
            return Ok(());
        }
        newest => newest.map_err(|error| error.to_string())?,
    };
    let key = newest.and_then(|(id, wrapped)| master.unwrap_data_key(account, id, &wrapped).ok());
    let Some(key) = key else {
        checked.does_not_open("data_key", account.to_string(), "wrapped");
        return Ok(());
    };
    check_entries(store, &key, checked).await?;
    check_definitions(store, &key, checked).await?;
    check_connections(store, &key, checked).await?;
    check_revocations(store, &key, master, checked).await?;
    check_progress(store, account, checked).await?;
    columns::check(store, &key, checked).await
}

/// Reads a list to its end, and hands on each row that can be read.
pub(super) async fn each<R, Id>(
    store: &Store,
    checked: &mut Checked,
    list: impl Fn(&mut ReadTx<'_>, Option<&Id>) -> Result<Page<R, Id>, StoreError>
    + Clone
    + Send
    + 'static,
    mut check: impl FnMut(&mut Checked, R),
) -> Result<(), String>
where
    R: Send + 'static,
    Id: Send + 'static,
{
    let mut after: Option<Id> = None;
    loop {
        let list = list.clone();
        let page = read(store, move |tx| list(tx, after.as_ref())).await?;
        checked.damaged(&page.damaged);
        page.rows.into_iter().for_each(|row| check(checked, row));
        if page.last.is_none() {
            return Ok(());
        }
        after = page.last;
    }
}

async fn check_entries(store: &Store, key: &DataKey, checked: &mut Checked) -> Result<(), String> {
    let account = key.account().clone();
    let list = move |tx: &mut ReadTx<'_>, after: Option<&TotpId>| seeds(tx, &account, after);
    each(store, checked, list, |checked, (id, found)| checked.entry(key, id, &found)).await
}

/// Entries and their secrets.
fn seeds(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&TotpId>,
) -> Result<Page<(TotpId, SealedTotp), TotpId>, StoreError> {
    let Page { rows, mut damaged, last } = totp::list(tx, account, after, PAGE)?;
    let mut found = Vec::with_capacity(rows.len());
    for entry in rows {
        match totp::find_sealed(tx, account, &entry.id) {
            // It was deleted meanwhile.
            Ok(None) => {}
            Ok(Some(sealed)) => found.push((entry.id, sealed)),
            Err(error @ StoreError::Corrupt { .. }) => damaged.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(Page { rows: found, damaged, last })
}

/// Opens the values and configs of the account's secrets.
async fn check_definitions(
    store: &Store,
    key: &DataKey,
    checked: &mut Checked,
) -> Result<(), String> {
    let account = key.account().clone();
    let list =
        move |tx: &mut ReadTx<'_>, after: Option<&_>| secret::list(tx, &account, after, PAGE);
    let check = |checked: &mut Checked, secret: Secret| {
        let id = secret.id.as_str();
        for (column, sealed) in [("value", secret.value), ("config", secret.config)] {
            if let Some(sealed) = sealed {
                checked.sealed(key, ("secret", id, column), &sealed);
            }
        }
    };
    each(store, checked, list, check).await
}

/// Opens what the account's contacts have connected.
async fn check_connections(
    store: &Store,
    key: &DataKey,
    checked: &mut Checked,
) -> Result<(), String> {
    let account = key.account().clone();
    let list = move |tx: &mut ReadTx<'_>, after: Option<&_>| {
        connection::list_all(tx, &account, after, PAGE)
    };
    each(store, checked, list, |checked, connection| {
        let row = connection_row(&connection.contact, &connection.secret);
        checked.sealed(key, ("connection", &row, "value"), &connection.value);
        if let Some(terms) = &connection.terms {
            checked.sealed(key, ("connection", &row, "terms"), terms);
        }
    })
    .await
}

/// Opens the grants that wait to be revoked, where they were sealed: value and config were moved from a
/// connection and its secret, which may have been another account's.
async fn check_revocations(
    store: &Store,
    key: &DataKey,
    master: &MasterKey,
    checked: &mut Checked,
) -> Result<(), String> {
    let account = key.account().clone();
    let list = move |tx: &mut ReadTx<'_>, after: Option<&_>| {
        let Page { rows, damaged, last } = revocation::list(tx, &account, after, PAGE)?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let of_secret = match data_key::find_newest(tx, &row.secret_account) {
                // It is told of where its own account is looked at.
                Err(StoreError::Corrupt { .. }) => None,
                newest => newest?,
            };
            found.push((row, of_secret));
        }
        Ok(Page { rows: found, damaged, last })
    };
    each(store, checked, list, |checked, (queued, of_secret)| {
        let unwrap = |(id, wrapped)| master.unwrap_data_key(&queued.secret_account, id, &wrapped);
        let of_secret = of_secret.and_then(|newest| unwrap(newest).ok());
        check_revocation(key, of_secret.as_ref(), &queued, checked);
    })
    .await
}

/// Looks for grants that could not be revoked.
async fn check_progress(
    store: &Store,
    account: &AccountId,
    checked: &mut Checked,
) -> Result<(), String> {
    let account = account.clone();
    let list = move |tx: &mut ReadTx<'_>, after: Option<&_>| {
        revocation::list_progress(tx, &account, after, PAGE)
    };
    each(store, checked, list, |checked, progress| {
        if progress.outcome == Some(Outcome::Failed) {
            checked.not_revoked(&progress);
        }
    })
    .await
}

fn check_revocation(
    key: &DataKey,
    of_secret: Option<&DataKey>,
    queued: &Revocation,
    checked: &mut Checked,
) {
    let id = queued.id.as_str();
    let row = match &queued.contact {
        Some(contact) => connection_row(contact, &queued.secret),
        None => queued.secret.to_string(),
    };
    let table = if queued.contact.is_some() { "connection" } else { "secret" };
    let from = (table, row.as_str(), "value");
    checked.moved(key, ("revocation", id, "value"), from, &queued.value);
    if let Some(config) = &queued.config {
        let from = ("secret", queued.secret.as_str(), "config");
        match of_secret {
            Some(key) => drop(checked.moved(key, ("revocation", id, "config"), from, config)),
            None => checked.does_not_open("revocation", id.to_owned(), "config"),
        }
    }
}
