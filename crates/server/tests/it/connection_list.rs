//! `/api/v1/contact/{contact}/secret/list`: what a contact has connected, and what it could.

use serde_json::{Value, json};

use crate::{
    app::TestApp,
    call::Caller,
    connection::{connect, path, personal, verified_contact},
    contact::refused,
    guard::CANARY,
    secret,
};

fn list_path(contact: &str, query: &str) -> String {
    format!("/api/v1/contact/{contact}/secret/list{query}")
}

async fn list(caller: &Caller, contact: &str, query: &str) -> Value {
    caller.get(list_path(contact, query)).await.ok()
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// So many personal secrets, connected one after the other, the first made connected last.
async fn connected(app: &TestApp, contact: &str, count: usize) -> Vec<String> {
    let backend = app.backend();
    let mut secrets = Vec::new();
    for _ in 0..count {
        secrets.push(personal(&backend, "plain").await);
        app.clock.advance_seconds(1);
    }
    secrets.reverse();
    for secret in &secrets {
        connect(&backend, contact, secret, json!({"value": CANARY})).await.ok();
        app.clock.advance_seconds(1);
    }
    secrets
}

#[tokio::test]
async fn a_list_shows_what_is_connected_and_never_a_value() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let body = json!({
        "kind": "personal", "type": "bearer", "name": "GitHub", "description": "For issues",
        "meta": {"team": "x"},
    });
    let secret = secret::create(&backend, body).await;
    personal(&backend, "plain").await;
    connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
    let connected = app.clock.seconds() * 1000;
    app.clock.advance_seconds(9);
    connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
    let page = list(&app.agent(), &contact, "").await;
    let expected = json!([{
        "id": secret, "name": "GitHub", "description": "For issues", "type": "bearer", "meta": null,
        "status": "authenticated", "expiresAt": null, "scopes": null,
        "createdAt": connected, "updatedAt": connected + 9000,
    }]);
    assert_eq!(page["items"], expected);
    assert!(!page["cursor"].as_str().unwrap().is_empty());
}

/// W15: the cursor is one of the list.
#[tokio::test]
async fn pages_go_by_the_age_of_connections_and_survive_what_comes_and_goes() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let secrets = connected(&app, &contact, 7).await;
    for order in ["asc", "desc"] {
        let mut expected = secrets.clone();
        if order == "desc" {
            expected.reverse();
        }
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("?take=3&order={order}&cursor={cursor}");
            let page = list(&backend, &contact, &query).await;
            if ids(&page).is_empty() {
                assert_eq!(page["cursor"], "");
                break;
            }
            seen.extend(ids(&page));
            page["cursor"].as_str().unwrap().clone_into(&mut cursor);
        }
        assert_eq!(seen, expected);
    }
    let page = list(&backend, &contact, "?take=3").await;
    let last = ids(&page).pop().unwrap();
    backend.post(path(&contact, &last, "revoke"), json!({})).await.ok();
    connected(&app, &contact, 1).await;
    let cursor = page["cursor"].as_str().unwrap();
    let rest = list(&backend, &contact, &format!("?cursor={cursor}")).await;
    assert_eq!(ids(&rest), secrets[..4].iter().rev().cloned().collect::<Vec<_>>());
}

/// A client may take the last item's id for the cursor, as in every other list.
#[tokio::test]
async fn the_last_items_id_is_a_cursor_too() {
    let app = TestApp::new().await;
    let contact = verified_contact(&app.backend()).await;
    let secrets = connected(&app, &contact, 3).await;
    let rest = list(&app.backend(), &contact, &format!("?cursor={}", secrets[1])).await;
    assert_eq!(ids(&rest), [secrets[0].clone()]);
    let unknown = list_path(&contact, "?cursor=sec_00000000000000000000000000");
    let text =
        "\"cursor\" names a secret that is not connected any more: use the page's \"cursor\"";
    refused(app.backend().get(unknown).await, text);
    let malformed = app.backend().get(list_path(&contact, "?cursor=x")).await;
    refused(malformed, "\"cursor\" is not one of a list");
}

#[tokio::test]
async fn a_list_as_lines_has_all_of_them() {
    let app = TestApp::new().await;
    let contact = verified_contact(&app.backend()).await;
    let secrets = connected(&app, &contact, 120).await;
    for (query, count) in [("?order=asc", 120), ("?order=asc&status=all", 120), ("?take=5", 5)] {
        let call = app.backend().get(list_path(&contact, query));
        let text = call.header("Accept", "application/jsonl").await.text();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), count, "{query}");
        if query == "?order=asc" {
            let seen: Vec<_> = lines.iter().map(|line| line["data"]["id"].clone()).collect();
            assert_eq!(seen, secrets.iter().map(|id| json!(id)).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn all_that_a_contact_could_connect_is_listed_with_its_status() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let [one, two, three] = [
        personal(&backend, "plain").await,
        personal(&backend, "basic").await,
        personal(&backend, "oauth").await,
    ];
    secret::create(&backend, json!({"kind": "shared"})).await;
    connect(&backend, &contact, &one, json!({"value": CANARY})).await.ok();
    let page = list(&app.agent(), &contact, "?status=all&order=asc").await;
    let shown: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["id"].as_str().unwrap(), item["status"].as_str().unwrap()))
        .collect();
    let mut expected = vec![
        (one.as_str(), "authenticated"),
        (&two, "unauthenticated"),
        (&three, "unauthenticated"),
    ];
    expected.sort_unstable();
    assert_eq!(shown, expected);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    while seen.len() < 3 {
        let page = list(&backend, &contact, &format!("?status=all&take=1&cursor={cursor}")).await;
        seen.extend(ids(&page));
        page["cursor"].as_str().unwrap().clone_into(&mut cursor);
    }
    expected.reverse();
    assert_eq!(seen, expected.iter().map(|(id, _)| (*id).to_owned()).collect::<Vec<_>>());
    let wrong = backend.get(list_path(&contact, "?status=broken")).await;
    refused(wrong, "\"status\" must be \"all\", or absent");
}

/// A child's contacts may connect what its parent lets it use; the parent's other secrets are not shown.
#[tokio::test]
async fn a_child_connects_what_its_parent_shares() {
    let app = TestApp::new().await;
    let child = app.other_account().await;
    let contact = verified_contact(&child).await;
    let mut shared = Vec::new();
    for visibility in ["private", "protected", "public"] {
        let body = json!({"kind": "personal", "visibility": visibility, "name": visibility});
        let id = secret::create(&app.backend(), body).await;
        let connected = connect(&child, &contact, &id, json!({"value": CANARY})).await;
        if visibility == "private" {
            connected.error(404, "not_found");
        } else {
            connected.ok();
            shared.push(id);
        }
    }
    shared.sort_unstable();
    let own = personal(&child, "plain").await;
    let page = list(&child, &contact, "?status=all&order=asc").await;
    let mut all = shared.clone();
    all.push(own);
    all.sort_unstable();
    assert_eq!(ids(&page), all);
    // Once it is not shared any more it is of no use, and can still be taken away.
    let private = json!({"visibility": "private"});
    secret::update(&app.backend(), &shared[0], private).await.ok();
    let page = list(&child, &contact, "").await;
    let broken =
        page["items"].as_array().unwrap().iter().find(|item| item["id"] == shared[0].as_str());
    assert_eq!(broken.unwrap()["status"], "broken");
    child.post(path(&contact, &shared[0], "verify"), json!({})).await.error(404, "not_found");
    child.post(path(&contact, &shared[0], "revoke"), json!({})).await.ok();
    assert_eq!(ids(&list(&child, &contact, "").await), [shared[1].clone()]);
}

/// A list says what verify would.
#[tokio::test]
async fn a_value_of_another_type_or_of_a_secret_that_is_shared_now_is_listed_as_of_no_use() {
    let app = TestApp::new().await;
    let backend = app.backend();
    for (change, status) in
        [(json!({"type": "bearer"}), "unauthenticated"), (json!({"kind": "shared"}), "broken")]
    {
        let (contact, secret) =
            (verified_contact(&backend).await, personal(&backend, "plain").await);
        connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
        secret::update(&backend, &secret, change).await.ok();
        for query in ["", "?status=all"] {
            let page = list(&backend, &contact, query).await;
            let items = page["items"].as_array().unwrap();
            let item = items.iter().find(|item| item["id"] == secret.as_str()).unwrap();
            assert_eq!(item["status"], status);
        }
    }
}

#[tokio::test]
async fn what_a_contact_has_connected_of_strangers_is_among_all_too() {
    let app = TestApp::new().await;
    let (one, two) = (app.other_account().await, app.other_account().await);
    let body = json!({"kind": "personal", "visibility": "public"});
    let public = secret::create(&one, body.clone()).await;
    secret::create(&one, body).await;
    let contact = verified_contact(&two).await;
    let own = personal(&two, "plain").await;
    connect(&two, &contact, &public, json!({"value": CANARY})).await.ok();
    let mut expected = vec![public, own];
    expected.sort_unstable();
    assert_eq!(ids(&list(&two, &contact, "?status=all&order=asc").await), expected);
}
