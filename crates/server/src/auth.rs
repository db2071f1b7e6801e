//! Authentication: a handler that has a [`Caller`] has an authenticated one.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, Method, Uri, header, request::Parts},
};
use keyfob_core::id::AccountId;

use crate::{
    app::Passport,
    broker::{Broker, Caller, Credentials, RunAs},
    error::{Dialect, Error},
};

/// Below this, requests are passed on.
pub(crate) const PROXY: &str = "/proxy/";

impl FromRequestParts<Broker> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, broker: &Broker) -> Result<Self, Error> {
        let origin = Passport::take(parts)?;
        if parts.method == Method::POST && Dialect::of(parts.uri.path()) == Dialect::V1 {
            expect_json(&parts.headers)?;
        }
        let credentials = match key_header(&parts.uri, &parts.headers) {
            Some(name) => {
                Credentials::from_token(parts.headers[name].to_str().unwrap_or_default())?
            }
            None => credentials(&parts.headers)?,
        };
        let run_as = run_as(&parts.headers)?;
        let caller = broker.authenticate(&credentials, run_as.as_ref(), origin).await?;
        // Whoever reads the body looks at it again.
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

/// A body of `/api/v1` is JSON, whatever is made of it (contract/contacts-and-secrets, section 1.2). A
/// page in somebody's browser cannot send that without asking first.
fn expect_json(headers: &HeaderMap) -> Result<(), Error> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
    let media_type = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Error::invalid("bad_request", "Content-Type must be application/json"))
}

/// The header that holds the caller's key, if a request that is to be passed on says no other.
pub(crate) fn key_header(uri: &Uri, headers: &HeaderMap) -> Option<HeaderName> {
    let has_other =
        headers.contains_key("sb-api-key-id") || headers.contains_key(header::AUTHORIZATION);
    if has_other || !uri.path().starts_with(PROXY) {
        return None;
    }
    KEY_HEADERS.into_iter().find(|name| headers.contains_key(name))
}

/// Which child account the caller acts as, if it does: the id counts before the e-mail address
/// (contract/contacts-and-secrets, section 1.3).
fn run_as(headers: &HeaderMap) -> Result<Option<RunAs>, Error> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(id) = text("x-runas-user-id").or_else(|| text("x-runas-userid")) {
        let id = AccountId::parse(id.trim()).map_err(|_| Error::InvalidCredentials)?;
        return Ok(Some(RunAs::Account(id)));
    }
    Ok(text("x-runas-child-user-email").map(|email| RunAs::Email(email.trim().to_owned())))
}

/// Where clients of other services put a key that is no bearer token. Keyfob's goes there where their base URL is
/// Keyfob's.
const KEY_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The key pair of the Sendblue clients, or a bearer token. Of `Authorization` the scheme is not
/// looked at (contract/contacts-and-secrets, section 1.3).
fn credentials(headers: &HeaderMap) -> Result<Credentials, Error> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("sb-api-key-id"), text("sb-api-secret-key"), text(header::AUTHORIZATION.as_str())) {
        (Some(id), Some(secret), _) => Credentials::from_pair(id, secret),
        (_, _, Some(value)) => {
            Credentials::from_token(value.split_ascii_whitespace().nth(1).unwrap_or_default())
        }
        (None, None, None) => Err(Error::NoCredentials),
        _ => Err(Error::InvalidCredentials),
    }
}
