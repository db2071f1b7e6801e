//! What a key is limited to of the one-time-password entries.

use serde_json::{Value, json};

use crate::{
    app::{SECRETS, Setup, TestApp, code_path, entry_path},
    call::Key,
    connection::verified_contact,
    contact,
    guard::CANARY,
    key_limits::{NO_CONTACT, NO_ENTRY, is_not_there, labels, limited, listed},
    secret,
};

#[tokio::test]
async fn a_label_in_a_limit_is_taken_to_the_letter_and_counts_in_the_keys_own_account_only() {
    let app = TestApp::new().await;
    let plain = app.entry_with(json!({"label": "GitHub"})).await;
    let blank = app.entry_with(json!({"label": " GitHub "})).await;
    let body = json!({"email": "child@example.com"});
    let child = app.owner().post("/api/v1/account/create", body).await.ok();
    let own = app.anonymous().with_token(&Key::from_answer(&child["key"]));
    let theirs = own.post(SECRETS, json!({"label": "GitHub", "secret": CANARY})).await.ok();
    let theirs = theirs["totp_secret"]["id"].as_str().unwrap();
    for (name, reached, hidden) in [("GitHub", &plain, &blank), (" GitHub ", &blank, &plain)] {
        let (_, caller) = limited(&app, "backend", json!({"totp": [name]})).await;
        caller.get(code_path(reached, "")).await.ok();
        caller.get(code_path(hidden, "")).await.error(404, "not_found");
        let as_child = caller.with("x-runas-user-id", child["id"].as_str().unwrap());
        as_child.get(code_path(theirs, "")).await.error(404, "not_found");
        assert_eq!(labels(&as_child).await, Vec::<String>::new());
    }
    let (_, caller) = limited(&app, "backend", json!({"totp": [theirs, "GitHub"]})).await;
    let as_child = caller.with("x-runas-user-id", child["id"].as_str().unwrap());
    as_child.get(code_path(theirs, "")).await.ok();
}

#[tokio::test]
async fn a_key_for_entries_names_them_by_id_or_by_label() {
    let app = TestApp::new().await;
    let [one, two, twin, other] = [
        app.entry_with(json!({"label": "one"})).await,
        app.entry_with(json!({"label": "two"})).await,
        app.entry_with(json!({"label": "two", "issuer": "another"})).await,
        app.entry_with(json!({"label": "Two"})).await,
    ];
    let sees = async |names: Value, expected: &[&String]| {
        let (_, caller) = limited(&app, "backend", json!({"totp": names})).await;
        assert_eq!(labels(&caller).await.len(), expected.len(), "{names}");
        for id in [&one, &two, &twin, &other] {
            let calls = |id: &str| {
                let rename = json!({"policy": {"unique": false}});
                [
                    caller.get(code_path(id, "")),
                    caller.get(entry_path(id)),
                    caller.patch(entry_path(id), rename),
                ]
            };
            if expected.contains(&id) {
                for call in calls(id) {
                    call.await.ok();
                }
                continue;
            }
            for (call, as_if) in calls(id).into_iter().zip(calls(NO_ENTRY)) {
                is_not_there(call, as_if).await;
            }
            is_not_there(caller.delete(entry_path(id)), caller.delete(entry_path(NO_ENTRY))).await;
        }
        caller.post(SECRETS, json!({"label": "two"})).await.error(403, "not_authorized");
        assert_eq!(listed(&caller, "/api/v1/secret/list").await, Vec::<String>::new());
    };
    secret::create(&app.backend(), json!({})).await;
    sees(json!([one]), &[&one]).await;
    sees(json!(["two"]), &[&two, &twin]).await;
    sees(json!([one, "Two"]), &[&one, &other]).await;
    sees(json!([NO_ENTRY]), &[]).await;
    // Both kinds of credentials are named.
    let secret = secret::create(&app.backend(), json!({"value": CANARY})).await;
    let both = json!({"totp": [one], "secrets": [secret]});
    let (_, caller) = limited(&app, "agent", both).await;
    assert_eq!(labels(&caller).await, ["one"]);
    assert_eq!(listed(&caller, "/api/v1/secret/list").await, [secret]);
}

#[tokio::test]
async fn a_contacts_entries_are_seen_by_its_keys_and_go_with_it() {
    let mut setup = Setup::default();
    setup.limits.totp_per_account = 4;
    let app = TestApp::with(setup).await;
    let backend = app.backend();
    let [mine, other] = [verified_contact(&backend).await, verified_contact(&backend).await];
    let of_mine = app.entry_with(json!({"label": "mine", "contact_id": mine})).await;
    let of_other = app.entry_with(json!({"label": "other's", "contact_id": other})).await;
    let of_nobody = app.entry_with(json!({"label": "nobody's"})).await;
    let (_, agent) = limited(&app, "agent", json!({"contacts": [mine]})).await;
    assert_eq!(labels(&agent).await, ["mine"]);
    agent.get(code_path(&of_mine, "")).await.ok();
    for hidden in [&of_other, &of_nobody] {
        is_not_there(agent.get(code_path(hidden, "")), agent.get(code_path(NO_ENTRY, ""))).await;
    }
    // A key of one contact stores entries of that one only, and gives none away to others.
    let (_, caller) = limited(&app, "backend", json!({"contacts": [mine]})).await;
    let body = |contact: Value| json!({"label": "x", "secret": CANARY, "contact_id": contact});
    for contact in [json!(other), json!(NO_CONTACT), json!("x"), Value::Null] {
        caller.post(SECRETS, body(contact)).await.error(400, "invalid_contact_id");
    }
    let second = caller.post(SECRETS, body(json!(mine))).await.ok();
    assert_eq!(second["totp_secret"]["contact_id"], json!(mine));
    let give = caller.patch(entry_path(&of_mine), json!({"contact_id": other}));
    give.await.error(400, "invalid_contact_id");
    let free = caller.patch(entry_path(&of_mine), json!({"contact_id": null}));
    free.await.error(400, "invalid_contact_id");
    agent.get(code_path(&of_mine, "")).await.ok();
    // Who may, moves an entry from one contact to another, or to nobody.
    backend.patch(entry_path(&of_nobody), json!({"contact_id": mine})).await.ok();
    agent.get(code_path(&of_nobody, "")).await.ok();
    let freed = backend.patch(entry_path(&of_nobody), json!({"contact_id": null})).await.ok();
    assert_eq!(freed["totp_secret"].get("contact_id"), None);
    agent.get(code_path(&of_nobody, "")).await.error(404, "not_found");
    // With the contact its entries are gone, each with an event, and the account has room again.
    backend.post(contact::path(&mine, "delete"), json!({})).await.ok();
    let mut left = labels(&backend).await;
    left.sort();
    assert_eq!(left, ["nobody's", "other's"]);
    backend.get(code_path(&of_mine, "")).await.error(404, "not_found");
    let events = app.events().await;
    let told = events.iter().filter(|it| it.action == "totp.delete");
    let told: Vec<_> = told.map(|it| (it.object.1.clone(), it.contact_id.clone())).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&(of_mine, Some(mine))), "{told:?}");
    for _ in 0..2 {
        backend.post(SECRETS, json!({"label": "x"})).await.ok();
    }
    backend.post(SECRETS, json!({"label": "x"})).await.error(409, "limit_reached");
}

#[tokio::test]
async fn an_entry_belongs_to_a_contact_of_its_own_account_or_to_none() {
    let app = TestApp::new().await;
    let theirs = verified_contact(&app.other_account().await).await;
    let entry = app.entry().await;
    for contact in [theirs.as_str(), NO_CONTACT, "x"] {
        let body = json!({"label": "x", "contact_id": contact});
        app.backend().post(SECRETS, body).await.error(400, "invalid_contact_id");
        let change = app.backend().patch(entry_path(&entry), json!({"contact_id": contact}));
        change.await.error(400, "invalid_contact_id");
    }
    let wrong = app.backend().post(SECRETS, json!({"label": "x", "contact_id": 7})).await;
    wrong.error(400, "invalid_contact_id");
    assert_eq!(labels(&app.backend()).await, ["GitHub"]);
}
