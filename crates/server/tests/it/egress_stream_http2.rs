//! The way out over HTTP/2: one connection for many.

use std::sync::Arc;

use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming};
use keyfob_core::id::AccountId;
use keyfob_server::egress::{Allow, BrokenOff, Egress, Means};
use tokio::{
    net::TcpListener,
    sync::{Barrier, Notify},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    app::LOOPBACK,
    certificate::{Authority, Issued},
    egress_guard::Names,
    egress_stream::{get, no_answer, not_sent, post, read, stream},
    listening::within_patience,
    manual_clock::ManualClock,
    upstream::{NAME, Speaks, Upstream, answer},
};

/// Answers when so many requests are there at the same time.
async fn meeting(speaks: Speaks, many: usize) -> Upstream {
    let barrier = Arc::new(Barrier::new(many));
    Upstream::start(speaks, move |_: Request<Incoming>| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            answer("met")
        }
    })
    .await
}

async fn all_at_once(server: &Upstream, egress: &Egress, many: usize) {
    let mut asking = JoinSet::new();
    for _ in 0..many {
        let (egress, url) = (egress.clone(), server.url("/"));
        asking.spawn(async move { read(stream(&egress, get(url)).await.unwrap()).await.unwrap() });
    }
    for body in within_patience(asking.join_all()).await {
        assert_eq!(body, "met");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_come_together_share_one_connection_from_the_first_on() {
    let server = meeting(Speaks::Http2, 80).await;
    let egress = server.egress();
    all_at_once(&server, &egress, 80).await;
    all_at_once(&server, &egress, 80).await;
    assert_eq!((server.requests().len(), server.connections()), (160, 1));
}

/// What one account does to a connection, such as resets in numbers, does not reach the requests of another.
#[tokio::test]
async fn accounts_share_no_connection() {
    for speaks in [Speaks::Http2, Speaks::Http1] {
        let server = Upstream::start(speaks, async |_| answer("hello")).await;
        let egress = server.egress();
        for n in [1, 2, 1, 2] {
            let own = egress.of(&AccountId::from_bits([n; 16]));
            read(stream(&own, get(server.url("/"))).await.unwrap()).await.unwrap();
        }
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_one_connection_has_no_room_for_get_another() {
    let server = meeting(Speaks::Http2, 250).await;
    all_at_once(&server, &server.egress(), 250).await;
    assert_eq!(server.connections(), 3, "each has a hundred");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_1_each_of_many_requests_has_a_connection() {
    for speaks in [Speaks::Clear, Speaks::Http1] {
        let server = meeting(speaks, 40).await;
        let egress = server.egress();
        all_at_once(&server, &egress, 40).await;
        all_at_once(&server, &egress, 40).await;
        let many = server.connections();
        // One whose answer was read just now may not be back yet.
        assert!((40..60).contains(&many), "{speaks:?}: {many}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_wants_any_more_leaves_the_connection_to_others() {
    let server = Upstream::start(Speaks::Http2, |request: Request<Incoming>| async move {
        if request.uri().path() == "/endless" {
            let parts = futures_util::stream::repeat_with(|| {
                Ok(hyper::body::Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))
            });
            return Response::new(http_body_util::StreamBody::new(parts).boxed_unsync());
        }
        answer("")
    })
    .await;
    let egress = server.egress();
    // More than there may be at a time, and more than a connection's window holds.
    for _ in 0..120 {
        drop(stream(&egress, get(server.url("/endless"))).await.unwrap());
        read(stream(&egress, get(server.url("/"))).await.unwrap()).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

/// A server of bare HTTP/2 that does this with each request, and a way out that trusts it.
async fn bare<F>(doing: F) -> (String, Egress)
where
    F: Fn(SendResponse<Bytes>) + Clone + Send + 'static,
{
    let authority = Authority::new();
    let config = authority.server(Issued::ByAuthority, &[NAME], &[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(config);
        while let Ok((stream, _)) = listener.accept().await {
            let (stream, doing) = (acceptor.accept(stream).await.unwrap(), doing.clone());
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_request, respond))) = connection.accept().await {
                    doing(respond);
                }
            });
        }
    });
    let names = Names::default().with(NAME, &[&["127.0.0.1"]]);
    let means = Means { lookup: Arc::new(names), trusted: authority.trusting() };
    let allow = Allow::parse(LOOPBACK).unwrap();
    let egress = Egress::with(allow, Arc::new(ManualClock::new()), means).unwrap();
    (format!("https://{NAME}:{port}/"), egress)
}

#[tokio::test]
async fn a_request_that_a_server_refuses_to_look_at_was_not_sent() {
    let (url, egress) = bare(|mut respond| respond.send_reset(Reason::REFUSED_STREAM)).await;
    not_sent(stream(&egress, post(&url, "x")).await);
}

#[tokio::test]
async fn a_request_that_a_server_breaks_off_may_have_been_seen() {
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::HTTP_1_1_REQUIRED] {
        let (url, egress) = bare(move |mut respond| respond.send_reset(reason)).await;
        no_answer(stream(&egress, post(&url, "x")).await);
    }
}

#[tokio::test]
async fn an_answer_that_is_reset_has_no_end() {
    let arrived = Arc::new(Notify::new());
    let has_arrived = Arc::clone(&arrived);
    let (url, egress) = bare(move |mut respond| {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"some"), false).unwrap();
        let has_arrived = Arc::clone(&has_arrived);
        tokio::spawn(async move {
            has_arrived.notified().await;
            body.send_reset(Reason::INTERNAL_ERROR);
        });
    })
    .await;
    let mut body = stream(&egress, get(&url)).await.unwrap().into_body();
    let first = within_patience(body.frame()).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "some");
    arrived.notify_one();
    let broken_off = within_patience(body.frame()).await.unwrap().unwrap_err();
    assert!(matches!(broken_off, BrokenOff::Lost(_)), "{broken_off}");
}
