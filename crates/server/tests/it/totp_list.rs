//! `GET /api/v2/totp/secrets`.

use axum::{body::Body, http::Request};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::app::{SECRETS, TestApp};

fn ids(list: &Value) -> Vec<String> {
    let entries = list["totp_secrets"].as_array().unwrap();
    let id = |entry: &Value| entry["id"].as_str().unwrap().to_owned();
    entries.iter().map(id).collect()
}

#[tokio::test]
async fn a_list_of_nothing_is_an_empty_list() {
    let app = TestApp::new().await;
    let list = app.agent().get(SECRETS).await.ok();
    assert_eq!(list, json!({"status": "OK", "totp_secrets": []}));
}

#[tokio::test]
async fn a_list_shows_all_but_the_secret() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"issuer": "Ex"})).await;
    let list = app.agent().get(SECRETS).await.ok();
    let expected = json!({"status": "OK", "totp_secrets": [{
        "id": id, "algorithm": "SHA1", "created_at": "2026-04-05T12:00:00Z", "digits": 6,
        "issuer": "Ex", "label": "GitHub", "period": 30, "type": "totp",
        "updated_at": "2026-04-05T12:00:00Z", "policy": {"unique": false, "min_validity": 0},
    }]});
    assert_eq!(list, expected);
}

#[tokio::test]
async fn a_list_has_the_oldest_first() {
    let app = TestApp::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(app.entry().await);
        app.clock.advance_seconds(1);
    }
    assert_eq!(ids(&app.backend().get(SECRETS).await.ok()), made);
}

#[tokio::test]
async fn a_list_does_not_show_what_was_deleted() {
    let app = TestApp::new().await;
    let (gone, kept) = (app.entry().await, app.entry().await);
    let gone = format!("{SECRETS}/{gone}");
    app.backend().delete(gone).await.ok();
    assert_eq!(ids(&app.backend().get(SECRETS).await.ok()), [kept]);
}

#[tokio::test]
async fn a_list_does_not_show_another_accounts_entries() {
    let app = TestApp::new().await;
    app.entry().await;
    let other = app.other_account().await;
    let body = json!({"label": "theirs"});
    let theirs = other.post(SECRETS, body).await.ok()["totp_secret"]["id"].clone();
    let list = other.get(SECRETS).await.ok();
    assert_eq!(json!(ids(&list)), json!([theirs]));
}

/// A page inside the service has 200 entries.
#[tokio::test]
async fn a_long_list_is_whole_and_comes_page_by_page() {
    let app = TestApp::new().await;
    let mut made = join_all((0..401).map(|_| app.entry())).await;
    made.sort();
    let owner = app.owner();
    assert_eq!(ids(&owner.get(SECRETS).await.ok()), made);

    let mut request = Request::builder().uri(SECRETS);
    for (name, value) in &owner.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::empty()).unwrap();
    let mut body = owner.app.handle(request, None).await.into_body();
    let mut chunks = 0;
    while let Some(frame) = body.frame().await {
        assert!(frame.unwrap().data_ref().unwrap().len() < 200 * 400);
        chunks += 1;
    }
    assert_eq!(chunks, 3);
}

#[tokio::test]
async fn a_list_of_exactly_one_page_ends_well() {
    let app = TestApp::new().await;
    join_all((0..200).map(|_| app.entry())).await;
    assert_eq!(ids(&app.owner().get(SECRETS).await.ok()).len(), 200);
}

#[tokio::test]
async fn damaged_entries_are_left_out_with_a_warning_wherever_they_are() {
    let app = TestApp::new().await;
    let mut made = join_all((0..401).map(|_| app.entry())).await;
    made.sort();
    // The first page's first, one in the middle, and the only one of the last page.
    for at in [400, 250, 0] {
        let id = made.remove(at);
        app.database().execute(&format!("UPDATE totp SET kind = 'hotp' WHERE id = '{id}'"));
        let logged = format!("totp row {id}: column kind is damaged");
        let list = app.owner().get(SECRETS).await.ok();
        assert_eq!(ids(&list), made);
        let warning = list["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with(&format!("{} damaged", 401 - made.len())), "{warning}");
        assert!(crate::guard::logs().contains(&logged));
    }
}

#[tokio::test]
async fn a_list_of_damaged_entries_only_is_an_empty_list_with_a_warning() {
    let app = TestApp::new().await;
    join_all((0..201).map(|_| app.entry())).await;
    app.database().execute("UPDATE totp SET kind = 'hotp'");
    let list = app.owner().get(SECRETS).await.ok();
    assert_eq!(list["totp_secrets"], json!([]));
    assert!(list["warnings"][0].as_str().unwrap().starts_with("201 damaged"), "{list}");
}
