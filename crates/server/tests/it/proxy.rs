//! `POST …/proxy`: requests that are sent with a credential which their sender never sees
//! (contract/contacts-and-secrets, section 6.2).

use hyper::{Response, StatusCode};
use serde_json::{Map, json};

use crate::{
    call::Caller,
    connection::{path, verified_contact},
    passed_on::{Scene, TOKEN, call},
    secret,
    upstream::{Speaks, Upstream, answer, whole},
};

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

#[tokio::test]
async fn an_agent_uses_a_credential_that_it_cannot_see() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    let back = scene.send(&agent, json!({"url": scene.url("/v1/x?y=%2F")})).await;
    assert_eq!((back.status, back.text()), (StatusCode::OK, "hello".into()));
    let got = scene.got();
    assert_eq!((got.method.as_str(), got.uri.to_string()), ("GET", "/v1/x?y=%2F".into()));
    assert_eq!(got.headers["authorization"], bearer());
    scene.until_event("answered").await;
    let events = scene.events().await;
    let told = format!("GET {}", scene.url("/v1/x"));
    assert_eq!(events[0], ("sending".into(), told.clone()));
    assert_eq!(events[1], ("answered".into(), format!("{told}: 200, 5 bytes")));
}

#[tokio::test]
async fn method_headers_and_body_are_sent_as_they_were_asked_for() {
    let scene = Scene::new().await;
    let body = json!({
        "url": scene.url("/v1/x"), "method": "PUT", "body": "{\"a\":1}",
        "headers": {"Content-Type": "application/json", "X-Number": 5, "X-Text": "kept"},
    });
    assert_eq!(scene.send(&scene.app.agent(), body).await.status, StatusCode::OK);
    let got = scene.got();
    assert_eq!(got.method, "PUT");
    assert_eq!(
        (&got.headers["x-text"], &got.headers["content-length"]),
        (&"kept".parse().unwrap(), &"7".parse().unwrap())
    );
    assert!(!got.headers.contains_key("x-number"), "only texts are taken");
}

/// W12: another name in a header is no way to another secret.
#[tokio::test]
async fn only_the_secret_that_was_addressed_is_filled_in() {
    let scene = Scene::new().await;
    let backend = scene.app.backend();
    secret::create(&backend, json!({"name": "Other", "value": "other-canary-value"})).await;
    for header in ["${SECRET_OTHER}", "{{SECRET_OTHER}}", "Bearer ${SECRET_other}"] {
        let body = json!({"url": scene.url("/"), "headers": {"X-Key": header}});
        let back = scene.send(&scene.app.agent(), body).await;
        assert!(back.error(400, "bad_request").contains("names another secret"));
    }
    assert!(scene.upstream.requests().is_empty());
    for (header, sent) in [
        ("${SECRET_DEFAULT}", bearer()),
        ("Bearer {{SECRET_MODEL}}", bearer()),
        ("Key ${SECRET_MODEL}", format!("Key {}", bearer())),
    ] {
        let body = json!({"url": scene.url("/"), "headers": {"X-Key": header}});
        assert_eq!(scene.send(&scene.app.agent(), body).await.status, StatusCode::OK);
        assert_eq!(scene.got().headers["x-key"], sent);
        assert!(!scene.got().headers.contains_key("authorization"));
    }
}

/// A server that cannot read such a header says so in its own words, such as `unsupported charset "7F3A…"`.
#[tokio::test]
async fn no_placeholder_is_filled_in_a_header_that_is_for_no_credential() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    for name in ["Content-Type", "Accept", "If-None-Match", "User-Agent", "X-Forwarded_Host"] {
        let value = "text/plain; level=${SECRET_DEFAULT}";
        let body = json!({"url": scene.url("/"), "headers": {name: value}});
        let in_json = scene.send(&agent, body).await;
        let passed = scene.pass(&agent, "POST", "/", &[(name, value)], "").await;
        if name == "X-Forwarded_Host" {
            // It is not passed on at all.
            assert_eq!((in_json.status, passed.status), (StatusCode::OK, StatusCode::OK));
            continue;
        }
        for back in [in_json, passed] {
            let said = back.error(400, "bad_request");
            assert!(said.contains(&name.to_ascii_lowercase()), "{said}");
        }
    }
    assert_eq!(scene.upstream.requests().len(), 2);
    let got = format!("{:?}", scene.upstream.requests());
    assert!(!got.contains("level"), "{got}");
}

/// What a server stores is handed out to whoever asks for it, by another secret too; some fetch a URL out of a header.
#[tokio::test]
async fn a_credential_is_filled_in_nothing_that_is_stored_or_fetched() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    for (name, value) in [
        ("x-goog-meta-leak", "${SECRET_DEFAULT}"),
        ("x-amz-meta-token", "${SECRET_DEFAULT}"),
        ("Upload-Metadata", "key ${SECRET_DEFAULT}"),
        ("x-ms-copy-source", "https://evil.example/?t=${SECRET_DEFAULT}"),
        ("Idempotency-Key", "${SECRET_DEFAULT}"),
        ("X-Key", "https://evil.example/?t=${SECRET_DEFAULT}"),
        ("Authorization", "x ${SECRET_DEFAULT} y"),
    ] {
        let headers = json!({"X-Token": "${SECRET_DEFAULT}", name: value});
        let back = scene.send(&agent, json!({"url": scene.url("/"), "headers": headers})).await;
        let said = back.error(400, "bad_request");
        assert!(said.contains(&name.to_ascii_lowercase()) && said.contains("config.inject"));
    }
    assert!(scene.upstream.requests().is_empty());
}

/// W13: nothing is sent anywhere that no rule names.
#[tokio::test]
async fn a_secret_goes_to_its_hosts_with_its_methods_to_its_paths_and_nowhere_else() {
    let upstream = Upstream::start(Speaks::Clear, async |_| answer("hello")).await;
    let config = json!({"methods": ["GET"], "paths": ["/v1/"]});
    let scene = Scene::at(upstream, config).await;
    let agent = scene.app.agent();
    assert_eq!(scene.send(&agent, json!({"url": scene.url("/v1/x")})).await.status, 200);
    for (url, method, says) in [
        ("https://elsewhere.example/v1/x".to_owned(), "GET", "elsewhere.example"),
        (format!("http://localhost:{}/v1/x", scene.upstream.port()), "GET", "localhost"),
        ("http://127.0.0.1/v1/x".to_owned(), "GET", "127.0.0.1"),
        (scene.url("/v1/x"), "POST", "POST"),
        (scene.url("/v2/x"), "GET", "path"),
        (scene.url("/v1/../v2"), "GET", "path"),
        (scene.url("/v1/..%2fv2"), "GET", "path"),
    ] {
        let back = scene.send(&agent, json!({"url": url, "method": method})).await;
        assert!(back.error(400, "invalid_destination").contains(says), "{url}: {}", back.text());
    }
    assert_eq!(scene.upstream.requests().len(), 1);
    let refused = scene.events().await.into_iter().filter(|(result, _)| result == "refused");
    assert_eq!(refused.count(), 7);
}

#[tokio::test]
async fn a_secret_that_says_no_hosts_goes_nowhere() {
    let scene = Scene::new().await;
    let body = json!({"config": {}});
    secret::update(&scene.app.backend(), &scene.secret, body).await.ok();
    let back = scene.send(&scene.app.agent(), json!({"url": scene.url("/")})).await;
    assert!(back.error(400, "invalid_destination").contains("config.hosts"));
    assert!(scene.upstream.requests().is_empty());
}

/// W14: a redirect is for the caller to follow, without the credential and without its key.
#[tokio::test]
async fn a_redirect_is_blocked_and_its_location_told() {
    let upstream = Upstream::start(Speaks::Clear, async |request| {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        let to = request.uri().query().unwrap_or_default();
        let answer = Response::builder().status(status);
        let answer = if to.is_empty() { answer } else { answer.header("location", to) };
        answer.body(whole("moved")).unwrap()
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let (agent, elsewhere) = (scene.app.agent(), "http://127.0.0.1:1/elsewhere");
    let echo = format!("https://elsewhere.example/?key={TOKEN}");
    let redacted = "https://elsewhere.example/?key=[redacted by keyfob]";
    let (beside, here) = (scene.url("/beside"), scene.url("/v2"));
    let cases = [300, 301, 302, 303, 307, 308].map(|status| (status, elsewhere, Some(elsewhere)));
    let more = [
        (302, "", None),
        (302, "beside", Some(&*beside)),
        (302, &here, Some(&here)),
        (304, elsewhere, Some(elsewhere)),
        (307, &echo, Some(redacted)),
    ];
    for (status, to, location) in cases.into_iter().chain(more) {
        let url = scene.url(&format!("/{status}?{to}"));
        let back = scene.send(&agent, json!({"url": url, "method": "POST"})).await;
        back.error(502, "redirect_blocked");
        assert_eq!(back.json().get("location").and_then(|it| it.as_str()), location, "{url}");
        assert_eq!(back.headers["x-should-retry"], "false");
        assert!(!back.headers.contains_key("location"));
    }
    assert_eq!(scene.upstream.requests().len(), 11);
    scene.until_event("redacted").await;
    let told = scene.events().await.into_iter().filter(|(result, _)| result == "answered");
    let told: Vec<_> = told.map(|(_, reason)| reason).collect();
    assert_eq!(told.len(), 10);
    assert!(told.iter().all(|it| it.ends_with(", a redirect, which is not followed")), "{told:?}");
    // What only says that nothing has changed leads nowhere.
    let back = scene.send(&agent, json!({"url": scene.url("/304")})).await;
    assert_eq!(back.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn nothing_of_the_caller_reaches_the_server_and_no_cookie_comes_back() {
    let upstream = Upstream::start(Speaks::Clear, async |_| {
        let answer = Response::builder().header("set-cookie", "session=1").header("x-kept", "1");
        answer.header("x-request-id", "theirs").body(whole("hello")).unwrap()
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let agent = scene.app.agent();
    let cookies = [("cookie", "a=b"), ("x-forwarded-for", "10.0.0.1"), ("x-own", "1")];
    let back = scene.pass(&agent, "GET", "/", &cookies, "").await;
    let got = scene.got();
    for name in ["cookie", "x-forwarded-for", "sb-api-key-id", "sb-api-secret-key"] {
        assert!(!got.headers.contains_key(name), "{name}");
    }
    assert_eq!(
        (&got.headers["authorization"], &got.headers["x-own"]),
        (&bearer().parse().unwrap(), &"1".parse().unwrap())
    );
    assert!(!back.headers.contains_key("set-cookie"));
    assert_eq!(back.headers["x-kept"], "1");
    assert_eq!(back.headers["x-upstream-request-id"], "theirs");
    assert_ne!(back.headers["x-request-id"], "theirs");
}

#[tokio::test]
async fn what_is_revoked_is_used_no_more_from_the_next_request_on() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    let body = json!({"url": scene.url("/")});
    assert_eq!(scene.send(&agent, body.clone()).await.status, 200);
    let revoke = scene.app.backend().post(path(&scene.contact, &scene.secret, "revoke"), json!({}));
    revoke.await.ok();
    let back = scene.send(&agent, body).await;
    assert!(back.error(409, "authorization_required").contains("not connected"));
    assert!(back.json()["url"].as_str().unwrap().contains("/connect/"));
    assert_eq!(scene.upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_change_of_hosts_counts_for_the_next_request() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    let body = json!({"url": scene.url("/")});
    assert_eq!(scene.send(&agent, body.clone()).await.status, 200);
    let other = json!({"config": {"hosts": ["elsewhere.example"]}});
    secret::update(&scene.app.backend(), &scene.secret, other).await.ok();
    scene.send(&agent, body).await.error(400, "invalid_destination");
}

#[tokio::test]
async fn a_shared_secret_is_used_by_its_own_path_only() {
    let scene = Scene::new().await;
    let hosts = json!({"hosts": [format!("127.0.0.1:{}", scene.upstream.port())]});
    let body = json!({"type": "bearer", "value": "shared-canary-token", "config": hosts});
    let shared = secret::create(&scene.app.backend(), body).await;
    let agent = scene.app.agent();
    let kind = [("content-type", "application/json")];
    let body = json!({"url": scene.url("/")}).to_string();
    let to = secret::path(&shared, "proxy");
    assert_eq!(call(&agent, "POST", &to, &kind, body.clone()).await.status, 200);
    assert_eq!(scene.got().headers["authorization"], "Bearer shared-canary-token");
    let to = format!("/proxy/-/{shared}/{}", scene.url("/stream"));
    assert_eq!(call(&agent, "GET", &to, &[], "").await.status, 200);
    let to = path(&scene.contact, &shared, "proxy");
    call(&agent, "POST", &to, &kind, body.clone()).await.error(403, "forbidden_secret_kind");
    let to = secret::path(&scene.secret, "proxy");
    call(&agent, "POST", &to, &kind, body).await.error(403, "forbidden_secret_kind");
    assert_eq!(scene.upstream.requests().len(), 2);
}

#[tokio::test]
async fn a_foreign_account_finds_neither_the_contact_nor_the_secret() {
    let scene = Scene::new().await;
    let other: Caller = scene.app.other_account().await;
    let body = json!({"url": scene.url("/")});
    scene.send(&other, body.clone()).await.error(404, "not_found");
    scene.pass(&other, "GET", "/", &[], "").await.error(404, "not_found");
    let own = verified_contact(&other).await;
    let to = path(&own, &scene.secret, "proxy");
    let kind = [("content-type", "application/json")];
    call(&other, "POST", &to, &kind, body.to_string()).await.error(404, "not_found");
    assert!(scene.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_dry_run_explains_and_sends_nothing() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    let to = format!("{}?dry_run=1", path(&scene.contact, &scene.secret, "proxy"));
    let kind = [("content-type", "application/json")];
    let ask = async |body: serde_json::Value| {
        call(&agent, "POST", &to, &kind, body.to_string()).await.json()
    };
    let told =
        ask(json!({"url": scene.url("/v1?x=1"), "method": "POST", "headers": {"X-A": "b"}})).await;
    assert_eq!((&told["allowed"], &told["dryRun"]), (&json!(true), &json!(true)));
    assert_eq!(told["request"]["headers"]["authorization"], "[redacted]");
    assert_eq!(told["request"]["headers"]["x-a"], "b");
    assert_eq!(told["request"]["url"], scene.url("/v1?x=1"));
    let told = ask(json!({"url": "https://elsewhere.example/"})).await;
    assert_eq!(told["allowed"], false);
    assert!(told["reason"].as_str().unwrap().contains("elsewhere.example"));
    let told = ask(json!({"url": scene.url("/"), "headers": {"X": "${SECRET_OTHER}"}})).await;
    assert_eq!(told["allowed"], false);
    let revoke = scene.app.backend().post(path(&scene.contact, &scene.secret, "revoke"), json!({}));
    revoke.await.ok();
    let told = ask(json!({"url": scene.url("/")})).await;
    assert!(told["reason"].as_str().unwrap().contains("not connected"));
    assert!(scene.upstream.requests().is_empty() && scene.events().await.is_empty());
}

/// The event precedes the effect: what cannot be told is not done.
#[tokio::test]
async fn nothing_is_sent_before_the_audit_trail_has_it() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    let body = json!({"url": scene.url("/")});
    assert_eq!(scene.send(&agent, body.clone()).await.status, 200);
    let held = scene.app.hold_writers().await;
    let send = scene.send(&agent, body);
    let mut send = std::pin::pin!(send);
    let waits = async {
        scene.app.until_depth(1).await;
        assert_eq!(scene.upstream.requests().len(), 1, "it was sent before its event was stored");
        drop(held);
    };
    let (back, ()) = futures_util::future::join(&mut send, waits).await;
    assert_eq!((back.status, scene.upstream.requests().len()), (StatusCode::OK, 2));
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_from_one_that_may_have_the_request() {
    let scene = Scene::new().await;
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let hosts = json!({"config": {"hosts": [format!("127.0.0.1:{gone}")]}});
    secret::update(&scene.app.backend(), &scene.secret, hosts).await.ok();
    let body = json!({"url": format!("http://127.0.0.1:{gone}/")});
    let back = scene.send(&scene.app.agent(), body).await;
    back.error(502, "upstream_unreachable");
    assert!(!back.headers.contains_key("x-should-retry"));
    scene.until_event("failed").await;
    let failed = scene.events().await.into_iter().find(|(result, _)| result == "failed");
    assert!(failed.unwrap().1.contains("could not be reached"));
}

/// A body has room for more headers than a map of them, and for longer ones than anybody sends.
#[tokio::test]
async fn a_request_names_at_most_a_hundred_headers_and_16_kib_of_them() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    let many = |count: usize| -> serde_json::Value {
        (0..count).map(|number| (format!("x-{number}"), json!("y"))).collect::<Map<_, _>>().into()
    };
    let long = |length: usize| json!({"x-a": "y".repeat(length - 6), "x-b": 1, "x-c": null});
    for (headers, is_taken) in [
        (many(100), true),
        (many(101), false),
        (many(30_000), false),
        (long(16 * 1024 - 3), true),
        (long(16 * 1024 - 2), false),
        (json!({"x-a": "${SECRET_".repeat(100_000)}), false),
        (json!({"connection": "b,".repeat(200_000)}), false),
    ] {
        let back = scene.send(&agent, json!({"url": scene.url("/"), "headers": headers})).await;
        if is_taken {
            assert_eq!(back.headers["x-keyfob-answer"], "upstream", "{}", back.text());
        } else {
            assert!(back.error(400, "bad_request").contains("16 KiB"), "{}", back.text());
        }
    }
    let sent = scene.events().await.into_iter().filter(|(result, _)| result == "sending");
    assert_eq!(sent.count(), 2, "none of the others was sent");
}

#[tokio::test]
async fn bad_input_is_refused_before_anything_is_looked_at() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    for (body, says) in [
        (json!({}), "\"url\" is required"),
        (json!({"url": "ftp://a.b/"}), "https://"),
        (json!({"url": "https://a@b.c/"}), "user name"),
        (json!({"url": "https://a.b/", "method": "TRACE"}), "\"method\""),
        (json!({"url": "https://a.b/", "extra": 1}), "\"extra\" is not allowed"),
        (json!({"url": "https://a.b/", "headers": {"a b": "c"}}), "\"headers\""),
        (json!({"url": "https://a.b/", "headers": {"a": "b\nc"}}), "\"headers.a\""),
        (json!({"url": "https://a.b/", "headers": {"X-HTTP-Method-Override": "PUT"}}), "method"),
        (json!({"url": "https://a.b/", "body": {}}), "\"body\""),
    ] {
        let back = scene.send(&agent, body).await;
        assert_eq!(back.status, 400, "{}", back.text());
        let told = back.json();
        assert!(told["message"].as_str().unwrap().contains(says), "{told}");
    }
    assert!(scene.events().await.is_empty());
}
