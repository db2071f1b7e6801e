//! How limits are given to keys: by whom, which are wrong, and from when on they count.

use serde_json::{Value, json};

use crate::{
    app::{SECRETS, TestApp, code_path},
    call::{Caller, Key},
    connection::verified_contact,
    contact,
    guard::CANARY,
    key_limits::{
        CREATE, LIST, NO_CONTACT, NO_ENTRY, NO_SECRET, is_not_there, limited, listed, path,
    },
    secret,
};

#[tokio::test]
async fn a_key_makes_and_changes_keys_to_the_same_or_narrower_limits_only() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let [one, two] = [verified_contact(&backend).await, verified_contact(&backend).await];
    let own = json!({"contacts": [one], "hosts": ["*.example.com"], "methods": ["GET", "POST"], "paths": ["/v1/"]});
    let (key, owner) = limited(&app, "owner", own.clone()).await;
    let with = |changes: Value| {
        let mut body = own.clone();
        body["role"] = "agent".into();
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body
    };
    for narrower in [
        json!({}),
        json!({"hosts": ["a.b.example.com", "*.c.example.com"]}),
        json!({"methods": ["GET"], "rate": 1, "quota": 1}),
        json!({"paths": ["/v1/chat", "/v1/models/"]}),
        json!({"actions": ["totp.code"], "secrets": [NO_SECRET]}),
    ] {
        owner.post(CREATE, with(narrower)).await.ok();
    }
    let made = Key::from_answer(&owner.post(CREATE, with(json!({}))).await.ok());
    let update = |id: &str, change: Value| owner.post(path(id, "update"), change);
    for wider in [
        json!({"contacts": null}),
        json!({"contacts": [one, two]}),
        json!({"contacts": [two]}),
        json!({"hosts": null}),
        json!({"hosts": ["example.com"]}),
        json!({"hosts": ["*.example.com", "*.other.test"]}),
        json!({"methods": ["GET", "DELETE"]}),
        json!({"paths": null}),
        json!({"paths": ["/v1"]}),
        json!({"paths": ["/v1/", "/v2/"]}),
    ] {
        owner.post(CREATE, with(wider.clone())).await.error(403, "limits_too_wide");
        update(&made.id, wider.clone()).await.error(403, "limits_too_wide");
        // Nor does it widen itself.
        update(&key.id, wider).await.error(403, "limits_too_wide");
    }
    update(&made.id, json!({"rate": 5, "name": "slow"})).await.ok();
    let shown = app.owner().get(path(&made.id, "fetch")).await.ok();
    assert_eq!(
        (&shown["rate"], &shown["quota"], &shown["name"]),
        (&json!(5), &Value::Null, &json!("slow"))
    );
    // Keys that reach further are not there for it.
    let wide = app.key_of(keyfob_core::policy::Role::Agent);
    for act in ["update", "revoke"] {
        let call = |id: &str| owner.post(path(id, act), json!({"name": "x"}));
        is_not_there(call(&wide.id), call("key_00000000000000000000000000")).await;
    }
    owner.get(path(&wide.id, "fetch")).await.error(404, "not_found");
    let seen = listed(&owner, LIST).await;
    assert!(seen.contains(&key.id) && seen.contains(&made.id) && !seen.contains(&wide.id));
    app.agent().get(SECRETS).await.ok();
    // An account of its own would be beyond every limit.
    owner.post("/api/v1/account/create", json!({})).await.error(403, "not_authorized");
}

#[tokio::test]
async fn a_change_of_limits_counts_for_the_next_request_and_within_a_second_elsewhere() {
    let mut app = TestApp::new().await;
    let [one, two] =
        [app.entry_with(json!({"label": "1"})).await, app.entry_with(json!({"label": "2"})).await];
    let (key, caller) = limited(&app, "agent", json!({"totp": [one]})).await;
    let there = app.on_another_node(caller.clone()).await;
    let codes = async |caller: &Caller| {
        let code = async |id: &str| caller.get(code_path(id, "")).await.status;
        [code(&one).await, code(&two).await]
    };
    assert_eq!((codes(&caller).await, codes(&there).await), ([200, 404], [200, 404]));
    let update = |change: Value| app.owner().post(path(&key.id, "update"), change);
    for (change, expected) in [
        (json!({"totp": [two]}), [404, 200]),
        (json!({"totp": [one, two]}), [200, 200]),
        (json!({"totp": null}), [200, 200]),
        (json!({"actions": ["totp.list"]}), [403, 403]),
        (json!({"actions": null, "totp": ["1"]}), [200, 404]),
    ] {
        update(change).await.ok();
        assert_eq!(codes(&caller).await, expected);
        app.clock.advance_seconds(1);
        assert_eq!(codes(&there).await, expected);
    }
    let end = (app.clock.seconds() + 10) * 1000;
    update(json!({"expiresAt": end})).await.ok();
    app.clock.advance_seconds(10);
    caller.get(SECRETS).await.error(401, "invalid_credentials");
    update(json!({"expiresAt": null})).await.ok();
    caller.get(SECRETS).await.ok();
    app.owner().post(path(&key.id, "revoke"), json!({})).await.ok();
    caller.get(SECRETS).await.error(401, "invalid_credentials");
}

#[tokio::test]
async fn who_acts_as_a_child_stays_within_the_limits_of_the_key() {
    let app = TestApp::new().await;
    let child = app.owner().post("/api/v1/account/create", json!({})).await.ok();
    let id = child["id"].as_str().unwrap();
    let own = app.anonymous().with_token(&Key::from_answer(&child["key"]));
    let contact = verified_contact(&own).await;
    let entry = own.post(SECRETS, json!({"label": "theirs", "secret": CANARY})).await.ok();
    let entry = entry["totp_secret"]["id"].as_str().unwrap().to_owned();
    let (_, caller) = limited(&app, "backend", json!({"contacts": [NO_CONTACT]})).await;
    let caller = caller.with("x-runas-user-id", id);
    assert_eq!(listed(&caller, contact::LIST).await, Vec::<String>::new());
    caller.get(contact::path(&contact, "fetch")).await.error(404, "not_found");
    caller.get(code_path(&entry, "")).await.error(404, "not_found");
    let (_, caller) = limited(&app, "backend", json!({"totp": [entry]})).await;
    let caller = caller.with("x-runas-user-id", id);
    caller.get(code_path(&entry, "")).await.ok();
    // A child's first key has the limits of the key that made it.
    let (_, owner) = limited(&app, "owner", json!({"actions": ["account", "totp"]})).await;
    let made = owner.post("/api/v1/account/create", json!({})).await.ok();
    let own = app.anonymous().with_token(&Key::from_answer(&made["key"]));
    own.get(SECRETS).await.ok();
    own.get(LIST).await.error(403, "not_authorized");
}

#[tokio::test]
async fn limits_are_shown_as_they_hold_and_wrong_ones_are_refused_one_by_one() {
    let app = TestApp::new().await;
    let contact = verified_contact(&app.backend()).await;
    let secret = secret::create(&app.backend(), json!({})).await;
    let limits = json!({
        "contacts": [contact, contact], "secrets": [secret], "totp": ["GitHub – ops", NO_ENTRY],
        "actions": ["connection.proxy", "verify"], "hosts": ["API.example.com:443", "*.example.com:8443"],
        "methods": ["get", "POST"], "paths": ["/v1/", "/é", "/v1/"], "rate": 60, "quota": 1000,
    });
    let (key, _) = limited(&app, "agent", limits).await;
    let shown = json!({
        "contacts": [contact], "secrets": [secret], "totp": ["GitHub – ops", NO_ENTRY],
        "actions": ["secret.verify", "connection.verify", "connection.proxy"],
        "hosts": ["api.example.com", "*.example.com:8443"], "methods": ["GET", "POST"],
        "paths": ["/v1/", "/%C3%A9"], "rate": 60, "quota": 1000,
    });
    let fetched = app.owner().get(path(&key.id, "fetch")).await.ok();
    let list = app.owner().get(LIST).await.ok();
    let listed = list["items"].as_array().unwrap().iter().find(|it| it["id"] == json!(key.id));
    let listed = listed.unwrap();
    for (name, value) in shown.as_object().unwrap() {
        assert_eq!(&fetched[name], value, "{name}");
        assert_eq!(&listed[name], value, "{name}");
    }
    for (wrong, error, words) in [
        (json!({"contacts": []}), "invalid_contacts", "must not be empty"),
        (
            json!({"contacts": ["x"]}),
            "invalid_contacts",
            "\"contacts[0]\" is not the id of a contact",
        ),
        (json!({"contacts": [contact, secret]}), "invalid_contacts", "\"contacts[1]\""),
        (json!({"contacts": contact}), "bad_request", "\"contacts\" must be a list of strings"),
        (json!({"contacts": vec![contact.as_str(); 101]}), "invalid_contacts", "at most 100"),
        (
            json!({"secrets": ["@alias"]}),
            "invalid_secrets",
            "\"secrets[0]\" is not the id of a secret",
        ),
        (json!({"totp": [""]}), "invalid_totp", "\"totp[0]\""),
        (json!({"actions": ["totp.cod"]}), "invalid_actions", "did you mean totp.code"),
        (
            json!({"actions": ["totp", "key"]}),
            "invalid_actions",
            "\"actions[1]\" names what a key with the role agent may never do",
        ),
        (json!({"actions": ["mint"], "hosts": ["a.test"]}), "invalid_actions", "hands a token out"),
        (
            json!({"hosts": ["https://a.test"]}),
            "invalid_hosts",
            "\"hosts[0]\" must be the name of a host",
        ),
        (json!({"hosts": ["*"]}), "invalid_hosts", "\"hosts[0]\""),
        (json!({"methods": ["CONNECT"]}), "invalid_methods", "must be one of [GET, POST"),
        (json!({"paths": ["v1"]}), "invalid_paths", "\"paths[0]\" must be the beginning of a path"),
        (json!({"paths": ["/v1/", "/v1/../"]}), "invalid_paths", "\"paths[1]\""),
        (json!({"paths": []}), "invalid_paths", "must not be empty"),
        (json!({"actions": ["mint"], "paths": ["/"]}), "invalid_actions", "hands a token out"),
        (json!({"rate": 0}), "invalid_rate", "from 1 to"),
        (json!({"rate": -1}), "bad_request", "\"rate\" must be a whole number"),
        (json!({"quota": 1.5}), "bad_request", "\"quota\" must be a whole number"),
        (json!({"speed": 1}), "bad_request", "\"speed\" is not allowed"),
    ] {
        let mut body = wrong.clone();
        body["role"] = "agent".into();
        let message = app.owner().post(CREATE, body).await.error(400, error)["message"].clone();
        assert!(message.as_str().unwrap().contains(words), "{wrong}: {message}");
        let refused = app.owner().post(path(&key.id, "update"), wrong).await;
        refused.error(400, error);
    }
    assert_eq!(app.owner().get(path(&key.id, "fetch")).await.ok(), fetched);
}

#[tokio::test]
async fn a_key_whose_limits_are_damaged_is_no_key_without_limits() {
    let app = TestApp::new().await;
    app.entry().await;
    for damage in ["{}x", r#"{"contacts":["con_x"]}"#, r#"{"of_a_newer_version":1}"#] {
        let (key, caller) = limited(&app, "agent", json!({"totp": [NO_ENTRY]})).await;
        app.database()
            .execute(&format!("UPDATE key SET limits = '{damage}' WHERE id = '{}'", key.id));
        caller.get(SECRETS).await.error(401, "invalid_credentials");
        caller.get(LIST).await.error(401, "not_authenticated");
        // Whoever may see every key sees it for what it is, and can end it, but not make a good one of it.
        let owner = app.owner();
        let list = owner.get(LIST).await.ok();
        let shown = list["items"].as_array().unwrap().iter().find(|it| it["id"] == json!(key.id));
        assert_eq!(shown.unwrap()["unreadable"], json!(true), "{list}");
        let update = owner.post(path(&key.id, "update"), json!({"totp": null}));
        update.await.error(409, "unreadable_key");
        let (_, other) = limited(&app, "owner", json!({"methods": ["GET"]})).await;
        for act in ["update", "revoke"] {
            other.post(path(&key.id, act), json!({})).await.error(404, "not_found");
        }
        owner.post(path(&key.id, "revoke"), json!({})).await.ok();
        let shown = owner.get(path(&key.id, "fetch")).await.ok();
        assert!(shown["revokedAt"].is_i64(), "{shown}");
    }
    let list = app.owner().get(LIST).await.ok();
    let is_readable = |item: &&Value| item.get("unreadable").is_none();
    assert_eq!(list["items"].as_array().unwrap().iter().filter(is_readable).count(), 6);
}
