//! Acting as a child account.

use std::collections::HashSet;

use serde_json::json;

use crate::{
    app::{SECRETS, TestApp},
    call::{Caller, Key},
    guard::CANARY,
};

const ACCOUNT: &str = "/api/v1/account/create";

/// A child account of the owner's: its id, and its own owner.
async fn child(app: &TestApp, email: &str) -> (String, Caller) {
    let answer = app.owner().post(ACCOUNT, json!({"email": email})).await.ok();
    let caller = app.anonymous().with_token(&Key::from_answer(&answer["key"]));
    (answer["id"].as_str().unwrap().to_owned(), caller)
}

#[tokio::test]
async fn what_is_done_as_a_child_is_done_in_its_account() {
    let app = TestApp::new().await;
    let (id, own) = child(&app, "ann@example.com").await;
    for (header, value) in [
        ("X-RunAs-User-Id", id.as_str()),
        ("x-runas-userid", id.as_str()),
        ("x-runas-child-user-email", "ann@example.com"),
    ] {
        for caller in [app.owner(), app.backend()] {
            let body = json!({"label": header, "secret": CANARY});
            let entry = caller.post(SECRETS, body).header(header, value).await.ok();
            let entry = format!("{SECRETS}/{}", entry["totp_secret"]["id"].as_str().unwrap());
            own.get(&entry).await.ok();
            app.owner().get(&entry).await.error(404, "not_found");
            caller.get(&entry).header(header, value).await.ok();
        }
    }
    let account = keyfob_core::id::AccountId::parse(&id).unwrap();
    let events = app.events_of(account).await;
    let made = events.iter().filter(|event| event.action == "totp.create");
    let actors: HashSet<_> = made.map(|event| event.actor.1.clone()).collect();
    assert_eq!(actors.len(), 2, "the events name the keys that did it");
}

#[tokio::test]
async fn the_id_counts_before_the_email_address() {
    let app = TestApp::new().await;
    let (ann, own) = child(&app, "ann@example.com").await;
    child(&app, "bob@example.com").await;
    let caller = app.owner().with("x-runas-child-user-email", "bob@example.com");
    let caller = caller.with("x-runas-user-id", &ann);
    caller.post(SECRETS, json!({"label": "x"})).await.ok();
    assert_eq!(own.get(SECRETS).await.ok()["totp_secrets"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn whoever_is_not_a_direct_child_is_nobody() {
    let app = TestApp::new().await;
    let (id, own) = child(&app, "ann@example.com").await;
    let grandchild = own.post(ACCOUNT, json!({"email": "kid@example.com"})).await.ok();
    let stranger = app.other_account().await;
    for (caller, header, value) in [
        (app.owner(), "x-runas-user-id", grandchild["id"].as_str().unwrap()),
        (app.owner(), "x-runas-child-user-email", "kid@example.com"),
        (app.owner(), "x-runas-user-id", "acc_00000000000000000000000000"),
        (app.owner(), "x-runas-user-id", "nonsense"),
        (app.owner(), "x-runas-user-id", ""),
        (app.owner(), "x-runas-child-user-email", ""),
        (own.clone(), "x-runas-user-id", id.as_str()),
        (stranger, "x-runas-user-id", id.as_str()),
    ] {
        let caller = caller.with(header, value);
        caller.get(SECRETS).await.error(401, "invalid_credentials");
        caller.get("/api/v1/key/list").await.error(401, "not_authenticated");
    }
}

#[tokio::test]
async fn an_agents_key_is_for_its_own_account_only() {
    let app = TestApp::new().await;
    let (id, _) = child(&app, "ann@example.com").await;
    let call = app.agent().get(SECRETS).header("x-runas-user-id", &id);
    call.await.error(403, "not_authorized");
}

#[tokio::test]
async fn two_children_do_not_have_one_email_address() {
    let app = TestApp::new().await;
    child(&app, "ann@example.com").await;
    let again = app.owner().post(ACCOUNT, json!({"email": "ann@example.com"})).await;
    again.error(409, "conflict");
    // Another account's children are its own business.
    let body = json!({"email": "ann@example.com"});
    app.other_account().await.post(ACCOUNT, body).await.ok();
}
