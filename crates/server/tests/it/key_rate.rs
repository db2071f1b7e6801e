//! Keys that may be used so often only. How a minute is counted is in `core/policy/usage.rs`.

use std::time::Duration;

use futures_util::future::join_all;
use keyfob_core::time::Timestamp;
use keyfob_store::event;
use serde_json::{Value, json};

use crate::{
    app::{SECRETS, TestApp, code_path, entry_path},
    call::{Caller, Key},
    key_limits::{limited, path},
    manual_clock::START,
};

const CONTACTS: &str = "/api/v1/contact/list";
const NO_ACCOUNT: &str = "acc_00000000000000000000000000";
const NO_ENTRY: &str = "00000000-0000-4000-8000-000000000000";

/// The events that tell of keys that were used too often.
async fn told(app: &TestApp) -> Vec<event::Stored> {
    let mut events = app.events().await;
    events.retain(|event| event.action == "key.use");
    events
}

/// How many of so many calls at once, of each of these callers, were answered, and how many refused.
async fn at_once(callers: &[&Caller], each: usize, refusal: &str) -> (usize, usize) {
    let calls = callers.iter().flat_map(|caller| (0..each).map(|_| caller.get(SECRETS)));
    let answers = join_all(calls.map(IntoFuture::into_future)).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|it| it.status == 200);
    let counts = (done.len(), refused.len());
    for answer in refused {
        answer.error(429, refusal);
    }
    counts
}

#[tokio::test]
async fn a_rate_holds_in_any_minute_and_says_when_it_is_over() {
    let app = TestApp::new().await;
    let (_, caller) = limited(&app, "backend", json!({"rate": 2})).await;
    caller.get(SECRETS).await.ok();
    app.clock.advance_seconds(30);
    // On both APIs, whatever comes of it.
    caller.get(entry_path(NO_ENTRY)).await.error(404, "not_found");
    for (path, after) in [(SECRETS, 30), (CONTACTS, 30)] {
        let refused = caller.get(path).await;
        assert_eq!(refused.retry_after(), after);
        let body = refused.error(429, "rate_limited");
        assert_eq!(body["code"], "RATE_LIMITED");
        assert_eq!(body["message"], "this key may be used 2 times a minute");
    }
    app.clock.advance(Duration::from_millis(29_999));
    let refused = caller.get(SECRETS).await;
    assert_eq!(refused.retry_after(), 1);
    app.clock.advance(Duration::from_millis(1));
    caller.get(SECRETS).await.ok();
    caller.get(SECRETS).await.error(429, "rate_limited");
    app.backend().get(SECRETS).await.ok();
}

#[tokio::test]
async fn a_quota_holds_until_midnight_utc() {
    let app = TestApp::new().await;
    let (_, caller) = limited(&app, "agent", json!({"quota": 3})).await;
    for _ in 0..3 {
        caller.get(SECRETS).await.ok();
    }
    let refused = caller.get(SECRETS).await;
    assert_eq!(refused.retry_after(), 60, "no client waits for longer");
    let body = refused.error(429, "quota_exceeded");
    assert_eq!(body["code"], "QUOTA_EXCEEDED");
    assert!(body["message"].as_str().unwrap().contains("2026-04-06T00:00:00Z"), "{body}");
    // Noon was when the clock began.
    app.clock.advance_seconds(12 * 3600 - 1);
    caller.get(SECRETS).await.error(429, "quota_exceeded");
    app.clock.advance_seconds(1);
    for _ in 0..3 {
        caller.get(SECRETS).await.ok();
    }
    caller.get(SECRETS).await.error(429, "quota_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_a_rate_exactly_however_many_ask_at_once() {
    let mut app = TestApp::new().await;
    let (_, here) = limited(&app, "agent", json!({"rate": 25})).await;
    let there = app.on_another_node(here.clone()).await;
    assert_eq!(at_once(&[&here, &there], 20, "rate_limited").await, (25, 15));
    app.clock.advance_seconds(59);
    assert_eq!(at_once(&[&here, &there], 5, "rate_limited").await, (0, 10));
    app.clock.advance_seconds(1);
    assert_eq!(at_once(&[&here, &there], 20, "rate_limited").await, (25, 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_a_quota_exactly_however_many_ask_at_once() {
    let mut app = TestApp::new().await;
    let (_, here) = limited(&app, "agent", json!({"quota": 30})).await;
    let there = app.on_another_node(here.clone()).await;
    assert_eq!(at_once(&[&here, &there], 12, "quota_exceeded").await, (24, 0));
    assert_eq!(at_once(&[&here, &there], 12, "quota_exceeded").await, (6, 18));
    app.clock.advance_seconds(3600);
    assert_eq!(at_once(&[&here, &there], 2, "quota_exceeded").await, (0, 4));
}

#[tokio::test]
async fn what_was_refused_is_told_once_a_minute_and_once_a_day() {
    let mut app = TestApp::new().await;
    let (key, here) = limited(&app, "agent", json!({"rate": 1, "quota": 3})).await;
    let there = app.on_another_node(here.clone()).await;
    for refusal in ["rate_limited", "rate_limited", "quota_exceeded"] {
        here.get(SECRETS).await.ok();
        for caller in [&here, &there].into_iter().cycle().take(20) {
            caller.get(SECRETS).await.error(429, refusal);
        }
        app.clock.advance_seconds(60);
    }
    for _ in 0..20 {
        here.get(SECRETS).await.error(429, "quota_exceeded");
        there.get(SECRETS).await.error(429, "quota_exceeded");
        app.clock.advance_seconds(1);
    }
    let told = told(&app).await;
    let results: Vec<_> = told.iter().map(|it| it.result.as_str()).collect();
    assert_eq!(results, ["rate_limited", "rate_limited", "quota_exceeded"]);
    assert!(told.iter().all(|it| it.object == ("key".into(), key.id.clone())));
}

/// Rivals' limiters counted the wrong failures: what others did wrong, and what they themselves had refused.
#[tokio::test]
async fn only_what_a_key_authenticates_counts_and_nothing_that_is_refused() {
    let app = TestApp::new().await;
    let (key, caller) = limited(&app, "backend", json!({"rate": 2, "quota": 4})).await;
    // Whoever knows its id only uses up nothing.
    let other = app.key_of(keyfob_core::policy::Role::Agent);
    let forged = Key { secret: other.secret.clone(), ..key.clone() };
    for _ in 0..10 {
        app.anonymous().with_pair(&forged).get(SECRETS).await.error(401, "invalid_credentials");
        let no_json =
            caller.post("/api/v1/contact/create", json!({})).header("Content-Type", "text/plain");
        no_json.await.error(400, "bad_request");
    }
    caller.get(SECRETS).await.ok();
    caller.get(SECRETS).await.ok();
    // Nor does asking again and again keep a caller out, or eat up the day.
    for _ in 0..59 {
        caller.get(SECRETS).await.error(429, "rate_limited");
        app.clock.advance_seconds(1);
    }
    app.clock.advance_seconds(1);
    caller.get(SECRETS).await.ok();
    caller.get(SECRETS).await.ok();
    caller.get(SECRETS).await.error(429, "quota_exceeded");
    // And one caller's uses are no other's.
    let (_, another) = limited(&app, "agent", json!({"rate": 2, "quota": 4})).await;
    another.get(SECRETS).await.ok();
}

/// Whose child there is was tried out without end.
#[tokio::test]
async fn who_acts_as_a_child_that_is_not_there_is_counted_before_it_is_looked_for() {
    let app = TestApp::new().await;
    let (_, caller) = limited(&app, "backend", json!({"rate": 3})).await;
    let probe = |n: u32| {
        let email = format!("x{n}@example.com");
        caller.get(SECRETS).header("x-runas-child-user-email", &email)
    };
    probe(1).await.error(401, "invalid_credentials");
    probe(2).await.error(401, "invalid_credentials");
    let by_id = || caller.get(SECRETS).header("x-runas-user-id", NO_ACCOUNT);
    by_id().await.error(401, "invalid_credentials");
    probe(3).await.error(429, "rate_limited");
    by_id().await.error(429, "rate_limited");
    let (_, agent) = limited(&app, "agent", json!({"rate": 1})).await;
    let as_child = || agent.get(SECRETS).header("x-runas-user-id", NO_ACCOUNT);
    as_child().await.error(403, "not_authorized");
    as_child().await.error(429, "rate_limited");
}

/// It made itself as many keys as it liked, with a rate each.
#[tokio::test]
async fn a_key_that_is_counted_makes_no_keys_that_would_be_counted_apart() {
    let app = TestApp::new().await;
    for limits in [json!({"rate": 50}), json!({"quota": 50})] {
        let (key, owner) = limited(&app, "owner", limits.clone()).await;
        let mut body = limits.clone();
        body["role"] = "owner".into();
        owner.post("/api/v1/key/create", body).await.error(403, "not_authorized");
        owner.post("/api/v1/account/create", json!({})).await.error(403, "not_authorized");
        // It narrows keys, its own too, but takes the count off none.
        owner.post(path(&key.id, "update"), json!({"rate": 49, "quota": 49})).await.ok();
        let free = owner.post(path(&key.id, "update"), json!({"rate": null, "quota": null}));
        free.await.error(403, "limits_too_wide");
    }
}

/// Each of two clocks that were more than a minute apart had a rate of its own.
#[tokio::test]
async fn nodes_whose_clocks_are_minutes_apart_share_a_rate() {
    for ahead in [70, 10 * 60, 59 * 60] {
        let mut app = TestApp::new().await;
        let (_, here) = limited(&app, "agent", json!({"rate": 5})).await;
        let there = app.on_a_node_ahead(here.clone(), Duration::from_secs(ahead)).await;
        let mut answered = 0;
        for _ in 0..20 {
            for caller in [&there, &here] {
                answered += usize::from(caller.get(SECRETS).await.status == 200);
            }
        }
        assert_eq!(answered, 5, "{ahead} s ahead");
    }
}

#[tokio::test]
async fn a_list_counts_once_however_long_it_is() {
    let app = TestApp::new().await;
    for _ in 0..250 {
        app.entry().await;
    }
    let (_, caller) = limited(&app, "agent", json!({"rate": 1})).await;
    let list = caller.get(SECRETS).await.ok();
    assert_eq!(list["totp_secrets"].as_array().unwrap().len(), 250);
    caller.get(SECRETS).await.error(429, "rate_limited");
}

/// Waiting is part of one call: the key is looked at again after it, and not counted.
#[tokio::test]
async fn a_call_that_waits_counts_once() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let (_, caller) = limited(&app, "agent", json!({"quota": 1})).await;
    app.clock.advance_seconds(20);
    let call = tokio::spawn(caller.get(code_path(&id, "?min_validity=30")).into_future());
    app.clock.waiters(1).await;
    app.clock.advance_seconds(10);
    call.await.unwrap().ok();
    caller.get(SECRETS).await.error(429, "quota_exceeded");
}

#[tokio::test]
async fn a_changed_rate_holds_at_once_and_with_what_was_used() {
    let app = TestApp::new().await;
    let (key, caller) = limited(&app, "agent", json!({"rate": 3})).await;
    for _ in 0..3 {
        caller.get(SECRETS).await.ok();
    }
    caller.get(SECRETS).await.error(429, "rate_limited");
    let update = |change: Value| app.owner().post(path(&key.id, "update"), change);
    update(json!({"rate": 4})).await.ok();
    caller.get(SECRETS).await.ok();
    caller.get(SECRETS).await.error(429, "rate_limited");
    update(json!({"rate": null})).await.ok();
    for _ in 0..10 {
        caller.get(SECRETS).await.ok();
    }
    update(json!({"rate": 1})).await.ok();
    caller.get(SECRETS).await.error(429, "rate_limited");
}

#[tokio::test]
async fn uses_outlive_a_restart_and_are_forgotten_after_two_days() {
    let mut app = TestApp::new().await;
    let (key, _) = limited(&app, "agent", json!({"quota": 1})).await;
    app.anonymous().with_token(&key).get(SECRETS).await.ok();
    app.restart().await;
    app.anonymous().with_token(&key).get(SECRETS).await.error(429, "quota_exceeded");
    assert_eq!(app.broker().forget_uses().await.unwrap(), 0);
    app.clock.advance_seconds(2 * 86_400 + 1);
    assert_eq!(app.broker().forget_uses().await.unwrap(), 1);
    app.anonymous().with_token(&key).get(SECRETS).await.ok();
}

/// The clock was wrong for a while, and was set right.
#[tokio::test]
async fn a_clock_that_was_years_ahead_locks_no_key_out() {
    let app = TestApp::new().await;
    let (_, caller) = limited(&app, "agent", json!({"rate": 1, "quota": 1})).await;
    app.clock.advance_seconds(10 * 365 * 86_400);
    caller.get(SECRETS).await.ok();
    caller.get(SECRETS).await.error(429, "quota_exceeded");
    app.clock.set(Timestamp::from_seconds(START));
    caller.get(SECRETS).await.ok();
}
