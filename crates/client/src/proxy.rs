//! Requests that are sent with a credential that the caller does not see.

use std::time::Duration;

use http::Method;
use keyfob_api::proxy::{Explained, Send as Wire};
use serde_json::json;
use url::Url;

use crate::{Answer, Client, Error, Request, address::Path, draft::Takes, retry::Replay};

/// The server waits for five minutes for an upstream's answer to begin.
const TIMEOUT: Duration = Duration::from_secs(330);

/// A request for an upstream. Its `Debug` shows the method, and no more: the rest may hold secrets.
#[derive(Clone, Default)]
pub struct ProxyRequest(Wire);

impl ProxyRequest {
    /// A request of this method to this URL, `https` or `http`.
    #[must_use]
    pub fn new(method: &Method, url: impl Into<String>) -> Self {
        Self(Wire { url: url.into(), method: Some(method.to_string()), ..Wire::default() })
    }

    /// `GET` of this URL.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(&Method::GET, url)
    }

    /// `POST` of text to this URL.
    #[must_use]
    pub fn post(url: impl Into<String>, body: impl Into<String>) -> Self {
        Self::new(&Method::POST, url).body(body)
    }

    /// A header. `${SECRET_DEFAULT}` in its value stands for the credential, which then goes nowhere else.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.insert(name.into(), value.into());
        self
    }

    /// The body, text of up to 1 MiB.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.0.body = Some(body.into());
        self
    }

    /// Whether doing it twice may harm (RFC 9110, section 9.2.2).
    fn replay(&self) -> Replay {
        match self.0.method.as_deref() {
            Some("GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE") => Replay::Safe,
            _ => Replay::Once,
        }
    }
}

impl std::fmt::Debug for ProxyRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyRequest").field("method", &self.0.method).finish_non_exhaustive()
    }
}

/// A call of a path that passes a request on.
pub(crate) fn proxy(call: Request<Answer>, request: &ProxyRequest) -> Request<Answer> {
    let replay = request.replay();
    call.record(&request.0).with(|draft| {
        draft.replay = replay;
        draft.takes = Takes::Upstreams;
        draft.patience = TIMEOUT;
        Ok(())
    })
}

impl Request<Answer> {
    /// Of a proxied request: what would be sent, with `[redacted]` in the place of the credential, and whether it
    /// would be. Nothing is sent.
    pub fn dry_run(self) -> Request<Explained> {
        self.query(&json!({ "dry_run": 1 })).answered_by()
    }
}

/// Where the streaming form takes requests to `base_url`.
pub(crate) fn proxy_url(
    client: &Client,
    contact: &str,
    secret: &str,
    base_url: &str,
) -> Result<String, Error> {
    let is_url = Url::parse(base_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_url {
        return Err(Error::Invalid("a base URL begins with https:// or http://".into()));
    }
    let path = Path::fill("/proxy/{contact}/{secret}", &[contact, secret])?;
    let address = client.server().resolve(&path, None)?;
    Ok(format!("{}/{base_url}", address.url))
}
