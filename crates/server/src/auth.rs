//! Authentication: a handler that has a [`Caller`] has an authenticated one.

use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::{HeaderMap, header, request::Parts},
};

use crate::{
    app::Passport,
    broker::{Broker, Caller, Credentials},
    error::Error,
};

impl FromRequestParts<Broker> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, broker: &Broker) -> Result<Self, Error> {
        let passport = parts.extensions.remove::<Passport>();
        let passport = passport.ok_or_else(|| Error::internal("a request without a passport"))?;
        if let Some(path) = parts.extensions.remove::<MatchedPath>() {
            // A request has one handler, and so one route.
            let _ = passport.route.set(path);
        }
        broker.authenticate(&credentials(&parts.headers)?, passport.origin).await
    }
}

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
