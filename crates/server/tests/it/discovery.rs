//! Providers that are found out about: from what a resource and an authorization server say of themselves.

use keyfob_testkit::{Client, Endpoint, Fault};
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    at_provider::{asked, back, connects, describes, link_to, oauth, provider, reason, there},
    connect_page::{Browser, shows},
    connection::verify,
};

/// A client that the provider knows already.
const CLIENT: &str = "app";

fn knows_client(provider: &keyfob_testkit::Provider) {
    provider.change(|options| options.clients.push(Client::confidential(CLIENT, "app-secret")));
}

fn by_issuer(provider: &keyfob_testkit::Provider) -> Value {
    json!({"issuer": provider.issuer(), "clientId": CLIENT, "clientSecret": "app-secret"})
}

/// What a new contact is shown who goes on, and the reason that is noted.
async fn refused(app: &TestApp, config: Value, status: u16) -> String {
    let secret = oauth(app, config).await;
    let (contact, link) = link_to(app, &secret).await;
    let mut browser = Browser::new(app);
    let page = browser.go_on(&link).await;
    shows(&page, status, &["Mail is not connected", "open the link once more"]);
    let verified = verify(&app.agent(), &contact, &secret).await;
    assert_eq!(verified["status"], "unauthenticated");
    shows(&browser.open(&link).await, 200, &["Continue to"]);
    reason(app).await
}

#[tokio::test]
async fn an_issuer_is_enough_to_connect_and_is_asked_once_an_hour() {
    let (app, provider) = (TestApp::new().await, provider().await);
    knows_client(&provider);
    let secret = oauth(&app, by_issuer(&provider)).await;
    for _ in 0..3 {
        shows(&connects(&app, &secret).await, 200, &["Mail is connected"]);
    }
    assert_eq!(asked(&provider, Endpoint::Metadata), 1);
    app.clock.advance_seconds(3601);
    connects(&app, &secret).await;
    assert_eq!(asked(&provider, Endpoint::Metadata), 2);
}

#[tokio::test]
async fn a_resource_names_its_server_and_is_named_in_each_request() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let secret = oauth(&app, json!({"resourceUrl": provider.url("/resource")})).await;
    let (contact, link) = link_to(&app, &secret).await;
    let mut browser = Browser::new(&app);
    let page = browser.go_on(&link).await;
    let wanted = provider.url("/resource");
    let asked = there(&page);
    assert!(asked.query_pairs().any(|(name, value)| name == "resource" && value == wanted));
    shows(&browser.go_there_and_back(&page).await, 200, &["Mail is connected"]);
    let (_, grant) = app.open_connection(&contact, &secret).await.unwrap();
    let grant: Value = serde_json::from_str(&grant).unwrap();
    assert_eq!(grant["resource"], wanted, "for the refreshes");
    assert_eq!(grant["tokenUrl"], provider.url("/token"));
    assert_eq!(grant["revokeUrl"], provider.url("/revoke"));
}

#[tokio::test]
async fn a_resource_that_says_nothing_is_at_its_own_origin() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let secret = oauth(&app, json!({"resourceUrl": provider.url("/elsewhere")})).await;
    shows(&connects(&app, &secret).await, 200, &["Mail is connected"]);
}

#[tokio::test]
async fn what_the_config_names_wins() {
    let (app, provider) = (TestApp::new().await, provider().await);
    knows_client(&provider);
    let mut config = by_issuer(&provider);
    config["authorizationUrl"] = "https://login.example.com/a?b=c".into();
    let secret = oauth(&app, config).await;
    let (_, link) = link_to(&app, &secret).await;
    let page = Browser::new(&app).go_on(&link).await;
    assert!(there(&page).as_str().starts_with("https://login.example.com/a?b=c&"));
}

#[tokio::test]
async fn a_client_proves_itself_as_the_provider_says() {
    let (app, provider) = (TestApp::new().await, provider().await);
    provider.change(|options| {
        let client = Client::confidential(CLIENT, "app-secret");
        let basic = keyfob_testkit::AuthMethod::ClientSecretBasic;
        options.clients.push(Client { auth_method: Some(basic), ..client });
        options.auth_methods = vec![basic];
    });
    let secret = oauth(&app, by_issuer(&provider)).await;
    shows(&connects(&app, &secret).await, 200, &["Mail is connected"]);
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused() {
    let (app, provider) = (TestApp::new().await, provider().await);
    describes(&provider, json!({"issuer": "https://evil.example"}));
    let reason = refused(&app, by_issuer(&provider), 502).await;
    assert!(reason.contains("about another server"), "{reason}");
}

#[tokio::test]
async fn metadata_of_another_resource_is_refused() {
    let (app, provider) = (TestApp::new().await, provider().await);
    describes(&provider, json!({"resource": "https://evil.example/resource"}));
    let reason = refused(&app, json!({"resourceUrl": provider.url("/resource")}), 502).await;
    assert!(reason.contains("about another resource"), "{reason}");
}

#[tokio::test]
async fn a_server_without_s256_is_refused() {
    let (app, provider) = (TestApp::new().await, provider().await);
    describes(&provider, json!({"code_challenge_methods_supported": ["plain"]}));
    let reason = refused(&app, by_issuer(&provider), 502).await;
    assert!(reason.contains("S256"), "{reason}");
}

#[tokio::test]
async fn an_endpoint_that_is_not_https_is_refused() {
    for name in ["authorization_endpoint", "token_endpoint", "registration_endpoint"] {
        let (app, provider) = (TestApp::new().await, provider().await);
        describes(&provider, json!({name: "http://provider.example/x"}));
        let reason = refused(&app, by_issuer(&provider), 502).await;
        assert!(reason.contains(name), "{reason}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_public_is_not_asked_although_metadata_names_it() {
    let (app, provider) = (TestApp::new().await, provider().await);
    knows_client(&provider);
    describes(&provider, json!({"token_endpoint": "https://169.254.169.254/token"}));
    let secret = oauth(&app, by_issuer(&provider)).await;
    shows(&connects(&app, &secret).await, 502, &["Mail is not connected"]);
    let reason = reason(&app).await;
    assert!(reason.contains("not public"), "{reason}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_refused() {
    let (app, provider) = (TestApp::new().await, provider().await);
    for fault in [
        Fault::status(404, "text/plain", "no"),
        Fault::status(200, "text/html", "<html>Welcome</html>"),
        Fault::redirect("https://elsewhere.example"),
    ] {
        provider.clear_script();
        provider.script(Endpoint::Metadata, fault).always();
        let reason = refused(&app, by_issuer(&provider), 502).await;
        assert!(reason.contains("says nowhere"), "{reason}");
        app.clock.advance_seconds(6);
    }
}

#[tokio::test]
async fn an_outage_is_over_for_keyfob_a_few_seconds_after_it_is() {
    let (app, provider) = (TestApp::new().await, provider().await);
    knows_client(&provider);
    for fault in [
        Fault::bad_gateway(),
        Fault::DropBefore,
        Fault::HugeBody { bytes: 100_000 },
        Fault::HugeBody { bytes: 1_000_000 },
    ] {
        provider.script(Endpoint::Metadata, fault).always();
        refused(&app, by_issuer(&provider), 502).await;
        let before = asked(&provider, Endpoint::Metadata);
        provider.clear_script();
        refused(&app, by_issuer(&provider), 502).await;
        assert_eq!(asked(&provider, Endpoint::Metadata), before, "it is left alone for a while");
        app.clock.advance_seconds(6);
    }
    let secret = oauth(&app, by_issuer(&provider)).await;
    shows(&connects(&app, &secret).await, 200, &["Mail is connected"]);
}

#[tokio::test]
async fn a_hundred_visitors_ask_for_the_description_once() {
    let (app, provider) = (TestApp::new().await, provider().await);
    knows_client(&provider);
    provider.script(Endpoint::Metadata, Fault::HoldBefore);
    let secret = oauth(&app, by_issuer(&provider)).await;
    let mut pages = Vec::new();
    for _ in 0..20 {
        let (_, link) = link_to(&app, &secret).await;
        let mut browser = Browser::new(&app);
        pages.push(tokio::spawn(async move { browser.go_on(&link).await }));
    }
    provider.until(|ledger| ledger.at(Endpoint::Metadata).count() == 1).await.unwrap();
    provider.release();
    for page in pages {
        there(&page.await.unwrap());
    }
    assert_eq!(asked(&provider, Endpoint::Metadata), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_say_who_it_is_from_or_names_another_is_refused() {
    let (app, provider) = (TestApp::new().await, provider().await);
    knows_client(&provider);
    provider.change(|options| options.iss = true);
    let secret = oauth(&app, by_issuer(&provider)).await;
    let iss = form_urlencoded::byte_serialize(provider.issuer().as_bytes()).collect::<String>();
    for change in ["", "&iss=https%3A%2F%2Fevil.example"] {
        let (_, link) = link_to(&app, &secret).await;
        let mut browser = Browser::new(&app);
        let there = there(&browser.go_on(&link).await);
        let path = back(&there).await;
        let changed = path.replace(&format!("&iss={iss}"), change);
        assert_ne!(changed, path);
        let page = browser.caller.get(&changed).await;
        shows(&page, 400, &["data-error=\"invalid_issuer\""]);
    }
    assert_eq!(asked(&provider, Endpoint::Token), 0, "the code goes nowhere");
}

#[tokio::test]
async fn a_config_that_lacks_a_client_is_told_apart_from_a_provider_that_fails() {
    let (app, provider) = (TestApp::new().await, provider().await);
    describes(&provider, json!({"registration_endpoint": null}));
    let reason = refused(&app, json!({"issuer": provider.issuer()}), 409).await;
    assert!(reason.contains("\"config.clientId\" is missing"), "{reason}");
}
