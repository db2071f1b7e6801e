//! `GET /api/v2/totp/code/{id}?min_validity=N`: a code that is valid for long enough.

use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    app::{TestApp, canary_code, code_path, entry_path},
    call::{Answer, Caller},
    manual_clock::START,
};

/// Calls in the background, and goes on when the caller waits.
async fn waiting(app: &TestApp, caller: &Caller, id: &str, query: &str) -> JoinHandle<Answer> {
    let call = tokio::spawn(caller.get(code_path(id, query)).into_future());
    app.clock.waiters(1).await;
    call
}

#[tokio::test]
async fn a_code_that_is_valid_long_enough_comes_at_once() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(20);
    let answer = app.agent().get(code_path(&id, "?min_validity=10")).await.ok();
    assert_eq!(answer["code"], canary_code(30, START));
    assert_eq!(answer["expires_in"], 10);
}

#[tokio::test]
async fn a_code_that_is_not_is_waited_for_until_the_next_step() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(21);
    let call = waiting(&app, &app.agent(), &id, "?min_validity=10").await;
    app.clock.advance(std::time::Duration::from_millis(8_999));
    app.clock.waiters(1).await;
    assert!(!call.is_finished());
    app.clock.advance_seconds(1);
    let answer = call.await.unwrap().ok();
    assert_eq!(answer["code"], canary_code(30, START + 30));
    assert_eq!(answer["server_time"], START + 30);
    assert_eq!(answer["expires_in"], 30);
}

#[tokio::test]
async fn the_whole_period_may_be_asked_for() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let query = "?min_validity=30";
    let first = app.agent().get(code_path(&id, query)).await.ok();
    assert_eq!(first["valid_from"], START);
    app.clock.advance_seconds(1);
    let call = waiting(&app, &app.agent(), &id, query).await;
    app.clock.advance_seconds(29);
    assert_eq!(call.await.unwrap().ok()["valid_from"], START + 30);
}

#[tokio::test]
async fn more_than_the_period_is_refused_with_both_numbers() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let answer = app.agent().get(code_path(&id, "?min_validity=31")).await;
    let body = answer.error(400, "invalid_min_validity");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains("31") && message.contains("30"), "{message}");
}

#[tokio::test]
async fn a_wait_of_55_seconds_is_borne() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"period": 120})).await;
    app.clock.advance_seconds(65);
    let call = waiting(&app, &app.agent(), &id, "?min_validity=60").await;
    app.clock.advance_seconds(55);
    assert_eq!(call.await.unwrap().ok()["valid_from"], START + 120);
}

#[tokio::test]
async fn a_wait_of_56_seconds_is_not_and_says_when_to_ask_again() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"period": 120})).await;
    app.clock.advance_seconds(64);
    let query = "?min_validity=60";
    let answer = app.agent().get(code_path(&id, query)).await;
    let after = answer.retry_after();
    answer.error(429, "wait_too_long");
    app.clock.advance_seconds(after);
    waiting(&app, &app.agent(), &id, query).await;
}

#[tokio::test]
async fn retry_after_is_never_more_than_a_minute() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"period": 3600})).await;
    app.clock.advance_seconds(1);
    let answer = app.agent().get(code_path(&id, "?min_validity=3600")).await;
    assert_eq!(answer.retry_after(), 60);
    answer.error(429, "wait_too_long");
}

#[tokio::test]
async fn a_key_that_is_revoked_while_it_waits_gets_no_code() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(25);
    let (key, caller) = app.new_caller("agent").await;
    let call = waiting(&app, &caller, &id, "?min_validity=10").await;
    let revoke = format!("/api/v1/key/{}/revoke", key.id);
    app.owner().post(revoke, json!({})).await.ok();
    app.clock.advance_seconds(5);
    call.await.unwrap().error(401, "invalid_credentials");
    assert!(app.code_events("ok").await.is_empty());
}

#[tokio::test]
async fn a_key_that_ends_while_it_waits_gets_no_code() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(25);
    let ends = (START + 28) * 1000;
    let body = json!({"role": "agent", "expiresAt": ends});
    let key = app.owner().post("/api/v1/key/create", body).await.ok();
    let caller = app.anonymous().with_token(&crate::call::Key::from_answer(&key));
    let call = waiting(&app, &caller, &id, "?min_validity=10").await;
    app.clock.advance_seconds(5);
    call.await.unwrap().error(401, "invalid_credentials");
}

#[tokio::test]
async fn an_entry_that_is_deleted_while_a_caller_waits_is_not_found() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(25);
    let call = waiting(&app, &app.agent(), &id, "?min_validity=10").await;
    app.backend().delete(entry_path(&id)).await.ok();
    app.clock.advance_seconds(5);
    call.await.unwrap().error(404, "not_found");
}

#[tokio::test]
async fn the_entrys_policy_holds_for_callers_who_say_nothing() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let policy = json!({"policy": {"min_validity": 10}});
    app.backend().patch(entry_path(&id), policy).await.ok();
    app.clock.advance_seconds(25);
    let at_once = app.agent().get(code_path(&id, "?min_validity=5")).await.ok();
    assert_eq!(at_once["valid_from"], START);
    let call = waiting(&app, &app.agent(), &id, "").await;
    app.clock.advance_seconds(5);
    assert_eq!(call.await.unwrap().ok()["valid_from"], START + 30);
}

#[tokio::test]
async fn include_next_goes_with_a_wait() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(25);
    let query = "?min_validity=10&include=next";
    let call = waiting(&app, &app.agent(), &id, query).await;
    app.clock.advance_seconds(5);
    let answer = call.await.unwrap().ok();
    assert_eq!(answer["code"], canary_code(30, START + 30));
    assert_eq!(answer["next_code"], canary_code(30, START + 60));
}

/// One thread runs them all, and there are fewer connections than callers.
#[tokio::test]
async fn many_waiting_callers_hold_up_nobody() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(25);
    let call = || app.agent().get(code_path(&id, "?min_validity=10"));
    let calls: Vec<_> = (0..300).map(|_| tokio::spawn(call().into_future())).collect();
    app.clock.waiters(300).await;
    let plain = app.agent().get(code_path(&id, "")).await.ok();
    assert_eq!(plain["valid_from"], START);
    app.entry().await;
    app.clock.advance_seconds(5);
    for call in calls {
        assert_eq!(call.await.unwrap().ok()["valid_from"], START + 30);
    }
    app.clock.waiters(0).await;
}
