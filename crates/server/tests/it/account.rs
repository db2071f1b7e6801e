//! `POST /api/v1/account/create`.

use serde_json::json;

use crate::{
    app::{SECRETS, TestApp},
    call::Key,
    guard::CANARY,
};

const CREATE: &str = "/api/v1/account/create";

#[tokio::test]
async fn a_new_account_comes_with_an_owner_key() {
    let app = TestApp::new().await;
    let body = json!({"name": "Child Inc.", "email": "ann@example.com"});
    let answer = app.owner().post(CREATE, body).await.ok();
    assert!(answer["id"].as_str().unwrap().starts_with("acc_"));
    assert_eq!(answer["key"]["role"], "owner");
    let child = app.anonymous().with_pair(&Key::from_answer(&answer["key"]));
    let entry = json!({"label": "x", "secret": CANARY});
    child.post(SECRETS, entry).await.ok();
    let list = app.owner().get(SECRETS).await.ok();
    assert_eq!(list["totp_secrets"], json!([]));
}

#[tokio::test]
async fn name_and_email_may_be_left_out() {
    let app = TestApp::new().await;
    app.owner().post(CREATE, json!({})).await.ok();
}

#[tokio::test]
async fn wrong_fields_are_refused() {
    let app = TestApp::new().await;
    for (body, error) in [
        (json!({"name": "x".repeat(256)}), "invalid_name"),
        (json!({"name": "a\u{7}b"}), "invalid_name"),
        (json!({"email": ""}), "invalid_email"),
        (json!({"name": [CANARY]}), "bad_request"),
        (json!({"parent": "acc_x"}), "bad_request"),
        (json!([]), "bad_request"),
    ] {
        app.owner().post(CREATE, body).await.error(400, error);
    }
}

#[tokio::test]
async fn only_an_owner_may_make_an_account() {
    let app = TestApp::new().await;
    for caller in [app.backend(), app.agent()] {
        let refused = caller.post(CREATE, json!({})).await;
        refused.error(403, "not_authorized");
    }
}

#[tokio::test]
async fn a_child_account_may_have_children_of_its_own() {
    let app = TestApp::new().await;
    let child = app.other_account().await;
    child.post(CREATE, json!({})).await.ok();
}

#[tokio::test]
async fn a_childs_key_does_not_outlive_the_key_that_made_it() {
    let app = TestApp::new().await;
    let end = (app.clock.seconds() + 60) * 1000;
    let body = json!({"role": "owner", "expiresAt": end});
    let ends = Key::from_answer(&app.owner().post("/api/v1/key/create", body).await.ok());
    let ends = app.anonymous().with_token(&ends);
    let answer = ends.post(CREATE, json!({})).await.ok();
    let child = app.anonymous().with_token(&Key::from_answer(&answer["key"]));
    child.get(SECRETS).await.ok();
    app.clock.advance_seconds(60);
    child.get(SECRETS).await.error(401, "invalid_credentials");
}

#[tokio::test]
async fn a_child_account_works_after_a_restart() {
    let mut app = TestApp::new().await;
    let answer = app.owner().post(CREATE, json!({})).await.ok();
    let key = Key::from_answer(&answer["key"]);
    app.restart().await;
    let child = app.anonymous().with_token(&key);
    let entry = json!({"label": "x", "secret": CANARY});
    child.post(SECRETS, entry).await.ok();
}
