//! The client itself.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use quick_cache::{Weighter, sync::Cache};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    Answer, ClientBuilder, Error, Request,
    address::{Path, Server},
    request::header,
    retry::Policy,
    transport::SharedTransport,
};

/// What tells one remembered answer from others.
pub(crate) type CacheKey = (Vec<u8>, Option<Bytes>);
pub(crate) type AnswerCache = Cache<CacheKey, Answer, ByLength>;

/// Answers weigh what they hold.
#[derive(Clone)]
pub(crate) struct ByLength;

impl Weighter<CacheKey, Answer> for ByLength {
    fn weight(&self, (name, body): &CacheKey, answer: &Answer) -> u64 {
        let length = name.len() + body.as_ref().map_or(0, Bytes::len) + answer.body.len();
        u64::try_from(length).unwrap_or(u64::MAX).max(1)
    }
}

/// A connection to one server, with one key. Cheap to clone; clones share their connections and what they remember.
/// Its `Debug` shows the server, and no secret.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) server: Server,
    pub(crate) credentials: Credentials,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Duration,
    pub(crate) largest_answer: usize,
    pub(crate) policy: Policy,
    pub(crate) transport: SharedTransport,
    pub(crate) cache: Arc<AnswerCache>,
    pub(crate) options: ClientBuilder,
}

/// What says who asks.
pub(crate) struct Credentials {
    bearer: Option<HeaderValue>,
    pair: Option<[HeaderValue; 2]>,
}

impl Credentials {
    pub(crate) fn new(
        secret: Option<&SecretString>,
        pair: Option<&(String, SecretString)>,
    ) -> Result<Self, Error> {
        let wrong = |_| {
            Error::Invalid("the token holds characters that no token has: copy it again".into())
        };
        let value =
            |text: &str| header("authorization", text).map(|(_, value)| value).map_err(wrong);
        let bearer = secret.map(|secret| value(&format!("Bearer {}", secret.expose_secret())));
        let pair = pair.map(|(id, secret)| Ok([value(id)?, value(secret.expose_secret())?]));
        Ok(Self { bearer: bearer.transpose()?, pair: pair.transpose()? })
    }

    /// What a path of the server is asked with: the pair those of `/api/v2`, and the token the others, where there is a choice.
    fn put(&self, headers: &mut HeaderMap, path: &str) {
        let wants_pair = self.bearer.is_none() || path.contains("/api/v2/");
        if let (Some([id, secret]), true) = (&self.pair, wants_pair) {
            headers.insert(HeaderName::from_static("sb-api-key-id"), id.clone());
            headers.insert(HeaderName::from_static("sb-api-secret-key"), secret.clone());
        } else if let Some(bearer) = &self.bearer {
            headers.insert(http::header::AUTHORIZATION, bearer.clone());
        }
    }
}

impl Client {
    /// What a client is built with.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A builder with all that this client was built with, to build another like it (`extend` of the published
    /// client). The two share their connections, and nothing that they remember.
    pub fn to_builder(&self) -> ClientBuilder {
        self.0.options.clone()
    }

    /// A request of any path below the base URL, with a key (`clientFetch` of the published client).
    ///
    /// The path begins with `/`, and is sent as it is: encode ids in it. A whole URL of another server is refused,
    /// unless the request is [external](Request::external).
    ///
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
    /// # doc::example(async |client| {
    /// use serde_json::{Value, json};
    ///
    /// let answer: Value = client
    ///     .fetch("/api/v1/contact/list")
    ///     .query(&json!({ "take": 5, "meta": { "team": "sales" } }))
    ///     .await?;
    /// # Ok(()) });
    /// ```
    pub fn fetch<T>(&self, path: &str) -> Request<T> {
        Request::new(self, Ok(Path::raw(path)))
    }

    /// A request of an endpoint, with ids in its path.
    pub(crate) fn call<T>(&self, template: &'static str, ids: &[&str]) -> Request<T> {
        Request::new(self, Path::fill(template, ids))
    }

    /// The same, for calls that carry an object with nothing in it.
    pub(crate) fn act<T>(&self, template: &'static str, ids: &[&str]) -> Request<T> {
        self.call(template, ids).record(&Empty {})
    }

    /// Forgets all [remembered](Request::cached) answers.
    pub fn forget_cached(&self) {
        self.0.cache.clear();
    }

    /// Says in a request's headers who asks.
    pub(crate) fn introduce(&self, headers: &mut HeaderMap, path: &str) {
        headers.extend(self.0.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.0.credentials.put(headers, path);
    }

    pub(crate) fn server(&self) -> &Server {
        &self.0.server
    }

    pub(crate) fn transport(&self) -> &SharedTransport {
        &self.0.transport
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.0.timeout
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.0.idle_timeout
    }

    pub(crate) fn largest_answer(&self) -> usize {
        self.0.largest_answer
    }

    pub(crate) fn policy(&self) -> Policy {
        self.0.policy
    }

    pub(crate) fn cache(&self) -> &Arc<AnswerCache> {
        &self.0.cache
    }
}

impl From<Inner> for Client {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

/// `{}`.
#[derive(serde::Serialize)]
struct Empty {}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A URL may hold a password.
        let origin = self.0.server.base().origin().ascii_serialization();
        f.debug_struct("Client").field("server", &origin).finish_non_exhaustive()
    }
}
