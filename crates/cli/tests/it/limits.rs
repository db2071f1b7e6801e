//! What a server bears of its callers, on raw connections.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::Api, database::Kind, hotp::secret_of, on_both_databases, process::Server, vault::Vault,
};

on_both_databases!(metrics_and_health_are_where_they_belong_and_tell_no_secret);

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to see that no answer comes.
const MOMENT: Duration = Duration::from_millis(500);

/// A connection on which this has been sent.
fn send(server: &Server, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that has heard enough closes before all is written.
    let _ = stream.write_all(bytes.as_bytes());
    stream
}

/// All that comes until the server closes the connection.
fn rest(mut stream: TcpStream) -> String {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => text.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it is still open: {error}"),
        }
    }
    String::from_utf8(text).unwrap()
}

/// The status of an answer without a body that matters.
fn status(stream: &mut TcpStream) -> String {
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    String::from_utf8(head.into()).unwrap()
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve();
    let close = "host: x\r\nconnection: close\r\n";
    let head = |more: &str| format!("GET /healthz HTTP/1.1\r\n{close}{more}\r\n");
    let large = format!("x-large: {}\r\n", "a".repeat(15 * 1024));
    let answer = status(&mut send(&server, &head(&large)));
    assert_eq!(answer, "HTTP/1.1 200", "what the limit allows");
    for size in [17, 40, 60] {
        let long = "a".repeat(size * 1024);
        for request in [
            head(&format!("x-large: {long}\r\n")),
            format!("GET /{long} HTTP/1.1\r\n{close}\r\n"),
            format!("GET /api/v2/totp/secrets?{long} HTTP/1.1\r\n{close}\r\n"),
        ] {
            let answer = rest(send(&server, &request));
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer:?}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["code"], "HEADERS_TOO_LARGE");
            let id = format!("x-request-id: {}", body["request_id"].as_str().unwrap());
            assert!(head.contains(&id), "{answer}");
            let is_v2 = request.starts_with("GET /api/v2");
            assert_eq!(body["status"] == "ERROR", is_v2, "{answer}");
        }
    }
    assert_eq!(status(&mut send(&server, HEALTH)), "HTTP/1.1 200");
}

/// What hyper does not read as a request gets hyper's own answer (docs/api.md).
#[test]
fn what_is_not_http_or_far_too_large_is_refused_and_its_connection_closed() {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve();
    let head = |more: &str| format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{more}\r\n");
    let far_too_large = [
        head(&format!("x-large: {}\r\n", "a".repeat(200 * 1024))),
        head(&"x-one: a\r\n".repeat(200)),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200 * 1024)),
    ];
    for request in far_too_large {
        let answer = rest(send(&server, &request));
        // The answer may be lost: the connection is closed on what is still being sent.
        let refused = ["", "HTTP/1.1 431", "HTTP/1.1 414"];
        assert!(refused.contains(&answer.get(..12).unwrap_or_default()), "{answer:?}");
    }
    let garbage = rest(send(&server, "\u{16}\u{3}\u{1} this is not HTTP\r\n\r\n"));
    assert!(garbage.is_empty() || garbage.starts_with("HTTP/1.1 400"), "{garbage:?}");
    let http2 = rest(send(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0"));
    assert_eq!(http2, "");
    assert_eq!(status(&mut send(&server, HEALTH)), "HTTP/1.1 200");
}

#[test]
fn an_answer_to_head_has_the_status_and_no_body() {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve();
    for (path, status) in [("/readyz", 200), ("/nothing", 404), ("/api/v2/totp/secrets", 405)] {
        let request = format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = rest(send(&server, &request));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_more_than_64_kib_is_refused() {
    const LIMIT: usize = 64 * 1024;
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve();
    let token = vault.key("backend").token;
    let post = |body: &str| {
        let head = format!(
            "POST /api/v2/totp/secrets HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
            body.len(),
        );
        rest(send(&server, &format!("{head}{body}")))
    };
    let body = json!({"label": "padded"}).to_string();
    let padded = |length: usize| format!("{body}{}", " ".repeat(length - body.len()));
    let largest = post(&padded(LIMIT));
    assert!(largest.starts_with("HTTP/1.1 200"), "{largest}");
    let answer = post(&padded(LIMIT + 1));
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("TOO_LARGE"), "{answer}");
    assert_eq!(server.api(&token).list().await.len(), 1);
}

#[test]
fn a_caller_who_asks_first_is_told_not_to_send_a_body_that_is_too_large() {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve();
    let token = vault.key("backend").token;
    let ask = |length: usize| {
        let head = format!(
            "POST /api/v2/totp/secrets HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n\r\n",
        );
        send(&server, &head)
    };
    for length in [64 * 1024 + 1, 99_999_999] {
        let answer = rest(ask(length));
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("TOO_LARGE"), "{answer}");
    }
    let body = json!({"label": "asked first"}).to_string();
    let mut stream = ask(body.len());
    assert_eq!(status(&mut stream), "HTTP/1.1 100");
    stream.write_all(body.as_bytes()).unwrap();
    let answer = rest(stream);
    assert!(answer.contains("\r\n\r\nHTTP/1.1 200"), "{answer}");
}

#[test]
fn connections_that_say_nothing_or_half_of_it_stop_nobody() {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve();
    let halves = ["", "G", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: "];
    let slow: Vec<_> = (0..200).map(|number| send(&server, halves[number % 4])).collect();
    for _ in 0..20 {
        assert_eq!(status(&mut send(&server, HEALTH)), "HTTP/1.1 200");
    }
    // One that goes on is answered after all.
    let mut late = slow.into_iter().nth(2).unwrap();
    late.write_all(b"TP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(status(&mut late), "HTTP/1.1 200");
}

#[test]
fn connections_beyond_the_limit_wait_and_are_served_when_one_closes() {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve_with(&[("KEYFOB_MAX_CONNECTIONS", "2")]);
    let mut first_two = [send(&server, HEALTH), send(&server, HEALTH)];
    for stream in &mut first_two {
        assert_eq!(status(stream), "HTTP/1.1 200");
    }
    let mut third = send(&server, HEALTH);
    third.set_read_timeout(Some(MOMENT)).unwrap();
    let waits = third.read(&mut [0]).unwrap_err();
    assert_eq!(waits.kind(), std::io::ErrorKind::WouldBlock, "{waits}");
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    let [first, mut second] = first_two;
    drop(first);
    assert_eq!(status(&mut third), "HTTP/1.1 200");
    // The one that stayed is served as before.
    second.write_all(HEALTH.as_bytes()).unwrap();
    assert!(second.read(&mut [0; 4096]).unwrap() > 0);
}

async fn metrics_and_health_are_where_they_belong_and_tell_no_secret(kind: Kind) {
    let vault = Vault::new(kind);
    let server = vault.serve_with(&[("KEYFOB_ADMIN_LISTEN", "127.0.0.1:0")]);
    let key = vault.key("backend");
    let (api, admin) = (server.api(&key.token), Api::new(server.admin.as_ref().unwrap(), ""));
    let id = api.store("a metric label", &secret_of("metrics"), 30).await;
    let code = api.code(&id).await.code;
    api.get("/api/v2/totp/code/not-there").await;
    api.send(Method::GET, "/nowhere/at/all", None, "a-request-id").await.unwrap();
    for listener in [&api, &admin] {
        for path in ["/healthz", "/readyz"] {
            let answer = listener.get(path).await;
            assert_eq!((answer.status, &answer.body["status"]), (200, &json!("OK")), "{path}");
        }
    }
    assert_eq!(api.get("/metrics").await.status, 404);
    assert_eq!(admin.with_token(&key.token).get("/api/v2/totp/secrets").await.status, 404);

    let metrics = admin.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    let metrics = metrics.text;
    for name in [
        "keyfob_http_requests_total{",
        "keyfob_http_request_duration_seconds_bucket{",
        "keyfob_totp_codes_total 1\n",
        "keyfob_totp_waiting 0\n",
        "keyfob_store_queue ",
        "keyfob_store_batch_bucket{",
        r#"route="/api/v2/totp/code/{id}",status="404"} 1"#,
        r#"route="other",status="404"}"#,
    ] {
        assert!(metrics.contains(name), "no {name} in {metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"));
    for hidden in [
        id.as_str(),
        &secret_of("metrics"),
        &format!("\"{code}\""),
        &key.id,
        &key.secret[4..],
        "a metric label",
        "nowhere",
        "a-request-id",
        "not-there",
    ] {
        assert!(!metrics.contains(hidden), "{hidden:?} is in {metrics}");
    }
}
