//! Connections: how many there may be, and how long a silent one keeps its place.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use crate::{
    app::{SECRETS, TestApp},
    call::Key,
    listening::{Server, within_patience},
};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// Sends requests and reads no answer, until the connection is cut.
fn flood(mut stream: TcpStream) -> JoinHandle<()> {
    tokio::spawn(async move { while stream.write_all(HEALTH.as_bytes()).await.is_ok() {} })
}

/// The beginning of the next answer.
async fn status(stream: &mut TcpStream) -> String {
    let mut head = [0; 12];
    within_patience(stream.read_exact(&mut head)).await.unwrap();
    String::from_utf8(head.into()).unwrap()
}

/// Asks for health and reads the whole answer.
pub(crate) async fn check_health(stream: &mut TcpStream) {
    stream.write_all(HEALTH.as_bytes()).await.unwrap();
    assert_eq!(status(stream).await, "HTTP/1.1 200");
    let mut rest = Vec::new();
    while !rest.ends_with(br#"{"status":"OK"}"#) {
        assert_ne!(within_patience(stream.read_buf(&mut rest)).await.unwrap(), 0);
    }
}

fn list(key: &Key) -> String {
    format!("GET {SECRETS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", key.token)
}

#[tokio::test]
async fn a_caller_who_never_reads_gives_its_place_to_the_next_one() {
    let app = TestApp::new().await;
    let server = Server::start(&app, 1);
    let flood = flood(server.connect().await);
    let mut next = server.connect().await;
    check_health(&mut next).await;
    within_patience(flood).await.unwrap();
    drop(next);
    server.stop().await;
}

#[tokio::test]
async fn a_caller_who_never_reads_does_not_hold_up_a_stop() {
    let app = TestApp::new().await;
    let long = "🔑".repeat(255);
    for _ in 0..150 {
        app.entry_with(json!({"label": long, "issuer": long})).await;
    }
    let server = Server::start(&app, 10);
    let mut mute = server.connect().await;
    let (key, _) = app.new_caller("agent").await;
    mute.write_all(list(&key).as_bytes()).await.unwrap();
    assert_eq!(status(&mut mute).await, "HTTP/1.1 200");
    // The rest of the answer is larger than all buffers.
    server.stop().await;
    drop(mute);
}

#[tokio::test]
async fn a_connection_that_has_nothing_to_say_is_kept_when_a_silent_one_is_cut() {
    let app = TestApp::new().await;
    let server = Server::start(&app, 2);
    let mut idle = server.connect().await;
    check_health(&mut idle).await;
    within_patience(flood(server.connect().await)).await.unwrap();
    check_health(&mut idle).await;
    drop(idle);
    server.stop().await;
}

/// A request whose headers are all that has come, and that is refused for them.
fn refused(headers: &str) -> String {
    let start = "POST /api/v1/secret/create HTTP/1.1\r\nhost: x\r\ncontent-type: application/json";
    format!("{start}\r\n{headers}\r\n\r\n")
}

/// Reads the whole answer to a request that is refused.
async fn check_refusal(stream: &mut TcpStream) {
    assert_eq!(status(stream).await, "HTTP/1.1 401");
    let mut rest = Vec::new();
    while !rest.ends_with(b"}") {
        assert_ne!(within_patience(stream.read_buf(&mut rest)).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_body_that_comes_after_the_answer_leaves_the_connection_to_the_next_request() {
    let app = TestApp::new().await;
    let server = Server::start(&app, 1);
    let mut stream = server.connect().await;
    for (headers, body) in [
        ("content-length: 2", "{}"),
        ("transfer-encoding: chunked", "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
    ] {
        stream.write_all(refused(headers).as_bytes()).await.unwrap();
        check_refusal(&mut stream).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        check_health(&mut stream).await;
    }
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_is_not_waited_for_where_it_is_large_or_may_not_come() {
    let app = TestApp::new().await;
    let server = Server::start(&app, 1);
    for headers in ["content-length: 65537", "content-length: 2\r\nexpect: 100-continue"] {
        let mut stream = server.connect().await;
        stream.write_all(refused(headers).as_bytes()).await.unwrap();
        check_refusal(&mut stream).await;
        let mut more = Vec::new();
        assert_eq!(within_patience(stream.read_to_end(&mut more)).await.unwrap(), 0, "{headers}");
    }
    server.stop().await;
}
