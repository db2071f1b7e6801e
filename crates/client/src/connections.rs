//! What a contact has connected: `SecretClient` of the published client.

use http::Method;
use keyfob_api::{
    connection::{Authentication, Connect, ContactSecret, Minted, Verified},
    list::{Id, Page},
};

use crate::{
    Answer, Client, Error, Request,
    proxy::{ProxyRequest, proxy, proxy_url},
};

/// A contact's own values of personal secrets ([`OneContact::secrets`](crate::OneContact::secrets)): `SecretClient` of
/// the published client, for one contact.
///
/// A secret is named by its id, by its alias as `@alias`, or by its name as `(name)`.
///
/// ```
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
/// # doc::example(async |client| {
/// let secrets = client.contact("c9qzy1f0o0002l8j5s7d3k4mn").secrets();
/// if secrets.verify("@github").await?.status != "authenticated" {
///     let link = secrets.authenticate("@github").return_url("https://app.example.com/done").await?;
///     // Hand `link.url` to the contact, and to nobody else.
/// }
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct Connections {
    client: Client,
    contact: String,
}

impl Connections {
    pub(crate) fn new(client: &Client, contact: &str) -> Self {
        Self { client: client.clone(), contact: contact.to_owned() }
    }

    /// What the contact has connected, the newest first (`GET /api/v1/contact/{contact}/secret/list`).
    pub fn list(&self) -> Request<Page<ContactSecret>> {
        self.client.call("/api/v1/contact/{contact}/secret/list", &[&self.contact])
    }

    /// Whether the contact's value can be used, and the link to connect it if not
    /// (`POST …/secret/{secret}/verify`).
    pub fn verify(&self, secret: &str) -> Request<Verified> {
        self.act("/api/v1/contact/{contact}/secret/{secret}/verify", secret)
    }

    /// A link at which the contact connects the secret, good for 15 minutes and for one time
    /// (`POST …/secret/{secret}/authenticate`).
    pub fn authenticate(&self, secret: &str) -> Request<Authentication> {
        self.act("/api/v1/contact/{contact}/secret/{secret}/authenticate", secret)
    }

    /// Takes the contact's value away, at its provider too; the secret's id
    /// (`POST …/secret/{secret}/revoke`).
    pub fn revoke(&self, secret: &str) -> Request<Id> {
        self.act("/api/v1/contact/{contact}/secret/{secret}/revoke", secret)
    }

    /// Stores a value for the contact, in place of what it had; the secret's id. Keyfob's own
    /// (`POST …/secret/{secret}/connect`).
    pub fn connect(&self, secret: &str, value: &Connect) -> Request<Id> {
        let path = "/api/v1/contact/{contact}/secret/{secret}/connect";
        self.client.call(path, &[&self.contact, secret]).record(value)
    }

    /// Has the tokens renewed at the provider now; how it stands after that. A connection that works goes on to work
    /// if the provider does not answer. Keyfob's own (`POST …/secret/{secret}/refresh`).
    pub fn refresh(&self, secret: &str) -> Request<Verified> {
        self.act("/api/v1/contact/{contact}/secret/{secret}/refresh", secret)
    }

    /// A token itself: an access token, or one that was signed just now. Where a person has to do something first, the
    /// error has an [`authorization_url`](crate::Error::authorization_url) (`POST …/secret/{secret}/mint`).
    pub fn mint(&self, secret: &str) -> Request<Minted> {
        self.act("/api/v1/contact/{contact}/secret/{secret}/mint", secret)
    }

    /// Sends a request with the contact's credential, which the caller does not see
    /// (`POST …/secret/{secret}/proxy`). The answer is the upstream's, whatever its status; what Keyfob itself refuses
    /// is an error. A `POST` or `PATCH` is sent again only where the server says that the upstream did not have it.
    ///
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
    /// # doc::example(async |client| {
    /// use keyfob_client::ProxyRequest;
    ///
    /// let secrets = client.contact("c9qzy1f0o0002l8j5s7d3k4mn").secrets();
    /// let answer = secrets.proxy("@github", &ProxyRequest::get("https://api.github.com/user")).await?;
    /// println!("{} {}", answer.status, answer.text());
    /// # Ok(()) });
    /// ```
    pub fn proxy(&self, secret: &str, request: &ProxyRequest) -> Request<Answer> {
        let path = "/api/v1/contact/{contact}/secret/{secret}/proxy";
        proxy(self.client.call(path, &[&self.contact, secret]), request)
    }

    /// The base URL by which an SDK of another service goes through Keyfob: its requests to `base_url` (`https://…`)
    /// with the contact's credential, and Keyfob's key where the SDK has its own. Keyfob's own.
    ///
    /// # Errors
    /// [`Error::Invalid`], if an id is empty or a path of dots.
    pub fn proxy_url(&self, secret: &str, base_url: &str) -> Result<String, Error> {
        proxy_url(&self.client, &self.contact, secret, base_url)
    }

    fn act<T>(&self, path: &'static str, secret: &str) -> Request<T> {
        self.client.act(path, &[&self.contact, secret])
    }
}

impl Request<Page<ContactSecret>> {
    /// Those too that the contact could connect, and has not. Keyfob's own.
    pub fn with_unconnected(self) -> Self {
        self.set("status", "all".into())
    }
}

impl Request<Authentication> {
    /// Where the person is sent to at the end: a URL of an origin that the account allows. Keyfob's own.
    pub fn return_url(self, url: &str) -> Self {
        self.method(Method::POST).record(&serde_json::json!({ "returnUrl": url }))
    }
}
