//! A server of somebody else that speaks HTTP as it should, in whatever version, and counts.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, Request, Response, Uri, Version,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyfob_server::egress::{Allow, Egress, Means};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    app::LOOPBACK,
    certificate::{Authority, Issued},
    egress_guard::Names,
    listening::within_patience,
    manual_clock::ManualClock,
};

/// The name that certificates are for, which is at 127.0.0.1 for those who ask `Upstream::egress`.
pub(crate) const NAME: &str = "api.example";

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP/1.1, in the clear.
    Clear,
    /// HTTP/1.1 over TLS.
    Http1,
    /// Both over TLS, HTTP/2 rather.
    Http2,
}

impl Speaks {
    pub(crate) const ALL: [Self; 3] = [Self::Clear, Self::Http1, Self::Http2];

    fn offers(self) -> &'static [&'static [u8]] {
        match self {
            Self::Clear => &[],
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2", b"http/1.1"],
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) version: Version,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

/// Listens on a port of 127.0.0.1 and answers every request as it is told.
pub(crate) struct Upstream {
    address: SocketAddr,
    speaks: Speaks,
    authority: Authority,
    seen: Arc<Seen>,
    _connections: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Came>>,
    /// How many connections were made, and ended.
    connections: watch::Sender<(usize, usize)>,
}

impl Upstream {
    pub(crate) async fn start<F, R>(speaks: Speaks, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (authority, seen) = (Authority::new(), Arc::new(Seen::default()));
        let config = authority.server(Issued::ByAuthority, &[NAME], speaks.offers());
        let acceptor = (speaks != Speaks::Clear).then(|| TlsAcceptor::from(config));
        let mut connections = JoinSet::new();
        let counted = Arc::clone(&seen);
        connections.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer) = (Arc::clone(&counted), answer.clone());
                let acceptor = acceptor.clone();
                seen.connections.send_modify(|(made, _)| *made += 1);
                served.spawn(async move {
                    match acceptor {
                        None => serve(stream, false, Arc::clone(&seen), answer).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                                serve(stream, is_http2, Arc::clone(&seen), answer).await;
                            }
                        }
                    }
                    seen.connections.send_modify(|(_, ended)| *ended += 1);
                });
            }
        });
        Self { address, speaks, authority, seen, _connections: connections }
    }

    /// A way out that trusts it, and finds it as `NAME`.
    pub(crate) fn egress(&self) -> Egress {
        let names = Names::default().with(NAME, &[&["127.0.0.1"]]);
        let means = Means { lookup: Arc::new(names), trusted: self.authority.trusting() };
        let allow = Allow::parse(LOOPBACK).unwrap();
        Egress::with(allow, Arc::new(ManualClock::new()), means).unwrap()
    }

    /// A URL of it, by its name.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.speaks == Speaks::Clear { "http" } else { "https" };
        format!("{scheme}://{NAME}:{}{path}", self.address.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn requests(&self) -> Vec<Came> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.borrow().0
    }

    /// Ends when so many connections have ended.
    pub(crate) async fn until_ended(&self, count: usize) {
        let mut connections = self.seen.connections.subscribe();
        within_patience(connections.wait_for(|(_, ended)| *ended == count)).await.unwrap();
    }
}

async fn serve<T, F, R>(stream: T, is_http2: bool, seen: Arc<Seen>, answer: F)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (version, method) = (request.version(), request.method().clone());
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        seen.requests.lock().unwrap().push(Came { version, method, uri, headers });
        let answering = answer(request);
        async { Ok::<_, Infallible>(answering.await) }
    });
    let io = TokioIo::new(stream);
    // How a connection ends is what the other side is tested for.
    let _ = if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(100).serve_connection(io, service).await
    } else {
        http1::Builder::new().serve_connection(io, service).with_upgrades().await
    };
}

/// An answer with this body.
pub(crate) fn answer(body: impl Into<Bytes>) -> Response<Body> {
    Response::new(whole(body))
}

pub(crate) fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}
