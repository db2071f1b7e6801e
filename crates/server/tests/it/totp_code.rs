//! `GET /api/v2/totp/code/{id}`: the current step's code. See `totp_wait` and `totp_unique` too.

use std::future::IntoFuture;

use serde_json::{Value, json};

use crate::{
    app::{TestApp, canary_code, code_path},
    manual_clock::START,
};

#[tokio::test]
async fn a_code_is_the_cores_own_with_all_additive_fields() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(16);
    let answer = app.agent().get(code_path(&id, "")).await.ok();
    let expected = json!({
        "status": "OK", "code": canary_code(30, START), "expires_in": 14,
        "server_time": START + 16, "valid_from": START, "valid_until": START + 30,
        "period": 30, "digits": 6,
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn every_role_may_have_a_code() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    for caller in [app.owner(), app.backend(), app.agent()] {
        let answer = caller.get(code_path(&id, "")).await.ok();
        assert_eq!(answer["code"], canary_code(30, START));
    }
}

#[tokio::test]
async fn a_code_changes_at_the_step_and_not_a_moment_before() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let millis = std::time::Duration::from_millis;
    app.clock.advance(millis(29_999));
    let last = app.agent().get(code_path(&id, "")).await.ok();
    assert_eq!(last["code"], canary_code(30, START));
    assert_eq!(last["expires_in"], 1);
    app.clock.advance(millis(1));
    let first = app.agent().get(code_path(&id, "")).await.ok();
    assert_eq!(first["code"], canary_code(30, START + 30));
    assert_eq!(first["expires_in"], 30);
}

#[tokio::test]
async fn the_entrys_own_period_and_digits_count() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"period": 3600, "digits": 8})).await;
    app.clock.advance_seconds(1);
    let answer = app.agent().get(code_path(&id, "")).await.ok();
    assert_eq!(answer["expires_in"], 3599);
    assert_eq!(answer["period"], 3600);
    assert_eq!(answer["digits"], 8);
    let code = answer["code"].as_str().unwrap();
    assert_eq!(code.len(), 8);
    assert!(code.ends_with(&canary_code(3600, START)));
}

#[tokio::test]
async fn include_next_adds_the_next_steps_code() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let answer = app.agent().get(code_path(&id, "?include=next")).await.ok();
    assert_eq!(answer["code"], canary_code(30, START));
    assert_eq!(answer["next_code"], canary_code(30, START + 30));
    assert_eq!(answer["next_valid_from"], START + 30);
}

#[tokio::test]
async fn without_include_there_is_no_next_code() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let answer = app.agent().get(code_path(&id, "")).await.ok();
    assert_eq!(answer["next_code"], Value::Null);
    assert_eq!(answer["next_valid_from"], Value::Null);
}

#[tokio::test]
async fn a_parameter_with_an_odd_value_is_refused() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    for (query, error) in [
        ("?include=all", "invalid_include"),
        ("?include=", "invalid_include"),
        ("?min_validity=ten", "invalid_min_validity"),
        ("?min_validity=-1", "invalid_min_validity"),
        ("?min_validity=%2B5", "invalid_min_validity"),
        ("?min_validity=1.5", "invalid_min_validity"),
        ("?min_validity=", "invalid_min_validity"),
        ("?min_validity=99999999999", "invalid_min_validity"),
        ("?unique=maybe", "invalid_unique"),
        ("?unique", "invalid_unique"),
    ] {
        let answer = app.agent().get(code_path(&id, query)).await;
        answer.error(400, error);
    }
}

#[tokio::test]
async fn a_parameter_is_decoded_like_that_of_any_form() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.agent().get(code_path(&id, "?unique=true")).await.ok();
    // This one waits for a step of its own, as it would not without the parameter.
    let unique = app.agent().get(code_path(&id, "?uniqu%65=tru%65"));
    let unique = tokio::spawn(unique.into_future());
    app.clock.waiters(1).await;
    app.clock.advance_seconds(30);
    assert_eq!(unique.await.unwrap().ok()["code"], canary_code(30, START + 30));
    let next = app.agent().get(code_path(&id, "?in%63lude=ne%78t")).await.ok();
    assert_eq!(next["next_code"], canary_code(30, START + 60));
    for (query, error) in [
        ("?uniqu%65=maybe", "invalid_unique"),
        ("?unique=tr+ue", "invalid_unique"),
        ("?unique=true%FF", "invalid_unique"),
        ("?min%5Fvalidity=ten", "invalid_min_validity"),
        ("?min_validity=1+0", "invalid_min_validity"),
        ("?inc%6Cude=all", "invalid_include"),
    ] {
        let answer = app.agent().get(code_path(&id, query)).await;
        answer.error(400, error);
    }
}

#[tokio::test]
async fn a_parameter_that_is_there_twice_with_different_values_is_refused_by_name() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    for (query, name) in [
        ("?unique=true&unique=false", "unique"),
        ("?unique=false&uniqu%65=true", "unique"),
        ("?min_validity=1&include=next&min_validity=2", "min_validity"),
        ("?include=next&include=", "include"),
    ] {
        let answer = app.agent().get(code_path(&id, query)).await;
        let message = answer.error(400, "duplicate_parameter")["message"].clone();
        let text =
            format!("the query has {name} more than once, with different values: send it once");
        assert_eq!(message, text);
    }
    assert!(app.code_events("ok").await.is_empty());
    let same = "?min_validity=5&include=next&min_validity=%35&colour=red&colour=blue";
    app.agent().get(code_path(&id, same)).await.ok();
}

#[tokio::test]
async fn unknown_parameters_are_ignored() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let query = "?colour=red&&unique=false&min_validity=0";
    let answer = app.agent().get(code_path(&id, query)).await.ok();
    assert_eq!(answer["code"], canary_code(30, START));
}

#[tokio::test]
async fn the_same_step_gives_every_plain_caller_the_same_code() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let first = app.agent().get(code_path(&id, "")).await.ok();
    assert_eq!(app.backend().get(code_path(&id, "")).await.ok(), first);
}

#[tokio::test]
async fn a_code_is_the_same_after_a_restart() {
    let mut app = TestApp::new().await;
    let id = app.entry().await;
    let before = app.agent().get(code_path(&id, "")).await.ok();
    app.restart().await;
    assert_eq!(app.agent().get(code_path(&id, "")).await.ok(), before);
}
