//! The doctor.

use keyfob_server::{
    doctor::{Finding, examine},
    egress::Allow,
};
use serde_json::json;

use crate::{
    app::{SECRETS, TestApp},
    connection::{connect, personal, verified_contact},
    guard::CANARY,
    secret,
};

pub(crate) async fn findings(app: &mut TestApp) -> Vec<Finding> {
    findings_with(app, &Allow::default()).await
}

async fn findings_with(app: &mut TestApp, allow: &Allow) -> Vec<Finding> {
    let clock = app.clock.clone();
    examine(app.config(), allow, &*clock).await
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
async fn what_may_be_reached_is_said() {
    let mut app = TestApp::new().await;
    let allow = Allow::parse("10.0.0.0/8,provider.internal:8443").unwrap();
    let findings = findings_with(&mut app, &allow).await;
    let egress = findings.iter().find(|finding| finding.what == "egress").unwrap();
    let text = egress.result.as_ref().unwrap();
    assert!(text.ends_with("KEYFOB_EGRESS_ALLOW lets through: 10.0.0.0/8, provider.internal:8443"));
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

/// A contact that has connected two secrets, one of which has a config.
async fn connected(app: &TestApp) -> (String, [String; 2]) {
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let of_type = json!({"kind": "personal", "type": "bearer", "config": {"headerName": "x-key"}});
    let secrets = [personal(&backend, "bearer").await, secret::create(&backend, of_type).await];
    for secret in &secrets {
        connect(&backend, &contact, secret, json!({"value": CANARY})).await.ok();
    }
    (contact, secrets)
}

/// Deletes the contact, whose connections are grants now: they are queued to be revoked.
async fn delete_with_grants(app: &TestApp, contact: &str) {
    app.database().execute("UPDATE connection SET type = 'oauth'");
    app.backend().post(format!("/api/v1/contact/{contact}/delete"), json!({})).await.ok();
}

#[tokio::test]
async fn what_contacts_have_connected_and_what_is_queued_to_be_revoked_opens_where_it_was_sealed() {
    let mut app = TestApp::new().await;
    let (contact, _) = connected(&app).await;
    connected(&app).await;
    delete_with_grants(&app, &contact).await;
    let findings = findings(&mut app).await;
    let values = findings.iter().find(|finding| finding.what == "sealed values").unwrap();
    // Two values that are connected, each with its terms, two and one config that are queued, two configs of secrets.
    assert_eq!(values.result.as_deref(), Ok("9 sealed values open"));
}

#[tokio::test]
async fn a_damaged_connection_is_named_by_contact_and_secret() {
    let mut app = TestApp::new().await;
    let (contact, [first, second]) = connected(&app).await;
    let database = app.database();
    database.execute(&format!("UPDATE connection SET type = 'x' WHERE secret_id = '{first}'"));
    // A value at another's place is as good as a damaged one.
    for column in ["value", "terms"] {
        let from = format!("(SELECT {column} FROM connection WHERE secret_id = '{first}')");
        let copy = format!("UPDATE connection SET {column} = {from} WHERE secret_id = '{second}'");
        database.execute(&copy);
    }
    let text = wrong(&findings(&mut app).await, "sealed values");
    assert!(text.starts_with("1 sealed values open, 3 rows or values do not"), "{text}");
    for column in ["value", "terms"] {
        let named = format!("connection row {contact} {second}, column {column}");
        assert!(text.contains(&named) && text.contains("column type is damaged"), "{text}");
    }
}

#[tokio::test]
async fn a_damaged_grant_that_is_queued_to_be_revoked_is_named() {
    let mut app = TestApp::new().await;
    let (contact, [first, second]) = connected(&app).await;
    delete_with_grants(&app, &contact).await;
    let database = app.database();
    let swap = |column: &str, of: &str, from: &str| {
        let from = format!("(SELECT {from} FROM revocation WHERE secret_id = '{second}')");
        database
            .execute(&format!("UPDATE revocation SET {column} = {from} WHERE secret_id = '{of}'"));
    };
    swap("config", &second, "value");
    swap("value", &first, "value");
    let text = wrong(&findings(&mut app).await, "sealed values");
    for column in ["column value", "column config"] {
        let line = text.lines().find(|line| line.contains(column)).unwrap();
        assert!(line.contains("revocation row cxn_"), "{line}");
    }
    assert!(text.starts_with("2 sealed values open, 2 rows or values do not"), "{text}");
}

/// As it is in the middle of a deletion, of a visit to a provider, and after a registration.
#[tokio::test]
async fn what_is_sealed_for_a_while_is_opened_where_it_was_sealed() {
    let mut app = TestApp::new().await;
    let backend = app.backend();
    let (account, contact) = (app.account().await, verified_contact(&backend).await);
    let secret = secret::create(&backend, json!({"config": {"pin": "1"}})).await;
    backend.post(crate::connection::path(&contact, &secret, "authenticate"), json!({})).await;
    backend.post(secret::path(&secret, "authenticate"), json!({})).await.ok();
    app.database().execute(&format!(
        "INSERT INTO deletion (secret_id, account_id, config, removed)
             SELECT id, account_id, config, 0 FROM secret;
         UPDATE authentication SET request = (SELECT config FROM secret);
         INSERT INTO registration (account_id, secret_id, issuer, client, fence, created_at)
             SELECT '{account}', id, 'https://issuer.example', config, 1, 1 FROM secret"
    ));
    let text = wrong(&findings(&mut app).await, "sealed values");
    // The secret's config, and the same bytes where they were moved to by a deletion, open.
    assert!(text.starts_with("2 sealed values open, 2 rows or values do not"), "{text}");
    let client = format!("registration row {secret} https://issuer.example, column client");
    assert!(text.contains(&client) && text.contains("column request"), "{text}");
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
