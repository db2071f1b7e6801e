//! The provider of a secret: where its endpoints are, and which client asks there, as its config says
//! (contract/contacts-and-secrets, sections 3.3 and 7).

use std::time::Duration;

use keyfob_core::{
    jwt::Algorithm,
    oauth::{AuthMethod, Client, ClientKey, Grant, GrantClient},
    secret::SecretType,
};
use url::Url;

use super::{Broker, Config, usable::Usable};
use crate::error::Error;

/// A client that asks for its own tokens says so.
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Why a provider cannot be asked, in words for whoever wrote the config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Incomplete(pub(super) String);

impl From<Incomplete> for Error {
    fn from(incomplete: Incomplete) -> Self {
        let message = format!("the secret's config is not complete: {incomplete}").into();
        Self::Conflict { code: "not_connectable", message }
    }
}

fn missing(name: &str) -> Incomplete {
    Incomplete(format!("\"config.{name}\" is missing"))
}

/// A provider, and the client that asks there.
#[derive(Clone)]
pub(super) struct Provider {
    /// Where people are sent (RFC 6749, section 3.1).
    authorization_endpoint: Option<Url>,
    /// Where a device asks (RFC 8628, section 3.1).
    pub(super) device_authorization_endpoint: Option<Url>,
    pub(super) token_endpoint: Url,
    pub(super) revocation_endpoint: Option<Url>,
    /// Who it is, and whether its answers say so (RFC 9207).
    pub(super) issuer: Option<String>,
    pub(super) is_issuer_told: bool,
    /// What tokens are for, if it wants to know (RFC 8707).
    pub(super) resource: Option<String>,
    pub(super) client: Client,
    /// The same client, if Keyfob has registered it (RFC 7591).
    pub(super) registered: Option<GrantClient>,
}

impl Provider {
    /// Where people are sent.
    pub(super) fn authorization_endpoint(&self) -> Result<&Url, Incomplete> {
        self.authorization_endpoint.as_ref().ok_or_else(|| missing("authorizationUrl"))
    }
}

impl Broker {
    /// The provider of a secret that a person connects.
    pub(super) async fn provider(&self, usable: &Usable) -> Result<Provider, Error> {
        let config = &usable.config;
        Ok(Provider {
            authorization_endpoint: endpoint(config, "authorizationUrl"),
            device_authorization_endpoint: endpoint(config, "deviceAuthorizationUrl"),
            token_endpoint: token_endpoint(config, None)?,
            revocation_endpoint: endpoint(config, "revokeUrl"),
            issuer: None,
            is_issuer_told: false,
            resource: None,
            client: client(config, None, None)?,
            registered: None,
        })
    }
}

/// Whether the client has its tokens for itself, without a person (RFC 6749, section 4.4).
pub(super) fn is_of_client(config: &Config) -> bool {
    config.text("grantType") == Some(CLIENT_CREDENTIALS)
}

/// The endpoint under this name in a config.
pub(super) fn endpoint(config: &Config, name: &str) -> Option<Url> {
    config.text(name).and_then(|text| Url::parse(text).ok())
}

/// Whether a person can connect at the provider, and if not, what is missing.
pub(super) fn check_connectable(config: &Config) -> Result<(), Incomplete> {
    if is_of_client(config) {
        return Err(Incomplete("nobody connects what the client has for itself".into()));
    }
    let has = |name| endpoint(config, name).is_some();
    if !has("issuer") && !has("resourceUrl") {
        if !has("tokenUrl") {
            return Err(missing("tokenUrl"));
        }
        if !has("authorizationUrl") && !has("deviceAuthorizationUrl") {
            return Err(missing("authorizationUrl"));
        }
        client(config, None, None)?;
    }
    Ok(())
}

/// What people know the provider of a secret by: the host that they are sent to.
pub(super) fn name(usable: &Usable) -> Option<String> {
    if usable.secret_type != SecretType::OAuth {
        return None;
    }
    let places = ["authorizationUrl", "deviceAuthorizationUrl", "issuer", "resourceUrl"];
    let url = places.into_iter().find_map(|name| endpoint(&usable.config, name))?;
    url.host_str().map(str::to_owned)
}

/// Where tokens are renewed: where the config says, and else where the grant was obtained.
pub(super) fn token_endpoint(config: &Config, grant: Option<&Grant>) -> Result<Url, Incomplete> {
    let obtained = || Url::parse(grant?.token_url.as_deref()?).ok();
    endpoint(config, "tokenUrl").or_else(obtained).ok_or_else(|| missing("tokenUrl"))
}

/// The host that tokens are renewed at, with its port: what bounds are kept for.
pub(super) fn token_host(config: &Config, grant: Option<&Grant>) -> Option<String> {
    host_of(&token_endpoint(config, grant).ok()?)
}

/// The host of a URL, with its port where that is not the scheme's own.
pub(super) fn host_of(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// How long an access token lives of which nothing is said.
pub(super) fn assumed_lifetime(config: &Config) -> Option<Duration> {
    config.number("expiresInSeconds").map(Duration::from_secs)
}

/// The client: the config's, or else one that was registered. `preferred` is how it proves itself, unless the
/// config says otherwise.
pub(super) fn client(
    config: &Config,
    registered: Option<&GrantClient>,
    preferred: Option<AuthMethod>,
) -> Result<Client, Incomplete> {
    let (id, secrets) = match (config.text("clientId"), registered) {
        (None, Some(GrantClient { id, secret })) => {
            (id.clone(), secret.clone().into_iter().collect())
        }
        (id, _) => (id.ok_or_else(|| missing("clientId"))?.to_owned(), config.client_secrets()),
    };
    let key = key(config)?;
    let asked = config.text("tokenEndpointAuthMethod").and_then(AuthMethod::parse);
    let usual = match (&key, secrets.is_empty()) {
        (Some(_), true) => AuthMethod::PrivateKeyJwt,
        (_, false) => preferred.unwrap_or(AuthMethod::Post),
        (None, true) => AuthMethod::None,
    };
    let method = asked.unwrap_or(usual);
    match method {
        AuthMethod::PrivateKeyJwt if key.is_none() => Err(missing("clientKey")),
        AuthMethod::Post | AuthMethod::Basic if secrets.is_empty() => Err(missing("clientSecret")),
        _ => Ok(Client { id, method, secrets, key }),
    }
}

fn key(config: &Config) -> Result<Option<ClientKey>, Incomplete> {
    let Some(pem) = config.text("clientKey") else { return Ok(None) };
    let named = config.text("clientKeyAlgorithm");
    let unknown = || Incomplete("\"config.clientKeyAlgorithm\" is no algorithm".into());
    let algorithm =
        named.map_or(Some(Algorithm::default()), Algorithm::parse).ok_or_else(unknown)?;
    let key_id = config.text("clientKeyId").map(str::to_owned);
    Ok(Some(ClientKey { pem: pem.into(), algorithm, key_id }))
}
