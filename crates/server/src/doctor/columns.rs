//! Opens what else is sealed: configs of secrets that are on their way out, what was asked of providers at
//! links, and clients that Keyfob has registered.

use data_encoding::HEXLOWER;
use keyfob_core::crypto::DataKey;
use keyfob_store::{Page, ReadTx, Store, StoreError, sealed};

use super::{
    checked::Checked,
    values::{PAGE, each},
};

pub(super) async fn check(
    store: &Store,
    key: &DataKey,
    checked: &mut Checked,
) -> Result<(), String> {
    check_deletions(store, key, checked).await?;
    check_requests(store, key, checked).await?;
    check_clients(store, key, checked).await
}

/// They were moved from the secret's row as they were.
async fn check_deletions(
    store: &Store,
    key: &DataKey,
    checked: &mut Checked,
) -> Result<(), String> {
    let account = key.account().clone();
    let list = move |tx: &mut ReadTx<'_>, after: Option<&_>| {
        sealed::list_deleted_configs(tx, &account, after, PAGE)
    };
    each(store, checked, list, |checked, (secret, config)| {
        let id = secret.as_str();
        checked.moved(key, ("deletion", id, "config"), ("secret", id, "config"), &config);
    })
    .await
}

async fn check_requests(store: &Store, key: &DataKey, checked: &mut Checked) -> Result<(), String> {
    let account = key.account().clone();
    let list = move |tx: &mut ReadTx<'_>, after: Option<&_>| {
        Ok(page(sealed::list_requests(tx, &account, after, PAGE)?))
    };
    each(store, checked, list, |checked, (state, request)| {
        let row = HEXLOWER.encode(state.as_bytes());
        checked.sealed(key, ("authentication", &row, "request"), &request);
    })
    .await
}

async fn check_clients(store: &Store, key: &DataKey, checked: &mut Checked) -> Result<(), String> {
    let account = key.account().clone();
    let list = move |tx: &mut ReadTx<'_>, after: Option<&_>| {
        Ok(page(sealed::list_clients(tx, &account, after, PAGE)?))
    };
    each(store, checked, list, |checked, ((secret, issuer), client)| {
        let row = format!("{secret} {issuer}");
        checked.sealed(key, ("registration", &row, "client"), &client);
    })
    .await
}

/// Rows as a page.
fn page<P: Clone, V>(rows: Vec<(P, V)>) -> Page<(P, V), P> {
    let last = rows.last().map(|(place, _)| place.clone());
    Page { rows, damaged: Vec::<StoreError>::new(), last }
}
