//! `/api/v1/account`: accounts (contract/keyfob).

use axum::{Json, extract::State};
use keyfob_api::account as wire;

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
