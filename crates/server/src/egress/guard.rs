//! The address guard: names are resolved here, and what they lead to is looked at before anybody
//! connects to it.

use std::{io, net::IpAddr, pin::Pin, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{Allow, Refusal, address::not_public};

/// A look-up on its way.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of a name.
pub trait Lookup: Send + Sync {
    /// All addresses of the name, in the order in which they are to be tried.
    fn lookup(&self, name: &str) -> Looking;
}

/// The machine's own way to look names up.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: &str) -> Looking {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Which addresses a destination may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Public ones, and those that are let through.
    Public,
    /// Those that are let through only: nothing is encrypted.
    Plain,
    /// Any: the operator named the host and its port.
    Named,
}

impl Rule {
    /// The rule for a URL. Where its host is an address and not a name, it is looked at now: the
    /// HTTP client does not ask a resolver for it.
    pub(super) fn of(url: &Url, allow: &Allow) -> Result<Self, Refusal> {
        let rule = match url.scheme() {
            "https" => Self::Public,
            "http" => Self::Plain,
            other => return Err(Refusal::Scheme(other.into())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::User);
        }
        if allow.has_place(url) {
            return Ok(Self::Named);
        }
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::from(ip),
            Some(Host::Ipv6(ip)) => IpAddr::from(ip),
            Some(Host::Domain(_)) | None => return Ok(rule),
        };
        rule.check(allow, &ip.to_string(), ip).map(|()| rule)
    }

    fn check(self, allow: &Allow, host: &str, ip: IpAddr) -> Result<(), Refusal> {
        if self == Self::Named || allow.has_address(ip) {
            return Ok(());
        }
        match not_public(ip) {
            Some(range) => Err(Refusal::NotPublic { host: host.into(), range }),
            None if self == Self::Plain => Err(Refusal::Plain(host.into())),
            None => Ok(()),
        }
    }
}

/// Resolves names for the HTTP client, which then connects to no other address than these.
#[derive(Clone)]
pub(super) struct Guarded {
    pub(super) rule: Rule,
    pub(super) allow: Arc<Allow>,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.lookup.lookup(name.as_str());
        let (rule, allow) = (self.rule, Arc::clone(&self.allow));
        Box::pin(async move {
            let found = looking.await?;
            if found.is_empty() {
                return Err("the name has no address".into());
            }
            // All of them: a name with a public address and another one is a name that somebody
            // has prepared.
            for ip in &found {
                rule.check(&allow, name.as_str(), *ip)?;
            }
            // The port is the URL's.
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| (ip, 0).into()));
            Ok(addresses)
        })
    }
}
