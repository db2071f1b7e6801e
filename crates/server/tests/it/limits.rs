//! How many entries an account may hold.

use futures_util::future::join_all;
use keyfob_server::config::Limits;
use serde_json::{Value, json};

use crate::{
    app::{SECRETS, Setup, TestApp, entry_path},
    call::Answer,
    guard::CANARY,
};

async fn limited(totp_per_account: u32) -> TestApp {
    let limits = Limits { totp_per_account, ..Limits::default() };
    TestApp::with(Setup { limits, ..Setup::default() }).await
}

async fn create(app: &TestApp) -> Answer {
    let body = json!({"label": "x", "secret": CANARY});
    app.backend().post(SECRETS, body).await
}

fn count(list: &Value) -> usize {
    list["totp_secrets"].as_array().unwrap().len()
}

#[tokio::test]
async fn one_entry_more_than_the_limit_is_refused_for_good() {
    let app = limited(3).await;
    for _ in 0..3 {
        create(&app).await.ok();
    }
    let body = create(&app).await.error(409, "limit_reached");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains('3'), "{message}");
    assert_eq!(count(&app.agent().get(SECRETS).await.ok()), 3);
}

#[tokio::test]
async fn a_delete_makes_room_for_one() {
    let app = limited(3).await;
    let ids = [app.entry().await, app.entry().await, app.entry().await];
    app.backend().delete(entry_path(&ids[1])).await.ok();
    let gone = app.backend().delete(entry_path(&ids[1])).await;
    gone.error(404, "not_found");
    create(&app).await.ok();
    create(&app).await.error(409, "limit_reached");
}

#[tokio::test]
async fn each_account_has_a_limit_of_its_own() {
    let app = limited(1).await;
    create(&app).await.ok();
    let other = app.other_account().await;
    other.post(SECRETS, json!({"label": "x"})).await.ok();
    let more = other.post(SECRETS, json!({"label": "x"})).await;
    more.error(409, "limit_reached");
}

#[tokio::test]
async fn a_repeated_create_is_answered_also_at_the_limit() {
    let app = limited(1).await;
    let call = || {
        let call = app.backend().post(SECRETS, json!({"label": "x"}));
        call.header("Idempotency-Key", "k")
    };
    let first = call().await.ok();
    assert_eq!(call().await.ok(), first);
    create(&app).await.error(409, "limit_reached");
}

#[tokio::test]
async fn a_refused_create_is_not_remembered_as_done() {
    let app = limited(1).await;
    let id = app.entry().await;
    let call = || {
        let call = app.backend().post(SECRETS, json!({"label": "late"}));
        call.header("Idempotency-Key", "k")
    };
    call().await.error(409, "limit_reached");
    app.backend().delete(entry_path(&id)).await.ok();
    call().await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_creates_at_once_no_more_than_the_limit_succeed() {
    let app = limited(5).await;
    let calls = (0..40).map(|_| {
        let call = app.backend().post(SECRETS, json!({"label": "x"}));
        tokio::spawn(call.into_future())
    });
    let answers = join_all(calls).await;
    let made = answers.iter().filter(|a| a.as_ref().unwrap().status == 200);
    assert_eq!(made.count(), 5);
    assert_eq!(count(&app.agent().get(SECRETS).await.ok()), 5);
}

#[tokio::test]
async fn the_limit_holds_after_a_restart_and_can_be_raised() {
    let mut app = limited(1).await;
    create(&app).await.ok();
    app.restart().await;
    create(&app).await.error(409, "limit_reached");
    app.setup().limits.totp_per_account = 2;
    app.restart().await;
    create(&app).await.ok();
    create(&app).await.error(409, "limit_reached");
}
