//! Health and metrics.

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use keyfob_api::totp::Status;

use crate::{broker::Broker, error::Error, metrics::Metrics};

/// Says that the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "live",
    tag = "Health",
    responses((status = 200, description = "It does", body = Status)),
)]
pub(crate) async fn live() -> Json<Status> {
    Json(Status { status: "OK".into() })
}

/// Says whether it could do its work now.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    tag = "Health",
    responses((status = 200, description = "It could", body = Status)),
)]
pub(crate) async fn ready(State(broker): State<Broker>) -> Result<Json<Status>, Error> {
    match broker.check().await {
        Ok(()) => Ok(live().await),
        Err(Error::Internal(source)) => Err(Error::Unavailable(source)),
        Err(error) => Err(error),
    }
}

/// `GET /metrics`
pub(crate) fn metrics(metrics: &Metrics, broker: &Broker) -> Result<Response, Error> {
    let text = metrics.render(broker.depth()).map_err(Error::internal)?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
