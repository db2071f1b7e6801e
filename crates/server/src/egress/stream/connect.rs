//! New connections: found, looked at, made and believed.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio_rustls::TlsConnector;
use url::Host;

use super::{
    connection::{Connection, Own, Shared, Stream},
    origin::Origin,
    pool::Pool,
    race,
};
use crate::egress::{
    SendError,
    error::Reached,
    guard::{Cause, Guard},
};

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// Makes connections. Each one is looked up and looked at for itself.
pub(super) struct Connector {
    guard: Guard,
    /// Offers HTTP/2 and HTTP/1.1.
    any: TlsConnector,
    /// Offers HTTP/1.1 only.
    own: TlsConnector,
}

impl Connector {
    pub(super) fn new(guard: Guard, tls: &ClientConfig) -> Self {
        let offering = |protocols: &[&[u8]]| {
            let mut tls = tls.clone();
            tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            TlsConnector::from(Arc::new(tls))
        };
        Self { guard, any: offering(&[HTTP2, HTTP1]), own: offering(&[HTTP1]) }
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// A new connection, which is shared by way of the pool if it can be.
    pub(super) async fn connect(
        &self,
        origin: &Arc<Origin>,
        wants_own: bool,
        pool: &Arc<Pool>,
    ) -> Result<(Connection, Option<Stream>), SendError> {
        let connected = self.try_connect(origin, wants_own, pool).await;
        connected.map_err(|error| SendError::caused_by(&*error, Reached::Nobody))
    }

    async fn try_connect(
        &self,
        origin: &Arc<Origin>,
        wants_own: bool,
        pool: &Arc<Pool>,
    ) -> Result<(Connection, Option<Stream>), Cause> {
        let stream = race::connect(self.addresses(origin).await?).await?;
        if !origin.key.is_secure {
            return own(TokioIo::new(stream), origin, pool).await;
        }
        let tls = if wants_own { &self.own } else { &self.any };
        let stream = tls.connect(server_name(&origin.host)?, stream).await?;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
            let shared = Shared::start(TokioIo::new(stream), Arc::clone(origin), pool).await?;
            let stream = pool.share(shared.clone());
            return Ok((Connection::Shared(shared), Some(stream)));
        }
        pool.speaks_http1(&origin.key);
        own(TokioIo::new(stream), origin, pool).await
    }

    async fn addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, Cause> {
        let found = match &origin.host {
            // These were looked at with the URL.
            Host::Ipv4(ip) => vec![IpAddr::from(*ip)],
            Host::Ipv6(ip) => vec![IpAddr::from(*ip)],
            Host::Domain(name) => {
                self.guard.find(origin.key.account.as_ref(), origin.rule, name).await?
            }
        };
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, origin.port)).collect())
    }
}

async fn own<T>(
    io: T,
    origin: &Arc<Origin>,
    pool: &Arc<Pool>,
) -> Result<(Connection, Option<Stream>), Cause>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let own = Own::start(io, Arc::clone(origin), pool).await?;
    Ok((Connection::Own(own), None))
}

/// Whom a certificate must be of.
fn server_name(host: &Host<String>) -> Result<ServerName<'static>, Cause> {
    Ok(match host {
        Host::Ipv4(ip) => IpAddr::from(*ip).into(),
        Host::Ipv6(ip) => IpAddr::from(*ip).into(),
        Host::Domain(name) => ServerName::try_from(name.clone())?,
    })
}
