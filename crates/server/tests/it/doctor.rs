//! The doctor.

use keyfob_server::doctor::{Finding, examine};
use serde_json::json;

use crate::{
    app::{SECRETS, TestApp},
    guard::CANARY,
    secret,
};

async fn findings(app: &mut TestApp) -> Vec<Finding> {
    let clock = app.clock.clone();
    examine(app.config(), &*clock).await
}

/// What is wrong with this.
fn wrong(findings: &[Finding], what: &str) -> String {
    let finding = findings.iter().find(|finding| finding.what == what).unwrap();
    finding.result.clone().unwrap_err()
}

#[tokio::test]
async fn steps_taken_ahead_of_the_clock_are_named() {
    let mut app = TestApp::new().await;
    let id = app.entry().await;
    let right = app.clock.seconds();
    app.clock.advance_seconds(3600);
    app.agent().get(crate::app::code_path(&id, "")).await.ok();
    app.clock.set(keyfob_core::time::Timestamp::from_seconds(right));
    let text = wrong(&findings(&mut app).await, "time steps");
    assert!(text.contains(&id) && text.contains("forget_steps_ahead"), "{text}");
}

#[tokio::test]
async fn a_vault_that_is_well_has_nothing_wrong() {
    let mut app = TestApp::new().await;
    app.entry().await;
    secret::create(&app.backend(), json!({"value": CANARY, "config": {"pin": "1"}})).await;
    for Finding { what, result } in findings(&mut app).await {
        assert!(result.is_ok(), "{what}: {result:?}");
    }
}

#[tokio::test]
async fn every_damaged_row_is_named_with_its_column_and_the_remedy() {
    let mut app = TestApp::new().await;
    let (kind, seed, copied) = (app.entry().await, app.entry().await, app.entry().await);
    app.entry().await;
    let database = app.database();
    database.execute(&format!("UPDATE totp SET kind = 'hotp' WHERE id = '{kind}'"));
    database.change_secret(&seed, Vec::clear);
    let from = format!("SELECT secret FROM totp WHERE id = '{kind}'");
    database.execute(&format!("UPDATE totp SET secret = ({from}) WHERE id = '{copied}'"));
    let sealed = json!({"value": CANARY, "config": {"pin": "1"}});
    let (value, config, of_type) = (
        secret::create(&app.backend(), sealed.clone()).await,
        secret::create(&app.backend(), sealed.clone()).await,
        secret::create(&app.backend(), sealed).await,
    );
    let database = app.database();
    database.change_sealed(("secret", "value"), &value, Vec::clear);
    database.change_sealed(("secret", "config"), &config, Vec::clear);
    database.execute(&format!("UPDATE secret SET type = 'x' WHERE id = '{of_type}'"));
    let findings = findings(&mut app).await;
    let text = wrong(&findings, "sealed values");
    for (id, column) in
        [(&value, "column value"), (&config, "column config"), (&of_type, "column type")]
    {
        let line = text.lines().find(|line| line.contains(id.as_str())).unwrap();
        assert!(line.contains("secret row") && line.contains(column), "{line}");
    }
    for (id, column) in
        [(&kind, "column kind"), (&seed, "column secret"), (&copied, "column secret")]
    {
        let line = text.lines().find(|line| line.contains(id.as_str())).unwrap();
        assert!(line.contains("totp row") && line.contains(column), "{line}");
        assert!(line.contains("estore"), "{line}");
    }
    assert!(text.starts_with("3 sealed values open, 6 rows or values do not"), "{text}");
    app.owner().get(SECRETS).await.ok();
}

#[tokio::test]
async fn a_damaged_account_keeps_no_other_from_being_looked_at() {
    let mut app = TestApp::new().await;
    let id = app.entry().await;
    app.other_account().await;
    app.database().execute(
        "UPDATE data_key SET id = -1 WHERE account_id IN
        (SELECT id FROM account WHERE parent_id IS NOT NULL)",
    );
    app.database().change_secret(&id, Vec::clear);
    let text = wrong(&findings(&mut app).await, "sealed values");
    assert!(text.contains("data_key row") && text.contains(&id), "{text}");
}
