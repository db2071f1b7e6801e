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
};

/// `POST /api/v1/account/create`
pub(crate) async fn create(
    State(broker): State<Broker>,
    caller: Caller,
    body: body::Bytes,
) -> Result<Json<wire::CreatedAccount>, Error> {
    let wire::CreateAccount { name, email } = body.json()?;
    let (id, key) = broker.create_account(&caller, name, email).await?;
    Ok(Json(wire::CreatedAccount { id: id.to_string(), key: created(&key) }))
}

/// `GET /api/v1/account/fetch`
pub(crate) async fn fetch(
    State(broker): State<Broker>,
    caller: Caller,
) -> Result<Json<wire::Account>, Error> {
    Ok(Json(shape(broker.fetch_account(&caller).await?)))
}

/// `POST /api/v1/account/update`
pub(crate) async fn update(
    State(broker): State<Broker>,
    caller: Caller,
    body: body::Bytes,
) -> Result<Json<wire::Account>, Error> {
    let wire::UpdateAccount { name, allowed_origins } = body.json()?;
    Ok(Json(shape(broker.update_account(&caller, name, allowed_origins).await?)))
}

/// `POST /api/v1/account/{id}/delete`
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
