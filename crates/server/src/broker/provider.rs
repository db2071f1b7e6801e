//! The provider of a secret: where its endpoints are, and which client asks there, as its config says
//! (contract/contacts-and-secrets, sections 3.3 and 7).

use std::time::Duration;

use keyfob_core::{
    id::AccountId,
    jwt::Algorithm,
    oauth::{AuthMethod, Client, ClientKey, Grant, GrantClient, metadata::ServerMetadata},
    secret::SecretType,
};
use url::Url;

use super::{Broker, Config, Trouble, usable::Usable};
use crate::{
    error::Error,
    oauth::{Discovered, NotDiscovered},
};

/// A client that asks for its own tokens says so.
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Why a provider cannot be asked, in words for whoever wrote the config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Incomplete(pub(super) String);

/// Why a provider cannot be asked.
#[derive(Debug)]
pub(super) enum Unable {
    /// It, or the secret's config, is not as it must be; why, for whoever reads the events.
    Provider(Trouble, String),
    /// Keyfob cannot do its part.
    Keyfob(Error),
}

impl From<Error> for Unable {
    fn from(error: Error) -> Self {
        Self::Keyfob(error)
    }
}

impl From<Incomplete> for Unable {
    fn from(incomplete: Incomplete) -> Self {
        let reason = format!("the secret's config is not complete: {incomplete}");
        Self::Provider(Trouble::Incomplete, reason)
    }
}

impl From<NotDiscovered> for Unable {
    fn from(why: NotDiscovered) -> Self {
        let trouble = match why {
            NotDiscovered::Failed(_) => Trouble::Unreachable,
            NotDiscovered::Nowhere | NotDiscovered::Bad(_) => Trouble::Unusable,
        };
        Self::Provider(trouble, format!("the provider could not be found out about: {why}"))
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
    /// What it was found out by, if its token endpoint was.
    pub(super) source: Option<String>,
    pub(super) client: Client,
    /// The same client, if Keyfob has registered it (RFC 7591).
    pub(super) registered: Option<GrantClient>,
    /// How clients prove themselves there, if it says so.
    pub(super) method: Option<AuthMethod>,
}

impl Provider {
    /// Where people are sent.
    pub(super) fn authorization_endpoint(&self) -> Result<&Url, Incomplete> {
        self.authorization_endpoint.as_ref().ok_or_else(|| missing("authorizationUrl"))
    }
}

impl Broker {
    /// The provider of a secret that a person connects: as the config says, and else as the provider does.
    pub(super) async fn provider(&self, usable: &Usable) -> Result<Provider, Unable> {
        let config = &usable.config;
        let discovered = match named(config) {
            (None, None) => None,
            _ if is_complete(config) => None,
            (issuer, resource) => {
                Some(self.discover(&usable.secret.account, issuer, resource).await?)
            }
        };
        let server = discovered.as_ref().map(|discovered| &*discovered.server);
        let registered = match server {
            Some(server) if config.text("clientId").is_none() => {
                Some(self.registered(usable, server).await?)
            }
            _ => None,
        };
        let method = match &registered {
            Some(registered) => Some(registered.method),
            None => server.map(fitting),
        };
        let resource = discovered.as_ref().and_then(|discovered| discovered.resource.clone());
        let registered = registered.map(|registered| registered.client);
        Ok(provider(config, server, registered, method, resource)?)
    }

    /// What a config's provider says of itself.
    pub(super) async fn discovered(
        &self,
        account: &AccountId,
        config: &Config,
    ) -> Result<Discovered, NotDiscovered> {
        let (issuer, resource) = named(config);
        self.discover(account, issuer, resource).await
    }

    async fn discover(
        &self,
        account: &AccountId,
        issuer: Option<Url>,
        resource: Option<Url>,
    ) -> Result<Discovered, NotDiscovered> {
        let (egress, clock) = (&self.egress_of(account), &*self.inner.clock);
        self.inner.discovery.find(egress, clock, issuer.as_ref(), resource.as_ref()).await
    }
}

/// What the config says, field by field, and else what the server does.
fn provider(
    config: &Config,
    server: Option<&ServerMetadata>,
    registered: Option<GrantClient>,
    method: Option<AuthMethod>,
    resource: Option<String>,
) -> Result<Provider, Incomplete> {
    let or = |name, told: fn(&ServerMetadata) -> Option<&Url>| {
        endpoint(config, name).or_else(|| server.and_then(told).cloned())
    };
    // Who names one of the two ways says which of them is meant.
    let is_device = endpoint(config, "deviceAuthorizationUrl").is_some();
    let authorization = match endpoint(config, "authorizationUrl") {
        None if is_device => None,
        named => named.or_else(|| server?.authorization_endpoint.clone()),
    };
    let token_endpoint =
        or("tokenUrl", |server| Some(&server.token_endpoint)).ok_or_else(|| missing("tokenUrl"))?;
    let source = source(config).filter(|_| endpoint(config, "tokenUrl").is_none());
    let to = (&token_endpoint, source.as_deref());
    let told = server.map(|server| server.issuer.clone());
    let is_told = server.map(|server| server.authorization_response_iss_parameter_supported);
    Ok(Provider {
        authorization_endpoint: authorization,
        device_authorization_endpoint: or("deviceAuthorizationUrl", |server| {
            server.device_authorization_endpoint.as_ref()
        }),
        token_endpoint: token_endpoint.clone(),
        revocation_endpoint: or("revokeUrl", |server| server.revocation_endpoint.as_ref()),
        issuer: told.or_else(|| config.text("issuer").map(str::to_owned)),
        is_issuer_told: is_told.unwrap_or_default(),
        resource,
        client: client_for(config, registered.as_ref(), method, to)?,
        source,
        registered,
        method,
    })
}

/// The server and the resource that a config names, to be found out about.
fn named(config: &Config) -> (Option<Url>, Option<Url>) {
    (endpoint(config, "issuer"), endpoint(config, "resourceUrl"))
}

/// What a provider is found out by.
pub(super) fn source(config: &Config) -> Option<String> {
    config.text("issuer").or_else(|| config.text("resourceUrl")).map(str::to_owned)
}

/// Whether a config says all that a person needs to connect.
fn is_complete(config: &Config) -> bool {
    let has = |name| config.text(name).is_some();
    let is_reached = has("authorizationUrl") || has("deviceAuthorizationUrl");
    has("tokenUrl") && has("clientId") && is_reached
}

/// How a client of this server proves itself: by what the server takes, in the order in which Keyfob would
/// rather; by `client_secret_basic` where it does not say (RFC 8414, section 2).
fn fitting(server: &ServerMetadata) -> AuthMethod {
    let preferred = [AuthMethod::Post, AuthMethod::Basic, AuthMethod::PrivateKeyJwt];
    let listed = server.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
    let fitting = preferred.into_iter().find(|method| listed.contains(method));
    fitting.unwrap_or(AuthMethod::Basic)
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
    let is_discovered = has("issuer") || has("resourceUrl");
    if !is_discovered && !has("tokenUrl") {
        return Err(missing("tokenUrl"));
    }
    if !is_discovered && !has("authorizationUrl") && !has("deviceAuthorizationUrl") {
        return Err(missing("authorizationUrl"));
    }
    if has("resourceUrl") && !has("issuer") && !has("tokenUrl") && config.has_credentials() {
        // Whoever answers at the resource would be told the secret.
        return Err(Incomplete(
            "\"config.issuer\" is missing: a client's secret is only sent to a provider that the config names"
                .into(),
        ));
    }
    // Where there is none, one may be registered.
    if is_discovered && config.text("clientId").is_none() {
        return Ok(());
    }
    client(config, None, None).map(drop)
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

/// Where tokens are renewed: where the config says, and else where the grant was obtained. A grant goes to the
/// host only that it came from: whoever may change the config must not get to see it that way.
pub(super) fn token_endpoint(config: &Config, grant: Option<&Grant>) -> Result<Url, Incomplete> {
    let obtained = grant.and_then(|grant| Url::parse(grant.token_url.as_deref()?).ok());
    match (endpoint(config, "tokenUrl"), obtained) {
        (Some(named), Some(obtained)) if named.origin() != obtained.origin() => {
            Err(elsewhere("tokenUrl"))
        }
        (named, obtained) => named.or(obtained).ok_or_else(|| missing("tokenUrl")),
    }
}

/// Where a grant is revoked, if that is known: where the config says, as far as that is a host that the grant
/// came with, and else where it came with.
pub(super) fn revocation_endpoint(
    config: &Config,
    grant: &Grant,
) -> Result<Option<Url>, Incomplete> {
    let told = |url: &Option<String>| Url::parse(url.as_deref()?).ok();
    let known = [told(&grant.revoke_url), told(&grant.token_url)];
    let is_known = |url: &Url| {
        let mut known = known.iter().flatten().peekable();
        known.peek().is_none() || known.any(|known| known.origin() == url.origin())
    };
    match endpoint(config, "revokeUrl") {
        Some(named) if is_known(&named) => Ok(Some(named)),
        Some(_) if known[0].is_none() => Err(elsewhere("revokeUrl")),
        _ => Ok(known.into_iter().next().flatten()),
    }
}

fn elsewhere(name: &str) -> Incomplete {
    let text = format!(
        "\"config.{name}\" names another host than the one that has granted this, which is not sent there: connect it anew"
    );
    Incomplete(text)
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

/// The client, as it proves itself at an endpoint: one that was registered there, or else the config's, whose
/// credentials go to no other provider than they were given for. `source` is what the endpoint was found out by.
pub(super) fn client_for(
    config: &Config,
    registered: Option<&GrantClient>,
    preferred: Option<AuthMethod>,
    (url, source): (&Url, Option<&str>),
) -> Result<Client, Incomplete> {
    let client = client(config, registered, preferred)?;
    let is_config_s = registered.is_none() && (!client.secrets.is_empty() || client.key.is_some());
    if is_config_s && !config.may_send_to(url, source) {
        let host = url.host_str().unwrap_or_default();
        return Err(Incomplete(format!(
            "the client's secret was given for another provider than {host}: store it anew, if it is for this one"
        )));
    }
    Ok(client)
}

/// The client: one that was registered, or else the config's. `preferred` is how it proves itself, unless the
/// config says otherwise.
fn client(
    config: &Config,
    registered: Option<&GrantClient>,
    preferred: Option<AuthMethod>,
) -> Result<Client, Incomplete> {
    if let Some(GrantClient { id, secret }) = registered {
        let secrets: Vec<_> = secret.clone().into_iter().collect();
        let usual = if secrets.is_empty() { AuthMethod::None } else { AuthMethod::Basic };
        let method = preferred.unwrap_or(usual);
        return Ok(Client { id: id.clone(), method, secrets, key: None });
    }
    let id = config.text("clientId").ok_or_else(|| missing("clientId"))?.to_owned();
    let (secrets, key) = (config.client_secrets(), key(config)?);
    let asked = config.text("tokenEndpointAuthMethod").and_then(AuthMethod::parse);
    let can = |method: &AuthMethod| *method != AuthMethod::PrivateKeyJwt || key.is_some();
    let usual = match (&key, secrets.is_empty()) {
        (Some(_), true) => AuthMethod::PrivateKeyJwt,
        (_, false) => preferred.filter(can).unwrap_or(AuthMethod::Post),
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
