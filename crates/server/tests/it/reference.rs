//! Secrets of type `reference`: what they stand for, and how they go wrong.

use keyfob_core::policy::Role;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    authentication::state,
    call::Caller,
    connect_page::{Browser, shows},
    connection::{connect, personal, verified_contact, verify},
    guard::CANARY,
    key_limits::{NO_SECRET, Stock, limited},
    passed_on::{Scene, ask},
    secret,
};

async fn reference(caller: &Caller, kind: &str, target: &str) -> String {
    let body = json!({"kind": kind, "type": "reference", "config": {"reference": target}});
    secret::create(caller, body).await
}

/// The value is the contact's own, kept under the reference; type and config are the target's.
#[tokio::test]
async fn a_personal_reference_is_connected_as_what_it_stands_for() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let target = personal(&backend, "basic").await;
    let first = reference(&backend, "personal", &target).await;
    let second = reference(&backend, "personal", &first).await;
    let body = json!({"username": "ann", "password": CANARY});
    connect(&backend, &contact, &second, json!({"value": CANARY})).await.error(400, "bad_request");
    connect(&backend, &contact, &second, body).await.ok();
    assert_eq!(verify(&backend, &contact, &second).await["status"], "authenticated");
    for other in [&first, &target] {
        assert_eq!(verify(&backend, &contact, other).await["status"], "unauthenticated");
    }
    let list = backend.get(format!("/api/v1/contact/{contact}/secret/list")).await.ok();
    assert_eq!(list["items"][0]["type"], "reference");
}

#[tokio::test]
async fn a_shared_reference_has_its_own_value_or_else_its_targets() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let target = secret::create(&backend, json!({"alias": "target"})).await;
    let id = reference(&backend, "shared", "@target").await;
    let verify = async || backend.post(secret::path(&id, "verify"), json!({})).await.ok();
    assert_eq!(verify().await["status"], "unauthenticated");
    secret::update(&backend, &target, json!({"value": CANARY})).await.ok();
    assert_eq!(verify().await["status"], "authenticated");
    secret::update(&backend, &target, json!({"type": "basic"})).await.ok();
    assert_eq!(verify().await["status"], "unauthenticated");
    secret::update(&backend, &id, json!({"value": "ann:x"})).await.ok();
    assert_eq!(verify().await["status"], "authenticated");
}

#[tokio::test]
async fn a_reference_that_leads_nowhere_or_in_a_circle_is_said_to() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let nowhere = reference(&backend, "personal", "@nobody").await;
    let (one, two) = ("@one", "@two");
    let mut ring = Vec::new();
    for (alias, target) in [("one", two), ("two", one)] {
        let id = reference(&backend, "personal", target).await;
        secret::update(&backend, &id, json!({"alias": alias})).await.ok();
        ring.push(id);
    }
    let other = reference(&backend, "personal", &ring[0]).await;
    let mut long = personal(&backend, "plain").await;
    for _ in 0..8 {
        long = reference(&backend, "personal", &long).await;
    }
    for id in [&nowhere, &other, &ring[0], &long] {
        for action in ["verify", "authenticate"] {
            let path = crate::connection::path(&contact, id, action);
            backend.post(path, json!({})).await.error(409, "reference_broken");
        }
    }
}

/// At the next change of a name it would stand for another one.
#[tokio::test]
async fn a_secret_that_refers_to_itself_is_refused_and_is_of_no_use_where_it_comes_to_that() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let body = json!({"type": "reference", "name": "Loop", "config": {"reference": "(Loop)"}});
    backend.post("/api/v1/secret/create", body).await.error(400, "bad_request");
    let id = secret::create(&backend, json!({"name": "Own", "alias": "own"})).await;
    for to in [id.as_str(), "(Own)", "@own"] {
        let body = json!({"type": "reference", "config": {"reference": to}});
        secret::update(&backend, &id, body).await.error(400, "bad_request");
        assert_eq!(secret::fetch(&backend, &id).await["type"], "plain");
    }
    // Nor by becoming what it refers to, though it referred to nothing so far.
    let later = reference(&backend, "shared", "@later").await;
    secret::update(&backend, &later, json!({"alias": "later"})).await.error(400, "bad_request");
    // The first of a name counts, until it is gone.
    let first = secret::create(&backend, json!({"name": "Prod", "value": CANARY})).await;
    app.clock.advance_seconds(1);
    let body = json!({"type": "reference", "name": "Prod", "config": {"reference": "(Prod)"}});
    let second = secret::create(&backend, body).await;
    let verify = async || backend.post(secret::path(&second, "verify"), json!({})).await;
    assert_eq!(verify().await.ok()["status"], "authenticated");
    backend.post(secret::path(&first, "delete"), json!({})).await.ok();
    verify().await.error(409, "reference_broken");
}

#[tokio::test]
async fn events_tell_which_secret_a_reference_stood_for() {
    let scene = Scene::new().await;
    let (app, backend) = (&scene.app, scene.app.backend());
    let config = json!({"algorithm": "HS256", "hosts": ["127.0.0.1"]});
    let jwt = json!({"type": "jwt", "value": CANARY, "config": config});
    let jwt = secret::create(&backend, jwt).await;
    let first = reference(&backend, "shared", &jwt).await;
    let second = reference(&backend, "shared", &first).await;
    for id in [&jwt, &second] {
        backend.post(secret::path(id, "mint"), json!({})).await.ok();
    }
    let minted = app.events().await.into_iter().filter(|event| event.action == "secret.mint");
    let mut minted: Vec<_> = minted.map(|event| (event.reason, event.object.1)).collect();
    // Two writers of one moment have no order.
    minted.sort();
    let told = format!("stands for {jwt}");
    assert_eq!(minted, [(None, jwt.clone()), (Some(told), second)]);
    // A link that comes of looking whether it can be used, and what is done there.
    let target = personal(&backend, "plain").await;
    let to_target = reference(&backend, "personal", &target).await;
    let link = verify(&app.agent(), &scene.contact, &to_target).await["action"]["url"].clone();
    let link = format!("/connect/{}", state(&link));
    shows(&Browser::new(app).submit(&link, &[("value", CANARY)]).await, 200, &["is connected"]);
    let events = app.events().await.into_iter().filter(|event| event.object.1 == to_target);
    let mut events: Vec<_> = events.map(|event| (event.action, event.reason)).collect();
    events.sort();
    let (told, key) = (format!("stands for {target}"), &app.key_of(Role::Agent).id);
    let [authenticated, connected, created] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&*created.0, &created.1), ("secret.create", &None));
    assert_eq!(
        (&*authenticated.0, &authenticated.1),
        ("connection.authenticate", &Some(told.clone()))
    );
    let told = format!("link asked for by {key}; {told}");
    assert_eq!((&*connected.0, &connected.1), ("connection.connect", &Some(told)));
    let hosts = json!([format!("127.0.0.1:{}", scene.upstream.port())]);
    let bearer = json!({"type": "bearer", "value": CANARY, "config": {"hosts": hosts}});
    let bearer = secret::create(&backend, bearer).await;
    let to_bearer = reference(&backend, "shared", &bearer).await;
    let body = json!({"url": scene.url("/v1")});
    for id in [&bearer, &to_bearer] {
        assert_eq!(ask(&app.agent(), &secret::path(id, "proxy"), &body).await.status, 200);
    }
    let told = scene.events().await.into_iter().filter(|(result, _)| result == "sending");
    let mut told: Vec<_> = told.map(|(_, reason)| reason).collect();
    told.sort();
    let plain = format!("GET {}", scene.url("/v1"));
    assert_eq!(told, [plain.clone(), format!("{plain}; stands for {bearer}")]);
}

/// A reference is resolved as its own account, which has to be let in by what it stands for.
#[tokio::test]
async fn a_reference_to_another_accounts_secret_needs_that_ones_leave() {
    let app = TestApp::new().await;
    let child = app.other_account().await;
    let contact = verified_contact(&child).await;
    for (kind, visibility, is_let_in) in [
        ("personal", "private", false),
        ("personal", "protected", true),
        ("personal", "public", true),
        ("shared", "public", false),
    ] {
        let target = json!({"kind": kind, "type": "bearer", "visibility": visibility});
        let target = secret::create(&app.backend(), target).await;
        let id = reference(&child, "personal", &target).await;
        let connected = connect(&child, &contact, &id, json!({"value": CANARY})).await;
        if is_let_in {
            connected.ok();
        } else {
            connected.error(409, "reference_broken");
        }
    }
}

/// W3: who may only use a secret does not say where it goes.
#[tokio::test]
async fn a_reference_overrides_no_key_that_is_not_its_own_to_choose() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let target = json!({
        "kind": "personal", "type": "jwt", "config": {"algorithm": "HS256"},
    });
    let target = secret::create(&backend, target).await;
    let config = json!({
        "reference": target, "algorithm": "ES256", "parameters": {"algorithm": "ES256"},
    });
    let body = json!({"kind": "personal", "type": "reference", "config": config});
    let id = secret::create(&backend, body).await;
    connect(&backend, &contact, &id, json!({"value": CANARY})).await.ok();
    assert_eq!(verify(&backend, &contact, &id).await["reason"], Value::Null);
}

/// Otherwise a key for one secret would use any other.
#[tokio::test]
async fn a_key_of_some_secrets_makes_none_of_them_stand_for_another() {
    let Stock { app, secrets: [mine, other], .. } = Stock::new().await;
    let backend = app.backend();
    let second = secret::create(&backend, json!({"alias": "second", "value": CANARY})).await;
    let of = secret::create(&backend, json!({"name": "mine"})).await;
    let (_, caller) = limited(&app, "backend", json!({"secrets": [of, mine, second]})).await;
    let refer = |to: &str| {
        secret::update(&caller, &of, json!({"type": "reference", "config": {"reference": to}}))
    };
    // By its id only: what a name means, or an alias, may be another one at the next use.
    for to in [other.as_str(), "@nobody-yet", "@second", "(mine)", NO_SECRET] {
        refer(to).await.error(400, "bad_request");
        assert_eq!(secret::fetch(&backend, &of).await["type"], "plain");
    }
    refer(&second).await.ok();
    // One that whoever limited the key has made stands for what it stands for.
    let body = json!({"type": "reference", "config": {"reference": "@second"}});
    let reference = secret::create(&backend, body).await;
    let (_, agent) = limited(&app, "agent", json!({"secrets": [reference]})).await;
    let verified = agent.post(secret::path(&reference, "verify"), json!({})).await.ok();
    assert_eq!(verified["status"], "authenticated");
    agent.post(secret::path(&second, "verify"), json!({})).await.error(404, "not_found");
}

/// Such a key once had its secret stand for itself by a name, and gave the name back to whom it belonged.
#[tokio::test]
async fn a_key_of_one_secret_gets_no_other_by_a_name_that_it_gives_and_takes_away() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let jwt =
        json!({"name": "Prod", "type": "jwt", "value": CANARY, "config": {"algorithm": "HS256"}});
    let low = secret::create(&backend, json!({"name": "low", "value": CANARY})).await;
    app.clock.advance_seconds(1);
    secret::create(&backend, jwt).await;
    for name in ["(Prod)", "@prod"] {
        let (_, caller) = limited(&app, "backend", json!({"secrets": [low]})).await;
        secret::update(&caller, &low, json!({"name": "Prod", "alias": "prod"})).await.ok();
        let own = json!({"type": "reference", "value": null, "config": {"reference": name}});
        secret::update(&caller, &low, own).await.error(400, "bad_request");
        secret::update(&caller, &low, json!({"name": "low", "alias": null})).await.ok();
        caller.post(secret::path(&low, "mint"), json!({})).await.error(409, "not_mintable");
    }
    // What a reference says already may stay when something else of it changes.
    let body = json!({"type": "reference", "name": "by name", "config": {"reference": "(Prod)"}});
    let by_name = secret::create(&backend, body).await;
    let (_, caller) = limited(&app, "backend", json!({"secrets": [by_name]})).await;
    let config = json!({"config": {"reference": "(Prod)", "hosts": ["api.example.com"]}});
    secret::update(&caller, &by_name, config).await.ok();
}
