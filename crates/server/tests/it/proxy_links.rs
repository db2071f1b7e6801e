//! Where answers of the streaming proxy lead, and what is told of a caller who does not wait for one.

use std::sync::{Arc, Mutex};

use hyper::{Request, Response, body::Incoming, header::HeaderValue};
use serde_json::json;
use url::Url;

use crate::{
    app::PUBLIC_URL,
    passed_on::{Scene, call},
    upstream::{Body, Speaks, Upstream, whole},
};

/// A server that leads to what the query says, in `Location` and `Link`.
async fn leading() -> Scene {
    leading_by(|to| format!("<{to}>; rel=\"next\"; title=\"<{to}>\"")).await
}

/// The same with another `Link`.
async fn leading_by(link: fn(&str) -> String) -> Scene {
    let upstream = Upstream::start(Speaks::Clear, move |request: Request<Incoming>| {
        let to = request.uri().query().unwrap_or_default().to_owned();
        let answer =
            Response::builder().status(307).header("link", link(&to)).header("location", to);
        async move { answer.header("x-keyfob-answer", "keyfob").body(whole("")).unwrap() }
    });
    Scene::at(upstream.await, json!({"paths": ["/v1/"]})).await
}

#[tokio::test]
async fn a_caller_who_is_led_on_comes_back_to_keyfob_where_the_credential_may_go_there() {
    let scene = leading().await;
    let at = scene.path_to(&scene.url("/v1/x"));
    let prefix = at.strip_suffix(&scene.url("/v1/x")).unwrap();
    let back = |path: &str| Some(scene.url(path));
    for (to, leads_to) in [
        (scene.url("/v1/y?page=2"), back("/v1/y?page=2")),
        ("/v1/y".into(), back("/v1/y")),
        ("y".into(), back("/v1/y")),
        ("/v2".into(), None),
        ("https://elsewhere.example/v1/x".into(), None),
        ("javascript:alert(1)".into(), None),
    ] {
        let answer = call(&scene.app.agent(), "GET", &format!("{at}?{to}"), &[], "").await;
        let header = |name: &str| answer.headers[name].to_str().unwrap();
        let link = |target: &str| format!("<{target}>; rel=\"next\"; title=\"<{to}>\"");
        if let Some(leads_to) = leads_to {
            assert_eq!(header("location"), format!("{prefix}{leads_to}"));
            let whole = format!("{}{prefix}{leads_to}", PUBLIC_URL.trim_end_matches('/'));
            assert_eq!(header("link"), link(&whole));
        } else {
            let whole = Url::parse(&scene.url("/v1/x")).unwrap().join(&to).unwrap();
            assert_eq!(header("location"), whole.as_str());
            assert_eq!(header("link"), link(&to));
        }
        // An upstream cannot say that its answer is Keyfob's own.
        assert_eq!(header("x-keyfob-answer"), "upstream");
    }
}

/// An agent next to Keyfob does not go through what is in front of it.
#[tokio::test]
async fn a_caller_who_comes_by_another_host_is_led_back_by_that() {
    let scene = leading().await;
    let at = scene.path_to(&scene.url("/v1/x"));
    let prefix = at.strip_suffix(&scene.url("/v1/x")).unwrap();
    let public = PUBLIC_URL.trim_end_matches('/');
    let forwarded = ("x-forwarded-for", "192.0.2.1");
    for (host, more, keyfob) in [
        ("keyfob:7117", None, "http://keyfob:7117"),
        ("keyfob:7117", Some(forwarded), public),
        ("keyfob.example.com", None, public),
        ("keyfob.example.com:443", None, public),
        ("keyfob.example.com:8443", None, public),
        ("127.0.0.1:7117", None, public),
        ("x@evil.example", None, public),
        ("evil.example/a", None, public),
        ("a b>", None, public),
    ] {
        let at = format!("{at}?/v1/y");
        let headers: Vec<_> = [("host", host)].into_iter().chain(more).collect();
        let answer = call(&scene.app.agent(), "GET", &at, &headers, "").await;
        let whole = format!("<{keyfob}{prefix}{}>", scene.url("/v1/y"));
        let link = answer.headers["link"].to_str().unwrap();
        assert!(link.starts_with(&whole), "{host}: {link}");
    }
}

#[tokio::test]
async fn a_key_that_clients_would_take_along_is_led_nowhere_else() {
    let scene = leading_by(|to| format!("<{to}>; rel=\"next\"; title=\"of, two\"")).await;
    let token = scene.app.key_of(keyfob_core::policy::Role::Agent).token.clone();
    let bearer = format!("Bearer {token}");
    let pair = scene.app.key_of(keyfob_core::policy::Role::Agent);
    let pair = [("sb-api-key-id", pair.id.as_str()), ("sb-api-secret-key", pair.secret.as_str())];
    for (shown, is_left_behind) in [
        (&[("authorization", &*bearer)][..], true),
        (&[("authorization", &bearer), ("x-api-key", "mine")], true),
        (&[("x-api-key", &token)], false),
        (&[("api-key", &token)], false),
        (&[("x-goog-api-key", &token)], false),
        (&[("authorization", &bearer), ("x-api-key", &token)], false),
        (&[("authorization", &bearer), ("x-any", &bearer)], false),
        (&pair, false),
    ] {
        for (to, is_within) in
            [("https://elsewhere.example/", false), ("/v2", false), ("/v1/y", true)]
        {
            let at = format!("{}?{to}", scene.path_to(&scene.url("/v1/x")));
            let answer = call(&scene.app.anonymous(), "GET", &at, shown, "").await;
            assert_eq!(answer.status, 307, "{shown:?} {to}");
            let is_followed = is_left_behind || is_within;
            for name in ["location", "link"] {
                assert_eq!(answer.headers.contains_key(name), is_followed, "{shown:?} {to} {name}");
                let is_shown = answer.headers.contains_key(format!("x-upstream-{name}"));
                assert_eq!(is_shown, !is_followed, "{shown:?} {to} {name}");
            }
        }
    }
}

/// What Keyfob cannot read may lead somewhere all the same: clients take more for a URL than others do.
#[tokio::test]
async fn a_key_that_clients_would_take_along_follows_nothing_that_cannot_be_read() {
    let given = Arc::new(Mutex::new((201, "location", Vec::new())));
    let said = Arc::clone(&given);
    let upstream = Upstream::start(Speaks::Clear, move |_| {
        let (status, name, values) = said.lock().unwrap().clone();
        let mut answer = Response::builder().status(status);
        for value in values {
            answer = answer.header(name, HeaderValue::from_bytes(value).unwrap());
        }
        async move { answer.body(whole("")).unwrap() }
    });
    let scene = Scene::at(upstream.await, json!({"paths": ["/v1/"]})).await;
    let token = scene.app.key_of(keyfob_core::policy::Role::Agent).token.clone();
    let at = scene.path_to(&scene.url("/v1/x"));
    for (status, name, values) in [
        (302, "location", vec![&b"https://evil.example/steal"[..]]),
        (302, "location", vec!["https://evil.example/\u{e9}".as_bytes()]),
        (302, "location", vec![b"https://evil.example/\xe9"]),
        (302, "location", vec![b"https://xn--a.evil.example/steal"]),
        (302, "location", vec![b"https://evil.example:7654x/"]),
        (302, "location", vec![b"/v1/y\xe9", b"https://evil.example/"]),
        (201, "location", vec![b"https://evil.example/"]),
        (200, "link", vec![b"\"<https://evil.example/steal>; rel=\"next\""]),
        (200, "link", vec![b"<https://evil.example/a\xe9>; rel=\"next\""]),
        (200, "link", vec![b"</v1/y>; title=\"; rel=prev, <https://evil.example/>; rel=\"next\""]),
        (200, "link", vec![b"https://evil.example/; rel=next"]),
    ] {
        *given.lock().unwrap() = (status, name, values.clone());
        let shown = [("x-api-key", &*token)];
        let answer = call(&scene.app.anonymous(), "GET", &at, &shown, "").await;
        assert_eq!(answer.status, status, "{values:?}");
        assert!(!answer.headers.contains_key(name), "{values:?}: {:?}", answer.headers);
        assert!(answer.headers.contains_key(format!("x-upstream-{name}")), "{values:?}");
    }
}

#[tokio::test]
async fn a_caller_who_goes_before_there_is_an_answer_is_told_of() {
    let never = async |_| std::future::pending::<Response<Body>>().await;
    let scene = Scene::at(Upstream::start(Speaks::Clear, never).await, json!({})).await;
    let agent = scene.app.agent();
    {
        let pass = scene.pass(&agent, "GET", "/v1/x", &[], "");
        let came = async {
            while scene.upstream.requests().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        futures_util::future::select(std::pin::pin!(pass), std::pin::pin!(came)).await;
    }
    scene.until_event("broke_off").await;
    let events = scene.events().await;
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[1].1.ends_with("the caller was gone before there was an answer"), "{events:?}");
}
