//! Renewing grants with a client that is replaced, or refused.

use keyfob_testkit::{Endpoint, Fault};
use serde_json::json;

use crate::scene::Scene;

#[tokio::test]
async fn a_client_secret_is_replaced_without_a_gap() {
    let (scene, grant) = Scene::connected_with(|options| {
        options.clients[0].secrets = vec!["app-secret".into(), "next-secret".into()];
    })
    .await;
    scene.configure(&json!({"clientSecrets": ["next-secret"]})).await.ok();
    scene.outlive();
    scene.token().await;
    assert!(scene.provider.retire_secret("app", "app-secret"));
    scene.outlive();
    assert!(scene.provider.is_valid(&scene.token().await));
    let ledger = scene.provider.ledger();
    assert_eq!((ledger.refreshes(grant.family), ledger.reuses()), (2, 0));
}

#[tokio::test]
async fn a_client_that_is_refused_breaks_no_grant() {
    let (scene, _) = Scene::connected().await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::invalid_client());
    scene.call(&scene.app.backend(), "mint").await.error(503, "provider_unavailable");
    let verified = scene.verify().await;
    assert_eq!(verified["status"], "authenticated");
    assert!(verified["reason"].as_str().unwrap().contains("invalid_client"), "{verified}");
    scene.app.clock.advance_seconds(301);
    scene.token().await;
}

/// Providers repeat what they were sent.
#[tokio::test]
async fn a_client_secret_that_the_provider_repeats_is_told_to_nobody() {
    let (scene, _) = Scene::connected().await;
    scene.configure(&json!({"tokenEndpointAuthMethod": "client_secret_basic"})).await.ok();
    scene.outlive();
    let body = r#"{"error":"server_trouble","error_description":"no client with app-secret here"}"#;
    scene.provider.script(Endpoint::Token, Fault::status(400, "application/json", body));
    scene.call(&scene.app.backend(), "mint").await.error(503, "provider_unavailable");
    let verified = scene.verify().await;
    let reason = verified["reason"].as_str().unwrap();
    assert!(reason.contains("server_trouble") && !reason.contains("app-secret"), "{reason}");
    let told = scene.renewals().await;
    assert!(told.iter().all(|(_, why)| !why.contains("app-secret")), "{told:?}");
}
