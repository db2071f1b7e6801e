//! Keys that end or are changed while something of theirs is under way, and what changes of keys are told.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Body as AppBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use serde_json::{Value, json};

use crate::{
    app::{TestApp, code_path, entry_path},
    authentication::state,
    call::{Caller, Key},
    connect_page::{Browser, link, proof, shows},
    connection, contact,
    guard::CANARY,
    key_limits::{limited, path},
    passed_on::{Back, Scene, call},
};

const CREATE: &str = "/api/v1/key/create";
const NO_CONTACT: &str = "con_00000000000000000000000000";

type Meanwhile = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A body that comes late: something else happens before its first byte.
struct Late {
    meanwhile: Meanwhile,
    bytes: Option<Bytes>,
}

impl Body for Late {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(bytes) = self.bytes.clone() else { return Poll::Ready(None) };
        ready!(self.meanwhile.as_mut().poll(context));
        self.bytes = None;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64)
    }
}

/// Sends a request whose key is updated or revoked, a second before its body comes.
async fn late(
    app: &TestApp,
    (key, caller): &(Key, Caller),
    (method, to, body): (&str, &str, &str),
    (act, change): (&str, Value),
) -> Back {
    let (clock, done) = (app.clock.clone(), app.owner().post(path(&key.id, act), change));
    let meanwhile = Box::pin(async move {
        done.await.ok();
        clock.advance_seconds(1);
    });
    let late = Late { meanwhile, bytes: Some(Bytes::copy_from_slice(body.as_bytes())) };
    let headers = [("content-type", "application/json")];
    call(caller, method, to, &headers, AppBody::new(late)).await
}

#[tokio::test]
async fn a_request_whose_body_comes_late_does_not_outlive_its_key() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let entry = entry_path(&app.entry().await);
    let sent = json!({"url": scene.url("/")}).to_string();
    let proxy = connection::path(&scene.contact, &scene.secret, "proxy");
    let pass = scene.path_to(&scene.url("/"));
    for request in [
        ("POST", CREATE, r#"{"role":"owner"}"#),
        ("PATCH", entry.as_str(), r#"{"label":"stolen"}"#),
        ("POST", proxy.as_str(), sent.as_str()),
        ("POST", pass.as_str(), "{}"),
    ] {
        let keys = || app.database().number("SELECT count(*) FROM key");
        let revoked = limited(app, "owner", json!({})).await;
        let before = keys();
        let back = late(app, &revoked, request, ("revoke", json!({}))).await;
        assert_eq!(back.status, 401, "{request:?}: {}", back.text());
        for change in [
            json!({"actions": ["totp.code"]}),
            json!({"contacts": [NO_CONTACT]}),
            json!({"rate": 5}),
            json!({"expiresAt": (app.clock.seconds() + 60) * 1000}),
        ] {
            let narrowed = limited(app, "owner", json!({})).await;
            let back = late(app, &narrowed, request, ("update", change.clone())).await;
            assert_eq!(back.status, 401, "{request:?} {change}: {}", back.text());
            assert!(back.text().contains("send it again"), "{}", back.text());
        }
        assert_eq!(keys(), before + 4, "only those that this test made");
        // What a key is called makes no difference to what it may do.
        let renamed = limited(app, "owner", json!({})).await;
        let back = late(app, &renamed, request, ("update", json!({"name": "x"}))).await;
        assert_eq!(back.status, 200, "{request:?}: {}", back.text());
    }
    assert_eq!(scene.upstream.requests().len(), 2, "those of the renamed keys");
}

#[tokio::test]
async fn a_narrowed_key_does_not_take_its_own_limits_back_with_a_request_that_was_held_open() {
    let app = TestApp::new().await;
    let stolen = limited(&app, "owner", json!({})).await;
    let own = path(&stolen.0.id, "update");
    let undo = ("POST", own.as_str(), r#"{"actions":null}"#);
    let narrow = ("update", json!({"actions": ["totp.code"]}));
    late(&app, &stolen, undo, narrow).await.error(401, "not_authenticated");
    let shown = app.owner().get(path(&stolen.0.id, "fetch")).await.ok();
    assert_eq!(shown["actions"], json!(["totp.code"]));
}

#[tokio::test]
async fn a_caller_that_waits_for_a_code_gets_what_its_key_may_have_by_then() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(25);
    for (change, status) in [
        (json!({"totp": ["something else"]}), 404),
        (json!({"actions": ["totp.list"]}), 403),
        (json!({"rate": 90}), 200),
    ] {
        let (key, caller) = app.new_caller("agent").await;
        let call = tokio::spawn(caller.get(code_path(&id, "?min_validity=10")).into_future());
        app.clock.waiters(1).await;
        app.owner().post(path(&key.id, "update"), change.clone()).await.ok();
        app.clock.advance_seconds(5);
        assert_eq!(call.await.unwrap().status, status, "{change}");
        app.clock.advance_seconds(25);
    }
    assert_eq!(app.code_events("ok").await.len(), 1);
}

#[tokio::test]
async fn a_list_breaks_off_where_its_key_may_not_read_it_any_more() {
    let app = TestApp::new().await;
    for _ in 0..101 {
        contact::create(&app.backend(), json!({"name": "Ann"})).await;
    }
    for (change, lines, last) in [
        (json!({"actions": ["contact.fetch"]}), 101, "NOT_AUTHORIZED"),
        (json!({"contacts": [NO_CONTACT]}), 100, "Ann"),
    ] {
        let (key, caller) = app.new_caller("backend").await;
        let mut request = axum::http::Request::builder().uri(contact::LIST);
        for (name, value) in &caller.headers {
            request = request.header(name, value);
        }
        let request = request.header("Accept", "application/jsonl").body(AppBody::empty());
        let answer = caller.app.handle(request.unwrap(), None).await;
        // The first page was read before the answer began.
        app.owner().post(path(&key.id, "update"), change).await.ok();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(body.lines().count(), lines);
        assert!(body.lines().last().unwrap().contains(last), "{body}");
    }
}

#[tokio::test]
async fn a_link_ends_where_the_key_that_asked_for_it_may_ask_for_it_no_more() {
    let app = TestApp::new().await;
    let (contact, secret, _) = link(&app, "plain").await;
    let other = connection::personal(&app.backend(), "plain").await;
    for (change, status) in [
        (json!({"actions": ["totp.code"]}), 410),
        (json!({"secrets": [other]}), 410),
        (json!({"contacts": [NO_CONTACT]}), 410),
        (json!({"secrets": [secret], "contacts": [contact], "rate": 9}), 200),
    ] {
        let (key, caller) = app.new_caller("agent").await;
        let ask = caller.post(connection::path(&contact, &secret, "authenticate"), json!({}));
        let link = format!("/connect/{}", state(&ask.await.ok()["url"]));
        let mut browser = Browser::new(&app);
        let proof = proof(&browser.open(&link).await);
        app.owner().post(path(&key.id, "update"), change.clone()).await.ok();
        let (opened, sent) = (
            Browser::new(&app).open(&link).await,
            browser.send(&link, &proof, &[("value", CANARY)]).await,
        );
        assert_eq!((opened.status, sent.status), (status, status), "{change}");
        if status == 410 {
            shows(&sent, 410, &["This link was withdrawn"]);
        }
    }
}

/// What it gave would outlive it.
#[tokio::test]
async fn a_key_that_ends_takes_nothing_off_the_limits_of_one_that_does_not() {
    let app = TestApp::new().await;
    let end = (app.clock.seconds() + 60) * 1000;
    let (_, ends) = limited(&app, "owner", json!({"expiresAt": end})).await;
    let (key, _) = limited(&app, "agent", json!({"totp": ["x"], "rate": 5})).await;
    let update = |change: Value| ends.post(path(&key.id, "update"), change);
    for wider in [json!({"totp": null}), json!({"rate": 6}), json!({"rate": 4, "totp": ["x", "y"]})]
    {
        update(wider).await.error(400, "invalid_expires_at");
    }
    for narrower in
        [json!({"rate": 4}), json!({"name": "renamed"}), json!({"actions": ["totp.code"]})]
    {
        update(narrower).await.ok();
    }
    // One that it gives an end as well is one that it could have made.
    update(json!({"totp": null, "expiresAt": end})).await.ok();
}

#[tokio::test]
async fn events_of_keys_tell_what_the_keys_may_do() {
    let app = TestApp::new().await;
    let (key, _) = limited(&app, "agent", json!({"totp": ["GitHub"], "rate": 60})).await;
    let change = json!({"rate": null, "expiresAt": 1_800_000_000_000_i64});
    app.owner().post(path(&key.id, "update"), change).await.ok();
    let events = app.events().await.into_iter().filter(|event| event.object.1 == key.id);
    let mut told: Vec<_> = events.map(|event| (event.action, event.reason.unwrap())).collect();
    // Two writers of one moment have no order.
    told.sort();
    let made = r#"role agent; rate 60; totp ["GitHub"]"#;
    let changed = r#"role agent; until 2027-01-15T08:00:00Z; totp ["GitHub"]"#;
    assert_eq!(
        told,
        [("key.create".to_owned(), made.into()), ("key.update".to_owned(), changed.into())]
    );
}
