//! What is kept for the next request of an agent: that it is no one else's, and not kept for too long.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::{
    call::{Caller, Key},
    connection::{connect, path, verified_contact},
    key_limits::limited,
    listening::{Server, within_patience},
    passed_on::{Scene, TOKEN, ask, call},
    secret,
    upstream::{Speaks, Upstream, answer},
};

const SECOND: &str = "kfb-second-token/1a2b3c4d5e6f";
const THIRD: &str = "kfb-third-token/0f1e2d3c4b5a69";

impl Scene {
    /// What the server is shown of a request with this contact's credential; otherwise the error.
    async fn shows(&self, caller: &Caller, contact: &str, secret: &str) -> String {
        let body = json!({"url": self.url("/")});
        let back = ask(caller, &path(contact, secret, "proxy"), &body).await;
        match back.status.as_u16() {
            200 => self.got().headers["authorization"].to_str().unwrap().to_owned(),
            status => format!("{status} {}", back.json()["error"].as_str().unwrap()),
        }
    }

    async fn shows_own(&self, caller: &Caller) -> String {
        self.shows(caller, &self.contact, &self.secret).await
    }

    fn hosts(&self) -> Value {
        json!([format!("127.0.0.1:{}", self.upstream.port())])
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A rival kept what to put in without the host that it was for.
#[tokio::test]
async fn what_was_sent_lately_is_nothing_for_another_contact_secret_account_or_host() {
    let scene = Scene::new().await;
    let (agent, backend) = (scene.app.agent(), scene.app.backend());
    secret::update(&backend, &scene.secret, json!({"alias": "model"})).await.ok();
    let config = json!({"hosts": scene.hosts()});
    let of_alias =
        json!({"kind": "personal", "type": "bearer", "config": config, "alias": "model"});
    let (ann, bob) = (scene.contact.as_str(), verified_contact(&backend).await);
    connect(&backend, &bob, &scene.secret, json!({"value": SECOND})).await.ok();
    let body = json!({"kind": "personal", "type": "bearer", "config": config});
    let other = secret::create(&backend, body).await;
    connect(&backend, ann, &other, json!({"value": THIRD})).await.ok();
    // Another account has the same names.
    let stranger = scene.app.other_account().await;
    let theirs = verified_contact(&stranger).await;
    let of_stranger = secret::create(&stranger, of_alias).await;
    connect(&stranger, &theirs, &of_stranger, json!({"value": THIRD})).await.ok();
    let (_, of_bob) = limited(&scene.app, "agent", json!({"contacts": [bob]})).await;
    let not_there = "404 not_found".to_owned();
    for _ in 0..3 {
        for (caller, contact, secret, expected) in [
            (&agent, ann, "@model", bearer(TOKEN)),
            (&agent, &*bob, "@model", bearer(SECOND)),
            (&agent, ann, &*scene.secret, bearer(TOKEN)),
            (&agent, &*bob, &*scene.secret, bearer(SECOND)),
            (&agent, ann, &*other, bearer(THIRD)),
            (&agent, &*bob, &*other, "409 authorization_required".into()),
            (&stranger, &*theirs, "@model", bearer(THIRD)),
            (&stranger, ann, "@model", not_there.clone()),
            (&agent, &*theirs, "@model", not_there.clone()),
            (&of_bob, &*bob, "@model", bearer(SECOND)),
            (&of_bob, ann, "@model", not_there.clone()),
        ] {
            assert_eq!(scene.shows(caller, contact, secret).await, expected);
        }
        let body = json!({"url": "http://127.0.0.1:1/"});
        let back = ask(&agent, &path(ann, "@model", "proxy"), &body).await;
        back.error(400, "invalid_destination");
    }
}

/// W13: to use what another account has defined is to be bound by its rules, with a value of one's own.
#[tokio::test]
async fn who_uses_anothers_secret_sends_a_value_of_its_own_where_that_may_go() {
    let scene = Scene::new().await;
    let (owner, own) = (scene.app.owner(), scene.app.agent());
    let change = |body: Value| secret::update(&scene.app.backend(), &scene.secret, body);
    change(json!({"visibility": "public"})).await.ok();
    let child = owner.post("/api/v1/account/create", json!({})).await.ok();
    let other = scene.app.anonymous().with_token(&Key::from_answer(&child["key"]));
    let theirs = verified_contact(&other).await;
    let before = scene.shows(&other, &theirs, &scene.secret).await;
    assert_eq!(before, "409 authorization_required");
    connect(&other, &theirs, &scene.secret, json!({"value": SECOND})).await.ok();
    // One who acts for that account has what it has, and says so to nobody else.
    let as_child = owner.with("x-runas-user-id", child["id"].as_str().unwrap());
    for caller in [&other, &as_child] {
        assert_eq!(scene.shows(caller, &theirs, &scene.secret).await, bearer(SECOND));
        let there = scene.shows(caller, &scene.contact, &scene.secret).await;
        assert_eq!(there, "404 not_found");
        let path = format!("/proxy/{theirs}/{}/{}", scene.secret, scene.url("/"));
        assert_eq!(call(caller, "GET", &path, &[], "").await.status, 200);
        assert_eq!(scene.got().headers["authorization"], bearer(SECOND));
        assert!(!scene.got().headers.contains_key("x-runas-user-id"));
    }
    assert_eq!(scene.shows_own(&own).await, bearer(TOKEN));
    // Whose it is takes away from the next request on, and gives nothing that the contact has not agreed to.
    secret::update(&other, &scene.secret, json!({"config": {"hosts": ["a.example"]}}))
        .await
        .error(404, "not_found");
    change(json!({"config": {"hosts": ["elsewhere.example"]}})).await.ok();
    let refused = scene.shows(&other, &theirs, &scene.secret).await;
    assert_eq!(refused, "400 invalid_destination");
    let wider = json!([scene.hosts()[0], "elsewhere.example"]);
    change(json!({"config": {"hosts": wider}})).await.ok();
    assert_eq!(scene.shows(&other, &theirs, &scene.secret).await, bearer(SECOND));
    let body = json!({"url": "https://elsewhere.example/"});
    let back = ask(&other, &path(&theirs, &scene.secret, "proxy"), &body).await;
    back.error(409, "authorization_required");
    change(json!({"config": {"hosts": scene.hosts()}, "visibility": "private"})).await.ok();
    assert_eq!(scene.shows(&other, &theirs, &scene.secret).await, "404 not_found");
    assert_eq!(scene.shows_own(&own).await, bearer(TOKEN));
}

/// A change on this node counts for the next request, and within a second on another one.
#[tokio::test]
async fn what_was_replaced_is_sent_no_more() {
    let mut scene = Scene::new().await;
    let (here, backend) = (scene.app.agent(), scene.app.backend());
    let there = scene.app.on_another_node(here.clone()).await;
    let update = |body: Value| secret::update(&backend, &scene.secret, body);
    let value =
        |token: &str| connect(&backend, &scene.contact, &scene.secret, json!({"value": token}));
    let contact = format!("/api/v1/contact/{}/update", scene.contact);
    let hosts = |hosts: Value| update(json!({"config": {"hosts": hosts}}));
    let nowhere = "400 invalid_destination";
    for (change, expected) in [
        (value(SECOND), bearer(SECOND)),
        (value(TOKEN), bearer(TOKEN)),
        (hosts(json!(["elsewhere.example"])), nowhere.into()),
        (hosts(scene.hosts()), bearer(TOKEN)),
        (update(json!({"config": {}})), nowhere.into()),
        (
            update(json!({"config": {"hosts": scene.hosts(), "schema": "Token"}})),
            format!("Token {TOKEN}"),
        ),
        (update(json!({"config": {"hosts": scene.hosts(), "methods": ["POST"]}})), nowhere.into()),
        (hosts(scene.hosts()), bearer(TOKEN)),
        (backend.post(&contact, json!({"verifiedAt": null})), "409 conflict".into()),
        (backend.post(&contact, json!({"verifiedAt": 1})), bearer(TOKEN)),
        (
            backend.post(path(&scene.contact, &scene.secret, "revoke"), json!({})),
            "409 authorization_required".into(),
        ),
        (value(SECOND), bearer(SECOND)),
        (backend.post(secret::path(&scene.secret, "delete"), json!({})), "404 not_found".into()),
    ] {
        change.await.ok();
        assert_eq!(scene.shows_own(&here).await, expected);
        scene.app.clock.advance_seconds(1);
        assert_eq!(scene.shows_own(&there).await, expected);
    }
}

/// A rival looked at its rules when a connection was made, and never again.
#[tokio::test]
async fn rules_are_looked_at_for_each_request_of_a_connection() {
    let scene = Scene::new().await;
    let (key, _) = limited(&scene.app, "agent", json!({})).await;
    let server = Server::start(&scene.app, 4);
    let io = TokioIo::new(server.connect().await);
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = || {
        let path = scene.path_to(&scene.url("/"));
        let request = Request::get(path).header("host", "keyfob");
        let request = request.header("authorization", bearer(&key.token));
        request.body(Empty::<Bytes>::new()).unwrap()
    };
    let backend = scene.app.backend();
    let hosts =
        |hosts: Value| secret::update(&backend, &scene.secret, json!({"config": {"hosts": hosts}}));
    let revoke = format!("/api/v1/key/{}/revoke", key.id);
    let limit = format!("/api/v1/key/{}/update", key.id);
    let owner = scene.app.owner();
    for (change, status) in [
        (hosts(scene.hosts()), 200),
        (hosts(json!(["elsewhere.example"])), 400),
        (hosts(scene.hosts()), 200),
        (owner.post(&limit, json!({"methods": ["POST"]})), 404),
        (owner.post(&limit, json!({"methods": null})), 200),
        (owner.post(&revoke, json!({})), 401),
    ] {
        change.await.ok();
        within_patience(sender.ready()).await.unwrap();
        let back = within_patience(sender.send_request(request())).await.unwrap();
        assert_eq!(back.status(), status);
        within_patience(back.into_body().collect()).await.unwrap();
    }
    assert_eq!(scene.upstream.requests().len(), 3);
    drop(sender);
    server.stop().await;
}

/// A rival's mounts let out of themselves.
#[tokio::test]
async fn no_path_leads_from_the_proxy_to_anything_of_keyfobs() {
    let upstream = Upstream::start(Speaks::Clear, |_| async { answer("hello") }).await;
    let scene = Scene::at(upstream, json!({"paths": ["/v1/"]})).await;
    let agent = scene.app.agent();
    let url = scene.url("/v1");
    for (to, status) in [
        (format!("{url}/../../api/v1/key/list"), 400),
        (format!("{url}/%2e%2e/%2e%2e/api/v1/key/list"), 400),
        (format!("{url}/..%2f..%2fapi%2fv1%2fkey%2flist"), 400),
        ("../../../api/v1/contact/list".to_owned(), 400),
        ("..%2f..%2f..%2fapi/v1/contact/list".to_owned(), 400),
        ("/api/v1/contact/list".to_owned(), 400),
        (String::new(), 404),
    ] {
        let back = call(&agent, "GET", &scene.path_to(&to), &[], "").await;
        assert_eq!(back.status, status, "{to}: {}", back.text());
        assert!(back.json()["items"].is_null(), "{to}: {}", back.text());
    }
    for path in ["/proxy//", "/proxy/", "/proxy", "/proxy/x/y", "/proxy/../healthz"] {
        call(&agent, "GET", path, &[], "").await.error(404, "not_found");
    }
    let back = call(&agent, "GET", "/proxy/../api/v1/contact/list", &[], "").await;
    back.error(400, "invalid_destination");
    assert!(scene.upstream.requests().is_empty());
    // Inside, dots are what they are everywhere.
    let back = call(&agent, "GET", &scene.path_to(&format!("{url}/a/../b")), &[], "").await;
    assert_eq!((back.status.as_u16(), scene.got().uri.path()), (200, "/v1/b"));
}
