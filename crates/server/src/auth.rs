//! Authentication: a handler that has a [`Caller`] has an authenticated one.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

use crate::{
    broker::{Broker, Caller, Credentials, Origin},
    error::Error,
};

impl FromRequestParts<Broker> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, broker: &Broker) -> Result<Self, Error> {
        let credentials = credentials(&parts.headers)?;
        let origin = parts.extensions.get::<Origin>().cloned();
        let origin = origin.unwrap_or_else(|| Origin {
            ip: None,
            request_id: "none".into(),
        });
        broker.authenticate(&credentials, origin).await
    }
}

/// The key pair of the Sendblue clients, or a bearer token. Of `Authorization` the scheme is not
/// looked at (contract/contacts-and-secrets, section 1.3).
fn credentials(headers: &HeaderMap) -> Result<Credentials, Error> {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    match (
        text("sb-api-key-id"),
        text("sb-api-secret-key"),
        text(header::AUTHORIZATION.as_str()),
    ) {
        (Some(id), Some(secret), _) => Credentials::from_pair(id, secret),
        (_, _, Some(value)) => {
            Credentials::from_token(value.split_ascii_whitespace().nth(1).unwrap_or_default())
        }
        (None, None, None) => Err(Error::NoCredentials),
        _ => Err(Error::InvalidCredentials),
    }
}
