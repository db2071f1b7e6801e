//! `POST /api/v1/account/{id}/delete`: an account goes with all that belongs to it.

use keyfob_testkit::{Endpoint, Fault};
use serde_json::{Value, json};

use crate::{
    app::{SECRETS, TestApp},
    authentication::state,
    authorize::{agree, go_on},
    call::{Caller, Key},
    connect_page::Browser,
    connection::{connect, path, verified_contact},
    guard::{CANARY, logs},
    provider::{Jobs, config, connected, provider},
    scene::{self, LIFE, Scene},
    secret,
};

const FETCH: &str = "/api/v1/account/fetch";
/// More contacts and secrets than one unit removes.
const MANY: u32 = 1_200;

struct Child {
    owner: Caller,
    id: String,
}

async fn child(app: &TestApp) -> Child {
    let body = json!({"email": "child@example.com"});
    let answer = app.owner().post("/api/v1/account/create", body).await.ok();
    let owner = app.anonymous().with_token(&Key::from_answer(&answer["key"]));
    Child { owner, id: answer["id"].as_str().unwrap().to_owned() }
}

fn delete_path(id: &str) -> String {
    format!("/api/v1/account/{id}/delete")
}

async fn delete(app: &TestApp, id: &str) {
    let deleted = app.owner().post(delete_path(id), json!({})).await.ok();
    assert_eq!(deleted, json!({"id": id}));
}

fn rows(app: &TestApp, table: &str, child: &str) -> i64 {
    app.database().number(&format!("SELECT count(*) FROM {table} WHERE account_id = '{child}'"))
}

const TABLES: [&str; 11] = [
    "data_key",
    "key",
    "totp",
    "creation",
    "contact",
    "secret",
    "connection",
    "authentication",
    "refresh",
    "registration",
    "revocation",
];

/// Ends when nothing of the account is left, after the time for late answers of providers.
async fn until_gone(app: &TestApp, child: &str) {
    app.clock.advance_seconds(120);
    let count = format!("SELECT count(*) FROM account WHERE id = '{child}'");
    let gone = async {
        while app.database().number(&count) != 0 {
            app.broker().revoke_due().await.unwrap();
            app.broker().finish_accounts().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(std::time::Duration::from_secs(30), gone).await;
    assert!(gone.is_ok(), "the account is still there");
    for table in TABLES {
        assert_eq!(rows(app, table, child), 0, "{table}");
    }
}

/// Something of each kind in the child's account.
async fn fill(child: &Caller) -> (String, String) {
    let totp = json!({"label": "x", "secret": CANARY});
    child.post(SECRETS, totp).await.ok();
    let secret = json!({"kind": "personal", "type": "bearer", "visibility": "public"});
    let secret = secret::create(child, secret).await;
    secret::create(child, json!({"value": CANARY})).await;
    let contact = verified_contact(child).await;
    child.post(path(&contact, &secret, "authenticate"), json!({})).await.ok();
    connect(child, &contact, &secret, json!({"value": CANARY})).await.ok();
    (contact, secret)
}

async fn results(app: &TestApp) -> Vec<String> {
    let events = app.events().await.into_iter();
    let events = events.filter(|event| event.action == "account.delete");
    let mut results: Vec<_> = events.map(|event| event.result).collect();
    // Within a millisecond, events of different writers are in no order.
    results.sort_unstable();
    results
}

#[tokio::test]
async fn an_account_goes_with_all_that_belongs_to_it_and_its_parent_is_told() {
    let app = TestApp::new().await;
    let child = child(&app).await;
    fill(&child.owner).await;
    delete(&app, &child.id).await;
    until_gone(&app, &child.id).await;
    assert_eq!(results(&app).await, ["finished", "ok"]);
    app.owner().post(delete_path(&child.id), json!({})).await.error(404, "not_found");
    app.owner().get(FETCH).await.ok();
}

#[tokio::test]
async fn nothing_of_a_deleted_account_can_be_used_from_the_next_request_on() {
    let mut app = TestApp::new().await;
    let child = child(&app).await;
    let (_, public) = fill(&child.owner).await;
    let elsewhere = app.on_another_node(child.owner.clone()).await;
    elsewhere.get(FETCH).await.ok();
    let contact = verified_contact(&app.backend()).await;
    let body = json!({"value": CANARY});
    connect(&app.backend(), &contact, &public, body.clone()).await.ok();
    delete(&app, &child.id).await;
    child.owner.get(FETCH).await.error(401, "not_authenticated");
    let run_as = app.owner().with("x-runas-user-id", &child.id);
    run_as.get(FETCH).await.error(401, "not_authenticated");
    let run_as = app.owner().with("x-runas-child-user-email", "child@example.com");
    run_as.get(FETCH).await.error(401, "not_authenticated");
    connect(&app.backend(), &contact, &public, body).await.error(404, "not_found");
    app.clock.advance_seconds(1);
    elsewhere.get(FETCH).await.error(401, "not_authenticated");
    // Its e-mail address is free.
    crate::account_delete::child(&app).await;
    until_gone(&app, &child.id).await;
    assert_eq!(app.database().number("SELECT count(*) FROM connection"), 0);
}

#[tokio::test]
async fn an_account_with_children_is_not_deleted_before_they_are_gone() {
    let app = TestApp::new().await;
    let child = child(&app).await;
    let answer = child.owner.post("/api/v1/account/create", json!({})).await.ok();
    let grandchild = answer["id"].as_str().unwrap();
    let refused = app.owner().post(delete_path(&child.id), json!({})).await;
    refused.error(409, "has_children");
    child.owner.get(FETCH).await.ok();
    child.owner.post(delete_path(grandchild), json!({})).await.ok();
    until_gone(&app, grandchild).await;
    delete(&app, &child.id).await;
    until_gone(&app, &child.id).await;
}

#[tokio::test]
async fn only_an_owner_deletes_an_account() {
    let app = TestApp::new().await;
    let child = child(&app).await;
    for caller in [app.backend(), app.agent()] {
        for id in [&*child.id, "x"] {
            caller.post(delete_path(id), json!({})).await.error(403, "not_authorized");
        }
    }
    child.owner.get(FETCH).await.ok();
}

#[tokio::test]
async fn its_grants_are_revoked_at_their_provider_before_its_data_key_is_destroyed() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let child = child(&app).await;
    let body = json!({
        "kind": "personal", "type": "oauth", "visibility": "public",
        "config": config(&provider, json!({})),
    });
    let secret = secret::create(&child.owner, body).await;
    let (_, own) = connected(&app, &child.owner, &provider, &secret).await;
    let (_, foreign) = connected(&app, &app.backend(), &provider, &secret).await;
    provider
        .script(Endpoint::Revoke, Fault::unavailable(std::time::Duration::from_mins(5)))
        .times(2);
    let _jobs = Jobs::of(&app);
    delete(&app, &child.id).await;
    provider.until(|ledger| ledger.at(Endpoint::Revoke).count() == 2).await.unwrap();
    let failed = "SELECT count(*) FROM revocation WHERE attempts = 1";
    while app.database().number(failed) != 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.broker().finish_accounts().await.unwrap(), 0);
    assert_eq!(rows(&app, "data_key", &child.id), 1);
    app.clock.advance_seconds(301);
    until_gone(&app, &child.id).await;
    for grant in [own, foreign] {
        assert!(provider.ledger().family(grant.family).unwrap().death.is_some());
    }
    let list = app.backend().get("/api/v1/revocation/list").await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["status"], Value::from("revoked"));
}

/// Removes what can be removed, and revokes what can be revoked.
async fn work(app: &TestApp) {
    app.broker().finish_accounts().await.unwrap();
    app.broker().revoke_due().await.unwrap();
    app.broker().finish_accounts().await.unwrap();
}

/// Whether everything that a provider has given out is dead, once what is queued was revoked.
async fn until_dead(scene: &Scene) {
    let _jobs = Jobs::of(&scene.app);
    let dead = scene
        .provider
        .until(|ledger| ledger.families().values().all(|family| family.death.is_some()));
    dead.await.unwrap();
}

#[tokio::test]
async fn a_renewal_that_is_out_while_its_account_is_deleted_leaves_nothing_alive() {
    let scene = Scene::new().await;
    let child = child(&scene.app).await;
    let body =
        json!({"kind": "personal", "type": "oauth", "config": scene::config(&scene.provider)});
    let id = secret::create(&child.owner, body).await;
    let contact = verified_contact(&child.owner).await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let tokens = json!({"accessToken": grant.access_token, "refreshToken": grant.refresh_token,
        "expiresAt": grant.expires_at.as_millis()});
    connect(&child.owner, &contact, &id, tokens).await.ok();
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let mint = child.owner.post(path(&contact, &id, "mint"), json!({}));
    let call = tokio::spawn(mint.into_future());
    scene.until_asked(1).await;
    delete(&scene.app, &child.id).await;
    work(&scene.app).await;
    assert_eq!(rows(&scene.app, "data_key", &child.id), 1);
    scene.provider.release();
    call.await.unwrap();
    until_dead(&scene).await;
    until_gone(&scene.app, &child.id).await;
}

#[tokio::test]
async fn a_code_that_is_exchanged_while_its_account_is_deleted_leaves_nothing_alive() {
    let scene = Scene::new().await;
    let child = child(&scene.app).await;
    let body =
        json!({"kind": "personal", "type": "oauth", "config": scene::config(&scene.provider)});
    let id = secret::create(&child.owner, body).await;
    let contact = verified_contact(&child.owner).await;
    let made = child.owner.post(path(&contact, &id, "authenticate"), json!({})).await.ok();
    let mut browser = Browser::new(&scene.app);
    let link = format!("/connect/{}", state(&made["url"]));
    let back = agree(&go_on(&mut browser, &link).await).await;
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let call = tokio::spawn(browser.caller.get(back).into_future());
    scene.until_asked(1).await;
    delete(&scene.app, &child.id).await;
    work(&scene.app).await;
    scene.provider.release();
    assert_eq!(call.await.unwrap().status, 410);
    until_dead(&scene).await;
    until_gone(&scene.app, &child.id).await;
}

#[tokio::test]
async fn a_damaged_secret_does_not_keep_its_account_nor_what_comes_after() {
    let app = TestApp::new().await;
    let child = child(&app).await;
    let (_, secret) = fill(&child.owner).await;
    app.database().execute(&format!("UPDATE secret SET kind = 'none' WHERE id = '{secret}'"));
    delete(&app, &child.id).await;
    until_gone(&app, &child.id).await;
    assert!(logs().contains(&format!("secret row {secret}")));
}

#[tokio::test]
async fn more_accounts_than_are_looked_up_at_once_are_all_removed() {
    let app = TestApp::new().await;
    app.database().execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
         INSERT INTO account (id, name, totp_count, created_at, deleted_at)
             SELECT 'acc_many_' || i, '', 0, 1, 1 FROM n",
    );
    assert_eq!(app.broker().finish_accounts().await.unwrap(), 150);
}

/// As a crash leaves it, right after the answer and in the middle.
#[tokio::test]
async fn very_many_rows_go_in_small_units_and_also_after_a_restart() {
    let mut app = TestApp::new().await;
    let child = child(&app).await;
    let (_, secret) = fill(&child.owner).await;
    let id = &child.id;
    app.database().execute(&format!(
        "CREATE TABLE number AS
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
             SELECT i FROM n;
         INSERT INTO contact (account_id, id, name, description, fingerprint, created_at, updated_at)
             SELECT '{id}', 'con_many_' || i, '', '', '{id} ' || i, 1, 1 FROM number;
         INSERT INTO connection (account_id, contact_id, secret_id, id, type, value, created_at, updated_at)
             SELECT '{id}', 'con_many_' || i, '{secret}', '{id} ' || i, 'bearer',
                    (SELECT secret FROM totp WHERE account_id = '{id}'), 1, 1 FROM number;
         INSERT INTO creation (account_id, fingerprint, content, object_id, created_at)
             SELECT '{id}', secret_hash, secret_hash, id, 1 FROM key;
         DROP TABLE number;
         UPDATE account SET deleted_at = 1, email = NULL WHERE id = '{id}'"
    ));
    app.restart().await;
    let some = async {
        while rows(&app, "contact", id) == i64::from(MANY) + 1 {
            tokio::task::yield_now().await;
        }
    };
    let broker = app.broker().clone();
    let removing = tokio::spawn(async move { broker.finish_accounts().await });
    tokio::time::timeout(std::time::Duration::from_secs(20), some).await.unwrap();
    removing.abort();
    app.restart().await;
    until_gone(&app, id).await;
    assert_eq!(results(&app).await, ["finished"]);
}
