//! A create that is sent again: the first answer, and no second entry.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    app::{SECRETS, TestApp, entry_path},
    call::{Call, Caller},
    guard::CANARY,
};

const RETRY: (&str, &str) = ("X-Stainless-Retry-Count", "1");
const KEY: (&str, &str) = ("Idempotency-Key", "order-66");

fn body() -> Value {
    json!({"label": "GitHub", "secret": CANARY})
}

fn create(caller: &Caller, (name, value): (&str, &str), body: Value) -> Call {
    caller.post(SECRETS, body).header(name, value)
}

async fn count(app: &TestApp) -> usize {
    let list = app.backend().get(SECRETS).await.ok();
    list["totp_secrets"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_retry_gets_the_first_answer_and_makes_no_second_entry() {
    let app = TestApp::new().await;
    let first = create(&app.backend(), ("X-Stainless-Retry-Count", "0"), body());
    let first = first.await.ok();
    app.clock.advance_seconds(599);
    for retry in ["1", "2", "007", "99999999999", &"9".repeat(400)] {
        let retry = ("X-Stainless-Retry-Count", retry);
        let again = create(&app.backend(), retry, body()).await.ok();
        assert_eq!(again, first);
    }
    assert_eq!(count(&app).await, 1);
}

#[tokio::test]
async fn a_repeat_answers_the_entry_as_it_is_now() {
    let app = TestApp::new().await;
    let mut first = create(&app.backend(), KEY, body()).await.ok();
    let id = first["totp_secret"]["id"].as_str().unwrap().to_owned();
    let change = json!({"label": "renamed", "policy": {"unique": true}});
    app.backend().patch(entry_path(&id), change).await.ok();
    first["totp_secret"]["label"] = json!("renamed");
    first["totp_secret"]["policy"]["unique"] = json!(true);
    assert_eq!(create(&app.backend(), KEY, body()).await.ok(), first);
}

#[tokio::test]
async fn a_retry_of_a_create_that_never_came_in_makes_the_entry() {
    let app = TestApp::new().await;
    let first = create(&app.backend(), RETRY, body()).await.ok();
    assert_eq!(create(&app.backend(), RETRY, body()).await.ok(), first);
    assert_eq!(count(&app).await, 1);
}

#[tokio::test]
async fn a_retry_count_that_is_zero_or_no_number_is_no_retry() {
    let app = TestApp::new().await;
    let counts = ["0", "000", "", "-1", "+1", "1.5", "one", "1 2", "\u{661}"];
    for count in counts {
        create(&app.backend(), ("X-Stainless-Retry-Count", count), body()).await.ok();
    }
    assert_eq!(self::count(&app).await, counts.len());
}

#[tokio::test]
async fn a_create_with_an_idempotency_key_is_known_by_its_content_too() {
    let app = TestApp::new().await;
    let bare = json!({"label": "bare"});
    for body in [body(), bare] {
        let before = count(&app).await;
        let first = create(&app.backend(), KEY, body.clone()).await.ok();
        app.clock.advance_seconds(599);
        assert_eq!(create(&app.backend(), RETRY, body.clone()).await.ok(), first);
        assert_eq!(count(&app).await, before + 1);
        // The last one counts, as it does without a key.
        let other = ("Idempotency-Key", "order-67");
        let second = create(&app.backend(), other, body.clone()).await.ok();
        assert_ne!(second, first);
        assert_eq!(create(&app.backend(), RETRY, body).await.ok(), second);
        app.clock.advance_seconds(601);
    }
}

#[tokio::test]
async fn a_create_without_an_idempotency_key_is_not_one_with_it() {
    let app = TestApp::new().await;
    let first = create(&app.backend(), RETRY, body()).await.ok();
    let named = create(&app.backend(), KEY, body()).await.ok();
    assert_ne!(first["totp_secret"]["id"], named["totp_secret"]["id"]);
}

#[tokio::test]
async fn a_repeated_idempotency_key_gets_the_first_answer() {
    let app = TestApp::new().await;
    let first = create(&app.backend(), KEY, body()).await.ok();
    app.clock.advance_seconds(599);
    assert_eq!(create(&app.backend(), KEY, body()).await.ok(), first);
    let both = create(&app.backend().with(RETRY.0, RETRY.1), KEY, body());
    assert_eq!(both.await.ok(), first);
    assert_eq!(count(&app).await, 1);
}

#[tokio::test]
async fn another_idempotency_key_makes_another_entry() {
    let app = TestApp::new().await;
    let other = ("Idempotency-Key", "order-67");
    let one = create(&app.backend(), KEY, body()).await.ok();
    let two = create(&app.backend(), other, body()).await.ok();
    assert_ne!(one["totp_secret"]["id"], two["totp_secret"]["id"]);
}

#[tokio::test]
async fn an_idempotency_key_with_other_content_is_a_conflict_for_good() {
    let app = TestApp::new().await;
    create(&app.backend(), KEY, body()).await.ok();
    for (field, value) in [
        ("label", json!("GitLab")),
        ("secret", json!("CANARYCANARYCANARYCANARYCA")),
        ("issuer", json!("GitHub")),
        ("algorithm", json!("SHA256")),
        ("digits", json!(8)),
        ("period", json!(60)),
    ] {
        let mut other = body();
        other[field] = value;
        // That it has x-should-retry: false is checked of every 409.
        let answer = create(&app.backend(), KEY, other).await;
        answer.error(409, "idempotency_key_reused");
    }
    assert_eq!(count(&app).await, 1);
}

#[tokio::test]
async fn a_retry_with_other_content_is_another_create() {
    let app = TestApp::new().await;
    app.backend().post(SECRETS, body()).await.ok();
    let other = json!({"label": "GitLab", "secret": CANARY});
    create(&app.backend(), RETRY, other).await.ok();
    assert_eq!(count(&app).await, 2);
}

#[tokio::test]
async fn after_ten_minutes_a_repeat_is_a_new_create() {
    let app = TestApp::new().await;
    for header in [RETRY, KEY] {
        let first = create(&app.backend(), header, body()).await.ok();
        app.clock.advance_seconds(601);
        let later = create(&app.backend(), header, body()).await.ok();
        assert_ne!(first["totp_secret"]["id"], later["totp_secret"]["id"]);
        app.clock.advance_seconds(601);
    }
    let other = json!({"label": "other", "secret": CANARY});
    create(&app.backend(), KEY, other).await.ok();
}

#[tokio::test]
async fn after_a_delete_a_repeat_is_a_new_create() {
    let app = TestApp::new().await;
    for header in [RETRY, KEY] {
        let first = create(&app.backend(), header, body()).await.ok();
        let id = first["totp_secret"]["id"].as_str().unwrap();
        app.backend().delete(entry_path(id)).await.ok();
        let again = create(&app.backend(), header, body()).await.ok();
        assert_ne!(again["totp_secret"]["id"], id);
        assert_eq!(create(&app.backend(), header, body()).await.ok(), again);
        let id = again["totp_secret"]["id"].as_str().unwrap();
        app.backend().delete(entry_path(id)).await.ok();
    }
}

#[tokio::test]
async fn a_generated_secret_is_the_same_in_the_repeats_answer() {
    let app = TestApp::new().await;
    let bare = json!({"label": "bare"});
    let first = create(&app.backend(), KEY, bare.clone()).await.ok();
    let again = create(&app.backend(), KEY, bare).await.ok();
    assert_eq!(first["totp_secret"]["secret"], again["totp_secret"]["secret"]);
}

#[tokio::test]
async fn a_weak_secrets_warning_is_repeated_too() {
    let app = TestApp::new().await;
    let weak = json!({"label": "weak", "secret": "JBSWY3DPEHPK3PXP"});
    let first = create(&app.backend(), KEY, weak.clone()).await.ok();
    assert_eq!(create(&app.backend(), KEY, weak).await.ok(), first);
}

#[tokio::test]
async fn another_key_does_not_share_repeats() {
    let app = TestApp::new().await;
    for header in [RETRY, KEY] {
        let one = create(&app.backend(), header, body()).await.ok();
        let two = create(&app.owner(), header, body()).await.ok();
        assert_ne!(one["totp_secret"]["id"], two["totp_secret"]["id"]);
    }
}

#[tokio::test]
async fn the_same_content_in_another_form_is_the_same() {
    let app = TestApp::new().await;
    let first = app.backend().post(SECRETS, body()).await.ok();
    let form = json!({"label": "GitHub", "secret": CANARY.to_lowercase(), "digits": 6});
    assert_eq!(create(&app.backend(), RETRY, form).await.ok(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_repeats_at_once_one_makes_the_entry() {
    let app = TestApp::new().await;
    for header in [RETRY, KEY] {
        let before = count(&app).await;
        let calls = (0..32).map(|_| {
            let call = create(&app.backend(), header, json!({"label": header.0}));
            tokio::spawn(call.into_future())
        });
        let answers = join_all(calls).await.into_iter().map(|a| a.unwrap().ok());
        let answers: HashSet<_> = answers.map(|answer| answer.to_string()).collect();
        assert_eq!(answers.len(), 1);
        assert_eq!(count(&app).await, before + 1);
    }
}

#[tokio::test]
async fn a_repeat_is_known_after_a_restart_and_on_another_server() {
    let mut app = TestApp::new().await;
    let first = create(&app.backend(), KEY, body()).await.ok();
    app.restart().await;
    assert_eq!(create(&app.backend(), KEY, body()).await.ok(), first);
    let elsewhere = app.on_another_node(app.backend()).await;
    assert_eq!(create(&elsewhere, KEY, body()).await.ok(), first);
}

#[tokio::test]
async fn forgetting_old_creates_forgets_no_recent_one() {
    let app = TestApp::new().await;
    create(&app.backend(), KEY, body()).await.ok();
    app.clock.advance_seconds(300);
    let other = json!({"label": "other", "secret": CANARY});
    let recent = create(&app.backend(), RETRY, other.clone()).await.ok();
    app.clock.advance_seconds(301);
    // The old one was known by its key and by its content.
    assert_eq!(app.broker().forget_creations().await.unwrap(), 2);
    assert_eq!(create(&app.backend(), RETRY, other).await.ok(), recent);
}

#[tokio::test]
async fn an_idempotency_key_has_1_to_255_characters() {
    let app = TestApp::new().await;
    create(&app.backend(), ("Idempotency-Key", &"k".repeat(255)), body()).await.ok();
    for key in [String::new(), "k".repeat(256)] {
        let answer = create(&app.backend(), ("Idempotency-Key", &key), body()).await;
        answer.error(400, "invalid_idempotency_key");
    }
}
