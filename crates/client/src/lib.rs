//! The Rust SDK of Keyfob.
//!
//! For now it has what the command line needs: one-time passwords, contacts, secrets,
//! connections, keys, the account, and messages of MCP.
//!
//! ```no_run
//! # async fn example() -> Result<(), keyfob_client::Error> {
//! let client = keyfob_client::Client::new("http://127.0.0.1:7117", "kft_…".into())?;
//! let code = client.totp_code("550e8400-e29b-41d4-a716-446655440000", &Default::default()).await?;
//! println!("{} for {} s", code.code, code.expires_in);
//! # Ok(())
//! # }
//! ```

mod account;
mod connection;
mod contact;
mod event;
mod list;
mod mcp;
mod revocation;
mod secret;
mod template;

use std::time::Duration;

use keyfob_api::{
    error::ErrorBody,
    key::{CreateKey, CreatedKey, Key, UpdateKey},
    list::Id,
    totp::{CodeAnswer, CreateTotp, Status, Totp, TotpAnswer, TotpList},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};

pub use crate::{
    connection::Connected,
    list::{Lines, List, ListQuery},
    mcp::Mcp,
    secret::SecretQuery,
};

/// The server keeps a caller waiting for 55 s at most, and lets no list pause for longer than 15 s.
const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL is not one of http or https.
    #[error("{0:?} is not the URL of a server, such as http://127.0.0.1:7117")]
    Url(String),
    /// The token holds a line break, or what else no HTTP header can.
    #[error("the token holds characters that no token has: copy it again")]
    Token,
    /// The account to act as holds what no HTTP header can.
    #[error("{0:?} is neither the id of an account nor its e-mail address")]
    RunAs(String),
    /// The server refused.
    #[error("{}", body.message)]
    Api {
        /// The HTTP status.
        status: StatusCode,
        /// What the server said.
        body: Box<ErrorBody>,
    },
    /// The answer is not one of Keyfob's.
    #[error("the server answered {status}, and not as Keyfob does: is this the right URL?")]
    Foreign {
        /// The HTTP status.
        status: StatusCode,
    },
    /// A list ended before its end; what came of it is not all.
    #[error("the list broke off: {0}")]
    BrokenOff(String),
    /// The server could not be reached, or the connection broke.
    #[error("the server could not be reached: {0}")]
    Transport(#[source] reqwest::Error),
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        // The URL may hold an id; the rest says enough.
        Self::Transport(error.without_url())
    }
}

/// A connection to one server, with one key. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
    run_as: Option<(&'static str, header::HeaderValue)>,
}

/// What is wanted of a code; the default is the current one.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CodeQuery {
    /// Seconds the code must still be valid; the call waits for a code that is, 55 s at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_validity: Option<u32>,
    /// Whether nobody else may be given this code's time step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<bool>,
    /// `next`, to have the next code too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<&'static str>,
}

impl Client {
    /// A client of the server at `base` (`http://…` or `https://…`), with a key's token.
    pub fn new(base: &str, token: SecretString) -> Result<Self, Error> {
        let url = Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = url.ok_or_else(|| Error::Url(base.to_owned()))?;
        header::HeaderValue::from_str(token.expose_secret()).map_err(|_| Error::Token)?;
        let http = builder().read_timeout(TIMEOUT).build()?;
        Ok(Self { http, base, token, run_as: None })
    }

    /// The same client, acting as a child account of the key's own: its id, or its e-mail address.
    pub fn run_as(self, account: &str) -> Result<Self, Error> {
        let is_email = account.contains('@');
        let name = if is_email { "x-runas-child-user-email" } else { "x-runas-user-id" };
        let value = header::HeaderValue::from_str(account);
        let value = value.map_err(|_| Error::RunAs(account.to_owned()))?;
        Ok(Self { run_as: Some((name, value)), ..self })
    }

    /// A request of a path below `/api`, whose answer is to be `accept`.
    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &impl Serialize,
        accept: &'static str,
    ) -> Result<RequestBuilder, Error> {
        let url = self.url(["api"].iter().chain(path))?;
        let request = self.http.request(method, url).query(query);
        Ok(self.with_key(request).header(header::ACCEPT, accept))
    }

    /// The server's URL of this path.
    fn url<'a>(&self, path: impl Iterator<Item = &'a &'a str>) -> Result<Url, Error> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::Url(self.base.to_string()))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    /// A request that says who sends it.
    fn with_key(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.bearer_auth(self.token.expose_secret());
        match &self.run_as {
            Some((name, account)) => request.header(*name, account),
            None => request,
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &impl Serialize,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, Error> {
        let request = self.request(method, path, query, "application/json")?.timeout(TIMEOUT);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        read(request.send().await?).await
    }

    /// A call that changes something, and answers its id.
    async fn change(&self, path: &[&str], body: &(impl Serialize + Sync)) -> Result<String, Error> {
        let answer: Id = self.call(Method::POST, path, NONE, Some(body)).await?;
        Ok(answer.id)
    }

    /// Stores a one-time-password secret.
    pub async fn create_totp(&self, totp: &CreateTotp) -> Result<Totp, Error> {
        let path = ["v2", "totp", "secrets"];
        let answer: TotpAnswer = self.call(Method::POST, &path, NONE, Some(totp)).await?;
        Ok(answer.totp_secret)
    }

    /// The account's one-time-password entries, oldest first.
    pub async fn list_totp(&self) -> Result<Vec<Totp>, Error> {
        let path = ["v2", "totp", "secrets"];
        let answer: TotpList = self.call(Method::GET, &path, NONE, NO_BODY).await?;
        Ok(answer.totp_secrets)
    }

    /// The code of an entry.
    pub async fn totp_code(&self, id: &str, query: &CodeQuery) -> Result<CodeAnswer, Error> {
        self.call(Method::GET, &["v2", "totp", "code", id], query, NO_BODY).await
    }

    /// Deletes an entry for good.
    pub async fn delete_totp(&self, id: &str) -> Result<(), Error> {
        let path = ["v2", "totp", "secrets", id];
        self.call::<Status>(Method::DELETE, &path, NONE, NO_BODY).await.map(drop)
    }

    /// Makes a key.
    pub async fn create_key(&self, key: &CreateKey) -> Result<CreatedKey, Error> {
        self.call(Method::POST, &["v1", "key", "create"], NONE, Some(key)).await
    }

    /// The account's keys, newest first.
    #[must_use]
    pub fn list_keys(&self) -> List<Key> {
        List::new(self, &["v1", "key", "list"], Vec::new())
    }

    /// Changes the name, the end or the limits of a key.
    pub async fn update_key(&self, id: &str, key: &UpdateKey) -> Result<(), Error> {
        self.change(&["v1", "key", id, "update"], key).await.map(drop)
    }

    /// Ends a key.
    pub async fn revoke_key(&self, id: &str) -> Result<(), Error> {
        self.change(&["v1", "key", id, "revoke"], &Empty {}).await.map(drop)
    }
}

#[expect(clippy::disallowed_methods, reason = "the SDK's own way to its server")]
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("keyfob-client/", env!("CARGO_PKG_VERSION")))
}

const NONE: &[(&str, &str); 0] = &[];
const NO_BODY: Option<&()> = None;

/// `{}`, for calls that take a body and nothing in it.
#[derive(Serialize)]
struct Empty {}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Error> {
    let response = accepted(response).await?;
    let status = response.status();
    let bytes = response.bytes().await?;
    serde_json::from_slice(&bytes).map_err(|_| Error::Foreign { status })
}

/// The answer, if it is not a refusal.
async fn accepted(response: Response) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    Err(refused(status, &response.bytes().await?))
}

/// The error in an answer that is one.
fn refused(status: StatusCode, bytes: &[u8]) -> Error {
    match serde_json::from_slice(bytes) {
        Ok(body) => Error::Api { status, body: Box::new(body) },
        Err(_) => Error::Foreign { status },
    }
}
