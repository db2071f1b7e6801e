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
        refuse_run_as(&parts.headers)?;
        broker.authenticate(&credentials(&parts.headers)?, passport.origin).await
    }
}

/// What asks to act as a child account (contract/contacts-and-secrets, section 1.3).
const RUN_AS: [&str; 3] = ["x-runas-user-id", "x-runas-userid", "x-runas-child-user-email"];

/// Refuses what would be done to the key's own account although it is meant for another one.
fn refuse_run_as(headers: &HeaderMap) -> Result<(), Error> {
    let Some(name) = RUN_AS.into_iter().find(|name| headers.contains_key(*name)) else {
        return Ok(());
    };
    let text =
        format!("{name} is not supported: leave it out and use a key of the account that is meant");
    Err(Error::invalid("runas_not_supported", text))
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
