//! Where a request goes: what a connection is made to, and what it is used again for.

use hyper::{
    Uri,
    header::HeaderValue,
    http::uri::{Authority, Scheme},
};
use keyfob_core::id::AccountId;
use url::{Host, Url};

use super::super::{
    Refusal,
    guard::{Guard, Rule},
};

/// What a connection is used again for: nothing else than what it was made for. As a request has
/// it; two spellings of one host have connections of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Whose requests it takes: what one account does to a connection must not reach another's.
    pub(super) account: Option<AccountId>,
    pub(super) is_secure: bool,
    pub(super) authority: Authority,
}

impl Key {
    /// What the URL says of a request of this account.
    pub(super) fn of(account: Option<&AccountId>, uri: &Uri) -> Result<Self, Refusal> {
        let is_secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            other => return Err(Refusal::Scheme(other.map_or("", Scheme::as_str).into())),
        };
        let authority = uri.authority().ok_or(Refusal::Host)?.clone();
        Ok(Self { account: account.cloned(), is_secure, authority })
    }
}

/// The same, read as the guard reads it: what is looked at is what is connected to, and what is
/// asked for there.
pub(super) struct Origin {
    pub(super) key: Key,
    pub(super) rule: Rule,
    pub(super) host: Host<String>,
    pub(super) port: u16,
    /// Host and port in their one normal spelling, the port only where it is not the scheme's own.
    pub(super) authority: Authority,
    /// The same, for `Host`.
    pub(super) header: HeaderValue,
}

impl Origin {
    /// Reads it, and refuses it if nothing may be sent there wherever its name leads.
    pub(super) fn of(key: Key, guard: &Guard) -> Result<Self, Refusal> {
        let scheme = if key.is_secure { "https" } else { "http" };
        let url = Url::parse(&format!("{scheme}://{}/", key.authority));
        let url = url.map_err(|_| Refusal::Host)?;
        let rule = Rule::of(&url, &guard.allow)?;
        let host = url.host().ok_or(Refusal::Host)?.to_owned();
        let port = url.port_or_known_default().ok_or(Refusal::Host)?;
        let normal = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        let authority = normal.parse().map_err(|_| Refusal::Host)?;
        let header = HeaderValue::try_from(normal).map_err(|_| Refusal::Host)?;
        Ok(Self { key, rule, host, port, authority, header })
    }
}
