//! The only way out to the network.
//!
//! Where a request goes is decided by URLs that tenants write, so each destination is looked at
//! before anybody connects to it (`guard.rs`), and each answer is bounded in size and time.

mod address;
mod allow;
mod answer;
mod body;
mod client;
mod error;
mod guard;
mod lookups;
mod stream;

use std::{fmt, sync::Arc, time::Duration};

use keyfob_core::id::AccountId;
use reqwest::{
    Client, Method,
    header::{HeaderMap, HeaderValue},
};
use rustls::RootCertStore;
use url::Url;
use zeroize::Zeroizing;

pub(crate) use self::client::trusted;
pub use self::{
    allow::Allow,
    answer::{Answer, LARGEST_BODY},
    client::StartError,
    error::{Refusal, SendError},
    guard::{Looking, Lookup, SystemLookup},
    stream::{Arriving, BodyError, BrokenOff, KEPT, StreamBody, StreamLimits},
};
use self::{
    body::watched,
    guard::{Guard, Guarded, Rule},
};
use crate::clock::Clock;

/// The way out to the network. Made once, when the server starts; cheap to clone.
#[derive(Clone)]
pub struct Egress {
    inner: Arc<Inner>,
    /// For whom requests are sent: accounts have shares, and connections of their own.
    account: Option<AccountId>,
}

struct Inner {
    allow: Arc<Allow>,
    clock: Arc<dyn Clock>,
    /// One client for each rule: a client asks its resolver for a name without saying for which
    /// URL.
    public: Client,
    plain: Client,
    named: Client,
    streaming: stream::Client,
}

/// How others are found, and believed to be who they say. The machine's own means by default.
pub struct Means {
    /// Finds the addresses of names.
    pub lookup: Arc<dyn Lookup>,
    /// The authorities whose certificates are taken.
    pub trusted: RootCertStore,
}

impl Default for Means {
    fn default() -> Self {
        Self { lookup: Arc::new(SystemLookup), trusted: trusted() }
    }
}

/// What is sent. Its `Debug` shows the method and the host only.
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// Where to: https, or http to what is let through. Without user name and password.
    pub url: Url,
    /// The headers. Every value is taken for a credential.
    pub headers: HeaderMap,
    /// The body, if there is one; overwritten in memory when it was sent.
    pub body: Option<Zeroizing<Vec<u8>>>,
    /// How long the whole exchange may take, from looking the name up to the end of the answer.
    pub limit: Duration,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("method", &self.method).field("host", &self.url.host_str());
        shown.finish_non_exhaustive()
    }
}

impl Egress {
    /// The way out to all that is public, and to what `allow` lets through.
    pub fn new(allow: Allow, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::with(allow, clock, Means::default())
    }

    /// [`Egress::new`] with other means than the machine's.
    pub fn with(allow: Allow, clock: Arc<dyn Clock>, means: Means) -> Result<Self, StartError> {
        let Means { lookup, trusted } = means;
        let (allow, tls) = (Arc::new(allow), client::tls(trusted)?);
        let guard = Guard { allow: Arc::clone(&allow), lookup, lookups: Arc::default() };
        let client = |rule| client::client(tls.clone(), Guarded { rule, guard: guard.clone() });
        let public = client(Rule::Public)?;
        let (plain, named) = (client(Rule::Plain)?, client(Rule::Named)?);
        let streaming = stream::Client::new(guard, &tls);
        let inner = Inner { allow, clock, public, plain, named, streaming };
        Ok(Self { inner: Arc::new(inner), account: None })
    }

    /// The same for requests of an account.
    #[must_use]
    pub fn of(&self, account: &AccountId) -> Self {
        Self { inner: Arc::clone(&self.inner), account: Some(account.clone()) }
    }

    /// Sends a request once, and reads its answer, whatever its status.
    pub async fn send(&self, request: Request) -> Result<Answer, SendError> {
        let begun = self.inner.clock.now();
        let method = request.method.clone();
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let result = self.exchange(request).await;
        let took = self.inner.clock.now().since(begun);
        match &result {
            Ok(answer) => {
                tracing::debug!(%method, host, status = answer.status, ?took, "answered");
            }
            Err(error) => tracing::debug!(%method, host, %error, ?took, "not answered"),
        }
        result
    }

    async fn exchange(&self, request: Request) -> Result<Answer, SendError> {
        let client = match Rule::of(&request.url, &self.inner.allow)? {
            Rule::Public => &self.inner.public,
            Rule::Plain => &self.inner.plain,
            Rule::Named => &self.inner.named,
        };
        let Request { method, url, headers, body, limit } = request;
        let (body, progress) = watched(body);
        let mut request = reqwest::Request::new(method, url);
        *request.headers_mut() = headers;
        request.headers_mut().values_mut().for_each(mark);
        *request.body_mut() = body;
        let exchange = async {
            let response = client.execute(request).await;
            let response = response.map_err(|error| SendError::of(&error, progress.reached()))?;
            Answer::read(response, self.inner.clock.now()).await
        };
        let exchange = guard::ACCOUNT.scope(self.account.clone(), exchange);
        let within = tokio::time::timeout(limit, exchange).await;
        within.unwrap_or_else(|_| Err(SendError::too_slow(progress.reached())))
    }
}

/// Marks a header's value as one that nothing may show.
fn mark(value: &mut HeaderValue) {
    value.set_sensitive(true);
}
