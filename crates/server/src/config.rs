//! What a server is started with. Where the values come from is the command line's business.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use keyfob_core::crypto::MasterKeyText;
use url::Url;

use crate::egress::Allow;

/// Everything a server needs to know. Has no `Debug`: it may hold the master key and a database URL.
pub struct Config {
    /// Address of the API and the pages.
    pub listen: SocketAddr,
    /// Address of a second listener for `/metrics`, `/healthz` and `/readyz`, if any.
    pub admin_listen: Option<SocketAddr>,
    /// Where people reach the pages: what links begin with. `None` is the address it listens on.
    pub public_url: Option<Url>,
    /// What may be reached although it is not public.
    pub egress_allow: Allow,
    /// Where the database is and what opens it.
    pub vault: VaultConfig,
    /// When a credential may be released.
    pub audit: Audit,
    /// Whether answers are searched for the credential that was sent.
    pub leak_guard: LeakGuard,
    /// What the server bears.
    pub limits: Limits,
    /// How long events are kept; `None` is for ever.
    pub event_retention: Option<Duration>,
}

/// Reads the address at which people reach the pages.
pub fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let is_bare = |url: &Url| {
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        url.query().is_none() && url.fragment().is_none() && is_anonymous
    };
    url.filter(is_bare).ok_or_else(|| {
        "it must be an http or https URL without a query, such as https://keyfob.example.com".into()
    })
}

/// Where the database is and what opens it.
#[derive(Clone)]
pub struct VaultConfig {
    /// Holds the SQLite file and the master key file unless they are named.
    pub data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://…`; `None` is the SQLite file in the data directory.
    pub database_url: Option<String>,
    /// The master key's file; `None` is the one in the data directory.
    pub master_key_file: Option<PathBuf>,
    /// The master key itself, in place of a file.
    pub master_key: Option<MasterKeyText>,
}

/// When a credential may be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Only after its event is on stable storage.
    Durable,
    /// At once; its event is on stable storage within a second.
    Buffered,
}

/// Whether what comes back is searched for the credential that was sent (docs/leak-guard.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeakGuard {
    /// Each answer is, and the credential taken out.
    On,
    /// None is: to measure what it costs.
    Off,
}

/// What the server bears before it refuses.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One-time-password entries per account.
    pub totp_per_account: u32,
    /// Connections at a time; further ones wait to be accepted.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { totp_per_account: 100_000, connections: 20_000 }
    }
}
