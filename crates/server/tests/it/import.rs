//! Grants that were obtained elsewhere and are handed to Keyfob: when they end, and what may replace them.

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use crate::{
    connection::connect,
    contact::refused,
    scene::{LIFE, Scene, config, tokens},
    secret::path,
};

/// Milliseconds that no calendar has.
const BEYOND_DATES: i64 = 9_000_000_000_000_000;

/// Whoever imports may send it again, as after a lost answer. What it says was replaced meanwhile.
#[tokio::test]
async fn an_import_that_is_repeated_does_not_bring_used_tokens_back() {
    let scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let import = || connect(&scene.app.backend(), &scene.contact, &scene.secret, tokens(&grant));
    import().await.ok();
    scene.call(&scene.app.backend(), "refresh").await.ok();
    let renewed = scene.token().await;
    import().await.ok();
    assert_eq!(scene.token().await, renewed);
    scene.outlive();
    assert!(scene.provider.is_valid(&scene.token().await));
    let ledger = scene.provider.ledger();
    assert_eq!((ledger.refreshes(grant.family), ledger.reuses()), (2, 0));
}

#[tokio::test]
async fn a_grant_that_does_not_say_when_it_ends_is_renewed_after_the_assumed_time() {
    let scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let value = json!({"accessToken": grant.access_token, "refreshToken": grant.refresh_token});
    let id = scene.share(&value).await;
    let mint = async || scene.app.backend().post(path(&id, "mint"), json!({})).await.ok();
    assert_eq!(mint().await["token"], grant.access_token);
    scene.app.clock.advance_seconds(3600);
    assert!(scene.provider.is_valid(mint().await["token"].as_str().unwrap()));
    assert_eq!(scene.asked(), 1);
}

#[tokio::test]
async fn a_jwt_that_is_given_alone_ends_when_it_says() {
    let scene = Scene::new().await;
    let claims = format!("{{\"exp\":{}}}", scene.app.clock.seconds() + 600);
    let token = format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(claims.as_bytes()));
    let id = scene.share(&json!(token)).await;
    let mint = async || scene.app.backend().post(path(&id, "mint"), json!({})).await;
    assert_eq!(mint().await.ok()["token"], token);
    scene.app.clock.advance_seconds(600);
    let verified = scene.app.agent().post(path(&id, "verify"), json!({})).await.ok();
    assert_eq!(
        (&verified["status"], &verified["reason"]),
        (&json!("unauthenticated"), &json!("it has expired"))
    );
    mint().await.error(409, "authorization_required");
}

/// What cannot be read again would be in everybody's way: the job's, and a delete's.
#[tokio::test]
async fn an_end_beyond_all_dates_is_refused_and_nothing_is_stored() {
    let scene = Scene::new().await;
    let create = async |end: &str| {
        let mut value = json!({"accessToken": "a", "refreshToken": "r"});
        value[end] = json!(BEYOND_DATES);
        let config = config(&scene.provider);
        let body = json!({"type": "oauth", "value": value.to_string(), "config": config});
        scene.app.backend().post("/api/v1/secret/create", body).await
    };
    let message = "\"expiresAt\" must be within the next ten years";
    refused(create("accessTokenExpiresAt").await, message);
    let message = "\"refreshTokenExpiresAt\" must be within the next ten years";
    refused(create("refreshTokenExpiresAt").await, message);
    assert_eq!(scene.app.database().number("SELECT count(*) FROM secret"), 1);
    assert_eq!(scene.app.database().number("SELECT count(*) FROM refresh"), 0);
}

#[tokio::test]
async fn what_another_account_tries_to_import_does_not_stop_the_job() {
    let (scene, grant) = Scene::connected().await;
    let value =
        json!({"accessToken": "a", "refreshToken": "r", "accessTokenExpiresAt": BEYOND_DATES});
    let body = json!({
        "type": "oauth", "value": value.to_string(),
        "config": {"clientId": "x", "clientSecret": "y", "tokenUrl": "https://a.example.com/token"},
    });
    let stranger = scene.app.other_account().await;
    stranger.post("/api/v1/secret/create", body).await.error(400, "bad_request");
    scene.app.clock.advance(LIFE * 9 / 10);
    assert_eq!(scene.app.broker().renew_due().await.unwrap(), 1);
    scene.until_asked(1).await;
    scene.app.broker().finish_requests().await;
    assert_ne!(scene.token().await, grant.access_token);
}
