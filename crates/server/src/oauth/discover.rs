//! What a provider says of itself (RFC 8414, RFC 9728, `OpenID` Connect Discovery).

use std::{sync::Arc, time::Duration};

use keyfob_core::oauth::metadata::{
    BadMetadata, ProtectedResource, ServerMetadata, candidates, protected_resource_url,
};
use reqwest::{
    Method,
    header::{ACCEPT, HeaderMap, HeaderValue},
};
use url::Url;
use zeroize::Zeroizing;

use super::memory::{Memory, Size};
use crate::{
    clock::Clock,
    egress::{Answer, Egress, Request},
};

/// The longest that one document is waited for: a person waits.
const LIMIT: Duration = Duration::from_secs(10);
/// The largest document, in bytes. Many are kept.
const LARGEST: usize = 64 * 1024;

/// Why a provider is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDiscovered {
    /// It did not answer as it should. It may, a little later.
    #[error("{0}")]
    Failed(String),
    /// There is nothing where the standards say.
    #[error(
        "the provider says nowhere what it can do (RFC 8414): name its endpoints in the config"
    )]
    Nowhere,
    /// What it says is not to be believed or not enough.
    #[error(transparent)]
    Bad(#[from] BadMetadata),
}

/// A provider as it describes itself.
#[derive(Debug)]
pub(crate) struct Discovered {
    /// The authorization server.
    pub(crate) server: Arc<ServerMetadata>,
    /// What tokens are for, in the resource's own words (RFC 8707); `None` if it does not say.
    pub(crate) resource: Option<String>,
}

impl Size for Option<ProtectedResource> {
    fn size(&self) -> usize {
        let Some(known) = self else { return 0 };
        let server = known.authorization_server.as_ref();
        known.resource.len() + server.map_or(0, |url| url.as_str().len())
    }
}

impl Size for ServerMetadata {
    fn size(&self) -> usize {
        let urls = [
            &self.authorization_endpoint,
            &self.revocation_endpoint,
            &self.registration_endpoint,
            &self.device_authorization_endpoint,
        ];
        let urls = urls.into_iter().flatten().chain([&self.token_endpoint]);
        let methods = self.token_endpoint_auth_methods_supported.as_ref().map_or(0, Vec::len);
        self.issuer.len() + methods + urls.map(|url| url.as_str().len()).sum::<usize>()
    }
}

/// What providers said of themselves lately.
#[derive(Default)]
pub(crate) struct Discovery {
    resources: Memory<Option<ProtectedResource>>,
    servers: Memory<ServerMetadata>,
}

impl Discovery {
    /// The authorization server `issuer`, or else that of `resource`: the first that it names, or else the
    /// resource's origin.
    pub(crate) async fn find(
        &self,
        egress: &Egress,
        clock: &dyn Clock,
        issuer: Option<&Url>,
        resource: Option<&Url>,
    ) -> Result<Discovered, NotDiscovered> {
        let described = match resource {
            Some(url) => self.resources.get(url, clock, read_resource(egress, url)).await?,
            None => Arc::default(),
        };
        let named = described.as_ref().as_ref().and_then(|it| it.authorization_server.clone());
        let issuer = issuer.cloned().or(named).or_else(|| resource.map(origin));
        let issuer = issuer.ok_or(NotDiscovered::Nowhere)?;
        let server = self.servers.get(&issuer, clock, read_server(egress, &issuer)).await?;
        let resource = described.as_ref().as_ref().map(|it| it.resource.clone());
        Ok(Discovered { server, resource })
    }
}

fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    origin.set_fragment(None);
    origin
}

/// What a resource says of itself; `None` if it says nothing.
async fn read_resource(
    egress: &Egress,
    resource: &Url,
) -> Result<Option<ProtectedResource>, NotDiscovered> {
    let document = fetch(egress, protected_resource_url(resource)).await?;
    Ok(document.map(|document| ProtectedResource::parse(&document, resource)).transpose()?)
}

/// What the server `issuer` says of itself, in the first place where it says anything.
async fn read_server(egress: &Egress, issuer: &Url) -> Result<ServerMetadata, NotDiscovered> {
    for url in candidates(issuer) {
        let Some(document) = fetch(egress, url).await? else { continue };
        match ServerMetadata::parse(&document, issuer) {
            // Some sites answer each address with their front page.
            Err(BadMetadata::NotJson) => {}
            read => return Ok(read?),
        }
    }
    Err(NotDiscovered::Nowhere)
}

/// The document at a URL; `None` if there is none.
async fn fetch(egress: &Egress, url: Url) -> Result<Option<Zeroizing<Vec<u8>>>, NotDiscovered> {
    let accept = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(ACCEPT, accept)]);
    let request = Request { method: Method::GET, url, headers, body: None, limit: LIMIT };
    let failed = |what: String| NotDiscovered::Failed(format!("its description: {what}"));
    match egress.send(request).await {
        Ok(Answer { status: 200, body, .. }) if body.len() <= LARGEST => Ok(Some(body)),
        Ok(Answer { status: 200, .. }) => Err(failed("it is larger than 64 KiB".into())),
        Ok(Answer { status: status @ (429 | 500..), .. }) => {
            Err(failed(format!("the provider answered HTTP {status}")))
        }
        Ok(_) => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}
