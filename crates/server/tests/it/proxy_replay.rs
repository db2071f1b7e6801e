//! A request that a server did not let in is sent once more with a renewed token, where that is safe.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::body::Body;
use hyper::{Response, StatusCode};
use keyfob_testkit::Fault;
use serde_json::{Value, json};

use crate::{
    connection::path,
    passed_on::{Back, call},
    scene,
    upstream::{Speaks, Upstream, whole},
};

/// A contact with a grant, and a server that answers as it is told.
struct Scene {
    oauth: scene::Scene,
    upstream: Upstream,
}

impl Scene {
    /// `answer` gets how many requests there were before.
    async fn new(answer: impl Fn(usize) -> u16 + Clone + Send + Sync + 'static) -> Self {
        let (oauth, _) = scene::Scene::connected().await;
        let before = Arc::new(AtomicUsize::new(0));
        let upstream = Upstream::start(Speaks::Clear, move |_| {
            let status = answer(before.fetch_add(1, Ordering::Relaxed));
            async move { Response::builder().status(status).body(whole("said")).unwrap() }
        });
        let upstream = upstream.await;
        let hosts = json!({"hosts": [format!("127.0.0.1:{}", upstream.port())]});
        oauth.configure(&hosts).await.ok();
        Self { oauth, upstream }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/x", self.upstream.port())
    }

    async fn send(&self, body: Value) -> Back {
        let to = path(&self.oauth.contact, &self.oauth.secret, "proxy");
        let headers = [("content-type", "application/json")];
        call(&self.oauth.app.agent(), "POST", &to, &headers, body.to_string()).await
    }

    async fn stream(&self, body: impl Into<Body>) -> Back {
        let to = format!("/proxy/{}/{}/{}", self.oauth.contact, self.oauth.secret, self.url());
        call(&self.oauth.app.agent(), "POST", &to, &[], body).await
    }

    /// The tokens that the server was shown.
    fn shown(&self) -> Vec<String> {
        let requests = self.upstream.requests().into_iter();
        requests.map(|it| it.headers["authorization"].to_str().unwrap().to_owned()).collect()
    }
}

/// The first is refused, what comes after it is let in.
const fn first_refused(before: usize) -> u16 {
    if before == 0 { 401 } else { 200 }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_request_sent_once_more() {
    let scene = Scene::new(first_refused).await;
    scene.oauth.app.clock.advance_seconds(60);
    let body = json!({"url": scene.url(), "method": "POST", "body": "one"});
    let back = scene.send(body).await;
    assert_eq!((back.status, back.text()), (StatusCode::OK, "said".into()));
    let shown = scene.shown();
    assert_eq!((shown.len(), scene.oauth.asked()), (2, 1));
    assert_ne!(shown[0], shown[1]);
    let bodies: Vec<_> = scene.upstream.requests();
    assert!(bodies.iter().all(|it| it.headers["content-length"] == "3"), "the whole body again");
    let events = scene.oauth.app.events().await;
    let told: Vec<_> = events.iter().filter(|it| it.action == "connection.proxy").collect();
    let sent = told.iter().filter(|it| it.result == "sending");
    assert_eq!(sent.count(), 2, "each is told before it is sent");
}

#[tokio::test]
async fn a_server_that_refuses_the_new_token_too_has_the_last_word() {
    let scene = Scene::new(|_| 401).await;
    scene.oauth.app.clock.advance_seconds(60);
    let back = scene.send(json!({"url": scene.url()})).await;
    assert_eq!((back.status.as_u16(), back.text()), (401, "said".into()));
    assert_eq!((scene.shown().len(), scene.oauth.asked()), (2, 1));
    // And whoever tries again at once does not wear the provider out.
    let back = scene.send(json!({"url": scene.url()})).await;
    assert_eq!(back.status.as_u16(), 401);
    assert_eq!((scene.shown().len(), scene.oauth.asked()), (3, 1));
}

/// Forbidden is not unauthenticated, and who is asked for less must not be asked more often.
#[tokio::test]
async fn no_other_answer_than_401_renews_anything_or_is_sent_again() {
    for status in [400, 403, 404, 407, 419, 429, 500, 502, 503] {
        let scene = Scene::new(move |_| status).await;
        scene.oauth.app.clock.advance_seconds(60);
        let back = scene.send(json!({"url": scene.url()})).await;
        assert_eq!(back.status.as_u16(), status);
        assert_eq!((scene.shown().len(), scene.oauth.asked()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn a_body_that_was_streamed_is_not_sent_again() {
    let scene = Scene::new(first_refused).await;
    scene.oauth.app.clock.advance_seconds(60);
    let parts = futures_util::stream::iter([Ok::<_, std::io::Error>("one"), Ok("two")]);
    let back = scene.stream(Body::from_stream(parts)).await;
    assert_eq!((back.status.as_u16(), scene.shown().len()), (401, 1));
    assert_eq!(scene.oauth.asked(), 0);
}

#[tokio::test]
async fn a_small_body_that_says_its_length_is_sent_again() {
    let scene = Scene::new(first_refused).await;
    scene.oauth.app.clock.advance_seconds(60);
    assert_eq!(scene.stream("one").await.status, 200);
    assert_eq!(scene.shown().len(), 2);
}

#[tokio::test]
async fn a_provider_that_is_away_leaves_the_servers_answer_as_it_is() {
    let scene = Scene::new(first_refused).await;
    scene.oauth.app.clock.advance_seconds(60);
    let fault = Fault::internal_error();
    scene.oauth.provider.script(keyfob_testkit::Endpoint::Token, fault).always();
    let back = scene.send(json!({"url": scene.url()})).await;
    assert_eq!((back.status.as_u16(), scene.shown().len()), (401, 1));
    assert_eq!(scene.oauth.verify().await["status"], "authenticated", "it is not lost by that");
}

#[tokio::test]
async fn callers_who_are_refused_at_once_renew_once() {
    let scene = Scene::new(|before| if before < 8 { 401 } else { 200 }).await;
    scene.oauth.app.clock.advance_seconds(60);
    let calls = (0..8).map(|_| scene.send(json!({"url": scene.url()})));
    for back in futures_util::future::join_all(calls).await {
        assert_eq!(back.status, 200);
    }
    assert_eq!((scene.oauth.asked(), scene.oauth.provider.ledger().reuses()), (1, 0));
}
