//! A request that a server did not let in is sent once more with a renewed token, where that is safe.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use axum::body::Body;
use hyper::{Request, Response, StatusCode, body::Incoming};
use keyfob_testkit::Fault;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::{
    connection::path,
    listening::within_patience,
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
        let before = Arc::new(AtomicUsize::new(0));
        let upstream = Upstream::start(Speaks::Clear, move |_| {
            let status = answer(before.fetch_add(1, Ordering::Relaxed));
            async move { Response::builder().status(status).body(whole("said")).unwrap() }
        });
        Self::at(upstream.await).await
    }

    async fn at(upstream: Upstream) -> Self {
        let (oauth, _) = scene::Scene::connected().await;
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

    /// Results and reasons of what was sent.
    async fn told(&self) -> Vec<(String, String)> {
        let events = self.oauth.app.events().await.into_iter();
        let events = events.filter(|it| it.action == "connection.proxy");
        events.map(|it| (it.result, it.reason.unwrap_or_default())).collect()
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

/// A server may have kept the one that it refused.
#[tokio::test]
async fn neither_the_refused_token_nor_the_new_one_comes_back() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let upstream = Upstream::start(Speaks::Clear, move |request: Request<Incoming>| {
        let mut shown = shown.lock().unwrap();
        shown.push(request.headers()["authorization"].to_str().unwrap().to_owned());
        let status = first_refused(shown.len() - 1);
        let answer = Response::builder().status(status).header("x-first", &shown[0]);
        let answer = answer.body(whole(shown.join(" ")));
        async { answer.unwrap() }
    });
    let scene = Scene::at(upstream.await).await;
    scene.oauth.app.clock.advance_seconds(60);
    let back = scene.send(json!({"url": scene.url()})).await;
    assert_eq!(scene.shown().len(), 2);
    let redacted = "Bearer [redacted by keyfob]";
    assert_eq!((back.status, back.text()), (StatusCode::OK, format!("{redacted} {redacted}")));
    assert_eq!(back.headers["x-first"], redacted);
}

/// It is the caller's own that was refused: nothing was wrong with the grant.
#[tokio::test]
async fn a_request_that_went_without_the_token_renews_nothing() {
    let scene = Scene::new(|_| 401).await;
    scene.oauth.app.clock.advance_seconds(60);
    let headers = json!({"Authorization": "Bearer mine"});
    let back = scene.send(json!({"url": scene.url(), "headers": headers})).await;
    assert_eq!((back.status.as_u16(), back.text()), (401, "said".into()));
    assert_eq!((scene.shown(), scene.oauth.asked()), (vec!["Bearer mine".to_owned()], 0));
    let told = format!("GET {}, without the credential", scene.url());
    assert_eq!(scene.told().await[0], ("sending".into(), told));
    let headers = json!({"X-Key": "${SECRET_DEFAULT}", "Authorization": "Bearer mine"});
    scene.send(json!({"url": scene.url(), "headers": headers})).await;
    assert_eq!((scene.shown().len(), scene.oauth.asked()), (3, 1), "this one went with it");
}

#[tokio::test]
async fn a_renewal_that_comes_to_nothing_is_told_as_what_it_was() {
    let (came, mut comes) = mpsc::channel(1);
    let go = Arc::new(Notify::new());
    let waits = Arc::clone(&go);
    let upstream = Upstream::start(Speaks::Clear, move |_| {
        let (came, waits) = (came.clone(), Arc::clone(&waits));
        async move {
            came.send(()).await.unwrap();
            waits.notified().await;
            Response::builder().status(401).body(whole("said")).unwrap()
        }
    });
    let scene = Scene::at(upstream.await).await;
    scene.oauth.app.clock.advance_seconds(60);
    let changes = async {
        within_patience(comes.recv()).await.unwrap();
        // It may go nowhere any more by the time that it would be sent again.
        scene.oauth.configure(&json!({"hosts": ["elsewhere.example"]})).await.ok();
        go.notify_one();
    };
    let send = scene.send(json!({"url": scene.url()}));
    let (back, ()) = futures_util::future::join(send, changes).await;
    back.error(400, "invalid_destination");
    assert_eq!(scene.shown().len(), 1);
    let ended = within_patience(async {
        loop {
            let told = scene.told().await;
            if let Some(ended) = told.into_iter().find(|(result, _)| result != "sending") {
                return ended;
            }
            tokio::task::yield_now().await;
        }
    });
    let (result, reason) = ended.await;
    assert_eq!(result, "answered", "{reason}");
    assert!(reason.contains("401, and it is not sent once more"), "{reason}");
    assert!(reason.contains("elsewhere.example"), "{reason}");
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
    // The token that comes first is let in by nobody any more, however late the others come with it.
    let first = Arc::new(OnceLock::new());
    let upstream = Upstream::start(Speaks::Clear, move |request| {
        let token = request.headers()["authorization"].clone();
        let status = if *first.get_or_init(|| token.clone()) == token { 401 } else { 200 };
        async move { Response::builder().status(status).body(whole("said")).unwrap() }
    });
    let scene = Scene::at(upstream.await).await;
    scene.oauth.app.clock.advance_seconds(60);
    let calls = (0..8).map(|_| scene.send(json!({"url": scene.url()})));
    for back in futures_util::future::join_all(calls).await {
        assert_eq!(back.status, 200);
    }
    assert_eq!((scene.oauth.asked(), scene.oauth.provider.ledger().reuses()), (1, 0));
}
