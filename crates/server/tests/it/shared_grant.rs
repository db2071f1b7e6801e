//! The grant that is the one value of a shared secret of type oauth: connected, renewed, and ended.

use std::time::Duration;

use keyfob_testkit::{Endpoint, Fault, IssuedGrant};
use serde_json::{Value, json};

use crate::{
    authentication::state,
    authorize::{agree, go_on},
    call::Call,
    connect_page::{Browser, shows},
    scene::{LIFE, Scene, config},
    secret::{self, path},
};

/// A grant as the value of a shared secret.
pub(crate) fn value(grant: &IssuedGrant) -> Value {
    json!({
        "accessToken": grant.access_token,
        "refreshToken": grant.refresh_token,
        "accessTokenExpiresAt": grant.expires_at.as_millis(),
    })
}

fn mint(scene: &Scene, id: &str) -> Call {
    scene.app.backend().post(path(id, "mint"), json!({}))
}

/// Sends the config that there is.
fn configure(scene: &Scene, id: &str) -> Call {
    secret::update(&scene.app.backend(), id, json!({"config": config(&scene.provider)}))
}

#[tokio::test]
async fn a_shared_secret_is_connected_the_same_way() {
    let scene = Scene::new().await;
    let body = json!({"type": "oauth", "name": "Team mail", "config": config(&scene.provider)});
    let id = secret::create(&scene.app.backend(), body).await;
    let call = scene.app.agent().post(secret::path(&id, "authenticate"), json!({}));
    let link = format!("/connect/{}", state(&call.await.ok()["url"]));
    let mut browser = Browser::new(&scene.app);
    let back = agree(&go_on(&mut browser, &link).await).await;
    shows(&browser.open(&back).await, 200, &["Team mail is connected"]);
    for _ in 0..3 {
        let call = scene.app.backend().post(secret::path(&id, "mint"), json!({}));
        let token = call.await.ok()["token"].as_str().unwrap().to_owned();
        assert!(scene.provider.is_valid(&token));
        scene.outlive();
    }
    let call = scene.app.agent().post(secret::path(&id, "verify"), json!({}));
    assert_eq!(call.await.ok()["status"], "authenticated");
}

/// A link never replaces what everybody uses, but what is of no use any more.
#[tokio::test]
async fn a_shared_grant_that_has_ended_is_connected_anew() {
    let scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let id = scene.share(&value(&grant)).await;
    let call = async |action| scene.app.backend().post(secret::path(&id, action), json!({})).await;
    assert_eq!(call("mint").await.ok()["token"], grant.access_token);
    call("authenticate").await.error(409, "already_connected");
    scene.outlive();
    assert!(scene.provider.is_valid(call("mint").await.ok()["token"].as_str().unwrap()));
    assert!(scene.provider.withdraw(grant.family));
    scene.outlive();
    let error = call("mint").await.error(409, "authorization_required");
    let link = format!("/connect/{}", state(&error["url"]));
    assert_eq!(call("verify").await.ok()["status"], "unauthenticated");
    let mut browser = Browser::new(&scene.app);
    let back = agree(&go_on(&mut browser, &link).await).await;
    shows(&browser.open(&back).await, 200, &["is connected"]);
    assert!(scene.provider.is_valid(call("mint").await.ok()["token"].as_str().unwrap()));
}

/// Whoever is renewing it goes on: another one that began as well would send the same token.
#[tokio::test]
async fn a_change_of_the_config_takes_the_lease_from_nobody() {
    let mut scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let id = scene.share(&value(&grant)).await;
    let there = scene.app.on_another_node(scene.app.backend()).await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let call = tokio::spawn(mint(&scene, &id).into_future());
    scene.until_asked(1).await;
    configure(&scene, &id).await.ok();
    let leases = "SELECT count(*) FROM refresh WHERE leased_until IS NOT NULL";
    assert_eq!(scene.app.database().number(leases), 1);
    let other = tokio::spawn(there.post(path(&id, "mint"), json!({})).into_future());
    scene.provider.release();
    let token = call.await.unwrap().ok()["token"].clone();
    assert_eq!(other.await.unwrap().ok()["token"], token);
    assert_eq!((scene.asked(), scene.provider.ledger().reuses()), (1, 0));
}

#[tokio::test]
async fn a_shared_grant_that_has_ended_is_not_asked_for_again_when_its_config_changes() {
    let scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let id = scene.share(&value(&grant)).await;
    assert!(scene.provider.withdraw(grant.family));
    scene.outlive();
    mint(&scene, &id).await.error(409, "authorization_required");
    configure(&scene, &id).await.ok();
    scene.app.clock.advance(Duration::from_hours(24));
    assert_eq!(scene.app.database().number("SELECT count(*) FROM refresh"), 0);
    assert_eq!(scene.app.broker().renew_due().await.unwrap(), 0);
    mint(&scene, &id).await.error(409, "authorization_required");
    assert_eq!(scene.asked(), 1);
}

#[tokio::test]
async fn the_link_that_comes_instead_of_a_token_works() {
    let scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let mut without_refresh_token = value(&grant);
    without_refresh_token.as_object_mut().unwrap().remove("refreshToken");
    let id = scene.share(&without_refresh_token).await;
    scene.outlive();
    let error = mint(&scene, &id).await.error(409, "authorization_required");
    let link = format!("/connect/{}", state(&error["url"]));
    let mut browser = Browser::new(&scene.app);
    let back = agree(&go_on(&mut browser, &link).await).await;
    shows(&browser.open(&back).await, 200, &["is connected"]);
    let token = mint(&scene, &id).await.ok()["token"].as_str().unwrap().to_owned();
    assert!(scene.provider.is_valid(&token));
}
