//! Templates: how well-known providers are reached (`platform.secret` of the published client).

use keyfob_api::{
    list::Page,
    template::{Found, Search, Template},
};

use crate::{Client, Request};

/// The server's catalogue of well-known providers ([`Client::templates`]): `platform.secret` of the published client.
#[derive(Clone, Debug)]
pub struct Templates(Client);

impl Client {
    /// How well-known providers are reached.
    #[must_use]
    pub fn templates(&self) -> Templates {
        Templates(self.clone())
    }
}

impl Templates {
    /// The catalogue (`GET /api/v1/platform/secret/list`).
    pub fn list(&self) -> Request<Page<Template>> {
        self.0.call("/api/v1/platform/secret/list", &[])
    }

    /// What fits these words, the likeliest first (`POST /api/v1/platform/secret/search`).
    pub fn search(&self, search: &Search) -> Request<Found> {
        self.0.call("/api/v1/platform/secret/search", &[]).record(search)
    }
}
