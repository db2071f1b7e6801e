//! `GET`, `PATCH` and `DELETE /api/v2/totp/secrets/{id}`.

use serde_json::{Value, json};

use crate::{
    app::{TestApp, code_path, entry_path},
    guard::CANARY,
};

#[tokio::test]
async fn a_fetch_shows_all_but_the_secret_to_any_role() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"digits": 8, "period": 60})).await;
    let expected = json!({"status": "OK", "totp_secret": {
        "id": id, "algorithm": "SHA1", "created_at": "2026-04-05T12:00:00Z", "digits": 8,
        "issuer": null, "label": "GitHub", "period": 60, "type": "totp",
        "updated_at": "2026-04-05T12:00:00Z", "policy": {"unique": false, "min_validity": 0},
    }});
    for caller in [app.owner(), app.backend(), app.agent()] {
        assert_eq!(caller.get(entry_path(&id)).await.ok(), expected);
    }
}

#[tokio::test]
async fn an_id_is_found_in_upper_case_too() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let found = app.agent().get(entry_path(&id.to_uppercase())).await.ok();
    assert_eq!(found["totp_secret"]["id"], id);
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"issuer": "Ex"})).await;
    app.clock.advance_seconds(90);
    let mut expected = app.agent().get(entry_path(&id)).await.ok();
    for (change, field, value) in [
        (json!({"label": "new"}), "label", json!("new")),
        (json!({"issuer": "New Inc."}), "issuer", json!("New Inc.")),
        (json!({"issuer": null}), "issuer", Value::Null),
        (json!({"policy": {"unique": true}}), "policy", json!({"unique": true, "min_validity": 0})),
        (
            json!({"policy": {"min_validity": 10}}),
            "policy",
            json!({"unique": true, "min_validity": 10}),
        ),
        (json!({}), "label", json!("new")),
    ] {
        let answer = app.backend().patch(entry_path(&id), change).await.ok();
        expected["totp_secret"][field] = value;
        expected["totp_secret"]["updated_at"] = json!("2026-04-05T12:01:30Z");
        assert_eq!(answer, expected);
        assert_eq!(app.agent().get(entry_path(&id)).await.ok(), expected);
    }
}

#[tokio::test]
async fn a_blank_issuer_takes_it_away() {
    let app = TestApp::new().await;
    for blank in ["", " ", "\u{a0}\u{3000}"] {
        let id = app.entry_with(json!({"issuer": "Ex"})).await;
        let answer = app.backend().patch(entry_path(&id), json!({"issuer": blank})).await.ok();
        assert_eq!(answer["totp_secret"]["issuer"], Value::Null, "{blank:?}");
    }
}

#[tokio::test]
async fn an_update_that_is_wrong_changes_nothing() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let before = app.agent().get(entry_path(&id)).await.ok();
    for (change, error) in [
        (json!({"label": ""}), "missing_label"),
        (json!({"label": " \u{a0}"}), "missing_label"),
        (json!({"label": "a\tb"}), "invalid_label"),
        (json!({"label": "x".repeat(256)}), "invalid_label"),
        (json!({"issuer": "x".repeat(256)}), "invalid_issuer"),
        (json!({"policy": {"min_validity": 31}}), "invalid_min_validity"),
        (json!({"policy": {"min_validity": -1}}), "bad_request"),
        (json!({"policy": {"unique": "yes"}}), "bad_request"),
        (json!({"label": "x", "secret": CANARY}), "bad_request"),
        (json!({"label": "x", "period": 60}), "bad_request"),
        (json!([]), "bad_request"),
    ] {
        let answer = app.backend().patch(entry_path(&id), change).await;
        answer.error(400, error);
    }
    assert_eq!(app.agent().get(entry_path(&id)).await.ok(), before);
}

#[tokio::test]
async fn an_error_of_an_update_repeats_no_value() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    for change in [
        json!({"policy": CANARY}),
        json!({"policy": {"min_validity": CANARY}}),
        json!({"policy": {"unique": CANARY}}),
        json!({"label": [CANARY]}),
        json!(CANARY),
    ] {
        // The guard looks for the canary in the answer.
        let answer = app.backend().patch(entry_path(&id), change).await;
        answer.error(400, "bad_request");
    }
}

#[tokio::test]
async fn a_delete_is_for_good() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let deleted = app.backend().delete(entry_path(&id)).await.ok();
    assert_eq!(deleted, json!({"status": "OK"}));
    for call in [
        app.backend().get(entry_path(&id)),
        app.backend().get(code_path(&id, "")),
        app.backend().patch(entry_path(&id), json!({"label": "x"})),
        app.backend().delete(entry_path(&id)),
    ] {
        call.await.error(404, "not_found");
    }
}

#[tokio::test]
async fn an_agent_may_neither_update_nor_delete() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let update = app.agent().patch(entry_path(&id), json!({"label": "x"}));
    update.await.error(403, "not_authorized");
    let delete = app.agent().delete(entry_path(&id));
    delete.await.error(403, "not_authorized");
    let found = app.agent().get(entry_path(&id)).await.ok();
    assert_eq!(found["totp_secret"]["label"], "GitHub");
}

#[tokio::test]
async fn what_was_stored_outlives_a_restart() {
    let mut app = TestApp::new().await;
    let id = app.entry().await;
    let change = json!({"label": "new", "policy": {"unique": true}});
    let updated = app.backend().patch(entry_path(&id), change).await.ok();
    app.restart().await;
    assert_eq!(app.agent().get(entry_path(&id)).await.ok(), updated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_changes_at_once_neither_undoes_the_other() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    for number in 0..20 {
        let label = format!("label {number}");
        let unique = number % 2 == 0;
        let rename = app.backend().patch(entry_path(&id), json!({"label": label}));
        let set = app.backend().patch(entry_path(&id), json!({"policy": {"unique": unique}}));
        let (rename, set) = (tokio::spawn(rename.into_future()), tokio::spawn(set.into_future()));
        rename.await.unwrap().ok();
        set.await.unwrap().ok();
        let after = app.agent().get(entry_path(&id)).await.ok();
        assert_eq!(after["totp_secret"]["label"], label);
        assert_eq!(after["totp_secret"]["policy"]["unique"], unique);
    }
}
