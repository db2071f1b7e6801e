//! The HTTP client, made here and nowhere else.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, redirect, retry};
use rustls::{ClientConfig, RootCertStore};

use super::guard::Guarded;

/// Within this a name is resolved, a connection made and TLS agreed on; a request's own limit may be
/// shorter.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// An unused connection is kept for so long: less than servers keep theirs (five seconds is the
/// least that is common), so that one of them is seldom closed just when a request is sent.
const KEPT_IDLE: Duration = Duration::from_secs(4);
/// Unused connections that are kept for one host.
const KEPT_PER_HOST: usize = 8;
const USER_AGENT: &str = concat!("keyfob/", env!("CARGO_PKG_VERSION"));

/// Why there is no way out.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The TLS library refuses its own defaults.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refuses its settings.
    #[error("the HTTP client could not be set up: {0}")]
    Http(#[from] reqwest::Error),
}

/// The certificates of the authorities that the machine trusts; none if it has none, which makes
/// every https fail, but nothing else.
pub(crate) fn trusted() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// TLS with those who have a certificate of these authorities. The provider of its cryptography is
/// named, so that no other crate decides which it is.
pub(super) fn tls(trusted: RootCertStore) -> Result<ClientConfig, StartError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(config)
}

/// A client that asks `resolver` for every name, and does nothing that it is not told to.
#[expect(clippy::disallowed_methods, reason = "the one place where it is made")]
pub(super) fn client(tls: ClientConfig, resolver: Guarded) -> Result<Client, StartError> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(resolver))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .http1_only()
        // Features of the library that another crate may switch on: a small answer could become a
        // large one.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(KEPT_IDLE)
        .pool_max_idle_per_host(KEPT_PER_HOST)
        .build()?;
    Ok(client)
}
