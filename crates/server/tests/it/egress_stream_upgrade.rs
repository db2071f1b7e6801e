//! The way out for what goes on with another protocol: WebSocket.

use hyper::{
    Request, Response, StatusCode, Version,
    body::Incoming,
    header::{CONNECTION, HeaderValue, UPGRADE},
};
use hyper_util::rt::TokioIo;
use keyfob_server::egress::StreamBody;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

use crate::{
    egress_stream::{get, read, stream},
    listening::within_patience,
    upstream::{Body, Speaks, Upstream, answer, whole},
};

/// Echoes what comes after an upgrade; refuses one at `/refused`.
async fn echo(mut request: Request<Incoming>) -> Response<Body> {
    if request.headers().get(UPGRADE).is_none() {
        return answer("no upgrade");
    }
    if request.uri().path() == "/refused" {
        let mut response = answer("");
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response;
    }
    tokio::spawn(async move {
        let mut io = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
        io.write_all(b"hello").await.unwrap();
        let mut part = [0; 1024];
        while let Ok(read @ 1..) = io.read(&mut part).await {
            io.write_all(&part[..read]).await.unwrap();
        }
        io.shutdown().await.unwrap();
    });
    switching()
}

fn switching() -> Response<Body> {
    let mut response = Response::new(whole(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}

fn upgrade(url: String) -> Request<StreamBody> {
    let mut request = get(url);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    request
}

/// A text frame as a client sends it, which is masked (RFC 6455 section 5.2).
fn masked(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let length = u8::try_from(text.len()).unwrap();
    let head = [0x81, 0x80 | length].into_iter().chain(mask);
    head.chain(text.bytes().zip(mask.into_iter().cycle()).map(|(a, b)| a ^ b)).collect()
}

#[tokio::test]
async fn an_upgraded_connection_passes_frames_both_ways() {
    for speaks in Speaks::ALL {
        let server = Upstream::start(speaks, echo).await;
        let egress = server.egress();
        // Over HTTP/2 where that is spoken: what is upgraded has a connection of its own all the same.
        read(stream(&egress, get(server.url("/"))).await.unwrap()).await.unwrap();
        let response = stream(&egress, upgrade(server.url("/"))).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS, "{speaks:?}");
        assert_eq!(response.headers()[UPGRADE], "websocket");
        let upgraded = within_patience(hyper::upgrade::on(response)).await.unwrap();
        let mut io = TokioIo::new(upgraded);
        let mut hello = [0; 5];
        within_patience(io.read_exact(&mut hello)).await.unwrap();
        assert_eq!(&hello, b"hello", "the server may speak first");
        for text in ["one", "two", "a longer text that is still short"] {
            let frame = masked(text);
            io.write_all(&frame).await.unwrap();
            let mut back = vec![0; frame.len()];
            within_patience(io.read_exact(&mut back)).await.unwrap();
            assert_eq!(back, frame);
        }
        io.shutdown().await.unwrap();
        assert_eq!(within_patience(io.read(&mut hello)).await.unwrap(), 0);
        assert_eq!(server.requests()[1].version, Version::HTTP_11);
        let many = if speaks == Speaks::Http2 { 2 } else { 1 };
        assert_eq!(server.connections(), many, "{speaks:?}");
    }
}

#[tokio::test]
async fn an_upgrade_that_is_refused_leaves_the_connection_to_the_next_request() {
    for speaks in [Speaks::Clear, Speaks::Http1, Speaks::Http2] {
        let server = Upstream::start(speaks, echo).await;
        let egress = server.egress();
        for _ in 0..3 {
            let response = stream(&egress, upgrade(server.url("/refused"))).await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            assert!(read(response).await.unwrap().is_empty());
        }
        assert_eq!(
            read(stream(&egress, get(server.url("/"))).await.unwrap()).await.unwrap(),
            "no upgrade"
        );
        assert_eq!(server.connections(), 1, "{speaks:?}");
    }
}

#[tokio::test]
async fn an_upgraded_connection_that_is_dropped_ends_for_the_server() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Upstream::start(Speaks::Http1, move |mut request: Request<Incoming>| {
        let tell = tell.clone();
        tokio::spawn(async move {
            let mut io = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
            tell.send(io.read(&mut [0; 8]).await.unwrap_or(0)).unwrap();
        });
        std::future::ready(switching())
    })
    .await;
    let response = stream(&server.egress(), upgrade(server.url("/"))).await.unwrap();
    drop(within_patience(hyper::upgrade::on(response)).await.unwrap());
    assert_eq!(within_patience(told.recv()).await, Some(0));
}
