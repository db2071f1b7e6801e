//! Secrets of type `reference`: what they stand for, and how they go wrong.

use serde_json::{Value, json};

use crate::{
    app::TestApp,
    call::Caller,
    connection::{connect, personal, verified_contact, verify},
    guard::CANARY,
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
    let circle = reference(&backend, "personal", "@circle").await;
    secret::update(&backend, &circle, json!({"alias": "circle"})).await.ok();
    let other = reference(&backend, "personal", &circle).await;
    let (one, two) = ("@one", "@two");
    let mut ring = Vec::new();
    for (alias, target) in [("one", two), ("two", one)] {
        let id = reference(&backend, "personal", target).await;
        secret::update(&backend, &id, json!({"alias": alias})).await.ok();
        ring.push(id);
    }
    let mut long = personal(&backend, "plain").await;
    for _ in 0..8 {
        long = reference(&backend, "personal", &long).await;
    }
    for id in [&nowhere, &circle, &other, &ring[0], &long] {
        for action in ["verify", "authenticate"] {
            let path = crate::connection::path(&contact, id, action);
            backend.post(path, json!({})).await.error(409, "reference_broken");
        }
    }
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
