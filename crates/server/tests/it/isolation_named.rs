//! Ids of others that are not in a path: a filter or a limit that names them tells nothing of them either.

use keyfob_core::policy::Role;
use serde_json::json;

use crate::{
    app::{SECRETS, TestApp, code_path},
    call::{Caller, Key},
    connection, contact,
    guard::CANARY,
    isolation::{all_are_alike, answers},
    secret,
};

/// What a filter names is looked for among one's own.
#[tokio::test]
async fn events_of_what_is_anothers_are_not_there_whatever_they_are_asked_by() {
    let app = TestApp::new().await;
    let (agent, backend) = (app.agent(), app.backend());
    let contact = connection::verified_contact(&backend).await;
    let secret = connection::personal(&backend, "plain").await;
    connection::connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
    let entry = app.entry().await;
    agent.get(code_path(&entry, "")).await.ok();
    let key = app.key_of(Role::Agent).id.clone();
    let other = app.other_account().await;
    let list = |query: &str| format!("/api/v1/event/list?{query}");
    for (filter, theirs, unknown) in [
        ("contact=", &contact, "con_00000000000000000000000000"),
        ("object=", &contact, "con_00000000000000000000000000"),
        ("object=", &secret, "sec_00000000000000000000000000"),
        ("object=secret:", &secret, "sec_00000000000000000000000000"),
        ("object=totp:", &entry, "00000000-0000-4000-8000-000000000000"),
        ("actor=", &key, "key_00000000000000000000000000"),
        ("action=totp&actor=", &key, "key_00000000000000000000000000"),
    ] {
        let calls = |_: &Caller, id: &str| {
            let query = format!("{filter}{id}");
            let lines = other.get(list(&query)).header("accept", "application/jsonl");
            vec![other.get(list(&query)), other.get(list(&format!("order=asc&{query}"))), lines]
        };
        all_are_alike(200, &other, [theirs.as_str(), unknown], calls).await;
        let own = backend.get(list(&format!("{filter}{theirs}"))).await.ok();
        assert_ne!(own["items"], json!([]), "{filter}");
    }
}

/// Nor does what a key is to be limited to tell what there is.
#[tokio::test]
async fn a_limit_to_what_is_anothers_is_one_to_what_is_not_there() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = connection::verified_contact(&backend).await;
    let secret = secret::create(&backend, json!({"value": CANARY})).await;
    let entry = app.entry().await;
    let other = app.other_account().await;
    let own = connection::verified_contact(&other).await;
    let key = other.post("/api/v1/key/create", json!({"role": "backend"})).await.ok();
    let key = Key::from_answer(&key);
    let limited = app.anonymous().with_token(&key);
    let update = format!("/api/v1/key/{}/update", key.id);
    for (limit, theirs, unknown) in [
        ("contacts", &contact, "con_00000000000000000000000000"),
        ("secrets", &secret, "sec_00000000000000000000000000"),
        ("totp", &entry, "00000000-0000-4000-8000-000000000000"),
    ] {
        let seen = |caller: &Caller, id: &str| {
            vec![
                caller.post(&update, json!({limit: [id]})),
                limited.get("/api/v1/contact/list"),
                limited.get("/api/v1/secret/list"),
                limited.get(SECRETS),
                limited.get(contact::path(&contact, "fetch")),
                limited.get(secret::path(&secret, "fetch")),
                limited.get(code_path(&entry, "")),
                caller.post(&update, json!({limit: null})),
            ]
        };
        let [theirs, unknown] = [answers(seen(&other, theirs)), answers(seen(&other, unknown))];
        assert_eq!(theirs.await, unknown.await, "{limit}");
    }
    limited.get(contact::path(&own, "fetch")).await.ok();
}
