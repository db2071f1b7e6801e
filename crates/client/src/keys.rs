//! API keys. Keyfob's own.

use keyfob_api::{
    key::{CreateKey, CreatedKey, Key, UpdateKey},
    list::{Id, Page},
};

use crate::{Client, Request};

/// API keys ([`Client::keys`]). Owner keys only.
#[derive(Clone, Debug)]
pub struct Keys(Client);

impl Client {
    /// API keys, which an owner key makes.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys(self.clone())
    }
}

impl Keys {
    /// All keys, the newest first (`GET /api/v1/key/list`).
    pub fn list(&self) -> Request<Page<Key>> {
        self.0.call("/api/v1/key/list", &[])
    }

    /// Makes a key; its id and, for this one time, its secret (`POST /api/v1/key/create`).
    ///
    /// It is sent again only where the server did not take it: of a key whose answer was lost nobody would know.
    ///
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
    /// # doc::example(async |client| {
    /// use keyfob_client::types::{CreateKey, Limits};
    ///
    /// let agent = CreateKey {
    ///     role: "agent".into(),
    ///     name: "support bot".into(),
    ///     limits: Limits { rate: Some(60), ..Limits::default() },
    ///     ..CreateKey::default()
    /// };
    /// let key = client.keys().create(&agent).await?;
    /// # Ok(()) });
    /// ```
    pub fn create(&self, key: &CreateKey) -> Request<CreatedKey> {
        self.0.call("/api/v1/key/create", &[]).record(key).idempotent().once()
    }

    /// A key, without its secret (`GET /api/v1/key/{id}/fetch`).
    pub fn fetch(&self, id: &str) -> Request<Key> {
        self.0.call("/api/v1/key/{id}/fetch", &[id])
    }

    /// Changes a key's name, end or limits; its id (`POST /api/v1/key/{id}/update`).
    pub fn update(&self, id: &str, change: &UpdateKey) -> Request<Id> {
        self.0.call("/api/v1/key/{id}/update", &[id]).record(change)
    }

    /// Ends a key; its id (`POST /api/v1/key/{id}/revoke`).
    pub fn revoke(&self, id: &str) -> Request<Id> {
        self.0.act("/api/v1/key/{id}/revoke", &[id])
    }
}
