//! What a client is built of.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::HeaderMap;
use quick_cache::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use tower::Service;

use crate::{
    Client, Error,
    address::Server,
    client::{ByLength, Credentials, Inner},
    error::BoxError,
    request::header,
    retry::Policy,
    transport::SharedTransport,
};

/// Where Keyfob listens, unless it is told otherwise.
const BASE_URL: &str = "http://127.0.0.1:7117";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// All that is remembered, in bytes.
const LARGEST_CACHE: u64 = 64 * 1024 * 1024;
/// So many answers are remembered.
const MOST_CACHED: usize = 1000;

/// Builds a [`Client`]. Each option is that of the published JavaScript client (`ChatBotKitClientOptions`), in the
/// words of Rust; [the migration page](crate::migration) has them side by side.
///
/// ```
/// use keyfob_client::Client;
/// use std::time::Duration;
///
/// let client = Client::builder()
///     .base_url("https://vault.example.com")
///     .secret("kft_…")
///     .timeout(Duration::from_secs(20))
///     .build()?;
/// # Ok::<(), keyfob_client::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "nothing is built before `build`"]
pub struct ClientBuilder {
    base_url: Option<String>,
    host: Option<String>,
    protocol: Option<String>,
    endpoints: HashMap<String, String>,
    secret: Option<SecretString>,
    key_pair: Option<(String, SecretString)>,
    run_as_user_id: Option<String>,
    run_as_child_user_email: Option<String>,
    timezone: Option<String>,
    headers: Vec<(String, SecretString)>,
    timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    largest_answer: Option<usize>,
    policy: Policy,
    transport: Option<SharedTransport>,
}

impl ClientBuilder {
    /// The server; `http://127.0.0.1:7117` if it is not said. A path in it goes before those of the API. With
    /// `https://api.chatbotkit.com` or `https://api.sendblue.com` the client talks to those services.
    pub fn base_url(self, url: impl Into<String>) -> Self {
        Self { base_url: Some(url.into()), ..self }
    }

    /// The server's host, in the place of that in the base URL; with a port, if it has one.
    pub fn host(self, host: impl Into<String>) -> Self {
        Self { host: Some(host.into()), ..self }
    }

    /// `http` or `https`, in the place of that in the base URL.
    pub fn protocol(self, protocol: impl Into<String>) -> Self {
        Self { protocol: Some(protocol.into()), ..self }
    }

    /// Has `to` asked in the place of `endpoint`: of a path as in the documentation (`/api/v1/secret/{secret}/fetch`),
    /// of one with its ids, or of what [`Request::endpoint`](crate::Request::endpoint) says. `to` is a path, or a whole
    /// URL: whoever writes it here vouches for the server, which gets the key.
    pub fn endpoint(mut self, endpoint: impl Into<String>, to: impl Into<String>) -> Self {
        self.endpoints.insert(endpoint.into(), to.into());
        self
    }

    /// A key's token, which is sent as `Authorization: Bearer`.
    pub fn secret(self, secret: impl Into<SecretString>) -> Self {
        Self { secret: Some(secret.into()), ..self }
    }

    /// A key's id and secret, which are sent as `sb-api-key-id` and `sb-api-secret-key`: to all paths, or to those of
    /// `/api/v2` only if there is a [`secret`](Self::secret) for the others.
    pub fn key_pair(self, id: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        Self { key_pair: Some((id.into(), secret.into())), ..self }
    }

    /// Acts as a child account of the key's own, by its id.
    pub fn run_as_user_id(self, id: impl Into<String>) -> Self {
        Self { run_as_user_id: Some(id.into()), ..self }
    }

    /// Acts as a child account of the key's own, by its e-mail address. An id counts more.
    pub fn run_as_child_user_email(self, email: impl Into<String>) -> Self {
        Self { run_as_child_user_email: Some(email.into()), ..self }
    }

    /// The caller's time zone, such as `Europe/Berlin`. Keyfob has no use for it; the original service has.
    pub fn timezone(self, timezone: impl Into<String>) -> Self {
        Self { timezone: Some(timezone.into()), ..self }
    }

    /// A header of every request to the server, in the place of one of this name that was said before.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long one attempt may take until its whole answer is there, or that of a stream begins; a minute if it is
    /// not said.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// How long a stream that has begun may be silent: a minute if it is not said. Servers say something every 17 s,
    /// also while they find nothing. A stream takes as long as it takes.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        Self { idle_timeout: Some(timeout), ..self }
    }

    /// How large a whole answer may be, in bytes: 64 MiB if it is not said. A larger one is [`Error::TooLarge`]; have it
    /// [as it comes](crate::Request::open).
    pub fn largest_answer(self, bytes: usize) -> Self {
        Self { largest_answer: Some(bytes), ..self }
    }

    /// How often a request is sent again where that may help: 3 times if it is not said, and 0 for never. It may help
    /// where the connection broke, no answer came, or the status is 408, 429, 500, 502, 503 or 504, unless the server
    /// says otherwise (`x-should-retry`).
    pub fn retries(mut self, retries: u32) -> Self {
        self.policy.retries = retries;
        self
    }

    /// What is waited before a request is sent again for the first time: 250 ms if it is not said. It is doubled each
    /// time up to 8 s, less up to a quarter at random. What the server says of when to come back
    /// (`Retry-After`, `retry-after-ms`) counts more, up to a minute.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.policy.delay = delay;
        self
    }

    /// Whether a request is sent again after an attempt has taken too long. It is, if it is not said.
    pub fn retry_timeout(mut self, is_wanted: bool) -> Self {
        self.policy.after_timeout = is_wanted;
        self
    }

    /// Your own `reqwest::Client`, or any tower service of its requests and answers.
    ///
    /// Build it with `redirect(reqwest::redirect::Policy::none())`: otherwise it takes the key of a
    /// [pair](Self::key_pair), and whatever else is in a header of its own, wherever a redirect leads. One that goes
    /// through a proxy shows the key to it where the server's URL is `http`.
    pub fn http_client<S>(self, service: S) -> Self
    where
        S: Service<reqwest::Request, Response = reqwest::Response> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        Self { transport: Some(Arc::new(service)), ..self }
    }

    /// The client.
    ///
    /// # Errors
    /// [`Error::Invalid`], if an option is not what it should be; it says which.
    pub fn build(mut self) -> Result<Client, Error> {
        let base = self.base_url.as_deref().unwrap_or(BASE_URL);
        let (host, protocol) = (self.host.as_deref(), self.protocol.as_deref());
        let server = Server::new(base, host, protocol, self.endpoints.clone())?;
        let credentials = Credentials::new(self.secret.as_ref(), self.key_pair.as_ref())?;
        let transport = match self.transport {
            Some(transport) => transport,
            None => Arc::new(http_client()?),
        };
        self.transport = Some(Arc::clone(&transport));
        let inner = Inner {
            server,
            credentials,
            headers: self.headers()?,
            timeout: self.timeout,
            idle_timeout: self.idle_timeout.unwrap_or(IDLE_TIMEOUT),
            largest_answer: self.largest_answer.unwrap_or(LARGEST_ANSWER),
            policy: self.policy,
            transport,
            cache: Arc::new(Cache::with_weighter(MOST_CACHED, LARGEST_CACHE, ByLength)),
            options: self,
        };
        Ok(Client::from(inner))
    }

    /// The headers of every request.
    fn headers(&self) -> Result<HeaderMap, Error> {
        let ours = [
            ("x-runas-user-id", &self.run_as_user_id),
            ("x-runas-child-user-email", &self.run_as_child_user_email),
            ("x-timezone", &self.timezone),
        ];
        let given = self.headers.iter().map(|(name, value)| (&**name, value.expose_secret()));
        let ours = ours.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let mut headers = HeaderMap::new();
        for (name, value) in given.chain(ours) {
            let (name, value) = header(name, value)?;
            // Of two values under one name a server may take either: the one that was said last is meant.
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

fn http_client() -> Result<reqwest::Client, Error> {
    #[expect(clippy::disallowed_methods, reason = "the SDK's own way to its server")]
    let builder = reqwest::Client::builder();
    builder
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        // The environment may name a proxy, which would read the key.
        .no_proxy()
        .user_agent(concat!("keyfob-client/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::transport(error.into()))
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_replaces_one_of_its_name_that_was_said_before() {
        let first = ClientBuilder::default().header("X-Team", "old").timezone("Europe/Berlin");
        let client = first.header("x-timezone", "Asia/Tokyo").build().unwrap();
        let headers = client.to_builder().header("x-team", "new").headers().unwrap();
        assert_eq!((headers.len(), &headers["x-team"]), (2, &header("x-team", "new").unwrap().1));
        assert_eq!(headers["x-timezone"], "Europe/Berlin");
    }
}
