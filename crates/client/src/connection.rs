//! What contacts have connected, and the one value of shared secrets. A contact is named by its id, a secret
//! by its id, as `@alias`, or as `(name)`.

use keyfob_api::connection::{Authentication, Connect, ContactSecret, Minted, Verified};
use reqwest::Method;
use serde_json::json;

use crate::{Client, Empty, Error, List, NONE};

/// Whose values are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connected {
    /// What the contact has connected.
    #[default]
    Only,
    /// That, and what it could connect.
    AndOthers,
}

impl Client {
    /// What a contact has connected, page by page, newest first.
    #[must_use]
    pub fn list_connections(&self, contact: &str, which: Connected) -> List<ContactSecret> {
        let query = match which {
            Connected::Only => Vec::new(),
            Connected::AndOthers => vec![("status".into(), "all".into())],
        };
        List::new(self, &["v1", "contact", contact, "secret", "list"], query)
    }

    /// Whether a contact's value of a secret can be used, and the link to connect it if not.
    pub async fn verify_connection(&self, contact: &str, at: &str) -> Result<Verified, Error> {
        self.act(&["v1", "contact", contact, "secret", at, "verify"], None).await
    }

    /// A link at which a contact connects a secret, and then goes to `return_url`.
    pub async fn authenticate_connection(
        &self,
        contact: &str,
        at: &str,
        return_url: Option<&str>,
    ) -> Result<Authentication, Error> {
        self.act(&["v1", "contact", contact, "secret", at, "authenticate"], return_url).await
    }

    /// Stores a contact's value of a secret, in place of what it had; the secret's id.
    pub async fn connect(&self, contact: &str, at: &str, value: &Connect) -> Result<String, Error> {
        self.change(&["v1", "contact", contact, "secret", at, "connect"], value).await
    }

    /// Has a contact's tokens renewed at the provider now; how it stands after that. A connection that works
    /// goes on to work if the provider does not answer.
    pub async fn refresh_connection(&self, contact: &str, at: &str) -> Result<Verified, Error> {
        self.act(&["v1", "contact", contact, "secret", at, "refresh"], None).await
    }

    /// A token of what a contact has connected: an access token, or one that was signed just now. Where a
    /// person has to do something first, the error's body has a `url` for them.
    pub async fn mint_connection(&self, contact: &str, at: &str) -> Result<Minted, Error> {
        self.act(&["v1", "contact", contact, "secret", at, "mint"], None).await
    }

    /// Takes a contact's value of a secret away; the secret's id.
    pub async fn revoke_connection(&self, contact: &str, at: &str) -> Result<String, Error> {
        self.change(&["v1", "contact", contact, "secret", at, "revoke"], &Empty {}).await
    }

    /// Whether a shared secret's value can be used, and the link to give it one if it has none.
    pub async fn verify_secret(&self, at: &str) -> Result<Verified, Error> {
        self.act(&["v1", "secret", at, "verify"], None).await
    }

    /// A link at which a person gives a shared secret its value, and then goes to `return_url`.
    pub async fn authenticate_secret(
        &self,
        at: &str,
        return_url: Option<&str>,
    ) -> Result<Authentication, Error> {
        self.act(&["v1", "secret", at, "authenticate"], return_url).await
    }

    /// Has the tokens of a shared secret renewed at the provider now; how it stands after that.
    pub async fn refresh_secret(&self, at: &str) -> Result<Verified, Error> {
        self.act(&["v1", "secret", at, "refresh"], None).await
    }

    /// A token of a shared secret: an access token, or one that was signed just now.
    pub async fn mint_secret(&self, at: &str) -> Result<Minted, Error> {
        self.act(&["v1", "secret", at, "mint"], None).await
    }

    /// Takes the value of a shared secret away; its id.
    pub async fn revoke_secret(&self, at: &str) -> Result<String, Error> {
        self.change(&["v1", "secret", at, "revoke"], &Empty {}).await
    }

    async fn act<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        return_url: Option<&str>,
    ) -> Result<T, Error> {
        let body = return_url.map_or_else(|| json!({}), |url| json!({ "returnUrl": url }));
        self.call(Method::POST, path, NONE, Some(&body)).await
    }
}
