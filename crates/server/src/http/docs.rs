//! The API, described: for programs, and as a page for people, which needs nothing of anybody else's.

use std::io::Read;

use axum::{
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use flate2::read::GzDecoder;

use crate::{error::Error, openapi, page};

const STYLE: &str = include_str!("../../templates/docs.css");
const SCRIPT: &str = include_str!("../../templates/docs.js");
/// Swagger UI, compressed (`build.rs`).
const SWAGGER_STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));
const SWAGGER_SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));

/// `GET /openapi.json`
pub(crate) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::json()).into_response()
}

/// `GET /docs`
pub(crate) async fn show() -> Response {
    page::docs()
}

/// `GET /docs/{file}`
pub(crate) async fn file(
    file: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    let name = file.map(|Path(name)| name).unwrap_or_default();
    match name.as_str() {
        "docs.css" => Ok(page::of_docs(CSS, STYLE)),
        "docs.js" => Ok(page::of_docs(JS, SCRIPT)),
        "swagger-ui.css" => compressed(CSS, SWAGGER_STYLE, &headers),
        "swagger-ui-bundle.js" => compressed(JS, SWAGGER_SCRIPT, &headers),
        _ => Err(Error::NotFound),
    }
}

/// What is stored compressed: as it is, where it is understood.
fn compressed(
    media_type: &'static str,
    bytes: &'static [u8],
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|codings| codings.split(',').any(is_gzip)) {
        let mut response = page::of_docs(media_type, bytes);
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return Ok(response);
    }
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).map_err(Error::internal)?;
    Ok(page::of_docs(media_type, plain))
}

/// Whether a coding that a caller accepts is gzip, without a weight that says otherwise.
fn is_gzip(coding: &str) -> bool {
    coding.trim().eq_ignore_ascii_case("gzip")
}
