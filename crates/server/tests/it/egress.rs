//! The way out: what is sent, what is read, and what is known of a request that got no answer.

use std::{sync::Arc, time::Duration};

use keyfob_core::time::Timestamp;
use keyfob_server::egress::{Allow, Answer, Egress, LARGEST_BODY, Request, SendError};
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use tokio::net::TcpListener;
use url::Url;

use crate::{
    app::{LOOPBACK, TestApp},
    endpoint::{Endpoint, Step, ok},
    guard::{Guard, logs},
    listening::within_patience,
    lossy::End,
    manual_clock::{ManualClock, START},
};

/// Longer than an exchange on this machine takes.
const LONG: Duration = Duration::from_secs(15);
/// How long a test waits for what does not come.
const SHORT: Duration = Duration::from_millis(300);

pub(crate) fn egress() -> Egress {
    let allow = Allow::parse(LOOPBACK).unwrap();
    Egress::new(allow, Arc::new(ManualClock::new())).unwrap()
}

pub(crate) fn get(url: Url) -> Request {
    let headers = HeaderMap::new();
    Request { method: Method::GET, url, headers, body: None, limit: LONG }
}

pub(crate) fn post(url: Url, body: &str) -> Request {
    let body = Some(body.as_bytes().to_vec().into());
    Request { method: Method::POST, body, ..get(url) }
}

pub(crate) async fn send(egress: &Egress, request: Request) -> Result<Answer, SendError> {
    within_patience(egress.send(request)).await
}

#[track_caller]
fn not_sent(result: Result<Answer, SendError>) -> String {
    match result {
        Err(SendError::NotSent(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn no_answer(result: Result<Answer, SendError>) -> String {
    match result {
        Err(SendError::NoAnswer(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// What comes of a POST to which a server does this.
async fn after(step: Step) -> Result<Answer, SendError> {
    let server = Endpoint::start([step]).await;
    let request = Request { limit: SHORT, ..post(server.url("/token"), "grant_type=x") };
    let result = send(&egress(), request).await;
    assert_eq!((server.requests().len(), server.connections()), (1, 1), "it came once");
    result
}

#[tokio::test]
async fn the_service_has_a_way_out() {
    let app = TestApp::new().await;
    let server = Endpoint::start([ok("in")]).await;
    let answer = send(app.broker().egress(), get(server.url("/"))).await.unwrap();
    assert_eq!(*answer.body, b"in");
}

#[tokio::test]
async fn a_request_goes_out_as_it_is_and_nothing_is_added_but_who_sends_it() {
    let server = Endpoint::start([ok("")]).await;
    let mut request = post(server.url("/token?a=b%20c"), "grant_type=refresh_token");
    request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic YTpi"));
    send(&egress(), request).await.unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let mut sent: Vec<_> = server.requests()[0].lines().map(str::to_owned).collect();
    assert_eq!(sent.remove(0), "POST /token?a=b%20c HTTP/1.1");
    sent.sort();
    let expected = [
        "",
        "accept: */*",
        "authorization: Basic YTpi",
        "content-length: 24",
        "grant_type=refresh_token",
        &format!("host: 127.0.0.1:{}", server.port()),
        &format!("user-agent: keyfob/{version}"),
    ];
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn an_answer_is_read_with_what_it_says_of_itself() {
    let say = |head: &str| {
        Step::SayAndClose(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{{\"a\":1}}"))
    };
    let server = Endpoint::start([
        say("503 Unavailable\r\ncontent-type: application/json; charset=utf-8\r\nretry-after: 7"),
        say("429 Too Many\r\nretry-after: Sun, 05 Apr 2026 12:01:30 GMT"),
    ])
    .await;
    let answer = send(&egress(), get(server.url("/"))).await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.content_type.as_deref(), Some("application/json; charset=utf-8"));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(*answer.body, b"{\"a\":1}");
    let clock = ManualClock::new();
    clock.set(Timestamp::from_seconds(START + 60));
    let egress = Egress::new(Allow::parse(LOOPBACK).unwrap(), Arc::new(clock)).unwrap();
    let answer = send(&egress, get(server.url("/"))).await.unwrap();
    assert_eq!((answer.status, answer.retry_after), (429, Some(Duration::from_secs(30))));
    assert_eq!(answer.content_type, None);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let other = Endpoint::start([]).await;
    let say =
        format!("HTTP/1.1 307 Moved\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", other.url("/"));
    let server = Endpoint::start([Step::Say(say)]).await;
    let answer = send(&egress(), post(server.url("/"), "secret")).await.unwrap();
    assert_eq!((answer.status, other.connections()), (307, 0));
}

#[tokio::test]
async fn a_cookie_is_not_kept_and_what_is_compressed_is_not_unpacked() {
    let head = "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-encoding: gzip\r\ncontent-length: 2";
    let server = Endpoint::start([Step::Say(format!("{head}\r\n\r\nxy")), ok("")]).await;
    let egress = egress();
    assert_eq!(*send(&egress, get(server.url("/"))).await.unwrap().body, b"xy");
    send(&egress, get(server.url("/"))).await.unwrap();
    assert!(!server.requests()[1].to_lowercase().contains("cookie"));
    assert_eq!(server.connections(), 1, "a connection is used again");
}

#[tokio::test]
async fn an_answer_of_256_kib_is_read_and_a_larger_one_is_not() {
    let body = "x".repeat(LARGEST_BODY);
    let server = Endpoint::start([ok(&body), ok(&format!("{body}x")), ok(&"x".repeat(1 << 20))]);
    let (server, egress) = (server.await, egress());
    assert_eq!(send(&egress, get(server.url("/"))).await.unwrap().body.len(), LARGEST_BODY);
    for _ in 0..2 {
        assert_eq!(send(&egress, get(server.url("/"))).await, Err(SendError::TooLarge));
    }
}

#[tokio::test]
async fn an_answer_without_end_is_broken_off() {
    let say = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let server = Endpoint::start([Step::SayWithoutEnd(say)]).await;
    assert_eq!(send(&egress(), get(server.url("/"))).await, Err(SendError::TooLarge));
    server.until_broken_off().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_has_seen_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https"] {
        let url = Url::parse(&format!("{scheme}://{address}/?code=1")).unwrap();
        let text = not_sent(send(&egress(), post(url, "x")).await);
        assert_eq!(text, "Connection refused (os error 111)");
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_has_seen_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        std::future::pending::<()>().await;
    });
    let text = not_sent(send(&egress(), post(url, "x")).await);
    assert_eq!(text, "received corrupt message of type InvalidContentType");
}

#[tokio::test]
async fn a_server_that_never_agrees_on_tls_has_seen_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
    let request = Request { limit: SHORT, ..post(url, "x") };
    assert_eq!(not_sent(send(&egress(), request).await), "it took too long");
}

#[tokio::test]
async fn a_server_that_ends_the_connection_may_have_seen_the_request() {
    assert!(no_answer(after(Step::End(End::Close)).await).contains("closed"));
    assert!(no_answer(after(Step::End(End::Reset)).await).contains("reset"));
    let no_http = Step::SayAndClose("SSH-2.0-OpenSSH\r\n\r\n".into());
    no_answer(after(no_http).await);
}

#[tokio::test]
async fn a_server_that_never_answers_may_have_seen_the_request() {
    let silent = Step::SayAndHang(String::new());
    assert_eq!(no_answer(after(silent).await), "it took too long");
    let without_end = Step::SayAndHang("HTTP/1.1 200 OK\r\nx: ".into());
    assert_eq!(no_answer(after(without_end).await), "it took too long");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_none() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"a\"";
    no_answer(after(Step::SayAndClose(head.into())).await);
    assert_eq!(no_answer(after(Step::SayAndHang(head.into())).await), "it took too long");
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n";
    no_answer(after(Step::SayAndClose(chunked.into())).await);
}

#[tokio::test]
async fn a_connection_that_ends_when_it_is_used_again_sends_nothing_twice() {
    let server = Endpoint::start([ok("first"), Step::End(End::Close), ok("third")]).await;
    let egress = egress();
    send(&egress, post(server.url("/"), "first")).await.unwrap();
    no_answer(send(&egress, post(server.url("/"), "second")).await);
    assert_eq!((server.requests().len(), server.connections()), (2, 1), "nothing came twice");
    send(&egress, post(server.url("/"), "third")).await.unwrap();
    assert_eq!(server.connections(), 2);
}

/// The server closes each connection right after its answer, without saying so: sometimes before the
/// next request, sometimes while it is sent.
#[tokio::test]
async fn a_connection_that_ended_while_it_was_unused_sends_nothing_twice() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let server = Endpoint::start(vec![Step::SayAndClose(answer.into()); 200]).await;
    let egress = egress();
    for number in 0..100 {
        let result = send(&egress, post(server.url("/"), &format!("number={number};"))).await;
        let requests = server.requests();
        let came = requests.iter().filter(|request| request.ends_with(&format!("={number};")));
        match (came.count(), result) {
            (1, Ok(_)) | (0 | 1, Err(SendError::NoAnswer(_))) | (0, Err(SendError::NotSent(_))) => {
            }
            (came, result) => panic!("{number} came {came} times, and told {result:?}"),
        }
    }
}

#[tokio::test]
async fn nothing_that_is_secret_is_logged() {
    let guard = Guard::new();
    let server = Endpoint::start([ok("CANARYANSWERED"), Step::End(End::Close)]).await;
    let closed = Url::parse("http://127.0.0.1:1/CANARYPATH?CANARYQUERY").unwrap();
    for url in
        [server.url("/CANARYPATH?CANARYQUERY"), server.url("/CANARYPATH?CANARYQUERY"), closed]
    {
        let mut request = post(url, "CANARYBODY");
        request.headers.insert(AUTHORIZATION, HeaderValue::from_static("CANARYHEADER"));
        let request_shown = format!("{request:?}");
        let shown = format!("{request_shown} {:?}", send(&egress(), request).await);
        assert!(!shown.contains("CANARY"), "{shown}");
    }
    let logs = logs();
    for canary in ["ANSWERED", "PATH", "QUERY", "BODY", "HEADER"] {
        assert!(!logs.contains(&format!("CANARY{canary}")), "{canary}");
    }
    let line = logs.lines().find(|line| line.contains("answered method=POST host=\"127.0.0.1\""));
    assert!(line.is_some_and(|line| line.contains("DEBUG")), "{line:?}");
    drop(guard);
}
