//! What `proxy_foreign` shows, for everything that a secret can be: references, templates, grants, shared values.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    authentication::state,
    authorize::{agree, go_on},
    connect_page::{Browser, shows},
    connection::{connect, path, verified_contact},
    passed_on::{ask, call},
    proxy_foreign::{Foreign, NEVER, OUTSIDE, THEIRS, came, explained},
    scene::{self, tokens},
    secret,
};

/// A reference is of its own account, and still leads to what another one defines.
#[tokio::test]
async fn a_reference_to_what_another_account_has_defined_leads_nowhere_else() {
    let foreign = Foreign::new().await;
    let refer = async |to: &str| {
        let body = json!({"kind": "personal", "type": "reference", "config": {"reference": to}});
        secret::create(&foreign.other, body).await
    };
    let near = refer(&foreign.scene.secret).await;
    let far = refer(&near).await;
    let (url, evil) = (foreign.scene.url("/"), foreign.evil_url());
    for reference in [&near, &far] {
        foreign.connect(reference).await.ok();
        assert_eq!(foreign.sent_with(reference, "GET", &url).await, "200");
    }
    let both = json!([foreign.host(), foreign.evil_host()]);
    foreign.define(json!({"config": {"hosts": both}})).await.ok();
    for reference in [&near, &far] {
        assert_eq!(foreign.sent_with(reference, "GET", &evil).await, NEVER);
        assert_eq!(foreign.sent_with(reference, "GET", &url).await, "200");
    }
    // A reference that leads to another secret now is another definition too.
    let body = json!({"kind": "personal", "type": "bearer", "visibility": "public", "config": {"hosts": [foreign.evil_host()]}});
    let elsewhere = secret::create(&foreign.scene.app.backend(), body).await;
    secret::update(&foreign.other, &near, json!({"config": {"reference": elsewhere}})).await.ok();
    for reference in [&near, &far] {
        assert_eq!(foreign.sent_with(reference, "GET", &evil).await, NEVER);
    }
    assert!(foreign.evil.requests().is_empty());
    // One whose end is of its own account leads where that says.
    let body = json!({"kind": "personal", "type": "bearer", "config": {"hosts": [foreign.host()]}});
    let own = secret::create(&foreign.other, body).await;
    let to_own = refer(&own).await;
    foreign.connect(&to_own).await.ok();
    assert_eq!(foreign.sent_with(&to_own, "GET", &evil).await, OUTSIDE);
    secret::update(&foreign.other, &own, json!({"config": {"hosts": both}})).await.ok();
    assert_eq!(foreign.sent_with(&to_own, "GET", &evil).await, "200");
}

/// What a template says is filled in by whoever defines the secret.
#[tokio::test]
async fn a_template_with_other_parameters_is_another_definition() {
    let app = TestApp::new().await;
    let (backend, other) = (app.backend(), app.other_account().await);
    let contact = verified_contact(&other).await;
    let filled = |domain: &str, token: &str| json!({"template": "zendesk", "parameters": {"subdomain": domain}, "clientId": token});
    let body = json!({"kind": "personal", "type": "template", "visibility": "public", "config": filled("acme", "a")});
    let secret = secret::create(&backend, body).await;
    let body = json!({"accessToken": THEIRS});
    connect(&other, &contact, &secret, body).await.ok();
    let allowed = async |domain: &str| {
        let url = format!("https://{domain}.zendesk.com/api/v2/users/me.json");
        explained(&other, &contact, &secret, &url).await
    };
    assert_eq!(allowed("acme").await, (true, String::new()));
    // What is not about destinations is not asked about.
    secret::update(&backend, &secret, json!({"config": filled("acme", "b")})).await.ok();
    assert_eq!(allowed("acme").await, (true, String::new()));
    secret::update(&backend, &secret, json!({"config": filled("evil", "a")})).await.ok();
    let (is_allowed, why) = allowed("evil").await;
    assert!(!is_allowed && why.contains("not for this destination"), "{why}");
    assert!(!allowed("acme").await.0);
}

/// Whoever defines a secret would have a token signed that opens something else of whoever has the key.
#[tokio::test]
async fn a_key_signs_what_its_contact_has_agreed_to_and_nothing_else() {
    let foreign = Foreign::new().await;
    let agreed = json!({
        "hosts": [foreign.host()], "algorithm": "HS256", "claims": {"aud": "here", "role": "reader"},
    });
    let with = |changes: Value| {
        let mut config = agreed.clone();
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        config
    };
    let body =
        json!({"kind": "personal", "type": "jwt", "visibility": "protected", "config": agreed});
    let secret = secret::create(&foreign.scene.app.backend(), body).await;
    foreign.connect(&secret).await.ok();
    let define = |config: &Value| {
        secret::update(&foreign.scene.app.backend(), &secret, json!({"config": config}))
    };
    let url = foreign.scene.url("/");
    let sent = async || foreign.sent_with(&secret, "GET", &url).await;
    let admin = with(json!({"claims": {"aud": "https://bank.example", "role": "admin"}}));
    assert_eq!(sent().await, "200");
    for changed in [
        admin.clone(),
        with(json!({"claims": {"aud": "here", "role": "reader", "sub": "ann"}})),
        with(json!({"claims": null})),
        with(json!({"expiresInSeconds": 86_400})),
        with(json!({"algorithm": "EdDSA"})),
        with(json!({"schema": "JWT"})),
    ] {
        define(&changed).await.ok();
        let before = foreign.scene.upstream.requests().len();
        assert_eq!(sent().await, NEVER, "{changed}");
        assert_eq!(foreign.scene.upstream.requests().len(), before);
        let (is_allowed, why) = explained(&foreign.other, &foreign.contact, &secret, &url).await;
        assert!(!is_allowed && why.contains("what is signed with its credential"), "{why}");
        let verify = path(&foreign.contact, &secret, "verify");
        let verified = foreign.other.post(verify, json!({})).await.ok();
        assert_eq!(verified["status"], "unauthenticated", "{verified}");
        define(&with(json!({"expiresInSeconds": 600, "schema": "Bearer"}))).await.ok();
        assert_eq!(sent().await, "200", "what it was, in other words");
    }
    define(&admin).await.ok();
    foreign.connect(&secret).await.ok();
    assert_eq!(sent().await, "200");
    let shown = foreign.scene.got().headers["authorization"].to_str().unwrap().to_owned();
    let claims = BASE64URL_NOPAD.decode(shown.split('.').nth(1).unwrap().as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(
        (&claims["aud"], &claims["role"]),
        (&json!("https://bank.example"), &json!("admin"))
    );
}

#[tokio::test]
async fn a_token_is_sent_behind_the_word_that_its_contact_has_agreed_to() {
    let foreign = Foreign::new().await;
    let (url, secret) = (foreign.scene.url("/"), foreign.scene.secret.clone());
    for (schema, expected) in [("Token", NEVER), ("Bearer", "200")] {
        let config = json!({"hosts": [foreign.host()], "schema": schema});
        foreign.define(json!({"config": config})).await.ok();
        assert_eq!(foreign.sent_with(&secret, "GET", &url).await, expected, "{schema}");
    }
}

/// Between the page and the provider's answer there is time for a change, too.
#[tokio::test]
async fn a_grant_goes_where_the_page_said_although_the_definer_was_quick() {
    let scene = scene::Scene::new().await;
    let other = scene.app.other_account().await;
    let contact = verified_contact(&other).await;
    let (here, there) = ("https://api.example.com/", "https://evil.example/");
    let hosts = |hosts: &[&str]| scene.configure(&json!({"hosts": hosts}));
    hosts(&["api.example.com"]).await.ok();
    secret::update(&scene.app.backend(), &scene.secret, json!({"visibility": "public"})).await.ok();
    let asked = other.post(path(&contact, &scene.secret, "authenticate"), json!({})).await.ok();
    let mut browser = Browser::new(&scene.app);
    let url = go_on(&mut browser, &format!("/connect/{}", state(&asked["url"]))).await;
    hosts(&["api.example.com", "evil.example"]).await.ok();
    scene.app.clock.advance_seconds(1);
    shows(&browser.open(&agree(&url).await).await, 200, &["Mail is connected"]);
    let allowed = async |url: &str| explained(&other, &contact, &scene.secret, url).await.0;
    assert!(allowed(here).await && !allowed(there).await);
    // A renewal changes nothing of it.
    scene.outlive_but(Duration::from_secs(1));
    other.post(path(&contact, &scene.secret, "refresh"), json!({})).await.ok();
    assert!(allowed(here).await && !allowed(there).await);
}

/// A grant that is handed over once more is not stored once more, and is agreed to all the same.
#[tokio::test]
async fn a_grant_that_is_imported_again_goes_where_the_secret_goes_now() {
    let scene = scene::Scene::new().await;
    let other = scene.app.other_account().await;
    let contact = verified_contact(&other).await;
    let (here, there) = ("https://api.example.com/", "https://other.example/");
    let hosts = |hosts: &[&str]| scene.configure(&json!({"hosts": hosts}));
    hosts(&["api.example.com"]).await.ok();
    secret::update(&scene.app.backend(), &scene.secret, json!({"visibility": "public"})).await.ok();
    let grant = tokens(&scene.provider.issue_grant("app", scene::LIFE).unwrap());
    let import = || connect(&other, &contact, &scene.secret, grant.clone());
    import().await.ok();
    hosts(&["api.example.com", "other.example"]).await.ok();
    let allowed = async |url: &str| explained(&other, &contact, &scene.secret, url).await.0;
    assert!(allowed(here).await && !allowed(there).await);
    import().await.ok();
    assert!(allowed(here).await && allowed(there).await);
}

/// A shared reference may have a value of its own for what another account has defined for contacts.
#[tokio::test]
async fn a_shared_value_goes_where_its_own_account_says_and_not_another_one() {
    let foreign = Foreign::new().await;
    let both = json!([foreign.host(), foreign.evil_host()]);
    foreign.define(json!({"config": {"hosts": both}})).await.ok();
    let refer = async |to: &str, hosts: Option<String>| {
        let hosts = hosts.map(|host| json!([host]));
        let config = json!({"reference": to, "hosts": hosts});
        let body = json!({"type": "reference", "value": THEIRS, "config": config});
        secret::create(&foreign.other, body).await
    };
    let (good, evil) = (foreign.scene.url("/"), foreign.evil_url());
    let sent = async |secret: &str, url: &str| {
        let in_json = secret::path(secret, "proxy");
        let in_json = ask(&foreign.other, &in_json, &json!({"url": url})).await;
        let in_path = format!("/proxy/-/{secret}/{url}");
        let in_path = call(&foreign.other, "GET", &in_path, &[], "").await;
        assert_eq!(came(&in_json), came(&in_path), "{url}");
        came(&in_json)
    };
    let careless = refer(&foreign.scene.secret, None).await;
    assert_eq!(sent(&careless, &good).await, "409 unusable_secret");
    assert_eq!(sent(&careless, &evil).await, "409 unusable_secret");
    let careful = refer(&foreign.scene.secret, Some(foreign.host())).await;
    // What is in between counts where it is of the same account.
    let through = refer(&careful, None).await;
    for secret in [&careful, &through] {
        assert_eq!(sent(secret, &good).await, "200");
        assert_eq!(sent(secret, &evil).await, OUTSIDE);
    }
    assert!(foreign.evil.requests().is_empty());
    // Who names the other host as well means it.
    let config = json!({"reference": foreign.scene.secret, "hosts": both});
    secret::update(&foreign.other, &careful, json!({"config": config})).await.ok();
    assert_eq!(sent(&careful, &evil).await, "200");
    let body = json!({"kind": "personal", "type": "bearer", "config": {"hosts": both}});
    let own = secret::create(&foreign.other, body).await;
    let to_own = refer(&own, None).await;
    assert_eq!(sent(&to_own, &evil).await, "200");
}
