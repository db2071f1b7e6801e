//! Handing tokens out: `mint` of a contact's connection and of a shared secret.

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    connection::{connect, path, personal, verified_contact},
    guard::CANARY,
    scene::{LIFE, Scene, tokens},
    secret,
};

/// The claims of a JWT that was signed with this key (RFC 7515, with HS256).
fn claims(token: &Value, key: &str) -> Value {
    let (signed, signature) = token.as_str().unwrap().rsplit_once('.').unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
    let [header, claims] = [0, 1].map(|part| {
        let part = signed.split('.').nth(part).unwrap();
        serde_json::from_slice::<Value>(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
    });
    assert_eq!(header["alg"], "HS256");
    claims
}

fn jwt_config() -> Value {
    json!({"algorithm": "HS256", "expiresInSeconds": 60, "claims": {"sub": "x"}})
}

/// The key itself is never handed out: the guard looks for it in every answer.
#[tokio::test]
async fn a_jwt_is_signed_anew_with_the_stored_key() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let body = json!({"kind": "personal", "type": "jwt", "config": jwt_config()});
    let personal = secret::create(&backend, body).await;
    connect(&backend, &contact, &personal, json!({"value": CANARY})).await.ok();
    let body = json!({"type": "jwt", "value": CANARY, "config": jwt_config()});
    let shared = secret::create(&backend, body).await;
    for path in [path(&contact, &personal, "mint"), secret::path(&shared, "mint")] {
        let minted = backend.post(&path, json!({})).await.ok();
        let (now, claims) = (app.clock.seconds(), claims(&minted["token"], CANARY));
        assert_eq!((&claims["sub"], &claims["iat"]), (&json!("x"), &json!(now)));
        assert_eq!(claims["exp"], now + 60);
        assert_eq!(minted["expiresAt"], (now + 60) * 1000);
        app.clock.advance_seconds(61);
        let again = backend.post(&path, json!({})).await.ok();
        assert_ne!(again["token"], minted["token"]);
    }
}

#[tokio::test]
async fn an_agent_gets_no_token_and_neither_does_another_account() {
    let (scene, grant) = Scene::connected().await;
    let shared = scene.share(&crate::shared_grant::value(&grant)).await;
    let stranger = scene.app.other_account().await;
    for path in [path(&scene.contact, &scene.secret, "mint"), secret::path(&shared, "mint")] {
        scene.app.agent().post(&path, json!({})).await.error(403, "not_authorized");
        stranger.post(&path, json!({})).await.error(404, "not_found");
        for caller in [scene.app.backend(), scene.app.owner()] {
            assert_eq!(caller.post(&path, json!({})).await.ok()["token"], grant.access_token);
        }
    }
}

/// What everybody may use is not everybody's to take away, by whichever way it is named.
#[tokio::test]
async fn a_token_of_anothers_secret_is_not_had_by_a_reference_either() {
    let scene = Scene::new().await;
    let public = json!({"visibility": "public"});
    secret::update(&scene.app.backend(), &scene.secret, public).await.ok();
    let child = scene.app.other_account().await;
    let contact = verified_contact(&child).await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let reference =
        json!({"kind": "personal", "type": "reference", "config": {"reference": scene.secret}});
    let reference = secret::create(&child, reference).await;
    for secret in [&scene.secret, &reference] {
        connect(&child, &contact, secret, tokens(&grant)).await.ok();
        let mint = child.post(path(&contact, secret, "mint"), json!({}));
        mint.await.error(403, "not_authorized");
    }
}

#[tokio::test]
async fn no_token_leaves_before_its_event_is_stored() {
    let (scene, grant) = Scene::connected().await;
    let held = scene.app.hold_writers().await;
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.app.until_depth(1).await;
    assert!(!call.is_finished());
    drop(held);
    let answer = call.await.unwrap();
    let mut events = scene.app.events().await;
    events.retain(|event| event.action == "connection.mint");
    let [event] = &events[..] else { panic!("{events:#?}") };
    assert_eq!((&*event.result, &*event.request_id), ("ok", answer.header("x-request-id")));
    assert_eq!(answer.ok()["token"], grant.access_token);
}

#[tokio::test]
async fn a_contact_who_is_not_verified_has_no_tokens() {
    let (scene, _) = Scene::connected().await;
    let contact = format!("/api/v1/contact/{}/update", scene.contact);
    scene.app.backend().post(contact, json!({"verifiedAt": null})).await.ok();
    let error = scene.call(&scene.app.backend(), "mint").await.error(409, "conflict");
    assert_eq!(error["message"], "Cannot mint secret for this secret configuration");
}

#[tokio::test]
async fn what_is_not_connected_has_no_token_but_a_link() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "jwt").await);
    let answer = backend.post(path(&contact, &secret, "mint"), json!({})).await;
    let error = answer.error(409, "authorization_required");
    assert_eq!(crate::authentication::state(&error["url"]).len(), 43);
}
