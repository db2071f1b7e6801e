//! A server whose clock is before 1970 gives out nothing.

use keyfob_core::time::Timestamp;
use serde_json::json;

use crate::{
    app::{SECRETS, TestApp, code_path},
    manual_clock::START,
};

#[tokio::test]
async fn before_1970_a_code_is_an_error_of_the_server() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    for millis in [-1, -1000, -1_000_000_000_000, i64::MIN] {
        app.clock.set(Timestamp::from_millis(millis));
        for query in ["", "?unique=true", "?min_validity=1", "?include=next"] {
            let answer = app.agent().get(code_path(&id, query)).await;
            answer.error(500, "internal_server_error");
        }
    }
    app.clock.set(Timestamp::from_seconds(START));
    assert!(app.code_events("ok").await.is_empty());
}

#[tokio::test]
async fn before_1970_nothing_is_stored() {
    let app = TestApp::new().await;
    app.clock.set(Timestamp::from_millis(-1));
    for (path, body) in [
        (SECRETS, json!({"label": "x"})),
        ("/api/v1/key/create", json!({"role": "agent"})),
        ("/api/v1/account/create", json!({})),
    ] {
        let answer = app.owner().post(path, body).await;
        answer.error(500, "internal_server_error");
    }
    app.clock.set(Timestamp::from_seconds(START));
    let list = app.owner().get(SECRETS).await.ok();
    assert_eq!(list["totp_secrets"], json!([]));
}

#[tokio::test]
async fn before_1970_the_server_is_alive_but_not_ready() {
    let app = TestApp::new().await;
    app.clock.set(Timestamp::from_millis(-1));
    app.anonymous().get("/healthz").await.ok();
    let ready = app.anonymous().get("/readyz").await;
    ready.error(503, "service_unavailable");
}

#[tokio::test]
async fn the_first_moment_of_1970_has_a_code() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.set(Timestamp::from_millis(0));
    let answer = app.agent().get(code_path(&id, "")).await.ok();
    assert_eq!(answer["valid_from"], 0);
    assert_eq!(answer["expires_in"], 30);
}

#[tokio::test]
async fn a_clock_set_back_hands_out_no_unique_step_twice() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(60);
    let first = app.agent().get(code_path(&id, "?unique=true")).await.ok();
    assert_eq!(first["valid_from"], START + 60);
    app.clock.set(Timestamp::from_seconds(START));
    let refused = app.agent().get(code_path(&id, "?unique=true")).await;
    refused.error(429, "queue_full");
    let plain = app.agent().get(code_path(&id, "")).await.ok();
    assert_eq!(plain["valid_from"], START);
}

#[tokio::test]
async fn past_2038_codes_go_on() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.set(Timestamp::from_seconds(4_102_444_800));
    let answer = app.agent().get(code_path(&id, "")).await.ok();
    assert_eq!(answer["server_time"], 4_102_444_800_i64);
}
