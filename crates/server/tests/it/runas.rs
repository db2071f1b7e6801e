//! Acting as another account, which is refused rather than ignored: a secret that is meant for a
//! child must not be stored in its parent.

use serde_json::json;

use crate::{
    app::{SECRETS, TestApp, code_path, entry_path},
    call::{Call, Caller},
    guard::CANARY,
};

const HEADERS: [&str; 3] = ["X-RunAs-User-Id", "x-runas-userid", "x-runas-child-user-email"];

/// A call of every route that needs a caller.
fn calls(caller: &Caller, entry: &str, key: &str) -> Vec<Call> {
    let path = |action| format!("/api/v1/key/{key}/{action}");
    vec![
        caller.post(SECRETS, json!({"label": "the child's", "secret": CANARY})),
        caller.get(SECRETS),
        caller.get(code_path(entry, "?unique=true")),
        caller.get(entry_path(entry)),
        caller.patch(entry_path(entry), json!({"label": "the child's"})),
        caller.delete(entry_path(entry)),
        caller.post("/api/v1/account/create", json!({})),
        caller.post("/api/v1/key/create", json!({"role": "agent"})),
        caller.get("/api/v1/key/list"),
        caller.post("/api/v1/key/list", json!({})),
        caller.get(path("fetch")),
        caller.post(path("update"), json!({"name": "the child's"})),
        caller.post(path("revoke"), json!({})),
    ]
}

#[tokio::test]
async fn a_request_that_wants_to_act_as_another_account_is_refused_and_does_nothing() {
    let app = TestApp::new().await;
    let entry = app.entry().await;
    let (key, agent) = app.new_caller("agent").await;
    let child = app.owner().post("/api/v1/account/create", json!({})).await.ok();
    let child = child["id"].as_str().unwrap();
    let before = app.events().await.len();
    for header in HEADERS {
        for target in [child, "child@example.com", ""] {
            let caller = app.owner().with(header, target);
            for call in calls(&caller, &entry, &key.id) {
                let body = call.await.error(400, "runas_not_supported");
                let message = body["message"].as_str().unwrap();
                let header = header.to_lowercase();
                assert!(message.contains(&header) && message.contains("key"), "{message}");
            }
        }
    }
    assert_eq!(app.events().await.len(), before, "something was done");
    let stored = agent.get(SECRETS).await.ok();
    let stored = stored["totp_secrets"].as_array().unwrap();
    let labels: Vec<_> = stored.iter().map(|entry| &entry["label"]).collect();
    assert_eq!(labels, ["GitHub"]);
}

#[tokio::test]
async fn a_header_that_only_looks_like_it_is_ignored() {
    let app = TestApp::new().await;
    let caller = app.backend().with("x-runas", "a").with("x-timezone", "UTC");
    caller.get(SECRETS).await.ok();
}
