//! An entry that was asked for lately is not read again for each code: what is changed here counts at
//! once, what is changed on another node within a second.

use serde_json::json;

use crate::{
    app::{Setup, TestApp, canary_code, code_path, entry_path},
    manual_clock::START,
};
use keyfob_server::config::Audit;

async fn apps() -> [TestApp; 2] {
    let with = async |audit| TestApp::with(Setup { audit, ..Setup::default() }).await;
    [with(Audit::Durable).await, with(Audit::Buffered).await]
}

#[tokio::test]
async fn a_code_asked_for_again_is_right_and_has_an_event_of_its_own() {
    for app in apps().await {
        let id = app.entry().await;
        for round in 0..5 {
            let code = app.agent().get(code_path(&id, "")).await.ok();
            assert_eq!(code["code"], canary_code(30, START), "round {round}");
        }
        let next = app.agent().get(code_path(&id, "?include=next")).await.ok();
        assert_eq!(next["next_code"], canary_code(30, START + 30));
        app.until_code_events("ok", 6).await;
    }
}

#[tokio::test]
async fn what_is_changed_here_counts_at_once() {
    for app in apps().await {
        let id = app.entry().await;
        let code = |query| app.agent().get(code_path(&id, query));
        code("").await.ok();
        code("").await.ok();
        let policy = json!({"policy": {"min_validity": 30, "unique": true}});
        app.backend().patch(entry_path(&id), policy).await.ok();
        // Plain calls have seen this step, and a call waits at most 55 s for the next.
        code("?min_validity=0&unique=false").await.ok();
        app.clock.advance_seconds(1);
        code("?unique=false&min_validity=31").await.error(400, "invalid_min_validity");
        app.backend().delete(entry_path(&id)).await.ok();
        code("?min_validity=0&unique=false").await.error(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_changed_on_another_node_counts_within_a_second() {
    for mut app in apps().await {
        let id = app.entry().await;
        let there = app.on_another_node(app.backend()).await;
        let code = |query| app.agent().get(code_path(&id, query));
        code("").await.ok();
        there.patch(entry_path(&id), json!({"policy": {"unique": true}})).await.ok();
        app.clock.advance_seconds(1);
        let refused = code("?include=next").await;
        refused.error(400, "invalid_include");
        code("?unique=false").await.ok();
        there.delete(entry_path(&id)).await.ok();
        app.clock.advance_seconds(1);
        code("?unique=false").await.error(404, "not_found");
    }
}

#[tokio::test]
async fn another_account_is_not_told_that_an_entry_was_asked_for() {
    for app in apps().await {
        let id = app.entry().await;
        app.agent().get(code_path(&id, "")).await.ok();
        let other = app.other_account().await;
        other.get(code_path(&id, "")).await.error(404, "not_found");
    }
}
