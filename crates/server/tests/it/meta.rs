//! `meta` of contacts and secrets: how much it holds. How it changes is in `contact` and `secret`.

use serde_json::{Value, json};

use crate::{app::TestApp, contact::refused};

/// The most bytes of its JSON.
const LARGEST: usize = 64 * 1024;
const TOO_LARGE: &str =
    "\"meta\" must have at most 64 KiB of JSON, with what an update leaves of it";

/// What has it.
const NOUNS: [&str; 2] = ["contact", "secret"];

fn path(noun: &str, id: &str, action: &str) -> String {
    format!("/api/v1/{noun}/{id}/{action}")
}

/// Makes one; its id.
async fn create(app: &TestApp, noun: &str, body: Value) -> String {
    let answer = app.backend().post(format!("/api/v1/{noun}/create"), body).await.ok();
    answer["id"].as_str().unwrap().to_owned()
}

fn text(length: usize) -> String {
    "x".repeat(length)
}

#[tokio::test]
async fn meta_grows_with_each_update_up_to_its_limit_and_an_update_beyond_changes_nothing() {
    let app = TestApp::new().await;
    for noun in NOUNS {
        let id = create(&app, noun, json!({"meta": {"a": text(60_000)}})).await;
        let fetch = || app.backend().get(path(noun, &id, "fetch"));
        let update =
            |meta: Value| app.backend().post(path(noun, &id, "update"), json!({"meta": meta}));
        let around = r#"{"a":"","b":""}"#.len();
        let rest = LARGEST - 60_000 - around;
        update(json!({"$update": {"b": text(rest)}})).await.ok();
        let full = fetch().await.ok();
        assert_eq!(full["meta"].to_string().len(), LARGEST);

        app.clock.advance_seconds(1);
        refused(update(json!({"$update": {"b": text(rest + 1)}})).await, TOO_LARGE);
        refused(update(json!({"$update": {"c": 1}})).await, TOO_LARGE);
        assert_eq!(fetch().await.ok(), full);
        update(json!({"$update": {"a": null, "c": text(60_000)}})).await.ok();
    }
}

/// A number may be longer as it is stored than as it is sent.
#[tokio::test]
async fn what_counts_is_meta_as_it_is_stored() {
    let app = TestApp::new().await;
    for noun in NOUNS {
        let many = format!("{{\"meta\":{{\"n\":[{}0]}}}}", "1e15,".repeat(12_000)).into_bytes();
        let create_path = format!("/api/v1/{noun}/create");
        refused(app.backend().call("POST", &create_path, many.clone()).await, TOO_LARGE);
        let id = create(&app, noun, json!({"name": "x"})).await;
        let update_path = path(noun, &id, "update");
        refused(app.backend().call("POST", &update_path, many).await, TOO_LARGE);
    }
}
