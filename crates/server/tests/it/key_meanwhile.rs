//! Keyfob waits for others between what it decides and what it does: for a provider, for a server, for the rest of a
//! body. What changes meanwhile counts.

use std::sync::Arc;

use axum::body::Body;
use futures_util::{StreamExt, future::join, stream};
use hyper::Response;
use keyfob_testkit::{Endpoint, Fault};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use crate::{
    call::Caller,
    connection::{connect, path},
    guard::CANARY,
    key_limits::{limited, path as key_path},
    listening::within_patience,
    passed_on::{self, Back, ask, call},
    scene, secret,
    upstream::{Speaks, Upstream, whole},
};

impl scene::Scene {
    /// What comes of a call that waits for a renewal, if `change` is made of its key meanwhile.
    async fn change_while_renewing(
        &self,
        action: &str,
        body: &Value,
        (verb, change): (&str, Value),
    ) -> Back {
        let (key, caller) = limited(&self.app, "backend", json!({})).await;
        self.outlive();
        self.provider.script(Endpoint::Token, Fault::HoldAfter);
        let before = self.asked();
        let changes = async {
            self.until_asked(before + 1).await;
            self.app.owner().post(key_path(&key.id, verb), change).await.ok();
            self.provider.release();
        };
        let to = path(&self.contact, &self.secret, action);
        let (back, ()) = join(ask(&caller, &to, body), changes).await;
        back
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_while_a_token_is_renewed_gets_nothing_of_it() {
    let upstream = Upstream::start(Speaks::Clear, async |_| Response::new(whole("said"))).await;
    let (scene, _) = scene::Scene::connected().await;
    let host = format!("127.0.0.1:{}", upstream.port());
    scene.configure(&json!({"hosts": [host]})).await.ok();
    let url = json!({"url": format!("http://{host}/x")});
    let nothing = json!({});
    let sent = [("mint", &nothing), ("verify", &nothing), ("refresh", &nothing), ("proxy", &url)];
    for (action, body) in sent {
        let back = scene.change_while_renewing(action, body, ("revoke", json!({}))).await;
        back.error(401, "not_authenticated");
    }
    for (action, body, left) in [
        ("mint", &nothing, json!({"actions": ["connection.list"]})),
        ("proxy", &url, json!({"hosts": ["elsewhere.example"]})),
    ] {
        let back = scene.change_while_renewing(action, body, ("update", left)).await;
        assert_eq!(back.status.as_u16() / 100, 4, "{}", back.text());
    }
    assert!(upstream.requests().is_empty());
    assert!(!scene.app.events().await.iter().any(|event| event.action == "connection.mint"));
}

#[tokio::test]
async fn a_key_that_is_revoked_while_a_server_refuses_its_token_has_it_sent_no_second_time() {
    let (arrives, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (came, goes) = (Arc::clone(&arrives), Arc::clone(&go));
    let upstream = Upstream::start(Speaks::Clear, move |_| {
        let (came, goes) = (Arc::clone(&came), Arc::clone(&goes));
        async move {
            came.notify_one();
            goes.notified().await;
            Response::builder().status(401).body(whole("said")).unwrap()
        }
    })
    .await;
    let (scene, _) = scene::Scene::connected().await;
    let host = format!("127.0.0.1:{}", upstream.port());
    scene.configure(&json!({"hosts": [host]})).await.ok();
    scene.app.clock.advance_seconds(60);
    let (key, agent) = limited(&scene.app, "agent", json!({})).await;
    let changes = async {
        within_patience(arrives.notified()).await;
        scene.app.owner().post(key_path(&key.id, "revoke"), json!({})).await.ok();
        go.notify_one();
    };
    let (to, body) =
        (path(&scene.contact, &scene.secret, "proxy"), json!({"url": format!("http://{host}/x")}));
    let (back, ()) = join(ask(&agent, &to, &body), changes).await;
    back.error(401, "not_authenticated");
    assert_eq!(upstream.requests().len(), 1);
}

/// A scene whose requests are signed, so that their bodies have to be there as a whole.
async fn signed() -> passed_on::Scene {
    let mut scene = passed_on::Scene::new().await;
    let backend = scene.app.backend();
    let host = format!("127.0.0.1:{}", scene.upstream.port());
    let config =
        json!({"hosts": [host], "signing": "sigv4", "region": "eu-west-1", "service": "dynamodb"});
    let body = json!({"kind": "personal", "type": "basic", "config": config});
    scene.secret = secret::create(&backend, body).await;
    let pair = json!({"username": "AKIDEXAMPLE", "password": CANARY});
    connect(&backend, &scene.contact, &scene.secret, pair).await.ok();
    scene
}

impl passed_on::Scene {
    /// What comes of a request whose body ends when `change` is done.
    async fn change_while_collecting(&self, caller: &Caller, change: impl IntoFuture) -> Back {
        let (begun, begins) = oneshot::channel();
        let (end, ends) = oneshot::channel();
        let rest = async move {
            begun.send(()).unwrap();
            ends.await.unwrap();
            Ok::<_, std::io::Error>("rest")
        };
        let body = stream::iter([Ok("first ")]).chain(stream::once(rest));
        let changes = async {
            within_patience(begins).await.unwrap();
            change.await;
            end.send(()).unwrap();
        };
        let to = self.path_to(&self.url("/"));
        let sends = call(caller, "POST", &to, &[], Body::from_stream(body));
        join(sends, changes).await.0
    }
}

#[tokio::test]
async fn what_is_taken_away_while_a_body_is_collected_signs_nothing() {
    let scene = signed().await;
    let (key, agent) = limited(&scene.app, "agent", json!({})).await;
    let owner = scene.app.owner();
    let back = scene.change_while_collecting(&agent, async {}).await;
    assert_eq!((back.status.as_u16(), back.text()), (200, "hello".into()));
    assert_eq!(scene.got().headers["content-length"], "10");
    let narrow = owner.post(key_path(&key.id, "update"), json!({"methods": ["GET"]}));
    let back = scene.change_while_collecting(&agent, narrow).await;
    assert_eq!(back.status.as_u16() / 100, 4, "{}", back.text());
    let wide = owner.post(key_path(&key.id, "update"), json!({"methods": null}));
    wide.await.ok();
    let back = scene
        .change_while_collecting(&agent, owner.post(key_path(&key.id, "revoke"), json!({})))
        .await;
    back.error(401, "not_authenticated");
    let taken = path(&scene.contact, &scene.secret, "revoke");
    let taken = scene.app.backend().post(taken, json!({}));
    let back = scene.change_while_collecting(&scene.app.agent(), taken).await;
    back.error(409, "authorization_required");
    assert_eq!(scene.upstream.requests().len(), 1);
}
