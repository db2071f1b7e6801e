//! The links at which a person hands over a credential: who gets one, and what it leads back to. What happens
//! there is in `connect_page`.

use serde_json::{Value, json};

use crate::{
    app::{PUBLIC_URL, TestApp},
    connection::{path, personal, verified_contact, verify},
    guard::CANARY,
};

/// The state in a link.
pub(crate) fn state(url: &Value) -> String {
    let prefix = format!("{PUBLIC_URL}/connect/");
    url.as_str().unwrap().strip_prefix(&prefix).unwrap().to_owned()
}

/// W20, W30: not only whether, but why; and the link is where it belongs.
#[tokio::test]
async fn what_is_not_connected_is_unauthenticated_with_a_link() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "plain").await);
    let verified = verify(&app.agent(), &contact, &secret).await;
    let url = verified["action"]["url"].clone();
    assert_eq!(state(&url).len(), 43);
    let expected = json!({
        "id": secret, "status": "unauthenticated", "reason": "the contact has not connected it",
        "action": {"type": "authenticate", "url": url},
    });
    assert_eq!(verified, expected);
}

/// Programs ask again and again while the contact connects: that makes no new links, and no events.
#[tokio::test]
async fn who_asks_again_within_five_minutes_gets_the_same_link() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "plain").await);
    let link = async || verify(&backend, &contact, &secret).await["action"]["url"].clone();
    let first = link().await;
    let events = app.events().await.len();
    app.clock.advance_seconds(299);
    assert_eq!(link().await, first);
    assert_eq!(app.events().await.len(), events);
    let of_agent = verify(&app.agent(), &contact, &secret).await["action"]["url"].clone();
    assert_ne!(of_agent, first);
    app.clock.advance_seconds(1);
    assert_ne!(link().await, first);
}

#[tokio::test]
async fn authenticate_makes_a_new_link_each_time() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "bearer").await);
    let authenticate = || app.agent().post(path(&contact, &secret, "authenticate"), json!({}));
    let (one, two) = (authenticate().await.ok(), authenticate().await.ok());
    assert_eq!(one, json!({"id": secret, "url": one["url"]}));
    assert_ne!(state(&one["url"]), state(&two["url"]));
    let empty = app.agent().call("POST", &path(&contact, &secret, "authenticate"), Vec::new());
    state(&empty.await.ok()["url"]);
}

#[tokio::test]
async fn a_key_has_no_more_than_a_hundred_links_of_one_credential_open() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "plain").await);
    let authenticate = || backend.post(path(&contact, &secret, "authenticate"), json!({}));
    for _ in 0..100 {
        authenticate().await.ok();
    }
    authenticate().await.error(429, "too_many_links");
    // Who only asks how things stand is answered, and other keys are not kept from theirs.
    let verified = verify(&backend, &contact, &secret).await;
    assert_eq!(
        (&verified["status"], &verified["action"]),
        (&json!("unauthenticated"), &Value::Null)
    );
    let of_agent = verify(&app.agent(), &contact, &secret).await;
    state(&of_agent["action"]["url"]);
    let other = personal(&backend, "plain").await;
    backend.post(path(&contact, &other, "authenticate"), json!({})).await.ok();
    app.clock.advance_seconds(15 * 60);
    authenticate().await.ok();
}

#[tokio::test]
async fn a_return_url_has_to_be_of_an_origin_that_the_account_allows() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "plain").await);
    let authenticate = |url: &str| {
        backend.post(path(&contact, &secret, "authenticate"), json!({"returnUrl": url}))
    };
    authenticate("https://app.example.com/x").await.error(400, "invalid_return_url");
    let origins = json!({"allowedOrigins": ["https://app.example.com"]});
    app.owner().post("/api/v1/account/update", origins).await.ok();
    for url in ["https://app.example.com", "https://app.example.com/x?y=1#z", ""] {
        authenticate(url).await.ok();
    }
    for url in [
        "/x",
        "app.example.com",
        "https://app.example.com.evil.example/",
        "http://app.example.com/",
        "https://app.example.com:8443/",
        "https://u:p@app.example.com/",
        "javascript:alert(1)",
        "https://app.example.com@evil.example/",
        "https://evil.example\\@app.example.com/",
        "blob:https://app.example.com/x",
        &format!("https://app.example.com/{}", "x".repeat(2048)),
    ] {
        authenticate(url).await.error(400, "invalid_return_url");
    }
}

/// W21: where nothing can be connected, nobody is sent to a page that can only fail, and who asks is told what
/// is missing.
#[tokio::test]
async fn a_secret_that_nobody_can_connect_has_no_link() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let secret = personal(&backend, "oauth").await;
    let verified = verify(&backend, &contact, &secret).await;
    assert_eq!(verified["status"], "unauthenticated");
    assert_eq!(verified["action"], Value::Null);
    let answer = backend.post(path(&contact, &secret, "authenticate"), json!({})).await;
    let error = answer.error(409, "not_connectable");
    assert!(error["message"].as_str().unwrap().contains("\"config.tokenUrl\" is missing"));
    let answer = backend.post(path(&contact, &secret, "connect"), json!({"value": CANARY})).await;
    answer.error(400, "bad_request");
}
