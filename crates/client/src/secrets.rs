//! Secrets: the definitions of credentials, and the one value of shared ones.

use keyfob_api::{
    connection::{Authentication, Minted, Verified},
    list::{Id, Page},
    secret::{Secret, SecretFields},
};

use crate::{
    Answer, Client, Request,
    proxy::{ProxyRequest, proxy},
};

/// The definitions of credentials ([`Client::secrets`]). A secret is named by its id, by its alias as `@alias`, or by
/// its name as `(name)`.
#[derive(Clone, Debug)]
pub struct Secrets(Client);

impl Client {
    /// The definitions of credentials, and the one value of shared ones.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        Secrets(self.clone())
    }
}

impl Secrets {
    /// All secrets, the newest first, without their values (`GET /api/v1/secret/list`).
    pub fn list(&self) -> Request<Page<Secret>> {
        self.0.call("/api/v1/secret/list", &[])
    }

    /// Stores a secret; its id (`POST /api/v1/secret/create`).
    ///
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
    /// # doc::example(async |client| {
    /// use keyfob_client::types::SecretFields;
    ///
    /// let key = SecretFields {
    ///     name: Some("Weather API".into()),
    ///     kind: Some("personal".into()),
    ///     secret_type: Some("bearer".into()),
    ///     ..SecretFields::default()
    /// };
    /// let id = client.secrets().create(&key).await?.id;
    /// # Ok(()) });
    /// ```
    pub fn create(&self, secret: &SecretFields) -> Request<Id> {
        self.0.call("/api/v1/secret/create", &[]).record(secret).idempotent()
    }

    /// A secret, without its value (`GET /api/v1/secret/{secret}/fetch`).
    pub fn fetch(&self, secret: &str) -> Request<Secret> {
        self.0.call("/api/v1/secret/{secret}/fetch", &[secret])
    }

    /// Changes what is given of a secret; its id (`POST /api/v1/secret/{secret}/update`).
    pub fn update(&self, secret: &str, change: &SecretFields) -> Request<Id> {
        self.0.call("/api/v1/secret/{secret}/update", &[secret]).record(change)
    }

    /// Deletes a secret for good, with what contacts have connected; its id
    /// (`POST /api/v1/secret/{secret}/delete`).
    pub fn delete(&self, secret: &str) -> Request<Id> {
        self.0.act("/api/v1/secret/{secret}/delete", &[secret])
    }

    /// Whether a shared secret's value can be used, and the link to give it one if not
    /// (`POST /api/v1/secret/{secret}/verify`).
    pub fn verify(&self, secret: &str) -> Request<Verified> {
        self.0.act("/api/v1/secret/{secret}/verify", &[secret])
    }

    /// A link at which a person gives a shared secret its value
    /// (`POST /api/v1/secret/{secret}/authenticate`).
    pub fn authenticate(&self, secret: &str) -> Request<Authentication> {
        self.0.act("/api/v1/secret/{secret}/authenticate", &[secret])
    }

    /// Takes the value of a shared secret away; its id (`POST /api/v1/secret/{secret}/revoke`).
    pub fn revoke(&self, secret: &str) -> Request<Id> {
        self.0.act("/api/v1/secret/{secret}/revoke", &[secret])
    }

    /// Has the tokens of a shared secret renewed at the provider now; how it stands after that. Keyfob's own
    /// (`POST /api/v1/secret/{secret}/refresh`).
    pub fn refresh(&self, secret: &str) -> Request<Verified> {
        self.0.act("/api/v1/secret/{secret}/refresh", &[secret])
    }

    /// A token of a shared secret itself: an access token, or one that was signed just now
    /// (`POST /api/v1/secret/{secret}/mint`).
    pub fn mint(&self, secret: &str) -> Request<Minted> {
        self.0.act("/api/v1/secret/{secret}/mint", &[secret])
    }

    /// Sends a request with the value of a shared secret, which the caller does not see
    /// (`POST /api/v1/secret/{secret}/proxy`). See [`Connections::proxy`](crate::Connections::proxy).
    pub fn proxy(&self, secret: &str, request: &ProxyRequest) -> Request<Answer> {
        proxy(self.0.call("/api/v1/secret/{secret}/proxy", &[secret]), request)
    }
}

impl Request<Page<Secret>> {
    /// Only those of this blueprint.
    pub fn blueprint(self, id: &str) -> Self {
        self.set("blueprintId", id.to_owned())
    }
}
