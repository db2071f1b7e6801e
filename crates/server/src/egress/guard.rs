//! The address guard: names are resolved here, and what they lead to is looked at before anybody
//! connects to it.

use std::{error::Error, io, net::IpAddr, pin::Pin, sync::Arc};

use keyfob_core::id::AccountId;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{Allow, Refusal, address::not_public, lookups::Lookups};

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
    /// Public ones, unless the name is one of a network, and those that are let through.
    Public,
    /// Those that are let through only: nothing is encrypted.
    Plain,
    /// Any: the operator named the host and its port.
    Named,
}

impl Rule {
    /// The rule for a URL. Where its host is an address and not a name, it is looked at now: nobody
    /// will look it up.
    pub(super) fn of(url: &Url, allow: &Allow) -> Result<Self, Refusal> {
        let rule = match url.scheme() {
            "https" => Self::Public,
            "http" => Self::Plain,
            other => return Err(Refusal::Scheme(other.into())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::User);
        }
        if url.port() == Some(0) {
            return Err(Refusal::Port);
        }
        if allow.has_place(url) {
            return Ok(Self::Named);
        }
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::from(ip),
            Some(Host::Ipv6(ip)) => IpAddr::from(ip),
            Some(Host::Domain(name)) if !is_name(name) => return Err(Refusal::Host),
            // Nobody is asked for a name that could lead to nothing that is let through.
            Some(Host::Domain(name)) if is_local(name) && !allow.has_addresses() => {
                return Err(Refusal::LocalName(name.into()));
            }
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
            None if is_local(host) => Err(Refusal::LocalName(host.into())),
            None if self == Self::Plain => Err(Refusal::Plain(host.into())),
            None => Ok(()),
        }
    }
}

/// Whether no part of it is empty, but for what may follow the last dot: resolvers differ in what they
/// make of those.
fn is_name(name: &str) -> bool {
    name.strip_suffix('.').unwrap_or(name).split('.').all(|label| !label.is_empty())
}

/// Whether a name is one of the machine itself or of its network, wherever it may lead. An address is none.
fn is_local(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut labels = name.rsplit('.');
    match (labels.next(), labels.next()) {
        (Some(last), Some(above)) => LOCAL.contains(&last) || (above, last) == ("home", "arpa"),
        // Nobody offers anything to the public there (RFC 7085); what it means is up to the network. An
        // address of version 6 has no dots either.
        (Some(only), None) => !only.contains(':'),
        (None, _) => false,
    }
}

/// Top levels that are not delegated to anybody, but used in networks: RFC 6761, RFC 6762 and its appendix G;
/// ICANN's resolution of 2024-07-29 on `internal`.
const LOCAL: &[&str] = &[
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
];

/// Finds where a destination is, and lets nobody connect to anything else.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) allow: Arc<Allow>,
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) lookups: Arc<Lookups>,
}

impl Guard {
    /// The addresses of a name, all of which were looked at, for somebody of this account.
    pub(super) async fn find(
        &self,
        account: Option<&AccountId>,
        rule: Rule,
        name: &str,
    ) -> Result<Vec<IpAddr>, Cause> {
        let found = self.lookups.find(account, &*self.lookup, name).await??;
        if found.is_empty() {
            return Err("the name has no address".into());
        }
        // All of them: a name with a public address and another one is a name that somebody has
        // prepared.
        for ip in &found {
            rule.check(&self.allow, name, *ip)?;
        }
        Ok(found)
    }
}

/// Why a name was not found, or may not be used: a [`Refusal`] is among the causes then.
pub(super) type Cause = Box<dyn Error + Send + Sync>;

tokio::task_local! {
    /// For whom the HTTP client is asked: it passes no such thing on to its resolver, which it calls where it was
    /// called itself.
    pub(super) static ACCOUNT: Option<AccountId>;
}

/// Resolves names for the HTTP client, which then connects to no other address than these.
pub(super) struct Guarded {
    pub(super) rule: Rule,
    pub(super) guard: Guard,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (rule, guard) = (self.rule, self.guard.clone());
        let account = ACCOUNT.try_with(Clone::clone).ok().flatten();
        Box::pin(async move {
            let found = guard.find(account.as_ref(), rule, name.as_str()).await?;
            // The port is the URL's.
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| (ip, 0).into()));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_network_is_known_by_how_it_ends() {
        for name in [
            "localhost",
            "localhost.",
            "a.localhost",
            "localhost.localdomain",
            "printer.local",
            "metadata.google.internal",
            "metadata.google.internal.",
            "router.home.arpa",
            "wiki.corp",
            "nas.lan",
            "metadata",
            "kubernetes",
        ] {
            assert!(is_local(name), "{name}");
        }
        for name in [
            "example.com",
            "local.example.com",
            "internal.example",
            "localhost.example.com.",
            "notlocal.example",
            "arpa.home.example",
            "1.in-addr.arpa",
            "8.8.8.8",
            "::1",
            "2606:4700:4700::1111",
        ] {
            assert!(!is_local(name), "{name}");
        }
    }
}
