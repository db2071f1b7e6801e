//! `/api/v1/secret/{secret}`: verify, authenticate and revoke the one value of a shared secret.

use serde_json::{Value, json};

use crate::{
    app::TestApp,
    authentication::state,
    guard::CANARY,
    secret::{self, path},
};

#[tokio::test]
async fn a_shared_secret_is_verified_by_its_value() {
    let app = TestApp::new().await;
    let with = secret::create(&app.backend(), json!({"value": CANARY})).await;
    let verified = app.agent().post(path(&with, "verify"), json!({})).await.ok();
    assert_eq!(verified, json!({"id": with, "status": "authenticated"}));
    let without = secret::create(&app.backend(), json!({"alias": "billing"})).await;
    let verified = app.agent().post(path("@billing", "verify"), json!({})).await.ok();
    let url = verified["action"]["url"].clone();
    state(&url);
    let expected = json!({
        "id": without, "status": "unauthenticated", "reason": "it has no value",
        "action": {"type": "authenticate", "url": url},
    });
    assert_eq!(verified, expected);
    let basic = secret::create(&app.backend(), json!({"type": "basic", "value": "nobody"})).await;
    let verified = app.agent().post(path(&basic, "verify"), json!({})).await.ok();
    assert_eq!(verified["status"], "unauthenticated");
    assert_eq!(verified["action"], Value::Null);
    for value in ["ann:x", r#"{"username":"ann","password":"x"}"#, r#"{"user":"a","pass":"x"}"#] {
        secret::update(&app.backend(), &basic, json!({"value": value})).await.ok();
        let verified = app.agent().post(path(&basic, "verify"), json!({})).await.ok();
        assert_eq!(verified["status"], "authenticated", "{value}");
    }
}

/// A link, which an agent may ask for, must not replace what everybody uses.
#[tokio::test]
async fn a_link_gives_a_shared_secret_its_first_value_only() {
    let app = TestApp::new().await;
    let id = secret::create(&app.backend(), json!({})).await;
    let link = app.agent().post(path(&id, "authenticate"), json!({})).await.ok();
    assert_eq!(link, json!({"id": id, "url": link["url"]}));
    secret::update(&app.backend(), &id, json!({"value": CANARY})).await.ok();
    let link = app.agent().post(path(&id, "authenticate"), json!({})).await;
    link.error(409, "already_connected");
}

#[tokio::test]
async fn revoke_takes_the_value_away_and_may_be_repeated() {
    let app = TestApp::new().await;
    let id = secret::create(&app.backend(), json!({"value": CANARY, "config": {"x": 1}})).await;
    for _ in 0..2 {
        let revoked = app.backend().post(path(&id, "revoke"), json!({})).await.ok();
        assert_eq!(revoked, json!({"id": id}));
        let (secret, [value, config]) = app.open_secret(&id).await;
        assert_eq!((value, config.as_deref()), (None, Some("{\"x\":1}")));
        assert_eq!(secret.created_at, secret.updated_at);
    }
    let revoke = app.agent().post(path(&id, "revoke"), json!({}));
    revoke.await.error(403, "not_authorized");
}

#[tokio::test]
async fn a_personal_secret_has_nothing_to_verify_without_a_contact() {
    let app = TestApp::new().await;
    let id = secret::create(&app.backend(), json!({"kind": "personal"})).await;
    for (action, text) in [
        ("verify", "Cannot verify secret for this secret configuration"),
        ("authenticate", "Cannot authenticate secret for this secret configuration"),
        ("revoke", "Conflict"),
    ] {
        let answer = app.backend().post(path(&id, action), json!({})).await;
        assert_eq!(answer.error(409, "conflict")["message"], text);
    }
}
