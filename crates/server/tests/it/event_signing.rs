//! When the audit trail is signed, by whom, and what may be removed of it then.

use std::time::Duration;

use keyfob_server::{audit, clock::Clock};
use serde_json::json;

use crate::{
    app::{TestApp, code_path},
    event_chain::{kinds, look, own, public, signed},
};

#[tokio::test]
async fn checkpoints_come_with_time_and_with_events_and_at_the_end() {
    let mut app = TestApp::new().await;
    let own = own(&mut app);
    let count = async |app: &TestApp| look(app, &own, None).await.1.checkpoints;
    app.broker().sign_events().await.unwrap();
    assert_eq!(count(&app).await, 2, "the first events are signed at once");
    app.entry().await;
    app.broker().sign_events().await.unwrap();
    assert_eq!(count(&app).await, 2, "not every event has one");
    app.clock.advance_seconds(60);
    app.broker().sign_events().await.unwrap();
    assert_eq!(count(&app).await, 3);
    app.clock.advance_seconds(60);
    app.broker().sign_events().await.unwrap();
    assert_eq!(count(&app).await, 3, "there is nothing new");
    app.entry_with(json!({"label": "last"})).await;
    app.broker().finish_events().await;
    let (found, report) = look(&app, &own, None).await;
    assert_eq!((found, report.checkpoints, report.uncovered), (vec![], 4, 0));
}

#[tokio::test]
async fn what_a_process_left_unsigned_is_signed_by_the_next_one_as_it_was_written() {
    let mut app = TestApp::new().await;
    let (own, public) = (own(&mut app), public(&mut app));
    app.entry().await;
    app.restart().await;
    assert_eq!(app.broker().sign_stale_chains().await.unwrap(), 0, "it may still run");
    app.clock.advance_seconds(181);
    assert!(app.broker().sign_stale_chains().await.unwrap() >= 1);
    let (found, report) = look(&app, &public, None).await;
    assert_eq!((found, report.uncovered), (vec![], 0));
    // One that was changed in between is not signed, and told.
    app.entry_with(json!({"label": "another"})).await;
    app.restart().await;
    app.clock.advance_seconds(181);
    app.database().execute("UPDATE event SET object_id = 'x' WHERE action = 'totp.create'");
    assert_eq!(app.broker().sign_stale_chains().await.unwrap(), 0);
    let found = look(&app, &own, None).await.0;
    assert_eq!(kinds(&found), ["changed", "changed"]);
}

#[tokio::test]
async fn a_clock_that_was_ahead_and_is_set_back_does_not_hold_up_what_is_signed() {
    let mut app = TestApp::new().await;
    let (own, start) = (own(&mut app), app.clock.now());
    app.clock.advance_seconds(86_400);
    app.entry().await;
    assert!(app.broker().sign_events().await.unwrap() > 0);
    app.entry_with(json!({"label": "of a process that is killed"})).await;
    app.clock.set(start);
    app.restart().await;
    assert!(app.broker().sign_stale_chains().await.unwrap() >= 1);
    // Its own ones too.
    app.clock.advance_seconds(86_400);
    app.entry_with(json!({"label": "ahead"})).await;
    app.broker().sign_events().await.unwrap();
    app.clock.set(start);
    app.entry_with(json!({"label": "after"})).await;
    assert!(app.broker().sign_events().await.unwrap() > 0);
    let (found, report) = look(&app, &own, None).await;
    assert_eq!((found, report.uncovered), (vec![], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_events_of_two_nodes_at_once_are_in_whole_chains() {
    let mut app = TestApp::new().await;
    let own = own(&mut app);
    let id = app.entry().await;
    let other = app.on_another_node(app.agent()).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..200 {
        let caller = if number % 2 == 0 { app.agent() } else { other.clone() };
        let path = code_path(&id, "");
        calls.spawn(async move { caller.get(path).await.status });
    }
    assert!(calls.join_all().await.iter().all(|status| *status == 200));
    app.broker().sign_events().await.unwrap();
    let (found, report) = look(&app, &own, None).await;
    assert_eq!(found, []);
    assert!(report.chains >= 2 && report.events >= 200, "{report:?}");
    assert_eq!(report.unchained, 0);
}

#[tokio::test]
async fn old_events_are_removed_and_what_is_left_is_still_proved() {
    const DAY: Duration = Duration::from_hours(24);
    let mut app = signed().await;
    let (own, public) = (own(&mut app), public(&mut app));
    let before = look(&app, &own, None).await.1.events;
    assert_eq!(app.broker().expire_events(DAY).await.unwrap(), 0, "nothing is old enough");
    app.clock.advance_seconds(86_401 + 3600);
    app.entry_with(json!({"label": "new"})).await;
    app.broker().sign_events().await.unwrap();
    assert_eq!(app.broker().expire_events(DAY).await.unwrap(), before);
    for trust in [&own, &public] {
        let (found, report) = look(&app, trust, None).await;
        assert_eq!((found, report.events, report.expired), (vec![], 1, before));
        assert!(audit::summary(&report).iter().any(|line| line.contains("retention up to")));
    }
    assert_eq!(app.broker().expire_events(DAY).await.unwrap(), 0);
    let listed = app.backend().get("/api/v1/event/list").await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    // What is left cannot be removed in its name.
    app.broker().finish_events().await;
    app.database().execute("DELETE FROM event");
    assert_eq!(kinds(&look(&app, &own, None).await.0).first(), Some(&"removed"));
}
