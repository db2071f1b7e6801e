//! `/api/v1/account`: accounts (contract/keyfob).

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use keyfob_api::{account as wire, list::Id};
use keyfob_core::id::AccountId;
use keyfob_store::account::Account;

use super::{body, key::created};
use crate::{
    broker::{Broker, Caller},
    error::Error,
    openapi::parameters,
};

/// Makes a child account and its first owner key.
#[utoipa::path(
    post,
    path = "/api/v1/account/create",
    operation_id = "createAccount",
    tag = "Accounts",
    request_body = wire::CreateAccount,
    responses((status = 200, description = "The account, and its owner key, whose secret no other answer has", body = wire::CreatedAccount)),
)]
pub(crate) async fn create(
    State(broker): State<Broker>,
    caller: Caller,
    body: body::Bytes,
) -> Result<Json<wire::CreatedAccount>, Error> {
    let wire::CreateAccount { name, email } = body.json()?;
    let (id, key) = broker.create_account(&caller, name, email).await?;
    Ok(Json(wire::CreatedAccount { id: id.to_string(), key: created(&key) }))
}

/// Describes the account that the key acts as.
#[utoipa::path(
    get,
    path = "/api/v1/account/fetch",
    operation_id = "fetchAccount",
    tag = "Accounts",
    responses((status = 200, description = "The account", body = wire::Account)),
)]
pub(crate) async fn fetch(
    State(broker): State<Broker>,
    caller: Caller,
) -> Result<Json<wire::Account>, Error> {
    Ok(Json(shape(broker.fetch_account(&caller).await?)))
}

/// Changes the account's name, and where its contacts may be sent back to.
#[utoipa::path(
    post,
    path = "/api/v1/account/update",
    operation_id = "updateAccount",
    tag = "Accounts",
    request_body = wire::UpdateAccount,
    responses((status = 200, description = "The account as it is now", body = wire::Account)),
)]
pub(crate) async fn update(
    State(broker): State<Broker>,
    caller: Caller,
    body: body::Bytes,
) -> Result<Json<wire::Account>, Error> {
    let wire::UpdateAccount { name, allowed_origins } = body.json()?;
    Ok(Json(shape(broker.update_account(&caller, name, allowed_origins).await?)))
}

/// Deletes a child account for good, with all that belongs to it.
///
/// Its grants are revoked at their providers, and then its data key is destroyed. An account that has child accounts
/// itself is refused.
#[utoipa::path(
    post,
    path = "/api/v1/account/{id}/delete",
    operation_id = "deleteAccount",
    tag = "Accounts",
    params(parameters::Account),
    responses((status = 200, description = "Its id", body = Id)),
)]
pub(crate) async fn delete(
    State(broker): State<Broker>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Id>, Error> {
    let text = path.map(|Path(text)| text).unwrap_or_default();
    // What no account can be called is none: who may not do this is told so whatever the id.
    let id = AccountId::parse(&text).unwrap_or_else(|_| AccountId::never());
    broker.delete_account(&caller, &id).await?;
    Ok(Json(Id { id: id.to_string() }))
}

fn shape(account: Account) -> wire::Account {
    wire::Account {
        id: account.id.to_string(),
        name: account.name,
        email: account.email,
        allowed_origins: account.allowed_origins,
        created_at: account.created_at.as_millis(),
    }
}
