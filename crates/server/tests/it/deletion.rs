//! Contacts and secrets are deleted with what was connected: what the audit trail tells of it, and how a secret
//! goes that very many have connected.

use std::time::Duration;

use keyfob_core::id::AccountId;
use keyfob_store::event::Stored;
use serde_json::json;

use crate::{
    app::TestApp,
    call::Caller,
    connection::{connect, path, personal, verified_contact},
    contact,
    guard::CANARY,
    secret,
};

/// More than goes along with a secret, and more than two later units remove.
const MANY: u32 = 12_000;

/// A child account: its owner, and its id.
async fn child(app: &TestApp) -> (Caller, AccountId) {
    let child = app.other_account().await;
    let answer = child.get("/api/v1/account/fetch").await.ok();
    (child, AccountId::parse(answer["id"].as_str().unwrap()).unwrap())
}

/// A secret that other accounts may use.
async fn public(app: &TestApp) -> String {
    let body = json!({
        "kind": "personal", "visibility": "public", "alias": "mail", "name": "Mail",
        "config": {"x": 1},
    });
    secret::create(&app.backend(), body).await
}

async fn delete(app: &TestApp, secret: &str) {
    let deleted = app.backend().post(secret::path(secret, "delete"), json!({})).await.ok();
    assert_eq!(deleted, json!({"id": secret}));
}

/// Result and reason of the events of this action, sorted: within a millisecond, events of different writers
/// are in no order.
fn told<'a>(events: &'a [Stored], action: &str) -> Vec<(&'a str, Option<&'a str>)> {
    let events = events.iter().filter(|event| event.action == action);
    let mut told: Vec<_> = events.map(|event| (&*event.result, event.reason.as_deref())).collect();
    told.sort_unstable();
    told
}

/// Makes so many contacts of the account, each with a grant of the secret, past the service.
fn connect_many(app: &TestApp, account: &AccountId, secret: &str, count: u32) {
    app.database().execute(&format!(
        "CREATE TABLE number AS
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             SELECT i FROM n;
         INSERT INTO contact (account_id, id, name, description, fingerprint, created_at, updated_at)
             SELECT '{account}', 'con_many_' || i, '', '', '{account} ' || i, 1, 1 FROM number;
         INSERT INTO connection (account_id, contact_id, secret_id, id, type, value, created_at, updated_at)
             SELECT '{account}', 'con_many_' || i, '{secret}', '{account} ' || i, 'oauth',
                    (SELECT config FROM secret WHERE id = '{secret}'), 1, 1 FROM number;
         DROP TABLE number;"
    ));
}

fn rows(app: &TestApp, table: &str) -> i64 {
    app.database().number(&format!("SELECT count(*) FROM {table}"))
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    assert!(waited.is_ok(), "{what}");
}

#[tokio::test]
async fn the_audit_trail_says_how_many_connections_went_with_a_secret_or_a_contact() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contacts = [verified_contact(&backend).await, verified_contact(&backend).await];
    let secrets = [personal(&backend, "plain").await, personal(&backend, "plain").await];
    for (contact, secret) in [(0, 0), (0, 1), (1, 0)] {
        let value = json!({"value": CANARY});
        connect(&backend, &contacts[contact], &secrets[secret], value).await.ok();
    }
    delete(&app, &secrets[0]).await;
    backend.post(contact::path(&contacts[0], "delete"), json!({})).await.ok();
    delete(&app, &secrets[1]).await;
    backend.post(contact::path(&contacts[1], "delete"), json!({})).await.ok();
    let events = app.events().await;
    assert_eq!(told(&events, "secret.delete"), [("ok", None), ("ok", Some("2 connections"))]);
    assert_eq!(told(&events, "contact.delete"), [("ok", None), ("ok", Some("1 connection"))]);
    assert_eq!(told(&events, "connection.revoke"), []);
}

#[tokio::test]
async fn an_account_is_told_that_its_connections_went_with_anothers_secret_but_not_whose() {
    let app = TestApp::new().await;
    let secret = public(&app).await;
    let (first, first_id) = child(&app).await;
    let (second, second_id) = child(&app).await;
    for (account, contacts) in [(&app.backend(), 1), (&first, 2), (&second, 1)] {
        for _ in 0..contacts {
            let contact = verified_contact(account).await;
            connect(account, &contact, &secret, json!({"value": CANARY})).await.ok();
        }
    }
    delete(&app, &secret).await;
    assert_eq!(told(&app.events().await, "secret.delete"), [("ok", Some("4 connections"))]);
    assert_eq!(told(&app.events().await, "connection.revoke"), []);
    for (account, reason) in [(first_id, "2 connections"), (second_id, "1 connection")] {
        let events = app.events_of(account).await;
        assert_eq!(told(&events, "connection.revoke"), [("deleted", Some(reason))]);
        let event = events.into_iter().find(|event| event.action == "connection.revoke").unwrap();
        assert_eq!(event.object, ("secret".to_owned(), secret.clone()));
        assert_eq!(event.actor, ("owner".to_owned(), String::new(), String::new()));
        assert_eq!((event.ip, event.contact_id, &*event.request_id), (None, None, ""));
        assert_eq!(event.created_at.as_seconds(), app.clock.seconds());
    }
}

#[tokio::test]
async fn a_secret_that_very_many_have_connected_goes_in_several_units_and_leaves_nothing_behind() {
    let app = TestApp::new().await;
    let secret = public(&app).await;
    let (_, child) = child(&app).await;
    connect_many(&app, &app.account().await, &secret, MANY);
    connect_many(&app, &child, &secret, MANY);
    delete(&app, &secret).await;
    until("all is removed", async || rows(&app, "deletion") == 0).await;
    assert_eq!((rows(&app, "connection"), rows(&app, "revocation")), (0, i64::from(2 * MANY)));
    let own = [("finished", Some("24000 connections")), ("ok", Some("5000 connections so far"))];
    assert_eq!(told(&app.events().await, "secret.delete"), own);
    let events = app.events_of(child).await;
    assert_eq!(told(&events, "connection.revoke"), [("deleted", Some("12000 connections"))]);
}

#[tokio::test]
async fn the_rest_of_a_deletion_goes_on_when_its_caller_goes_away() {
    let app = TestApp::new().await;
    let secret = public(&app).await;
    connect_many(&app, &app.account().await, &secret, MANY);
    let call = app.backend().post(secret::path(&secret, "delete"), json!({}));
    let call = tokio::spawn(call.into_future());
    let left = i64::from(MANY) - 5_000;
    until("the rest is begun", async || rows(&app, "connection") < left).await;
    call.abort();
    until("all is removed", async || rows(&app, "deletion") == 0).await;
    assert_eq!((rows(&app, "connection"), rows(&app, "secret")), (0, 0));
}

/// As a crash leaves it.
#[tokio::test]
async fn what_an_interrupted_deletion_left_is_not_there_for_anybody_and_is_removed_later() {
    let mut app = TestApp::new().await;
    let secret = public(&app).await;
    let (contact, account) = (verified_contact(&app.backend()).await, app.account().await);
    connect(&app.backend(), &contact, &secret, json!({"value": CANARY})).await.ok();
    connect_many(&app, &account, &secret, MANY);
    app.database().execute(&format!(
        "INSERT INTO deletion (secret_id, account_id, config, type, removed)
             SELECT id, account_id, config, type, 0 FROM secret;
         DELETE FROM secret WHERE id = '{secret}'"
    ));
    app.restart().await;
    let backend = app.backend();
    for name in [&*secret, "@mail", "(Mail)"] {
        backend.get(secret::path(name, "fetch")).await.error(404, "not_found");
        backend.post(secret::path(name, "delete"), json!({})).await.error(404, "not_found");
        for action in ["verify", "authenticate", "revoke"] {
            let call = backend.post(path(&contact, name, action), json!({}));
            call.await.error(404, "not_found");
        }
        let connect = connect(&backend, &contact, name, json!({"value": CANARY}));
        connect.await.error(404, "not_found");
    }
    let list = format!("/api/v1/contact/{contact}/secret/list");
    for query in ["", "?status=all"] {
        let list = backend.get(format!("{list}{query}")).await.ok();
        assert_eq!(list["items"], json!([]), "{query}");
    }
    // Its alias and its name are free.
    let another = public(&app).await;
    assert_eq!(secret::fetch(&backend, "@mail").await["id"], another);
    // One of its contacts goes meanwhile, and takes its own along.
    backend.post(contact::path(&contact, "delete"), json!({})).await.ok();
    assert_eq!(app.broker().finish_deletions().await.unwrap(), 1);
    assert_eq!((rows(&app, "connection"), rows(&app, "deletion")), (0, 0));
    assert_eq!(rows(&app, "revocation"), i64::from(MANY));
    let finished = [("finished", Some("12000 connections"))];
    assert_eq!(told(&app.events().await, "secret.delete"), finished);
    assert_eq!(app.broker().finish_deletions().await.unwrap(), 0);
}
