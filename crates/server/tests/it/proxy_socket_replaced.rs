//! `WebSocket` connections through the proxy whose credential is replaced by another one while they are open.

use keyfob_testkit::Endpoint;
use serde_json::{Value, json};

use crate::{
    call::Call,
    connection::{connect, path, verified_contact},
    key_limits::{limited, path as key_path},
    listening::Server,
    passed_on::{Scene, TOKEN},
    proxy_socket::{Socket, close, echo_for, echoes, message, open, open_with, rest},
    scene::{self, LIFE, tokens},
    secret,
};

const SECOND: &str = "kfb-second-token/1a2b3c4d5e6f";

/// A scene whose secret is shared, and has this value or stands for another one.
async fn sharing(body: Value) -> Scene {
    let mut scene = Scene::at(echo_for(TOKEN.to_owned()).await, json!({})).await;
    scene.secret = shared(&scene, body).await;
    scene.contact = "-".into();
    scene
}

/// A shared secret for the scene's server.
async fn shared(scene: &Scene, mut body: Value) -> String {
    body["config"]["hosts"] = json!([format!("127.0.0.1:{}", scene.upstream.port())]);
    secret::create(&scene.app.backend(), body).await
}

/// That it ends for that, after so many others have ended.
async fn ends_as_replaced(scene: &Scene, socket: Socket, after: usize) {
    let end = close(1008, "keyfob: the key may not use it any more");
    assert_eq!(rest(socket).await, end);
    scene.until_events("broke_off", after + 1).await;
    let events = scene.events().await;
    let is_told = events.iter().any(|(_, why)| why.contains("replaced by another one"));
    assert!(is_told, "{events:?}");
}

/// A `WebSocket` that goes on after the first change, and not after the second one.
async fn ends_after_the_second(scene: &Scene, changes: [Call; 2]) {
    let server = Server::start(&scene.app, 4);
    let mut socket = open(scene, &server).await;
    let [other, own] = changes;
    other.await.ok();
    echoes(&mut socket, &message("one")).await;
    own.await.ok();
    ends_as_replaced(scene, socket, 0).await;
}

#[tokio::test]
async fn a_websocket_ends_when_its_contact_connects_another_value() {
    let scene = Scene::at(echo_for(TOKEN.to_owned()).await, json!({})).await;
    let backend = scene.app.backend();
    let other = verified_contact(&backend).await;
    let value = |contact: &str| connect(&backend, contact, &scene.secret, json!({"value": SECOND}));
    ends_after_the_second(&scene, [value(&other), value(&scene.contact)]).await;
}

#[tokio::test]
async fn a_websocket_ends_when_a_shared_value_is_replaced() {
    let scene = sharing(json!({"type": "bearer", "value": TOKEN})).await;
    let update = |body: Value| secret::update(&scene.app.backend(), &scene.secret, body);
    let changes = [update(json!({"description": "other"})), update(json!({"value": SECOND}))];
    ends_after_the_second(&scene, changes).await;
}

#[tokio::test]
async fn a_websocket_ends_when_a_reference_stands_for_another_secret() {
    let mut scene = sharing(json!({"type": "bearer", "value": TOKEN, "alias": "one"})).await;
    // The same value, so that it is told by what it is of.
    let other = shared(&scene, json!({"type": "bearer", "value": TOKEN})).await;
    let to = |id: &str| json!({"type": "reference", "config": {"reference": id}});
    let reference = secret::create(&scene.app.backend(), to(&scene.secret)).await;
    let change =
        |config: Value| secret::update(&scene.app.backend(), &reference, json!({"config": config}));
    let changes = [change(json!({"reference": "@one"})), change(json!({"reference": other}))];
    scene.secret.clone_from(&reference);
    ends_after_the_second(&scene, changes).await;
}

/// Each connection is looked at once a second since it was opened. One that was opened second is ended by the look
/// that comes after the next one at the first, if it is told to end when one that was opened third has just ended.
#[tokio::test]
async fn a_websocket_outlives_its_token_and_not_its_grant() {
    let (oauth, grant) = scene::Scene::connected().await;
    let upstream = echo_for(grant.access_token.clone()).await;
    oauth.configure(&json!({"hosts": [format!("127.0.0.1:{}", upstream.port())]})).await.ok();
    let (contact, secret) = (oauth.contact.clone(), oauth.secret.clone());
    let scene = Scene { app: oauth.app, upstream, contact, secret };
    let server = Server::start(&scene.app, 4);
    let mut first = open(&scene, &server).await;
    let (mut others, owner) = (Vec::new(), scene.app.owner());
    for _ in 0..2 {
        let (key, _) = limited(&scene.app, "agent", json!({})).await;
        others.push((open_with(&scene, &server, &key.token).await, key.id));
    }
    scene.app.clock.advance_seconds(60);
    let refresh = path(&scene.contact, &scene.secret, "refresh");
    scene.app.backend().post(refresh, json!({})).await.ok();
    assert_eq!(oauth.provider.ledger().at(Endpoint::Token).count(), 1, "it is renewed");
    for (other, key) in others.into_iter().rev() {
        owner.post(key_path(&key, "revoke"), json!({})).await.ok();
        assert!(!rest(other).await.is_empty());
    }
    echoes(&mut first, &message("one")).await;
    let another = oauth.provider.issue_grant("app", LIFE).unwrap();
    let backend = scene.app.backend();
    connect(&backend, &scene.contact, &scene.secret, tokens(&another)).await.ok();
    ends_as_replaced(&scene, first, 2).await;
}
