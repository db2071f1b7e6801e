//! Grants are revoked at their providers after what held them is gone, and `/api/v1/revocation/list` says how
//! that goes (contract/contacts-and-secrets, section 9, W9). Clients and failures are in `revocation_failure`.

use std::time::Duration;

use keyfob_testkit::{Cause, Endpoint, Fault, IssuedGrant, Provider};
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    call::Caller,
    connection::{connect, path, verified_contact},
    contact,
    guard::CANARY,
    provider::{Jobs, config, connected, grant, personal, provider, tokens},
    secret,
};

const LIST: &str = "/api/v1/revocation/list";

/// What is told of the caller's revocations, newest first.
pub(crate) async fn told(caller: &Caller, query: &str) -> Vec<Value> {
    let list = caller.get(format!("{LIST}{query}")).await.ok();
    list["items"].as_array().unwrap().clone()
}

/// Ends when so many revocations of the caller's have this status; what is told of them.
pub(crate) async fn until_told(caller: &Caller, status: &str, count: usize) -> Vec<Value> {
    let reached = async {
        loop {
            let told = told(caller, &format!("?status={status}")).await;
            if told.len() == count {
                return told;
            }
            tokio::task::yield_now().await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(20), reached).await;
    reached.unwrap_or_else(|_| panic!("there are not {count} revocations that are {status}"))
}

/// Results and reasons of the events of revocations at providers, of this action.
pub(crate) async fn events(app: &TestApp, action: &str) -> Vec<(String, Option<String>)> {
    let events = app.events().await.into_iter().filter(|event| event.action == action);
    let at_provider = events.filter(|event| event.result.ends_with("at_provider"));
    at_provider.map(|event| (event.result, event.reason)).collect()
}

fn assert_dead(provider: &Provider, grant: &IssuedGrant) {
    let death = provider.ledger().family(grant.family).unwrap().death.unwrap();
    assert_eq!(death.cause, Cause::Revoked);
    assert!(!provider.is_valid(&grant.access_token));
}

#[tokio::test]
async fn the_refresh_token_is_revoked_first() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    let secret = personal(&backend, config(&provider, json!({}))).await;
    let (contact, grant) = connected(&app, &backend, &provider, &secret).await;
    provider.script(Endpoint::Revoke, Fault::Pass);
    provider.script(Endpoint::Revoke, Fault::HoldBefore);
    backend.post(path(&contact, &secret, "revoke"), json!({})).await.ok();
    provider.until(|ledger| ledger.at(Endpoint::Revoke).count() == 2).await.unwrap();
    // An access token's end would have left the family alive.
    assert_dead(&provider, &grant);
    let pending = told(&backend, "").await;
    assert_eq!(pending.len(), 1);
    assert_eq!((&pending[0]["status"], &pending[0]["endedAt"]), (&json!("pending"), &Value::Null));
    provider.release();
    let now = app.clock.seconds() * 1000;
    let expected = json!({
        "id": pending[0]["id"], "contactId": contact, "secretId": secret, "status": "revoked",
        "attempts": 0, "problem": null, "createdAt": now, "nextAttemptAt": null, "endedAt": now,
    });
    assert_eq!(until_told(&backend, "revoked", 1).await, [expected]);
    let event = app.events().await.into_iter().find(|event| event.result == "revoked_at_provider");
    let event = event.unwrap();
    assert_eq!((&*event.action, &event.object.1), ("connection.revoke", &secret));
    assert_eq!((&*event.actor.0, event.contact_id.as_deref()), ("keyfob", Some(&*contact)));
}

#[tokio::test]
async fn whatever_takes_a_connection_away_has_its_grant_revoked_at_the_provider() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    for way in ["connection", "contact", "secret"] {
        let secret = personal(&backend, config(&provider, json!({}))).await;
        let (contact, grant) = connected(&app, &backend, &provider, &secret).await;
        let call = match way {
            "connection" => backend.post(path(&contact, &secret, "revoke"), json!({})),
            "contact" => backend.post(contact::path(&contact, "delete"), json!({})),
            _ => backend.post(secret::path(&secret, "delete"), json!({})),
        };
        call.await.ok();
        provider
            .until(|ledger| ledger.family(grant.family).unwrap().death.is_some())
            .await
            .unwrap();
        assert_dead(&provider, &grant);
    }
    until_told(&backend, "revoked", 3).await;
    assert_eq!(events(&app, "connection.revoke").await.len(), 3);
}

#[tokio::test]
async fn whatever_takes_a_shared_value_away_has_its_grant_revoked_at_the_provider() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    for (count, way) in (1..).zip(["revoke", "delete", "value", "kind"]) {
        let grant = grant(&app, &provider, "app");
        let body = json!({
            "type": "oauth", "config": config(&provider, json!({})),
            "value": tokens(&grant).to_string(),
        });
        let secret = secret::create(&backend, body).await;
        let call = match way {
            "value" => secret::update(&backend, &secret, json!({"value": null})),
            "kind" => secret::update(&backend, &secret, json!({"kind": "personal"})),
            action => backend.post(secret::path(&secret, action), json!({})),
        };
        app.clock.advance_seconds(1);
        call.await.ok();
        let revoked = until_told(&backend, "revoked", count).await;
        assert_eq!(
            (&revoked[0]["contactId"], &revoked[0]["secretId"]),
            (&Value::Null, &json!(secret))
        );
        assert_dead(&provider, &grant);
    }
    assert_eq!(events(&app, "secret.revoke").await.len(), 4);
}

#[tokio::test]
async fn a_grant_of_another_accounts_secret_is_revoked_with_that_accounts_client() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let (child, _jobs) = (app.other_account().await, Jobs::of(&app));
    let body = json!({
        "kind": "personal", "type": "oauth", "visibility": "protected",
        "config": config(&provider, json!({})),
    });
    let secret = secret::create(&app.backend(), body).await;
    let (_, grant) = connected(&app, &child, &provider, &secret).await;
    app.backend().post(secret::path(&secret, "delete"), json!({})).await.ok();
    until_told(&child, "revoked", 1).await;
    assert_dead(&provider, &grant);
    assert_eq!(told(&app.backend(), "").await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_a_reference_stands_for_says_where_its_grants_are_revoked() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    let target = personal(&backend, config(&provider, json!({}))).await;
    let reference = json!({"kind": "personal", "type": "reference", "config": {"id": target}});
    let reference = secret::create(&backend, reference).await;
    let (contact, kept) = connected(&app, &backend, &provider, &reference).await;
    backend.post(path(&contact, &reference, "revoke"), json!({})).await.ok();
    until_told(&backend, "revoked", 1).await;
    assert_dead(&provider, &kept);
    // Once the target is gone, nobody knows any more.
    let (contact, lost) = connected(&app, &backend, &provider, &reference).await;
    backend.post(secret::path(&target, "delete"), json!({})).await.ok();
    backend.post(contact::path(&contact, "delete"), json!({})).await.ok();
    let failed = until_told(&backend, "failed", 1).await;
    let problem = failed[0]["problem"].as_str().unwrap();
    assert!(problem.contains("stands for a secret that does not exist"), "{problem}");
    assert!(provider.is_valid(&lost.access_token));
}

#[tokio::test]
async fn tokens_that_come_after_their_connection_is_gone_are_revoked_too() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    let secret = personal(&backend, config(&provider, json!({}))).await;
    let (contact, grant) = connected(&app, &backend, &provider, &secret).await;
    // The provider's first answer to a revocation is lost in time, so that only the late tokens can end it.
    provider.script(Endpoint::Revoke, Fault::HoldBefore);
    provider.script(Endpoint::Token, Fault::HoldAfter);
    let refresh = backend.post(path(&contact, &secret, "refresh"), json!({})).into_future();
    let refresh = tokio::spawn(refresh);
    provider.until(|ledger| ledger.refreshes(grant.family) == 1).await.unwrap();
    backend.post(path(&contact, &secret, "revoke"), json!({})).await.ok();
    provider.until(|ledger| ledger.at(Endpoint::Revoke).count() == 1).await.unwrap();
    assert!(provider.ledger().family(grant.family).unwrap().death.is_none());
    provider.release();
    refresh.await.unwrap();
    until_told(&backend, "revoked", 2).await;
    assert_dead(&provider, &grant);
}

#[tokio::test]
async fn a_renewal_that_is_asked_for_after_the_connection_is_gone_brings_nothing_to_life() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    let secret = personal(&backend, config(&provider, json!({}))).await;
    let (contact, grant) = connected(&app, &backend, &provider, &secret).await;
    provider.script(Endpoint::Token, Fault::HoldBefore);
    let refresh = backend.post(path(&contact, &secret, "refresh"), json!({})).into_future();
    let refresh = tokio::spawn(refresh);
    provider.until(|ledger| ledger.at(Endpoint::Token).count() == 1).await.unwrap();
    backend.post(path(&contact, &secret, "revoke"), json!({})).await.ok();
    until_told(&backend, "revoked", 1).await;
    assert_dead(&provider, &grant);
    provider.release();
    refresh.await.unwrap();
    assert_eq!(provider.ledger().refreshes(grant.family), 0);
    assert_eq!(app.database().number("SELECT count(*) FROM connection"), 0);
}

#[tokio::test]
async fn what_a_node_that_died_had_begun_is_done_after_its_lease() {
    let (mut app, provider) = (TestApp::new().await, provider().await);
    let secret = personal(&app.backend(), config(&provider, json!({}))).await;
    let (contact, grant) = connected(&app, &app.backend(), &provider, &secret).await;
    provider.script(Endpoint::Revoke, Fault::HoldBefore).always();
    let jobs = Jobs::of(&app);
    app.backend().post(path(&contact, &secret, "revoke"), json!({})).await.ok();
    provider.until(|ledger| ledger.at(Endpoint::Revoke).count() == 1).await.unwrap();
    drop(jobs);
    app.restart().await;
    provider.clear_script();
    let _jobs = Jobs::of(&app);
    app.clock.advance_seconds(31);
    until_told(&app.backend(), "revoked", 1).await;
    assert_dead(&provider, &grant);
}

#[tokio::test]
async fn a_provider_has_few_revocations_at_a_time() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    let secret = personal(&backend, config(&provider, json!({}))).await;
    for _ in 0..20 {
        connected(&app, &backend, &provider, &secret).await;
    }
    let delay = Fault::DelayBefore { duration: Duration::from_millis(20) };
    provider.script(Endpoint::Revoke, delay).always();
    backend.post(secret::path(&secret, "delete"), json!({})).await.ok();
    until_told(&backend, "revoked", 20).await;
    let highest = provider.ledger().highest_in_flight(Endpoint::Revoke);
    assert!((2..=8).contains(&highest), "{highest}");
}

/// Oldest and newest first, page by page, as lines, and only for whoever may see connections go.
#[tokio::test]
async fn revocations_are_listed_as_everything_else_is() {
    let app = TestApp::new().await;
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    let config = json!({"clientId": "app", "tokenUrl": "https://provider.example/token"});
    let secret = personal(&backend, config).await;
    for _ in 0..3 {
        let contact = verified_contact(&backend).await;
        connect(&backend, &contact, &secret, json!({"accessToken": CANARY})).await.ok();
        app.clock.advance_seconds(1);
        backend.post(contact::path(&contact, "delete"), json!({})).await.ok();
    }
    until_told(&backend, "unsupported", 3).await;
    let ids = |items: &[Value]| items.iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
    let newest = ids(&told(&backend, "").await);
    let oldest = ids(&told(&backend, "?order=asc").await);
    assert_eq!(newest.iter().rev().collect::<Vec<_>>(), oldest.iter().collect::<Vec<_>>());
    let page = backend.get(format!("{LIST}?take=2")).await.ok();
    let rest = told(&backend, &format!("?cursor={}", page["cursor"].as_str().unwrap())).await;
    assert_eq!(ids(&rest), newest[2..]);
    let lines = backend.get(LIST).header("accept", "application/jsonl").await.text();
    assert_eq!(lines.lines().filter(|line| line.contains("\"item\"")).count(), 3);
    assert_eq!(told(&backend, "?status=failed").await, Vec::<Value>::new());
    backend.get(format!("{LIST}?status=gone")).await.error(400, "bad_request");
    app.agent().get(LIST).await.error(403, "not_authorized");
    assert_eq!(told(&app.other_account().await, "").await, Vec::<Value>::new());
    app.clock.advance_seconds(7 * 86_400 + 1);
    assert_eq!(app.broker().forget_revocations().await.unwrap(), 3);
    assert_eq!(told(&backend, "").await, Vec::<Value>::new());
}
