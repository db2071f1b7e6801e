//! The least that a proxy in Rust does, which Keyfob's figures are held against: hyper on both sides, two fixed
//! headers that tell the caller, a fixed credential in their place. It has Keyfob's allocator.
//!
//! `passthrough UPSTREAM EVENTS`: the addresses of the upstream, and of what lies below its `/events/`.
#![expect(clippy::print_stdout, reason = "the address is what the benchmark reads")]

use std::{convert::Infallible, sync::Arc};

use anyhow::Context as _;
use http_body_util::{Either, Empty};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, HOST, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Answer = Response<Either<Incoming, Empty<Bytes>>>;

struct Proxy {
    client: Client<HttpConnector, Incoming>,
    upstream: String,
    events: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let (upstream, events) = words.next().zip(words.next()).context("UPSTREAM and EVENTS")?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let proxy = Arc::new(Proxy { client, upstream, events });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            let service = service_fn(|request| proxy.pass(request));
            // A caller that goes away in the middle is its own business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Proxy {
    async fn pass(&self, mut request: Request<Incoming>) -> Result<Answer, Infallible> {
        let headers = request.headers_mut();
        let is_known = is(headers, "sb-api-key-id", "bench-id")
            & is(headers, "sb-api-secret-key", "bench-secret");
        if !is_known {
            return Ok(refusal(StatusCode::UNAUTHORIZED));
        }
        headers.remove(HOST);
        headers.insert(
            AUTHORIZATION,
            HeaderValue::from_static("Bearer sk-bench-1f0c9d2e7b6a4583a9c1e0d4f7b82635"),
        );
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let host = if path.starts_with("/events/") { &self.events } else { &self.upstream };
        let Ok(uri) =
            Uri::builder().scheme("http").authority(host.as_str()).path_and_query(path).build()
        else {
            return Ok(refusal(StatusCode::BAD_REQUEST));
        };
        *request.uri_mut() = uri;
        Ok(match self.client.request(request).await {
            Ok(answer) => answer.map(Either::Left),
            Err(_) => refusal(StatusCode::BAD_GATEWAY),
        })
    }
}

/// Whether a header that goes no further has that value.
fn is(headers: &mut HeaderMap, name: &str, value: &str) -> bool {
    headers.remove(name).is_some_and(|given| given == value)
}

fn refusal(status: StatusCode) -> Answer {
    let mut answer = Response::new(Either::Right(Empty::new()));
    *answer.status_mut() = status;
    answer
}
