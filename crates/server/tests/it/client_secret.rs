//! A client's secret goes to the provider that it was given for, and a token where its account says. Everything
//! that says who is asked may be changed after the secret was stored: what a reference stands for, a config, a
//! grant, the type of a secret. Here another provider lies in wait where the change leads to.

use keyfob_testkit::{AuthMethod, Client, Endpoint, Options, Provider};
use serde_json::{Value, json};

use crate::{
    authentication::state,
    authorize::{agree, go_on},
    call::{Answer, Caller},
    connect_page::{Browser, shows},
    connection::{connect, path, verified_contact},
    provider::{Jobs, config, personal},
    revocation::until_told,
    scene::{LIFE, Scene, tokens},
    secret,
};

/// A provider that takes whatever a client of the name `mine` sends.
async fn elsewhere() -> Provider {
    let mut options = Options::default().with_client(Client::confidential("mine", "my-own"));
    options.auto_approve = true;
    Provider::start(options).await.unwrap()
}

fn mine() -> Value {
    json!({"clientId": "mine", "clientSecret": "my-own"})
}

/// Requests that say they are from the client whose secret is not this provider's business.
fn told_of_the_client(elsewhere: &Provider) -> usize {
    elsewhere.look(|ledger| {
        ledger.requests.iter().filter(|request| request.client.as_deref() == Some("app")).count()
    })
}

/// A secret of `owner`'s that other accounts may use, without a place to revoke at.
async fn public(scene: &Scene, owner: &Caller) -> String {
    let mut config = config(&scene.provider, json!({}));
    config.as_object_mut().unwrap().remove("revokeUrl");
    let body =
        json!({"kind": "personal", "type": "oauth", "visibility": "public", "config": config});
    secret::create(owner, body).await
}

async fn reference(caller: &Caller, config: Value) -> String {
    let body = json!({"kind": "personal", "type": "reference", "name": "Mine", "config": config});
    secret::create(caller, body).await
}

/// Goes to wherever the link leads, agrees, and comes back once `meanwhile` is done.
async fn come_back(scene: &Scene, url: &Value, meanwhile: impl Future<Output = ()>) -> Answer {
    let link = format!("/connect/{}", state(url));
    let mut browser = Browser::new(&scene.app);
    let back = agree(&go_on(&mut browser, &link).await).await;
    meanwhile.await;
    browser.open(&back).await
}

#[tokio::test]
async fn a_reference_that_is_moved_while_somebody_is_at_the_provider_takes_no_secret_along() {
    let (scene, elsewhere) = (Scene::new().await, elsewhere().await);
    let target = public(&scene, &scene.app.backend()).await;
    let other = scene.app.other_account().await;
    let own = personal(&other, config(&elsewhere, mine())).await;
    let moved = reference(&other, json!({"secretId": own})).await;
    let contact = verified_contact(&other).await;
    let call = other.post(path(&contact, &moved, "authenticate"), json!({}));
    let url = call.await.ok()["url"].clone();
    let page = come_back(&scene, &url, async {
        let config = json!({"secretId": target});
        secret::update(&other, &moved, json!({"config": config})).await.ok();
    });
    shows(&page.await, 409, &["not connected"]);
    assert_eq!(told_of_the_client(&elsewhere), 0);
    assert_eq!(elsewhere.look(|ledger| ledger.at(Endpoint::Token).count()), 0);
}

#[tokio::test]
async fn a_reference_that_is_moved_before_a_revocation_takes_no_secret_along() {
    let (scene, elsewhere) = (Scene::new().await, elsewhere().await);
    let target = public(&scene, &scene.app.backend()).await;
    let other = scene.app.other_account().await;
    let own = personal(&other, config(&elsewhere, mine())).await;
    let moved = reference(&other, json!({"secretId": own})).await;
    let contact = verified_contact(&other).await;
    let body = json!({"accessToken": "access", "refreshToken": "refresh"});
    connect(&other, &contact, &moved, body).await.ok();
    secret::update(&other, &moved, json!({"config": {"secretId": target}})).await.ok();
    let _jobs = Jobs::of(&scene.app);
    other.post(path(&contact, &moved, "revoke"), json!({})).await.ok();
    let told = until_told(&other, "failed", 1).await;
    assert!(told[0]["problem"].as_str().unwrap().contains("another provider"), "{told:?}");
    assert_eq!(told_of_the_client(&elsewhere), 0);
}

/// Only what a provider answered, or `connect` was given, is a grant: not a text that reads like one.
#[tokio::test]
async fn a_text_that_was_stored_as_another_type_is_no_grant() {
    let (scene, elsewhere) = (Scene::new().await, elsewhere().await);
    let backend = scene.app.backend();
    let mut config = config(&scene.provider, json!({}));
    config.as_object_mut().unwrap().remove("revokeUrl");
    let id = secret::create(&scene.app.owner(), json!({"type": "oauth", "config": config})).await;
    let planted = json!({
        "accessToken": "access", "refreshToken": "refresh",
        "tokenUrl": elsewhere.url("/token"), "revokeUrl": elsewhere.url("/revoke"),
    });
    let body = json!({"type": "plain", "value": planted.to_string()});
    secret::update(&backend, &id, body).await.ok();
    secret::update(&backend, &id, json!({"type": "oauth"})).await.ok();
    // It is a token of which nothing else is known.
    let minted = backend.post(secret::path(&id, "mint"), json!({})).await.ok();
    assert_eq!(minted["token"], planted.to_string());
    let _jobs = Jobs::of(&scene.app);
    backend.post(secret::path(&id, "revoke"), json!({})).await.ok();
    assert_eq!(elsewhere.look(|ledger| ledger.requests.len()), 0);
}

#[tokio::test]
async fn a_client_of_a_reference_stays_with_the_provider_that_its_target_had() {
    let (scene, elsewhere) = (Scene::new().await, elsewhere().await);
    let mut bare = config(&scene.provider, json!({}));
    bare.as_object_mut().unwrap().retain(|name, _| !name.starts_with("client"));
    let target = personal(&scene.app.owner(), bare).await;
    let own = json!({"secretId": target, "clientId": "mine", "clientSecret": "app-secret"});
    let id = reference(&scene.app.owner(), own).await;
    let backend = scene.app.backend();
    let mut there = config(&elsewhere, json!({}));
    there.as_object_mut().unwrap().retain(|name, _| !name.starts_with("client"));
    secret::update(&backend, &target, json!({"config": there})).await.ok();
    let call = backend.post(path(&scene.contact, &id, "authenticate"), json!({}));
    let link = format!("/connect/{}", state(&call.await.ok()["url"]));
    let page = Browser::new(&scene.app).submit(&link, &[("do", "continue")]).await;
    shows(&page, 409, &["not connected", "not set up"]);
    assert_eq!(elsewhere.look(|ledger| ledger.requests.len()), 0);
}

/// Whoever owns a secret that others may use gets none of their tokens by it.
#[tokio::test]
async fn tokens_of_other_accounts_are_not_tried_where_the_owner_of_a_secret_says() {
    let (scene, elsewhere) = (Scene::new().await, elsewhere().await);
    let backend = scene.app.backend();
    let id = public(&scene, &backend).await;
    let other = scene.app.other_account().await;
    let contact = verified_contact(&other).await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    connect(&other, &contact, &id, tokens(&grant)).await.ok();
    let tried = json!({"clientSecret": "********", "validateUrl": elsewhere.url("/userinfo")});
    let config = json!({"config": config(&scene.provider, tried)});
    secret::update(&backend, &id, config).await.ok();
    let call = other.post(path(&contact, &id, "verify"), json!({}));
    assert_eq!(call.await.ok()["status"], "authenticated");
    assert_eq!(elsewhere.look(|ledger| ledger.requests.len()), 0);
    // The owner's own are tried there.
    connect(&backend, &scene.contact, &id, tokens(&grant)).await.ok();
    backend.post(path(&scene.contact, &id, "verify"), json!({})).await.ok();
    assert_eq!(elsewhere.look(|ledger| ledger.at(Endpoint::Userinfo).count()), 1);
}

#[tokio::test]
async fn a_grant_that_was_connected_by_a_wrong_config_is_mended_by_connecting_it_again() {
    let (scene, elsewhere) = (Scene::new().await, elsewhere().await);
    let backend = scene.app.backend();
    let wrong = json!({"tokenUrl": elsewhere.url("/token")});
    let id = personal(&backend, config(&scene.provider, wrong)).await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    connect(&backend, &scene.contact, &id, tokens(&grant)).await.ok();
    let right = json!({"config": config(&scene.provider, json!({}))});
    secret::update(&backend, &id, right).await.ok();
    connect(&backend, &scene.contact, &id, tokens(&grant)).await.ok();
    scene.outlive();
    let minted = backend.post(path(&scene.contact, &id, "mint"), json!({})).await.ok();
    assert!(scene.provider.is_valid(minted["token"].as_str().unwrap()));
    assert_eq!(elsewhere.look(|ledger| ledger.requests.len()), 0);
}

/// How a client proves itself is part of what was found out about its provider.
#[tokio::test]
async fn a_revocation_proves_its_client_as_the_exchange_did() {
    let scene = Scene::with(|options| {
        options.auth_methods = vec![AuthMethod::ClientSecretBasic];
        options.clients[0].auth_method = Some(AuthMethod::ClientSecretBasic);
    });
    let scene = scene.await;
    let backend = scene.app.backend();
    let found_out = json!({
        "issuer": scene.provider.issuer(), "clientId": "app", "clientSecret": "app-secret",
    });
    let id = personal(&backend, found_out).await;
    let call = backend.post(path(&scene.contact, &id, "authenticate"), json!({}));
    let url = call.await.ok()["url"].clone();
    shows(&come_back(&scene, &url, async {}).await, 200, &["is connected"]);
    let minted = backend.post(path(&scene.contact, &id, "mint"), json!({})).await.ok();
    let token = minted["token"].as_str().unwrap();
    assert!(scene.provider.is_valid(token));
    let _jobs = Jobs::of(&scene.app);
    backend.post(path(&scene.contact, &id, "revoke"), json!({})).await.ok();
    until_told(&backend, "revoked", 1).await;
    assert!(!scene.provider.is_valid(token));
}

#[tokio::test]
async fn a_shared_reference_to_a_grant_that_has_ended_is_connected_anew() {
    let scene = Scene::new().await;
    let owner = scene.app.owner();
    let target = scene.share(&json!({"accessToken": "old", "accessTokenExpiresAt": 1})).await;
    let body = json!({"type": "reference", "name": "Ours", "config": {"secretId": target}});
    let id = secret::create(&owner, body).await;
    let call = owner.post(secret::path(&id, "authenticate"), json!({}));
    let url = call.await.ok()["url"].clone();
    shows(&come_back(&scene, &url, async {}).await, 200, &["is connected"]);
    let minted = owner.post(secret::path(&id, "mint"), json!({})).await.ok();
    assert!(scene.provider.is_valid(minted["token"].as_str().unwrap()));
}
