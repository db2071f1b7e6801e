//! One-time passwords: `client.v2.totp` of the published Sendblue client.

use keyfob_api::totp::{CodeAnswer, CreateTotp, Status, TotpAnswer, TotpList, UpdateTotp};

use crate::{Client, Request};

/// One-time passwords ([`Client::totp`]).
#[derive(Clone, Debug)]
pub struct Totp(Client);

/// The entries that codes are made of ([`Totp::secrets`]).
#[derive(Clone, Debug)]
pub struct TotpSecrets(Client);

impl Client {
    /// One-time passwords: `client.v2.totp` of the published Sendblue client.
    #[must_use]
    pub fn totp(&self) -> Totp {
        Totp(self.clone())
    }
}

impl Totp {
    /// The current code of an entry, and how long it is good for (`GET /api/v2/totp/code/{id}`).
    ///
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
    /// # doc::example(async |client| {
    /// let code = client.totp().get_code("550e8400-e29b-41d4-a716-446655440000").min_validity(10).await?;
    /// println!("{} for {} s", code.code, code.expires_in);
    /// # Ok(()) });
    /// ```
    pub fn get_code(&self, id: &str) -> Request<CodeAnswer> {
        self.0.call("/api/v2/totp/code/{id}", &[id])
    }

    /// The entries that codes are made of.
    #[must_use]
    pub fn secrets(&self) -> TotpSecrets {
        TotpSecrets(self.0.clone())
    }
}

impl Request<CodeAnswer> {
    /// Waits for a code that is good for so many seconds more, 55 s at the most. Keyfob's own.
    pub fn min_validity(self, seconds: u32) -> Self {
        self.set("min_validity", seconds.to_string())
    }

    /// A code that nobody else is given: each time step is handed out once, and who comes later waits for the next.
    /// Keyfob's own.
    pub fn unique(self) -> Self {
        self.set("unique", "true".into())
    }

    /// The next code too. Keyfob's own.
    pub fn include_next(self) -> Self {
        self.set("include", "next".into())
    }
}

impl TotpSecrets {
    /// Stores a secret; the entry, with its secret for this one time (`POST /api/v2/totp/secrets`).
    pub fn create(&self, totp: &CreateTotp) -> Request<TotpAnswer> {
        self.0.call("/api/v2/totp/secrets", &[]).record(totp).idempotent()
    }

    /// All entries, the oldest first, without their secrets (`GET /api/v2/totp/secrets`).
    pub fn list(&self) -> Request<TotpList> {
        self.0.call("/api/v2/totp/secrets", &[])
    }

    /// Deletes an entry for good (`DELETE /api/v2/totp/secrets/{id}`).
    pub fn delete(&self, id: &str) -> Request<Status> {
        self.0.call("/api/v2/totp/secrets/{id}", &[id]).method(http::Method::DELETE)
    }

    /// An entry, without its secret. Keyfob's own (`GET /api/v2/totp/secrets/{id}`).
    pub fn fetch(&self, id: &str) -> Request<TotpAnswer> {
        self.0.call("/api/v2/totp/secrets/{id}", &[id])
    }

    /// Changes an entry's label, issuer or policy. Keyfob's own (`PATCH /api/v2/totp/secrets/{id}`).
    pub fn update(&self, id: &str, change: &UpdateTotp) -> Request<TotpAnswer> {
        let request = self.0.call("/api/v2/totp/secrets/{id}", &[id]);
        request.method(http::Method::PATCH).record(change)
    }
}
