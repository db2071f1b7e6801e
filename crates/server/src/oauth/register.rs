//! Registering a client (RFC 7591).

use std::time::Duration;

use keyfob_core::oauth::{
    AuthMethod,
    registration::{NotRegistered, Registered, request},
};
use reqwest::{
    Method,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use url::Url;

use crate::egress::{Egress, Request, SendError};

/// The largest id and secret that are stored, in bytes.
const LARGEST: usize = 8 * 1024;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unregistered {
    /// The provider's answer is none.
    #[error(transparent)]
    Answered(#[from] NotRegistered),
    /// There is no answer.
    #[error(transparent)]
    Unanswered(#[from] SendError),
}

/// Asks `endpoint` for a client that people come back to `redirect_uri` for. It takes no longer than `limit`.
pub(crate) async fn register(
    egress: &Egress,
    endpoint: &Url,
    redirect_uri: &Url,
    (method, for_devices): (AuthMethod, bool),
    limit: Duration,
) -> Result<Registered, Unregistered> {
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(ACCEPT, json.clone()), (CONTENT_TYPE, json)]);
    let body = Some(request(redirect_uri, method, for_devices).into());
    let asked = Request { method: Method::POST, url: endpoint.clone(), headers, body, limit };
    let answer = egress.send(asked).await?;
    let registered = Registered::parse(answer.status, &answer.body, method)?;
    let secret = registered.client_secret.as_ref().map_or(0, |it| it.expose_secret().len());
    if registered.client_id.len() + secret > LARGEST {
        let why = "the provider's client has an id or a secret that is too long";
        return Err(NotRegistered::Unclear(why).into());
    }
    Ok(registered)
}
