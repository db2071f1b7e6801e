//! What was asked of a provider at a link, as it is kept, sealed, until the answer comes.

use std::time::Duration;

use data_encoding::HEXLOWER;
use keyfob_core::{
    crypto::{OpenError, Sealed},
    oauth::{
        AuthMethod, Client, Grant, GrantClient,
        device::{DeviceAuthorization, slower},
    },
    policy::{Action, Object},
    time::Timestamp,
};
use keyfob_store::{ReadTx, authentication::Authentication};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::{
    Broker, Config,
    config::Terms,
    grant::keeper,
    provider::{self, Incomplete, Provider},
};
use crate::error::{Damaged, Error};

/// The table, and the noun in seals.
const AUTHENTICATION: &str = "authentication";
/// The largest request, in bytes of JSON: a few URLs, a registered client, and what a config says of destinations.
const LARGEST: usize = 96 * 1024;

/// What the answer to a request needs.
#[derive(Clone, Deserialize)]
pub(super) struct Request {
    /// Where tokens are given, and where they are revoked.
    pub(super) token_endpoint: Url,
    revocation_endpoint: Option<Url>,
    /// What the tokens are for (RFC 8707), if the provider wants to know.
    pub(super) resource: Option<String>,
    /// What the provider was found out by, if it was.
    source: Option<String>,
    /// Who must have answered, and whether the answer must say so (RFC 9207).
    pub(super) issuer: Option<String>,
    pub(super) is_issuer_told: bool,
    /// The client that asked, if it was registered for it (RFC 7591).
    client: Option<Registered>,
    /// How the client proves itself, where the provider says what it takes: a word of RFC 7591.
    method: Option<String>,
    /// What shows that it was Keyfob who asked: the verifier (RFC 7636), or the device code (RFC 8628).
    pub(super) proof: SecretString,
    /// What the person types for it elsewhere.
    pub(super) device: Option<Device>,
    /// Where the secret let its credential go when the person went on: what they have agreed to.
    #[serde(default)]
    pub(super) terms: Terms,
}

/// A code that a person types at the provider (RFC 8628, section 3.2).
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Device {
    pub(super) user_code: String,
    pub(super) verification_uri: Url,
    pub(super) verification_uri_complete: Option<Url>,
    /// In milliseconds since 1970.
    ends_at: i64,
    /// The least time between two polls, in seconds.
    interval: u64,
}

impl Device {
    pub(super) fn new(code: &DeviceAuthorization, end: Timestamp, interval: Duration) -> Self {
        Self {
            user_code: code.user_code.clone(),
            verification_uri: code.verification_uri.clone(),
            verification_uri_complete: code.verification_uri_complete.clone(),
            ends_at: end.as_millis(),
            interval: interval.as_secs(),
        }
    }

    pub(super) const fn ends_at(&self) -> Timestamp {
        Timestamp::from_millis(self.ends_at)
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at() <= now
    }

    pub(super) const fn interval(&self) -> Duration {
        Duration::from_secs(self.interval)
    }

    /// Has the provider asked less often from now on.
    pub(super) fn slow_down(&mut self) {
        self.interval = slower(self.interval()).as_secs();
    }
}

#[derive(Clone, Deserialize)]
struct Registered {
    id: String,
    secret: Option<SecretString>,
}

/// A request as it is stored.
#[derive(Serialize)]
struct Text<'a> {
    token_endpoint: &'a Url,
    revocation_endpoint: &'a Option<Url>,
    resource: &'a Option<String>,
    source: &'a Option<String>,
    issuer: &'a Option<String>,
    is_issuer_told: bool,
    client: Option<RegisteredText<'a>>,
    method: Option<&'a str>,
    proof: &'a str,
    device: &'a Option<Device>,
    terms: &'a Terms,
}

#[derive(Serialize)]
struct RegisteredText<'a> {
    id: &'a str,
    secret: Option<&'a str>,
}

impl Request {
    pub(super) fn new(provider: &Provider, proof: SecretString, terms: Terms) -> Self {
        let client = provider.registered.as_ref();
        let client = client.map(|GrantClient { id, secret }| Registered {
            id: id.clone(),
            secret: secret.clone(),
        });
        Self {
            token_endpoint: provider.token_endpoint.clone(),
            revocation_endpoint: provider.revocation_endpoint.clone(),
            resource: provider.resource.clone(),
            source: provider.source.clone(),
            issuer: provider.issuer.clone(),
            is_issuer_told: provider.is_issuer_told,
            client,
            method: provider.method.map(|method| method.as_str().to_owned()),
            proof,
            device: None,
            terms,
        }
    }

    /// The client that asked, if it was registered for it.
    pub(super) fn registered(&self) -> Option<GrantClient> {
        let client = self.client.clone();
        client.map(|Registered { id, secret }| GrantClient { id, secret })
    }

    /// The client that asked; its secrets may have been replaced since.
    pub(super) fn client(&self, config: &Config) -> Result<Client, Incomplete> {
        let to = (&self.token_endpoint, self.source.as_deref());
        provider::client_for(config, self.registered().as_ref(), self.method(), to)
    }

    /// The grant, with where it comes from.
    pub(super) fn mark(&self, grant: Grant) -> Grant {
        Grant {
            token_url: Some(self.token_endpoint.to_string()),
            revoke_url: self.revocation_endpoint.as_ref().map(Url::to_string),
            client: self.registered(),
            method: self.method(),
            resource: self.resource.clone(),
            source: self.source.clone(),
            ..grant
        }
    }

    fn method(&self) -> Option<AuthMethod> {
        self.method.as_deref().and_then(AuthMethod::parse)
    }

    fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let Self { token_endpoint, revocation_endpoint, resource, source, issuer, .. } = self;
        let client = self.client.as_ref().map(|Registered { id, secret }| RegisteredText {
            id,
            secret: secret.as_ref().map(ExposeSecret::expose_secret),
        });
        let text = Text {
            token_endpoint,
            revocation_endpoint,
            resource,
            source,
            issuer,
            is_issuer_told: self.is_issuer_told,
            client,
            method: self.method.as_deref(),
            proof: self.proof.expose_secret(),
            device: &self.device,
            terms: &self.terms,
        };
        // All the room at once: a vector that grows leaves old copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST));
        serde_json::to_writer(&mut *bytes, &text).map_err(Error::internal)?;
        Ok(bytes)
    }
}

impl Broker {
    /// A request as it is stored at its link.
    pub(super) fn seal_request(
        &self,
        tx: &mut ReadTx<'_>,
        link: &Authentication,
        request: &Request,
    ) -> Result<Sealed, Error> {
        let key = self.inner.keyring.newest(tx, &link.account)?;
        let row = HEXLOWER.encode(link.state.as_bytes());
        let random = &*self.inner.random;
        Ok(key.seal(AUTHENTICATION, &row, "request", &request.to_bytes()?, random))
    }

    /// A request that was stored at its link.
    pub(super) fn open_request(
        &self,
        tx: &mut ReadTx<'_>,
        link: &Authentication,
        sealed: &Sealed,
    ) -> Result<Request, Error> {
        let object = Object::Authentication(&link.state);
        let permit = keeper(&link.account).decide(Action::ConnectionConnect, object)?;
        let bytes = self.inner.keyring.open(tx, &permit, "request", sealed)?;
        let damaged = |_| Damaged {
            table: AUTHENTICATION,
            row: permit.row().to_owned(),
            column: "request",
            source: OpenError,
        };
        Ok(serde_json::from_slice(&bytes).map_err(damaged)?)
    }
}
