//! The API, described.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use crate::openapi;

/// `GET /openapi.json`
pub(crate) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::json()).into_response()
}
