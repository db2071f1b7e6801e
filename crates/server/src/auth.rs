//! Authentication: a handler that has a [`Caller`] has an authenticated one.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, Method, Uri, header, request::Parts},
};
use keyfob_core::id::AccountId;
use secrecy::{ExposeSecret, SecretString};
use url::{Position, Url};

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

/// The secret of the key that a request shows, as text: it is for Keyfob, and passed on to nobody.
pub(crate) struct Shown(SecretString);

impl FromRequestParts<Broker> for Shown {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Broker) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri, &parts.headers))
    }
}

impl Shown {
    /// As [`Caller`] finds it.
    fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|given| given.to_str().ok());
        let has_pair = headers.contains_key(PAIR[0]) && headers.contains_key(PAIR[1]);
        let given = match key_header(uri, headers) {
            Some(name) => text(name),
            None if has_pair => text(HeaderName::from_static(PAIR[1])),
            None => text(header::AUTHORIZATION).map(bearer),
        };
        // What is behind the prefix, and in a token behind the id.
        Self(given.and_then(|given| given.rsplit('_').next()).unwrap_or_default().into())
    }

    /// The names of the headers that hold it, and of those for keys that hold another one of Keyfob's.
    pub(crate) fn headers(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        let holds = |name: &HeaderName, text: &str| {
            self.is_in(text)
                || (KEY_HEADERS.contains(name) && KEYS.iter().any(|key| text.contains(key)))
        };
        let is_one = |name: &&HeaderName| {
            let mut texts = headers.get_all(*name).iter();
            texts.any(|value| holds(name, &String::from_utf8_lossy(value.as_bytes())))
        };
        headers.keys().filter(is_one).cloned().collect()
    }

    /// That a URL does not hold it: it would be in the logs of whoever gets that, and its path in the audit trail.
    pub(crate) fn is_not_in(&self, url: &Url) -> Result<(), Error> {
        let mut pairs = url.query_pairs();
        let before = &url[..Position::AfterPath];
        let before = percent_encoding::percent_decode_str(before).decode_utf8_lossy();
        if self.is_in(&before) || pairs.any(|(name, value)| self.is_in(&name) || self.is_in(&value))
        {
            let text = "the path or the query of the URL holds the key that is shown to Keyfob, which is for nobody else: leave it out";
            return Err(Error::invalid("bad_request", text));
        }
        Ok(())
    }

    fn is_in(&self, text: &str) -> bool {
        let secret = self.0.expose_secret();
        !secret.is_empty() && text.contains(secret)
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
fn key_header(uri: &Uri, headers: &HeaderMap) -> Option<HeaderName> {
    let has_other = headers.contains_key(PAIR[0]) || headers.contains_key(header::AUTHORIZATION);
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

/// Where the key pair of the Sendblue clients is: its id and its secret.
const PAIR: [&str; 2] = ["sb-api-key-id", "sb-api-secret-key"];

/// What Keyfob's tokens, and the secrets of its pairs, begin with.
const KEYS: [&str; 2] = ["kft_", "kfs_"];

/// The key pair of the Sendblue clients, or a bearer token. Of `Authorization` the scheme is not
/// looked at (contract/contacts-and-secrets, section 1.3).
fn credentials(headers: &HeaderMap) -> Result<Credentials, Error> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text(PAIR[0]), text(PAIR[1]), text(header::AUTHORIZATION.as_str())) {
        (Some(id), Some(secret), _) => Credentials::from_pair(id, secret),
        (_, _, Some(value)) => Credentials::from_token(bearer(value)),
        (None, None, None) => Err(Error::NoCredentials),
        _ => Err(Error::InvalidCredentials),
    }
}

/// The token in `Authorization`.
fn bearer(value: &str) -> &str {
    value.split_ascii_whitespace().nth(1).unwrap_or_default()
}
