//! What of a request's headers reaches the server, and what of an answer's comes back, by either way.

use hyper::{Response, StatusCode};
use keyfob_core::policy::Role;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    key_limits::limited,
    listening::{Server, within_patience},
    passed_on::{Scene, TOKEN, call},
    secret,
    upstream::{Speaks, Upstream, answer, whole},
};

/// A client that puts its key everywhere shows it to Keyfob alone.
#[tokio::test]
async fn a_key_that_stands_in_more_than_one_header_reaches_no_server() {
    let scene = Scene::new().await;
    let key = scene.app.key_of(Role::Agent);
    let other = scene.app.key_of(Role::Backend).token.clone();
    let (token, secret, id) = (key.token.clone(), key.secret.clone(), key.id.clone());
    let bare = secret.strip_prefix("kfs_").unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let anonymous = scene.app.anonymous();
    for shown in [
        &[("authorization", &*bearer), ("x-api-key", &token), ("x-kept", "1")][..],
        &[("authorization", &bearer), ("x-api-key", &other), ("x-kept", "1")],
        &[("authorization", &bearer), ("x-any", &bearer), ("x-kept", "1")],
        &[
            ("authorization", &bearer),
            ("sb-api-secret-key", "x"),
            ("x-any", &token),
            ("x-kept", "1"),
        ],
        &[("authorization", &bearer), ("x-any", "a"), ("x-any", &secret), ("x-kept", "1")],
        &[("x-api-key", &token), ("api-key", &token), ("x-other", &bare), ("x-kept", "1")],
        &[
            ("sb-api-key-id", &id),
            ("sb-api-secret-key", &secret),
            ("x-any", &token),
            ("x-kept", "1"),
        ],
        &[
            ("sb-api-key-id", &id),
            ("sb-api-secret-key", &secret),
            ("api-key", &token),
            ("x-kept", "1"),
        ],
    ] {
        let back = call(&anonymous, "GET", &scene.path_to(&scene.url("/")), shown, "").await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.text());
        let got = scene.got();
        assert_eq!(got.headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(got.headers["x-kept"], "1");
        for name in ["x-api-key", "api-key", "x-any", "x-other"] {
            assert!(!got.headers.contains_key(name), "{name}: {shown:?}");
        }
        assert!(!format!("{got:?}").contains(&bare), "{shown:?}");
    }
    // Nor by a request in JSON.
    let headers = json!({"Authorization": bearer, "X-Any": token, "Api-Key": other, "X-Kept": "1"});
    let back =
        scene.send(&scene.app.agent(), json!({"url": scene.url("/"), "headers": headers})).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text());
    let got = scene.got();
    assert_eq!(got.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(got.headers["x-kept"], "1");
    assert!(!got.headers.contains_key("api-key") && !format!("{got:?}").contains(&bare));
    // What is the server's own stays.
    let own = [("authorization", &*bearer), ("x-api-key", "sk-theirs")];
    call(&anonymous, "GET", &scene.path_to(&scene.url("/")), &own, "").await;
    assert_eq!(scene.got().headers["x-api-key"], "sk-theirs");
}

#[tokio::test]
async fn a_key_in_the_query_is_refused() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    let token = scene.app.key_of(Role::Agent).token.clone();
    let encoded = token.replace('_', "%5F");
    for query in [format!("key={token}"), format!("a=b&x={encoded}&c"), token.clone()] {
        let to = format!("/v1?{query}");
        for back in [
            scene.send(&agent, json!({"url": scene.url(&to)})).await,
            scene.pass(&agent, "GET", &to, &[], "").await,
        ] {
            let said = back.error(400, "bad_request");
            assert!(said.contains("query") && !said.contains(&token), "{said}");
        }
    }
    assert!(scene.upstream.requests().is_empty());
    assert_eq!(scene.pass(&agent, "GET", "/v1?key=kft_", &[], "").await.status, StatusCode::OK);
}

/// In pieces that the caller chooses, or in another charset, nobody finds the credential.
#[tokio::test]
async fn an_answer_is_neither_cut_nor_written_as_the_caller_likes() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    let headers = [
        ("range", "bytes=0-9"),
        ("if-range", "\"1\""),
        ("accept-charset", "utf-16"),
        ("x_ms_range", "bytes=0-9"),
        ("accept", "text/plain"),
    ];
    let body = json!({"url": scene.url("/"), "headers": headers.into_iter().collect::<std::collections::BTreeMap<_, _>>()});
    for back in [scene.send(&agent, body).await, scene.pass(&agent, "GET", "/", &headers, "").await]
    {
        assert_eq!((back.status, back.text()), (StatusCode::OK, "hello".into()));
        let got = scene.got();
        assert_eq!(got.headers["accept"], "text/plain");
        for (name, _) in &headers[..4] {
            assert!(!got.headers.contains_key(*name), "{name}");
        }
    }
}

/// A request as it is on the wire; all that comes back until the connection ends.
async fn raw(scene: &Scene, method: &str, to: &str, rest: &str) -> String {
    let server = Server::start(&scene.app, 4);
    let mut socket = server.connect().await;
    let token = scene.app.key_of(Role::Agent).token.clone();
    let path = scene.path_to(&scene.url(to));
    let head = format!("{method} {path} HTTP/1.1\r\nHost: keyfob\r\nConnection: close\r\n");
    let request = format!("{head}Authorization: Bearer {token}\r\n{rest}");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut back = String::new();
    within_patience(socket.read_to_string(&mut back)).await.unwrap();
    back
}

#[tokio::test]
async fn the_answer_to_head_says_how_long_it_would_be() {
    let upstream = Upstream::start(Speaks::Clear, async |request| {
        let (path, is_head) = (request.uri().path().to_owned(), request.method() == "HEAD");
        let mut answer = Response::builder().header("content-length", "4321");
        if path == "/coded" {
            answer = answer.header("content-encoding", "gzip");
        }
        answer.body(whole(if is_head { String::new() } else { "x".repeat(4321) })).unwrap()
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let back = raw(&scene, "HEAD", "/plain", "\r\n").await;
    assert!(back.starts_with("HTTP/1.1 200 "), "{back}");
    assert!(back.contains("content-length: 4321\r\n") && back.ends_with("\r\n\r\n"), "{back}");
    // That of the coded form would be wrong: it comes back decoded.
    let back = raw(&scene, "HEAD", "/coded", "\r\n").await;
    assert!(back.starts_with("HTTP/1.1 200 ") && !back.contains("4321"), "{back}");
    // What is looked into may become another.
    let back = raw(&scene, "GET", "/plain", "\r\n").await;
    assert!(back.starts_with("HTTP/1.1 200 ") && !back.contains("content-length"), "{back}");
    // A request in JSON is no HEAD of the caller's own.
    let body = json!({"url": scene.url("/plain"), "method": "HEAD"});
    let back = scene.send(&scene.app.agent(), body).await;
    assert_eq!(back.status, StatusCode::OK);
    assert!(!back.headers.contains_key("content-length"));
}

/// Without its name it would be taken for what is in it (RFC 9112, section 6.1).
#[tokio::test]
async fn a_body_in_another_transfer_coding_than_chunked_is_refused() {
    let scene = Scene::new().await;
    let chunked =
        |coding: &str| format!("Transfer-Encoding: {coding}\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    for coding in ["gzip, chunked", "gzip,chunked", "chunked\r\nTransfer-Encoding: chunked"] {
        let back = raw(&scene, "POST", "/", &chunked(coding)).await;
        assert!(
            back.starts_with("HTTP/1.1 501 ") && back.contains("\"not_implemented\""),
            "{back}"
        );
        assert!(back.contains("x-should-retry: false"), "{back}");
    }
    assert!(scene.upstream.requests().is_empty());
    for coding in ["chunked", "Chunked"] {
        assert!(raw(&scene, "POST", "/", &chunked(coding)).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(scene.upstream.requests().len(), 2);
}

/// A copy of what no path of the rules reaches, below a path that they name, would be read there.
#[tokio::test]
async fn no_header_names_another_object_where_only_some_paths_are_reached() {
    let upstream = Upstream::start(Speaks::Clear, async |_| answer("hello")).await;
    let scene = Scene::at(upstream, json!({})).await;
    let everywhere = scene.app.agent();
    let (_, somewhere) = limited(&scene.app, "agent", json!({"paths": ["/pub/"]})).await;
    let copies = ("x-amz-copy-source", "/private/key");
    let back = scene.pass(&everywhere, "PUT", "/pub/x", &[copies], "").await;
    assert_eq!((back.status, scene.upstream.requests().len()), (StatusCode::OK, 1));
    let back = scene.pass(&somewhere, "PUT", "/pub/x", &[copies], "").await;
    assert!(back.error(400, "invalid_destination").contains(copies.0), "{}", back.text());
    let host = format!("127.0.0.1:{}", scene.upstream.port());
    let paths = json!({"config": {"hosts": [host], "paths": ["/pub/"]}});
    secret::update(&scene.app.backend(), &scene.secret, paths).await.ok();
    for name in ["X-Amz-Copy-Source", "x-ms-rename-source", "Destination"] {
        let asked = json!({"url": scene.url("/pub/x"), "method": "PUT", "headers": {name: "/y"}});
        let in_json = scene.send(&everywhere, asked).await;
        let passed = scene.pass(&everywhere, "PUT", "/pub/x", &[(name, "/y")], "").await;
        for back in [in_json, passed] {
            let said = back.error(400, "invalid_destination");
            assert!(said.contains(&name.to_ascii_lowercase()), "{said}");
        }
    }
    assert_eq!(scene.upstream.requests().len(), 1);
}
