//! `…/proxy`: a request in JSON that is sent with a credential (contract/contacts-and-secrets, section 6.2).

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use keyfob_api::proxy as wire;
use keyfob_core::{
    id::ContactId,
    proxy::{Destination, Method, Misleading, nameable},
};
use serde_json::{Map, Value};

use super::{
    body,
    connection::{Both, both},
    fields::Fields,
    secret,
};
use crate::{
    auth::Shown,
    broker::{Broker, Caller, Explained, Outgoing, Payload, SecretRef},
    error::Error,
    openapi::parameters,
};

/// So many headers a request may name, and so large they may be in all, names and values, in bytes: as many as its own
/// may have. A body has room for more than a request of anybody's, and than what goes through headers is made for.
const MOST_HEADERS: usize = 100;
const LARGEST_HEADERS: usize = 16 * 1024;

/// Sends a request with a contact's credential, and answers with what comes back.
///
/// The upstream's status, headers and body are passed back as they arrive, without the credential should it be in
/// them. Errors of Keyfob's own have `code` and `x-should-retry` or `Retry-After` as in all its answers. A redirect is
/// not followed: it is the error `redirect_blocked`. With `dry_run=1` nothing is sent, and the answer says what would
/// be.
#[utoipa::path(
    post,
    path = "/api/v1/contact/{contact}/secret/{secret}/proxy",
    operation_id = "proxyContactSecret",
    tag = "Requests with a credential",
    params(parameters::ContactAndSecret, parameters::DryRun),
    request_body = wire::Send,
    responses(
        (status = 200,
        description = "With `dry_run=1`, what would be sent; else whatever the upstream answers",
        content((wire::Explained = "application/json"))),
        (status = "default",
        description = "Whatever the upstream answers: any status, media type and body"),
    ),
)]
pub(crate) async fn send(
    State(broker): State<Broker>,
    caller: Caller,
    shown: Shown,
    path: Both,
    RawQuery(query): RawQuery,
    body: body::Proxied,
) -> Result<Response, Error> {
    let (contact, secret) = both(path);
    let outgoing = outgoing(&body.0, &shown)?;
    answer(&broker, &caller, Some(&contact), &secret, query.as_deref(), outgoing).await
}

/// Sends a request with the one value of a shared secret, and answers with what comes back.
///
/// The upstream's status, headers and body are passed back as they arrive, without the credential should it be in
/// them. Errors of Keyfob's own have `code` and `x-should-retry` or `Retry-After` as in all its answers. A redirect is
/// not followed: it is the error `redirect_blocked`. With `dry_run=1` nothing is sent, and the answer says what would
/// be.
#[utoipa::path(
    post,
    path = "/api/v1/secret/{secret}/proxy",
    operation_id = "proxySecret",
    tag = "Requests with a credential",
    params(parameters::Secret, parameters::DryRun),
    request_body = wire::Send,
    responses(
        (status = 200,
        description = "With `dry_run=1`, what would be sent; else whatever the upstream answers",
        content((wire::Explained = "application/json"))),
        (status = "default",
        description = "Whatever the upstream answers: any status, media type and body"),
    ),
)]
pub(crate) async fn send_shared(
    State(broker): State<Broker>,
    caller: Caller,
    shown: Shown,
    path: secret::At,
    RawQuery(query): RawQuery,
    body: body::Proxied,
) -> Result<Response, Error> {
    let outgoing = outgoing(&body.0, &shown)?;
    answer(&broker, &caller, None, &secret::at(path), query.as_deref(), outgoing).await
}

async fn answer(
    broker: &Broker,
    caller: &Caller,
    contact: Option<&ContactId>,
    secret: &SecretRef,
    query: Option<&str>,
    outgoing: Outgoing,
) -> Result<Response, Error> {
    if is_dry_run(query)? {
        let explained = broker.explain_proxy(caller, contact, secret, outgoing).await?;
        return Ok(Json(shape(explained)).into_response());
    }
    Ok(broker.proxy(caller, contact, secret, outgoing).await?.map(Body::new))
}

fn shape(explained: Explained) -> wire::Explained {
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &explained.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let all = headers.entry(name.to_string()).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(&value);
    }
    let request = wire::Request { method: explained.method.into(), url: explained.url, headers };
    wire::Explained {
        id: explained.secret.to_string(),
        dry_run: true,
        allowed: explained.is_allowed,
        reason: explained.reason,
        request,
    }
}

/// `dry_run=1`: only what would be sent is told.
fn is_dry_run(query: Option<&str>) -> Result<bool, Error> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    match pairs.find(|(name, _)| name == "dry_run").map(|(_, value)| value) {
        None => Ok(false),
        Some(value) => match &*value {
            "1" | "true" => Ok(true),
            "0" | "false" => Ok(false),
            _ => Err(Error::invalid("bad_request", "\"dry_run\" must be 1 or 0")),
        },
    }
}

fn outgoing(body: &body::Bytes, shown: &Shown) -> Result<Outgoing, Error> {
    let mut fields: Fields<'_> = body.json()?;
    let missing = || Error::invalid("bad_request", "\"url\" is required: where the request goes");
    let url = fields.text("url")?.value().ok_or_else(missing)?;
    let method = fields.one_of("method", &Method::ALL, Method::as_str)?.value();
    let headers = fields.object("headers")?.value().unwrap_or_default();
    let text = fields.text("body")?.value().unwrap_or_default();
    fields.end()?;
    described(&url, method.unwrap_or(Method::Get), &headers, text, shown)
}

/// The request that JSON describes.
pub(crate) fn described(
    url: &str,
    method: Method,
    headers: &Map<String, Value>,
    body: String,
    shown: &Shown,
) -> Result<Outgoing, Error> {
    let destination = destination(url, method)?;
    shown.is_not_in(destination.url())?;
    let headers = header_map(headers)?;
    let headers = nameable(&headers, &shown.headers(&headers)).map_err(misleading)?;
    Ok(Outgoing {
        destination: destination.with(&headers),
        headers,
        payload: Payload::Whole(Bytes::from(body)),
        upgrade: None,
        // The answer to a request in JSON leads nowhere.
        through: None,
    })
}

/// Where a request goes, if it can go anywhere.
pub(super) fn destination(url: &str, method: Method) -> Result<Destination, Error> {
    Destination::parse(url, method)
        .map_err(|invalid| Error::invalid("invalid_destination", invalid.to_string()))
}

/// A header that would make it another request.
pub(super) fn misleading(misleading: Misleading) -> Error {
    Error::invalid("bad_request", misleading.to_string())
}

/// Headers out of JSON. What is no text is left out (contract/contacts-and-secrets, section 6.2).
fn header_map(given: &Map<String, Value>) -> Result<HeaderMap, Error> {
    let text = |value: &Value| value.as_str().map_or(0, str::len);
    let size: usize = given.iter().map(|(name, value)| name.len() + text(value)).sum();
    if given.len() > MOST_HEADERS || size > LARGEST_HEADERS {
        let text = "\"headers\" has more than 100 names, or more than 16 KiB of names and values: name fewer, or shorter ones";
        return Err(Error::invalid("bad_request", text));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let Some(value) = value.as_str() else { continue };
        let name = HeaderName::try_from(name).map_err(|_| {
            Error::invalid("bad_request", "\"headers\" has a name that no header can have")
        })?;
        let value = HeaderValue::try_from(value).map_err(|_| {
            let text = format!("\"headers.{name}\" has characters that no header can have");
            Error::invalid("bad_request", text)
        })?;
        headers.insert(name, value);
    }
    Ok(headers)
}
