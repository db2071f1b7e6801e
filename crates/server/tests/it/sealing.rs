//! The database and its master key: what does not belong together is refused, and nothing opens but
//! where it was sealed.

use std::{fs, os::unix::fs::PermissionsExt};

use keyfob_core::crypto::MasterKey;
use keyfob_server::random::SystemRandom;
use serde_json::json;

use crate::{
    app::{SECRETS, TestApp, code_path},
    guard,
};

/// What the next start says that is to be refused.
async fn refusal(app: &mut TestApp) -> String {
    match app.try_restart().await {
        Ok(()) => panic!("the vault was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn the_master_keys_file_and_the_data_directory_are_for_their_owner_only() {
    let mut app = TestApp::new().await;
    let file = app.config().key_file();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    if let Some(path) = app.config().url().strip_prefix("sqlite:") {
        assert_eq!(mode(path.as_ref()), 0o600);
    }
}

#[tokio::test]
async fn another_master_key_is_refused_and_nothing_is_overwritten() {
    let mut app = TestApp::new().await;
    let id = app.entry().await;
    let before = fs::read(app.config().key_file()).unwrap();
    app.config().master_key = Some(MasterKey::generate(&SystemRandom));
    let text = refusal(&mut app).await;
    assert!(text.contains("was sealed with master key"), "{text}");
    assert!(text.contains("Nothing was changed"), "{text}");
    assert_eq!(fs::read(app.config().key_file()).unwrap(), before);
    app.config().master_key = None;
    app.restart().await;
    app.agent().get(code_path(&id, "")).await.ok();
}

#[tokio::test]
async fn a_missing_master_key_is_not_made_anew() {
    let mut app = TestApp::new().await;
    let id = app.entry().await;
    let file = app.config().key_file();
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    let text = refusal(&mut app).await;
    assert!(text.contains("is missing"), "{text}");
    assert!(!file.exists());
    fs::rename(&aside, &file).unwrap();
    app.restart().await;
    app.agent().get(code_path(&id, "")).await.ok();
}

#[tokio::test]
async fn a_master_key_that_others_can_read_is_refused_with_the_remedy() {
    let mut app = TestApp::new().await;
    let file = app.config().key_file();
    for mode in [0o640, 0o604, 0o622, 0o660] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let text = refusal(&mut app).await;
        assert!(text.contains(&format!("{mode:o}")), "{text}");
        assert!(text.contains("chmod 600"), "{text}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    app.restart().await;
}

#[tokio::test]
async fn a_malformed_master_key_is_refused_and_not_repeated() {
    let mut app = TestApp::new().await;
    let file = app.config().key_file();
    let good = fs::read_to_string(&file).unwrap();
    for bad in ["", "not base64", &good[..40], &good.trim().repeat(2)] {
        fs::write(&file, bad).unwrap();
        let text = refusal(&mut app).await;
        assert!(text.contains("32 random bytes in base64"), "{text}");
        assert!(bad.is_empty() || !text.contains(bad), "{text}");
    }
}

#[tokio::test]
async fn the_master_key_may_be_given_directly() {
    let mut app = TestApp::new().await;
    let id = app.entry().await;
    let file = app.config().key_file();
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    app.config().master_key = Some(text.into());
    app.restart().await;
    app.agent().get(code_path(&id, "")).await.ok();
    assert!(!file.exists());
}

/// The caller is told nothing, and the log names the row.
async fn is_damaged(app: &TestApp, id: &str) {
    let answer = app.agent().get(code_path(id, "")).await;
    let request = answer.header("x-request-id").to_owned();
    let body = answer.error(500, "internal_server_error");
    assert_eq!(body["message"], "Internal server error");
    let logs = guard::logs();
    let line = logs.lines().find(|line| line.contains(&request) && line.contains("ERROR"));
    let line = line.unwrap();
    assert!(line.contains(&format!("totp row {id}, column secret")), "{line}");
}

#[tokio::test]
async fn a_damaged_secret_is_an_error_that_says_nothing_and_a_log_line_that_names_the_row() {
    let app = TestApp::new().await;
    let (damaged, whole) = (app.entry().await, app.entry().await);
    let damage: [fn(&mut Vec<u8>); 4] = [
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes[0] = 9,
        |bytes| bytes.truncate(20),
        Vec::clear,
    ];
    for damage in damage {
        app.database().change_secret(&damaged, damage);
        is_damaged(&app, &damaged).await;
    }
    // The others still open, and so does the rest of the damaged one.
    app.agent().get(code_path(&whole, "")).await.ok();
    let list = app.agent().get(SECRETS).await.ok();
    assert_eq!(list["totp_secrets"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn no_event_tells_of_a_code_that_could_not_be_made() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.database().change_secret(&id, Vec::clear);
    is_damaged(&app, &id).await;
    assert!(app.code_events("ok").await.is_empty());
}

#[tokio::test]
async fn a_row_copied_over_anothers_does_not_open() {
    let app = TestApp::new().await;
    let (from, to) = (app.entry().await, app.entry().await);
    let copy = format!(
        "UPDATE totp SET secret = (SELECT secret FROM totp WHERE id = '{from}') WHERE id = '{to}'"
    );
    app.database().execute(&copy);
    is_damaged(&app, &to).await;
    app.agent().get(code_path(&from, "")).await.ok();
}

#[tokio::test]
async fn a_row_moved_to_another_account_does_not_open() {
    let app = TestApp::new().await;
    let other = app.other_account().await;
    let theirs = other.post(SECRETS, json!({"label": "x"})).await.ok();
    let theirs = theirs["totp_secret"]["id"].as_str().unwrap();
    let mine = app.entry().await;
    let steal = format!(
        "UPDATE totp SET account_id = (SELECT account_id FROM totp WHERE id = '{mine}')
         WHERE id = '{theirs}'"
    );
    app.database().execute(&steal);
    is_damaged(&app, theirs).await;
}

#[tokio::test]
async fn another_accounts_data_key_does_not_unwrap() {
    let mut app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(1);
    app.other_account().await;
    let newest = "SELECT wrapped FROM data_key ORDER BY created_at DESC LIMIT 1";
    let swap = format!("UPDATE data_key SET wrapped = ({newest})");
    app.database().execute(&swap);
    app.restart().await;
    let answers = [
        app.agent().get(code_path(&id, "")).await,
        app.backend().post(SECRETS, json!({"label": "x"})).await,
    ];
    for answer in answers {
        answer.error(500, "internal_server_error");
    }
}
