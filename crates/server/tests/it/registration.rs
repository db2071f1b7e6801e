//! Clients that Keyfob registers at providers for secrets that name none (RFC 7591).

use keyfob_testkit::{Endpoint, Fault, Provider};
use serde_json::{Value, json};

use crate::{
    app::{PUBLIC_URL, TestApp},
    at_provider::{asked, connects, describes, link_to, oauth, provider, reason, there},
    connect_page::{Browser, shows},
    secret,
};

async fn by_issuer(app: &TestApp, provider: &Provider) -> String {
    oauth(app, json!({"issuer": provider.issuer()})).await
}

/// The client that a person would be sent to the provider for.
async fn client(app: &TestApp, secret: &str) -> String {
    let (_, link) = link_to(app, secret).await;
    let there = there(&Browser::new(app).go_on(&link).await);
    let (_, id) = there.query_pairs().find(|(name, _)| name == "client_id").unwrap();
    id.into_owned()
}

#[tokio::test]
async fn a_client_is_registered_once_and_used_from_then_on() {
    let (mut app, provider) = (TestApp::new().await, provider().await);
    let secret = by_issuer(&app, &provider).await;
    shows(&connects(&app, &secret).await, 200, &["Mail is connected"]);
    let first = client(&app, &secret).await;
    app.restart().await;
    assert_eq!(client(&app, &secret).await, first);
    assert_eq!(asked(&provider, Endpoint::Register), 1);
    let registered = app.events().await.into_iter().filter(|it| it.result == "client_registered");
    assert_eq!(registered.count(), 1);
    let callback = format!("{PUBLIC_URL}/secrets/oauth/callback");
    provider.change(|options| assert_eq!(options.clients[0].redirect_uris, [callback]));
}

/// W26: of any number of first visitors, on any number of nodes.
#[tokio::test]
async fn first_visitors_at_once_on_two_nodes_register_one_client() {
    let (mut app, provider) = (TestApp::new().await, provider().await);
    let secret = by_issuer(&app, &provider).await;
    provider.script(Endpoint::Register, Fault::HoldBefore);
    let anonymous = app.anonymous();
    let other = app.on_another_node(anonymous.clone()).await;
    let mut pages = Vec::new();
    for number in 0..8 {
        let (_, link) = link_to(&app, &secret).await;
        let caller = if number % 2 == 0 { anonymous.clone() } else { other.clone() };
        let mut browser = Browser { caller };
        pages.push(tokio::spawn(async move { browser.go_on(&link).await }));
    }
    provider.until(|ledger| ledger.at(Endpoint::Register).count() == 1).await.unwrap();
    provider.release();
    let mut clients = Vec::new();
    for page in pages {
        let there = there(&page.await.unwrap());
        let (_, id) = there.query_pairs().find(|(name, _)| name == "client_id").unwrap();
        clients.push(id.into_owned());
    }
    clients.dedup();
    assert_eq!(clients.len(), 1, "{clients:?}");
    assert_eq!(asked(&provider, Endpoint::Register), 1);
}

/// W26: a reference to somebody's secret changes nothing of that.
#[tokio::test]
async fn a_registered_client_is_in_no_config_and_not_that_of_another_secret() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let config = json!({"issuer": provider.issuer(), "scope": "read"});
    let target = oauth(&app, config.clone()).await;
    let body = json!({"kind": "personal", "type": "reference", "name": "Mail", "config": {"secretId": target}});
    let reference = secret::create(&app.backend(), body).await;
    let before = [app.open_secret(&target).await.1, app.open_secret(&reference).await.1];
    shows(&connects(&app, &reference).await, 200, &["Mail is connected"]);
    let after = [app.open_secret(&target).await.1, app.open_secret(&reference).await.1];
    assert_eq!(after, before);
    let of_reference = client(&app, &reference).await;
    assert_ne!(client(&app, &target).await, of_reference);
    let fetched = app.backend().get(secret::path(&target, "fetch")).await.ok();
    assert_eq!(fetched["config"], config);
}

#[tokio::test]
async fn a_secret_that_is_deleted_takes_its_client_along() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let secret = by_issuer(&app, &provider).await;
    client(&app, &secret).await;
    app.backend().post(secret::path(&secret, "delete"), json!({})).await.ok();
    assert_eq!(app.database().number("SELECT count(*) FROM registration"), 0);
}

#[tokio::test]
async fn a_registration_that_fails_is_told_and_the_next_visitor_registers_anew() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let secret = by_issuer(&app, &provider).await;
    let refusal = Fault::status(400, "application/json", r#"{"error":"invalid_redirect_uri"}"#);
    provider.script(Endpoint::Register, refusal);
    let (_, link) = link_to(&app, &secret).await;
    let page = Browser::new(&app).go_on(&link).await;
    shows(&page, 400, &["refused: invalid_redirect_uri", "data-error=\"invalid_redirect_uri\""]);
    assert!(reason(&app).await.contains("no client could be registered"));
    provider.script(Endpoint::Register, Fault::unavailable(std::time::Duration::from_secs(1)));
    let page = Browser::new(&app).go_on(&link_to(&app, &secret).await.1).await;
    shows(&page, 502, &["Mail is not connected"]);
    shows(&connects(&app, &secret).await, 200, &["Mail is connected"]);
}

#[tokio::test]
async fn a_node_that_dies_while_it_registers_holds_up_others_for_as_long_as_its_lease() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let secret = by_issuer(&app, &provider).await;
    client(&app, &secret).await;
    let now = app.clock.seconds() * 1000;
    let leased = format!("UPDATE registration SET client = NULL, leased_until = {}", now + 25_000);
    app.database().execute(&leased);
    let (_, link) = link_to(&app, &secret).await;
    let mut browser = Browser::new(&app);
    let waits = tokio::spawn(async move { browser.go_on(&link).await });
    tokio::task::yield_now().await;
    assert_eq!(asked(&provider, Endpoint::Register), 1);
    app.clock.advance_seconds(25);
    there(&waits.await.unwrap());
    assert_eq!(asked(&provider, Endpoint::Register), 2);
}

#[tokio::test]
async fn a_client_that_the_provider_does_not_know_any_more_is_replaced_at_the_next_visit() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let secret = by_issuer(&app, &provider).await;
    let first = client(&app, &secret).await;
    provider.script(Endpoint::Token, Fault::invalid_client());
    shows(&connects(&app, &secret).await, 400, &["refused: invalid_client"]);
    let second = client(&app, &secret).await;
    assert_ne!(second, first);
    shows(&connects(&app, &secret).await, 200, &["Mail is connected"]);
    assert_eq!(asked(&provider, Endpoint::Register), 2);
}

#[tokio::test]
async fn a_secret_that_is_deleted_while_its_client_is_registered_leaves_nothing_behind() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let secret = by_issuer(&app, &provider).await;
    let (_, link) = link_to(&app, &secret).await;
    provider.script(Endpoint::Register, Fault::HoldBefore);
    let mut browser = Browser::new(&app);
    let visit = tokio::spawn(async move { browser.go_on(&link).await });
    provider.until(|ledger| ledger.at(Endpoint::Register).count() == 1).await.unwrap();
    app.backend().post(secret::path(&secret, "delete"), json!({})).await.ok();
    provider.release();
    shows(&visit.await.unwrap(), 410, &[]);
    assert_eq!(asked(&provider, Endpoint::Register), 1);
    assert_eq!(app.database().number("SELECT count(*) FROM registration"), 0);
}

/// Registers clients with these ids, whose secrets end in `seconds`.
fn registers(app: &TestApp, provider: &Provider, ids: [&str; 2], seconds: i64) {
    describes(provider, json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}));
    let end = app.clock.seconds() + seconds;
    for id in ids {
        let body = json!({"client_id": id, "client_secret": "CANARY234567secret",
            "client_secret_expires_at": end, "token_endpoint_auth_method": "client_secret_post"});
        let answer = Fault::status(201, "application/json", &body.to_string());
        provider.script(Endpoint::Register, answer);
    }
}

#[tokio::test]
async fn a_client_whose_secret_never_lasts_for_long_is_used_until_a_minute_before_its_end() {
    let (app, provider) = (TestApp::new().await, provider().await);
    registers(&app, &provider, ["one", "two"], 600);
    let secret = by_issuer(&app, &provider).await;
    assert_eq!(client(&app, &secret).await, "one");
    app.clock.advance_seconds(539);
    assert_eq!(client(&app, &secret).await, "one");
    app.clock.advance_seconds(1);
    assert_eq!(client(&app, &secret).await, "two");
}

#[tokio::test]
async fn a_client_whose_secret_ends_soon_is_registered_anew() {
    let (app, provider) = (TestApp::new().await, provider().await);
    registers(&app, &provider, ["one", "two"], 3600);
    let secret = by_issuer(&app, &provider).await;
    assert_eq!(client(&app, &secret).await, "one");
    assert_eq!(client(&app, &secret).await, "one");
    app.clock.advance_seconds(3600 - 15 * 60);
    assert_eq!(client(&app, &secret).await, "two");
}

#[tokio::test]
async fn a_client_of_another_address_is_registered_anew() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let secret = by_issuer(&app, &provider).await;
    let mut app = app;
    let first = client(&app, &secret).await;
    app.setup().public_url = "https://keyfob.example.org".into();
    app.restart().await;
    let body = json!({});
    let contact = crate::connection::verified_contact(&app.backend()).await;
    let path = crate::connection::path(&contact, &secret, "authenticate");
    let url: Value = app.agent().post(path, body).await.ok()["url"].clone();
    let link = url.as_str().unwrap().strip_prefix("https://keyfob.example.org").unwrap();
    let there = there(&Browser::new(&app).go_on(link).await);
    let sent: Vec<_> = there.query_pairs().into_owned().collect();
    assert!(!sent.contains(&("client_id".into(), first)));
    let callback = "https://keyfob.example.org/secrets/oauth/callback";
    assert!(sent.contains(&("redirect_uri".into(), callback.into())));
}

#[tokio::test]
async fn what_a_registered_client_obtained_is_renewed_by_it_and_for_its_resource() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let config = json!({"resourceUrl": provider.url("/resource")});
    let secret = oauth(&app, config).await;
    let (contact, link) = link_to(&app, &secret).await;
    let mut browser = Browser::new(&app);
    let page = browser.go_on(&link).await;
    shows(&browser.go_there_and_back(&page).await, 200, &["Mail is connected"]);
    let refresh = crate::connection::path(&contact, &secret, "refresh");
    app.backend().post(refresh, json!({})).await.ok();
    let ledger = provider.ledger();
    let refreshed = ledger.at(Endpoint::Token).last().unwrap();
    assert_eq!(
        (refreshed.grant_type.as_deref(), refreshed.status),
        (Some("refresh_token"), Some(200))
    );
}
