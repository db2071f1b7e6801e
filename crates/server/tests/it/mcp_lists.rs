//! The tools of `/mcp` that say what a key may use.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    app::TestApp,
    connection::{connect, personal, verified_contact},
    contact,
    guard::CANARY,
    key_limits::{Stock, limited},
    mcp_client::Client,
    secret,
};

/// These fields of the items.
fn fields(answer: &Value, list: &str, field: &str) -> Vec<String> {
    let items = answer[list].as_array().unwrap();
    items.iter().map(|item| item[field].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn secrets_are_listed_with_where_they_may_go_and_nothing_that_is_stored() {
    let app = TestApp::new().await;
    let config = json!({"hosts": ["api.example.com"], "methods": ["GET"], "paths": ["/v1/"]});
    let body = json!({"type": "bearer", "name": "Model", "value": CANARY, "config": config});
    let id = secret::create(&app.backend(), body).await;
    let listed = Client::new(app.agent()).done("list_secrets", json!({})).await;
    let expected = json!({
        "id": id, "name": "Model", "kind": "shared", "type": "bearer",
        "hosts": ["api.example.com"], "methods": ["GET"], "paths": ["/v1/"],
    });
    assert_eq!(listed, json!({"secrets": [expected]}));
}

#[tokio::test]
async fn of_a_contact_what_is_connected_and_what_could_be_is_listed() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let [first, second] = [personal(&backend, "plain").await, personal(&backend, "bearer").await];
    connect(&backend, &contact, &second, json!({"value": CANARY})).await.ok();
    secret::create(&backend, json!({"name": "shared", "value": CANARY})).await;
    let client = Client::new(app.agent());
    let listed = client.done("list_secrets", json!({"contact": contact})).await;
    let (ids, states) = (fields(&listed, "secrets", "id"), fields(&listed, "secrets", "status"));
    let listed: BTreeMap<_, _> = ids.into_iter().zip(states).collect();
    let expected = [(first, "unauthenticated".to_owned()), (second, "authenticated".to_owned())];
    assert_eq!(listed, BTreeMap::from(expected));
    let foreign = Client::new(app.other_account().await);
    assert_eq!(foreign.code_of("list_secrets", json!({"contact": contact})).await, "NOT_FOUND");
    let nobody = json!({"contact": "nonsense"});
    assert_eq!(client.code_of("list_secrets", nobody).await, "NOT_FOUND");
}

#[tokio::test]
async fn a_list_comes_in_parts_that_fit_a_model() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let mut names = Vec::new();
    for number in 0..7 {
        let name = format!("s{number}");
        secret::create(&backend, json!({"name": name})).await;
        names.push(name);
    }
    let client = Client::new(app.agent());
    let mut found = Vec::new();
    let mut arguments = json!({"limit": 3});
    let mut parts = 0;
    loop {
        let listed = client.done("list_secrets", arguments.clone()).await;
        found.extend(fields(&listed, "secrets", "name"));
        parts += 1;
        if listed["cursor"].is_null() {
            break;
        }
        arguments["cursor"] = listed["cursor"].clone();
    }
    found.sort();
    assert_eq!((found, parts), (names, 3));
    for _ in 0..21 {
        app.entry().await;
    }
    let listed = client.done("list_totp", json!({})).await;
    assert_eq!(listed["entries"].as_array().unwrap().len(), 20);
    let rest = client.done("list_totp", json!({"cursor": listed["cursor"]})).await;
    assert_eq!((rest["entries"].as_array().unwrap().len(), &rest["cursor"]), (1, &Value::Null));
}

#[tokio::test]
async fn entries_are_listed_for_a_contact() {
    let app = TestApp::new().await;
    let contact = verified_contact(&app.backend()).await;
    let (_, theirs) =
        (app.entry().await, app.entry_with(json!({"contact_id": contact, "issuer": "Ex"})).await);
    let client = Client::new(app.agent());
    let listed = client.done("list_totp", json!({"contact": contact})).await;
    let entry = json!({"id": theirs, "label": "GitHub", "issuer": "Ex", "contact": contact});
    assert_eq!(listed, json!({"entries": [entry]}));
    assert_eq!(client.done("list_totp", json!({})).await["entries"].as_array().unwrap().len(), 2);
    let none = client.done("list_totp", json!({"contact": "nonsense"})).await;
    assert_eq!(none, json!({"entries": []}));
}

#[tokio::test]
async fn contacts_are_listed_for_those_who_may_see_them() {
    let app = TestApp::new().await;
    let body = json!({"name": "Ann", "email": "ann@example.com", "verifiedAt": 1});
    let id = contact::create(&app.backend(), body).await;
    let listed = Client::new(app.backend()).done("list_contacts", json!({})).await;
    let ann = json!({"id": id, "name": "Ann", "email": "ann@example.com"});
    assert_eq!(listed, json!({"contacts": [ann]}));
    let agent = Client::new(app.agent());
    assert_eq!(agent.code_of("list_contacts", json!({})).await, "NOT_AUTHORIZED");
}

#[tokio::test]
async fn a_limited_key_sees_what_it_reaches() {
    let Stock { app, contacts, secrets, shared } = Stock::new().await;
    let limits = json!({"contacts": [contacts[0]], "secrets": [secrets[0]]});
    let (_, caller) = limited(&app, "agent", limits).await;
    let client = Client::new(caller);
    let listed = client.done("list_secrets", json!({})).await;
    assert_eq!(fields(&listed, "secrets", "id"), [secrets[0].as_str()]);
    let listed = client.done("list_secrets", json!({"contact": contacts[0]})).await;
    assert_eq!(fields(&listed, "secrets", "id"), [secrets[0].as_str()]);
    for (tool, arguments) in [
        ("list_secrets", json!({"contact": contacts[1]})),
        ("verify_secret", json!({"contact": contacts[1], "secret": secrets[0]})),
        ("verify_secret", json!({"contact": contacts[0], "secret": secrets[1]})),
        ("authenticate_secret", json!({"contact": contacts[1], "secret": secrets[0]})),
        ("verify_secret", json!({"secret": shared})),
    ] {
        assert_eq!(
            client.code_of(tool, arguments.clone()).await,
            "NOT_FOUND",
            "{tool} {arguments}"
        );
    }
    let reached = json!({"contact": contacts[0], "secret": secrets[0]});
    assert_eq!(client.done("verify_secret", reached).await["status"], "authenticated");
}

/// The ids of a whole list, and how many parts it came in, each of which fits a model.
async fn all_of(client: &Client, tool: &'static str, list: &str) -> (Vec<String>, usize) {
    let (mut found, mut parts, mut arguments) = (Vec::new(), 0, json!({"limit": 100}));
    loop {
        let listed = client.done(tool, arguments.clone()).await;
        assert!(listed.to_string().len() <= 48 * 1024, "{tool}: {}", listed.to_string().len());
        found.extend(fields(&listed, list, "id"));
        parts += 1;
        if listed["cursor"].is_null() {
            return (found, parts);
        }
        arguments["cursor"] = listed["cursor"].clone();
    }
}

#[tokio::test]
async fn a_list_of_large_rows_ends_earlier_and_nothing_is_left_out() {
    let app = TestApp::new().await;
    let mut ids = Vec::new();
    let hosts: Vec<_> =
        (0..40).map(|number| format!("h{number}.{}.example", "x".repeat(60))).collect();
    for number in 0..30 {
        let config = json!({"hosts": hosts});
        let body = json!({
            "type": "bearer", "name": format!("s{number}"), "description": "ü".repeat(10_000),
            "value": CANARY, "config": config,
        });
        ids.push(secret::create(&app.backend(), body).await);
    }
    let client = Client::new(app.agent());
    let first = client.done("list_secrets", json!({"limit": 1})).await["secrets"][0].clone();
    let description = first["description"].as_str().unwrap();
    assert!(description.chars().count() == 201 && description.ends_with('…'), "{first}");
    assert_eq!(first["is_cut"], Value::Null, "{first}");
    let (mut found, parts) = all_of(&client, "list_secrets", "secrets").await;
    found.sort();
    ids.sort();
    assert_eq!(found, ids);
    assert!(parts > 1, "{parts}");
}

#[tokio::test]
async fn of_a_secret_with_very_many_hosts_some_are_listed() {
    let app = TestApp::new().await;
    let hosts: Vec<_> =
        (0..100).map(|number| format!("h{number}.{}.example", "x".repeat(60))).collect();
    let body = json!({"type": "bearer", "name": "s", "value": CANARY, "config": {"hosts": hosts}});
    secret::create(&app.backend(), body).await;
    let listed = Client::new(app.agent()).done("list_secrets", json!({})).await;
    let first = &listed["secrets"][0];
    assert_eq!(first["is_cut"], true, "{first}");
    assert!((1..100).contains(&first["hosts"].as_array().unwrap().len()), "{first}");
}
