//! `GET /api/v2/totp/code/{id}?unique=true`: a time step is handed out at most once.

use std::collections::HashSet;

use keyfob_server::config::Audit;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

use crate::{
    app::{Setup, TestApp, canary_code, code_path, entry_path},
    call::{Answer, Caller},
    manual_clock::START,
};

const UNIQUE: &str = "?unique=true";

/// Calls in the background, and goes on when so many callers wait.
async fn queued(app: &TestApp, caller: &Caller, id: &str, waiters: usize) -> JoinHandle<Answer> {
    let call = tokio::spawn(caller.get(code_path(id, UNIQUE)).into_future());
    app.clock.waiters(waiters).await;
    call
}

/// A unique code that comes at once.
async fn at_once(app: &TestApp, id: &str) -> Value {
    app.agent().get(code_path(id, UNIQUE)).await.ok()
}

#[tokio::test]
async fn the_first_caller_gets_the_current_step_at_once() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(29);
    let answer = at_once(&app, &id).await;
    assert_eq!(answer["code"], canary_code(30, START));
    assert_eq!(answer["expires_in"], 1);
}

#[tokio::test]
async fn a_second_caller_gets_the_next_step_when_it_begins() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    at_once(&app, &id).await;
    app.clock.advance_seconds(10);
    let call = queued(&app, &app.agent(), &id, 1).await;
    app.clock.advance_seconds(20);
    let answer = call.await.unwrap().ok();
    assert_eq!(answer["code"], canary_code(30, START + 30));
    assert_eq!(answer["expires_in"], 30);
}

/// With a period of one second the queue of 55 seconds has room for 56.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_callers_at_once_get_different_steps_in_order_or_429() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"period": 1})).await;
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        let call = app.agent().get(code_path(&id, UNIQUE));
        calls.spawn(call.into_future());
    }
    app.clock.waiters(55).await;
    let mut refused = 0;
    let mut given = Vec::new();
    for _ in 0..9 {
        let answer = calls.join_next().await.unwrap().unwrap();
        if answer.status == 200 {
            given.push(answer.ok());
        } else {
            assert_eq!(answer.retry_after(), 1);
            answer.error(429, "queue_full");
            refused += 1;
        }
    }
    assert_eq!((given.len(), refused), (1, 8));
    while let Some(answer) = {
        app.clock.advance_seconds(1);
        calls.join_next().await
    } {
        given.push(answer.unwrap().ok());
    }
    for (second, answer) in (START..).zip(&given) {
        assert_eq!(answer["valid_from"], second);
        assert_eq!(answer["code"], canary_code(1, second));
    }
    assert_eq!(given.len(), 56);
    assert_eq!(app.code_events("ok").await.len(), 56);
}

#[tokio::test]
async fn whoever_is_refused_gets_a_step_after_the_time_it_was_told() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    at_once(&app, &id).await;
    let next = queued(&app, &app.agent(), &id, 1).await;
    let refused = app.agent().get(code_path(&id, UNIQUE)).await;
    let after = refused.retry_after();
    refused.error(429, "queue_full");
    app.clock.advance_seconds(after);
    let call = queued(&app, &app.agent(), &id, 2).await;
    app.clock.advance_seconds(30);
    assert_eq!(next.await.unwrap().ok()["valid_from"], START + 30);
    app.clock.advance_seconds(30);
    assert_eq!(call.await.unwrap().ok()["valid_from"], START + 60);
}

/// Two servers, each with threads of its own, on one database.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_never_hand_out_the_same_step() {
    let mut app = TestApp::new().await;
    let id = app.entry_with(json!({"period": 1})).await;
    let here = app.agent();
    let there = app.on_another_node(app.agent()).await;
    let mut calls = JoinSet::new();
    for caller in [here, there].iter().cycle().take(40) {
        calls.spawn(caller.get(code_path(&id, UNIQUE)).into_future());
    }
    app.clock.waiters(39).await;
    let mut steps = HashSet::new();
    while let Some(answer) = calls.join_next().await {
        let step = answer.unwrap().ok()["valid_from"].as_i64().unwrap();
        assert!(steps.insert(step), "{step} was handed out twice");
        app.clock.advance_seconds(1);
    }
    assert_eq!(steps, (START..START + 40).collect());
}

#[tokio::test]
async fn a_step_that_a_plain_caller_got_is_not_handed_out_as_unique() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.agent().get(code_path(&id, "")).await.ok();
    let call = queued(&app, &app.agent(), &id, 1).await;
    app.clock.advance_seconds(30);
    assert_eq!(call.await.unwrap().ok()["valid_from"], START + 30);
}

#[tokio::test]
async fn a_step_that_a_plain_caller_got_as_the_next_one_is_not_handed_out_as_unique() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let plain = app.agent().get(code_path(&id, "?include=next")).await.ok();
    app.clock.advance_seconds(30);
    let call = queued(&app, &app.agent(), &id, 1).await;
    app.clock.advance_seconds(30);
    let unique = call.await.unwrap().ok();
    assert_eq!(unique["valid_from"], START + 60);
    assert_ne!(unique["code"], plain["next_code"]);
}

#[tokio::test]
async fn a_restart_forgets_no_step_that_was_handed_out() {
    let mut app = TestApp::new().await;
    let id = app.entry().await;
    at_once(&app, &id).await;
    app.restart().await;
    let call = queued(&app, &app.agent(), &id, 1).await;
    app.clock.advance_seconds(30);
    assert_eq!(call.await.unwrap().ok()["valid_from"], START + 30);
}

#[tokio::test]
async fn a_restart_forgets_no_step_that_a_plain_caller_got() {
    let mut app = TestApp::new().await;
    let id = app.entry().await;
    app.agent().get(code_path(&id, "")).await.ok();
    app.restart().await;
    queued(&app, &app.agent(), &id, 1).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_step_back() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    at_once(&app, &id).await;
    let gone = queued(&app, &app.agent(), &id, 1).await;
    gone.abort();
    app.until_code_events("returned", 1).await;
    let call = queued(&app, &app.agent(), &id, 1).await;
    app.clock.advance_seconds(30);
    assert_eq!(call.await.unwrap().ok()["valid_from"], START + 30);
}

#[tokio::test]
async fn a_step_whose_code_was_told_meanwhile_is_not_given_back() {
    for audit in [Audit::Durable, Audit::Buffered] {
        let app = TestApp::with(Setup { audit, ..Setup::default() }).await;
        let id = app.entry().await;
        at_once(&app, &id).await;
        let gone = queued(&app, &app.agent(), &id, 1).await;
        let plain = app.agent().get(code_path(&id, "?include=next")).await.ok();
        gone.abort();
        app.until_code_events("abandoned", 1).await;
        app.clock.advance_seconds(30);
        let call = queued(&app, &app.agent(), &id, 1).await;
        app.clock.advance_seconds(30);
        let unique = call.await.unwrap().ok();
        assert_eq!(unique["valid_from"], START + 60);
        assert_ne!(unique["code"], plain["next_code"]);
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_from_the_middle_of_the_queue_moves_nobody() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"period": 20})).await;
    at_once(&app, &id).await;
    let gone = queued(&app, &app.agent(), &id, 1).await;
    let stays = queued(&app, &app.agent(), &id, 2).await;
    gone.abort();
    app.until_code_events("abandoned", 1).await;
    app.clock.waiters(1).await;
    app.clock.advance_seconds(40);
    assert_eq!(stays.await.unwrap().ok()["valid_from"], START + 40);
}

#[tokio::test]
async fn a_step_given_back_after_it_began_is_not_handed_out_again_if_a_plain_caller_has_it() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    at_once(&app, &id).await;
    let (key, caller) = app.new_caller("agent").await;
    let call = queued(&app, &caller, &id, 1).await;
    let revoke = format!("/api/v1/key/{}/revoke", key.id);
    app.owner().post(revoke, json!({})).await.ok();
    app.clock.advance_seconds(30);
    let plain = app.agent().get(code_path(&id, "")).await.ok();
    assert_eq!(plain["valid_from"], START + 30);
    call.await.unwrap().error(401, "invalid_credentials");
    app.until_code_events("abandoned", 1).await;
    let next = queued(&app, &app.agent(), &id, 1).await;
    app.clock.advance_seconds(30);
    let unique = next.await.unwrap().ok();
    assert_ne!(unique["code"], plain["code"]);
    assert_eq!(unique["valid_from"], START + 60);
}

#[tokio::test]
async fn an_entry_deleted_under_a_queue_is_not_found() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    at_once(&app, &id).await;
    let call = queued(&app, &app.agent(), &id, 1).await;
    app.backend().delete(entry_path(&id)).await.ok();
    app.clock.advance_seconds(30);
    call.await.unwrap().error(404, "not_found");
}

#[tokio::test]
async fn with_min_validity_the_step_is_unique_and_valid_long_enough() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(25);
    let call = || app.agent().get(code_path(&id, "?unique=true&min_validity=10"));
    let first = tokio::spawn(call().into_future());
    app.clock.waiters(1).await;
    let second = tokio::spawn(call().into_future());
    app.clock.waiters(2).await;
    call().await.error(429, "queue_full");
    app.clock.advance_seconds(5);
    assert_eq!(first.await.unwrap().ok()["valid_from"], START + 30);
    app.clock.advance_seconds(30);
    let second = second.await.unwrap().ok();
    assert_eq!(second["valid_from"], START + 60);
    assert_eq!(second["expires_in"], 30);
}

#[tokio::test]
async fn the_entrys_policy_makes_every_code_unique() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let policy = json!({"policy": {"unique": true}});
    app.backend().patch(entry_path(&id), policy).await.ok();
    app.agent().get(code_path(&id, "")).await.ok();
    let call = tokio::spawn(app.agent().get(code_path(&id, "")).into_future());
    app.clock.waiters(1).await;
    app.clock.advance_seconds(30);
    assert_eq!(call.await.unwrap().ok()["valid_from"], START + 30);
}

#[tokio::test]
async fn include_next_is_refused_because_it_would_give_away_anothers_step() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let query = "?unique=true&include=next";
    let answer = app.agent().get(code_path(&id, query)).await;
    answer.error(400, "invalid_include");
    assert_eq!(at_once(&app, &id).await["valid_from"], START);
}

#[tokio::test]
async fn an_hour_long_step_is_not_queued_for() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"period": 3600})).await;
    at_once(&app, &id).await;
    let answer = app.agent().get(code_path(&id, UNIQUE)).await;
    assert_eq!(answer.retry_after(), 60);
    answer.error(429, "queue_full");
    app.clock.advance_seconds(3600 - 55);
    let call = queued(&app, &app.agent(), &id, 1).await;
    app.clock.advance_seconds(55);
    assert_eq!(call.await.unwrap().ok()["valid_from"], START + 3600);
}

#[tokio::test]
async fn entries_have_steps_of_their_own() {
    let app = TestApp::new().await;
    let (one, two) = (app.entry().await, app.entry().await);
    assert_eq!(at_once(&app, &one).await["valid_from"], START);
    assert_eq!(at_once(&app, &two).await["valid_from"], START);
}

#[tokio::test]
async fn steps_taken_while_the_clock_was_ahead_are_told_and_can_be_forgotten() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let right = app.clock.seconds();
    app.clock.advance_seconds(365 * 86_400);
    app.agent().get(code_path(&id, "")).await.ok();
    app.clock.set(keyfob_core::time::Timestamp::from_seconds(right));
    let refused = app.agent().get(code_path(&id, UNIQUE)).await;
    assert_eq!(refused.header("x-should-retry"), "false");
    let body = refused.error(409, "steps_ahead");
    assert!(body["message"].as_str().unwrap().contains("2027-04-05T12:00:30Z"), "{body}");
    // A plain code needs no step of its own.
    app.agent().get(code_path(&id, "")).await.ok();
    let forget = json!({"policy": {"forget_steps_ahead": true}});
    app.agent().patch(entry_path(&id), forget.clone()).await.error(403, "not_authorized");
    app.backend().patch(entry_path(&id), forget).await.ok();
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "totp.update").unwrap();
    assert!(event.reason.as_ref().unwrap().starts_with("time steps after "));
    let call = queued(&app, &app.agent(), &id, 1).await;
    app.clock.advance_seconds(30);
    assert_eq!(call.await.unwrap().ok()["valid_from"], START + 30);
}

#[tokio::test]
async fn steps_of_a_queue_are_not_forgotten() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    at_once(&app, &id).await;
    let first = queued(&app, &app.agent(), &id, 1).await;
    let forget = json!({"policy": {"forget_steps_ahead": true}});
    app.backend().patch(entry_path(&id), forget).await.ok();
    app.agent().get(code_path(&id, UNIQUE)).await.error(429, "queue_full");
    app.clock.advance_seconds(30);
    first.await.unwrap().ok();
}
