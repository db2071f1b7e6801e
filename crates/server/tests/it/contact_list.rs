//! `GET /api/v1/contact/list` and `export`: what holds for every list of `/api/v1`.

use axum::{body::Body, http::Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    call::Answer,
    contact::{EXPORT, LIST, create, path, refused},
};

/// Contacts named after their number, from 0, oldest first.
async fn some(app: &TestApp, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let meta =
            json!({"even": number % 2 == 0, "n": {"text": number.to_string()}, "number": number});
        let body = json!({"name": format!("名前 {number}"), "meta": meta});
        ids.push(create(&app.backend(), body).await);
        app.clock.advance_seconds(1);
    }
    ids
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_survive_what_is_stored_and_deleted_meanwhile() {
    let app = TestApp::new().await;
    let all = some(&app, 9).await;
    let page = async |order: &str, cursor: &str| {
        let query = format!("{LIST}?order={order}&take=3&cursor={cursor}");
        let list = app.backend().get(query).await.ok();
        (ids(&list), list["cursor"].as_str().unwrap().to_owned())
    };
    let (first, cursor) = page("asc", "").await;
    assert_eq!((first.as_slice(), &cursor), (&all[..3], &all[2]));
    // The cursor's own contact, and one that is yet to come.
    for gone in [&all[2], &all[4]] {
        app.backend().post(path(gone, "delete"), json!({})).await.ok();
    }
    let new = create(&app.backend(), json!({})).await;
    let (second, cursor) = page("asc", &cursor).await;
    assert_eq!(second, [&all[3], &all[5], &all[6]].map(Clone::clone));
    let (third, cursor) = page("asc", &cursor).await;
    assert_eq!(third, [all[7].clone(), all[8].clone(), new.clone()]);
    assert_eq!(page("asc", &cursor).await, (Vec::new(), String::new()));
    let (newest, _) = page("nonsense", "").await;
    assert_eq!(newest, [new, all[8].clone(), all[7].clone()]);
}

#[tokio::test]
async fn a_list_is_filtered_by_meta() {
    let app = TestApp::new().await;
    let all = some(&app, 8).await;
    for (query, expected) in [
        ("meta.even=true", vec![0, 2, 4, 6]),
        ("meta[even]=false", vec![1, 3, 5, 7]),
        ("meta.n.text=3", vec![3]),
        ("meta.even=true&meta.n.text=4", vec![4]),
        ("meta.even=true&meta.n.text=3", vec![]),
        ("meta.number=3", vec![]),
        ("meta.even=", vec![0, 1, 2, 3, 4, 5, 6, 7]),
        ("meta.even=true&meta.even=false", vec![0, 2, 4, 6]),
        ("meta.even=true&take=3", vec![0, 2, 4]),
    ] {
        let list = app.backend().get(format!("{LIST}?order=asc&{query}")).await.ok();
        let expected: Vec<_> = expected.iter().map(|number| all[*number].clone()).collect();
        assert_eq!(ids(&list), expected, "{query}");
        assert_eq!(list["cursor"].as_str().unwrap(), expected.last().cloned().unwrap_or_default());
    }
}

fn lines(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    assert!(text.is_ascii(), "{text}");
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// W29: as many as were asked for, and no more.
#[tokio::test]
async fn a_list_as_lines_is_whole_or_as_many_as_were_asked_for() {
    let app = TestApp::new().await;
    let all = some(&app, 105).await;
    for (query, expected) in [("", 105), ("&take=3", 3), ("&take=102", 102), ("&take=1000", 105)] {
        let call = app.backend().get(format!("{LIST}?order=asc{query}"));
        let answer = call.header("Accept", "application/jsonl; q=1, application/json").await;
        assert_eq!(answer.header("content-type"), "application/jsonl");
        let lines = lines(&answer);
        let listed: Vec<_> =
            lines.iter().map(|line| line["data"]["id"].as_str().unwrap()).collect();
        assert_eq!(listed, all[..expected], "{query}");
        assert!(lines.iter().all(|line| line["type"] == "item"));
        assert_eq!(lines[0]["data"]["name"], "名前 0");
    }
    let none = app.other_account().await.get(LIST).header("Accept", "application/jsonl").await;
    assert_eq!(none.text(), "");
}

#[tokio::test]
async fn what_is_wrong_before_the_first_line_is_an_answer_of_its_own() {
    let app = TestApp::new().await;
    let call = app.backend().get(LIST).header("Accept", "text/html");
    refused(call.await, "Unsupported accept header");
    let call = app.backend().get(format!("{LIST}?cursor=x"));
    let answer = call.header("Accept", "application/jsonl").await;
    refused(answer, "\"cursor\" is not one of a list");
}

#[tokio::test]
async fn a_list_that_breaks_off_says_so_in_its_last_line() {
    let app = TestApp::new().await;
    some(&app, 101).await;
    let mut request = Request::builder().uri(LIST).header("Accept", "application/jsonl");
    for (name, value) in &app.backend().headers {
        request = request.header(name, value);
    }
    let answer = app.backend().app.handle(request.body(Body::empty()).unwrap(), None).await;
    // The first page was read before the answer began.
    app.database().execute("ALTER TABLE contact RENAME TO away");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let lines: Vec<_> = body.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 101);
    let last: Value = serde_json::from_slice(lines[100]).unwrap();
    assert_eq!(last["type"], "error");
    assert_eq!(last["data"]["code"], "INTERNAL_SERVER_ERROR");
}

/// Revoking a key counts for a list that is being sent, too.
#[tokio::test]
async fn a_list_breaks_off_when_its_key_ends() {
    let app = TestApp::new().await;
    some(&app, 101).await;
    let (key, caller) = app.new_caller("backend").await;
    let mut request = Request::builder().uri(LIST).header("Accept", "application/jsonl");
    for (name, value) in &caller.headers {
        request = request.header(name, value);
    }
    let answer = caller.app.handle(request.body(Body::empty()).unwrap(), None).await;
    // The first page was read before the answer began.
    app.owner().post(format!("/api/v1/key/{}/revoke", key.id), json!({})).await.ok();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let lines: Vec<_> = body.split_inclusive(|byte| *byte == b'\n').collect();
    let last: Value = serde_json::from_slice(lines[100]).unwrap();
    assert_eq!(last["data"]["code"], "NOT_AUTHENTICATED");
}

#[tokio::test]
async fn an_export_has_every_contact_in_each_format() {
    let app = TestApp::new().await;
    let all = some(&app, 3).await;
    let quoted = json!({"name": "a \"b\", c", "phone": "+12024561111"});
    let id = create(&app.backend(), quoted).await;
    let csv = app.owner().get(format!("{EXPORT}?order=asc")).header("Accept", "text/csv").await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let text = csv.text();
    let mut lines = text.lines();
    let head = "id,name,description,fingerprint,email,phone,nick,preferences,verifiedAt,meta,createdAt,updatedAt";
    assert_eq!(lines.next(), Some(head));
    assert!(lines.next().unwrap().starts_with(&format!("\"{}\",\"名前 0\",\"\",", all[0])));
    let last = lines.nth(2).unwrap();
    assert!(last.starts_with(&format!("\"{id}\",\"a \"\"b\"\", c\",\"\",")), "{last}");
    let json = app.owner().get(EXPORT).await.ok();
    assert_eq!(json["items"].as_array().unwrap().len(), 4);
    let lines = app.owner().get(EXPORT).header("Accept", "application/jsonl").await;
    assert_eq!(lines.text().lines().count(), 4);
}
