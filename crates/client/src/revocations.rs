//! How grants are revoked at their providers. Keyfob's own.

use keyfob_api::{list::Page, revocation::Revocation};

use crate::{Client, Request};

/// How grants are revoked at their providers, after what held them is gone ([`Client::revocations`]).
#[derive(Clone, Debug)]
pub struct Revocations(Client);

impl Client {
    /// How grants are revoked at their providers, after what held them is gone.
    #[must_use]
    pub fn revocations(&self) -> Revocations {
        Revocations(self.clone())
    }
}

impl Revocations {
    /// Those that wait, or that ended in the last days, the newest first (`GET /api/v1/revocation/list`).
    pub fn list(&self) -> Request<Page<Revocation>> {
        self.0.call("/api/v1/revocation/list", &[])
    }
}

impl Request<Page<Revocation>> {
    /// Only those that are `pending`, `revoked`, `unsupported` or `failed`.
    pub fn status(self, status: &str) -> Self {
        self.set("status", status.to_owned())
    }
}
