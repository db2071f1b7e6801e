//! A service and a server of somebody else, to which it passes requests on with a credential.

use axum::{body::Body as AppBody, http::Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Collected};
use hyper::{HeaderMap, StatusCode, ext::ReasonPhrase};
use keyfob_server::app::Peer;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    call::{Caller, PEER},
    connection::{connect, path, verified_contact},
    listening::within_patience,
    secret,
    upstream::{Came, Speaks, Upstream, answer},
};

/// The credential that nobody must see.
pub(crate) const TOKEN: &str = "kfb-canary+token/9f8e7d6c5b4a39281706==";

/// A service, a server, and a contact that has connected a secret that may be sent there.
pub(crate) struct Scene {
    pub(crate) app: TestApp,
    pub(crate) upstream: Upstream,
    pub(crate) contact: String,
    pub(crate) secret: String,
}

/// What came back of a request that was passed on.
#[derive(Debug)]
pub(crate) struct Back {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What the status line says beside the status.
    pub(crate) reason: Option<ReasonPhrase>,
}

impl Back {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    /// That it is this error of Keyfob's own; its message.
    #[track_caller]
    pub(crate) fn error(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!((self.status.as_u16(), body["error"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(body["code"].as_str(), Some(&*code.to_ascii_uppercase()));
        body["message"].as_str().unwrap().to_owned()
    }
}

impl Scene {
    /// With a server that says what it got.
    pub(crate) async fn new() -> Self {
        let upstream = Upstream::start(Speaks::Clear, async |_| answer("hello")).await;
        Self::at(upstream, json!({})).await
    }

    /// With this server; `config` says more than the host.
    pub(crate) async fn at(upstream: Upstream, config: Value) -> Self {
        Self::of(TestApp::new().await, upstream, config).await
    }

    /// Of this service.
    pub(crate) async fn of(app: TestApp, upstream: Upstream, config: Value) -> Self {
        app.guard().know_value(TOKEN);
        let backend = app.backend();
        let contact = verified_contact(&backend).await;
        let mut all = json!({"hosts": [format!("127.0.0.1:{}", upstream.port())]});
        all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let body = json!({"kind": "personal", "type": "bearer", "name": "Model", "config": all});
        let secret = secret::create(&backend, body).await;
        connect(&backend, &contact, &secret, json!({"value": TOKEN})).await.ok();
        Self { app, upstream, contact, secret }
    }

    /// A URL of the server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.upstream.port())
    }

    /// Asks for a request in JSON.
    pub(crate) async fn send(&self, caller: &Caller, body: Value) -> Back {
        ask(caller, &path(&self.contact, &self.secret, "proxy"), &body).await
    }

    /// Sends a request that is passed on as it is.
    pub(crate) async fn pass(
        &self,
        caller: &Caller,
        method: &str,
        to: &str,
        headers: &[(&str, &str)],
        body: impl Into<AppBody>,
    ) -> Back {
        call(caller, method, &self.path_to(&self.url(to)), headers, body).await
    }

    /// The path by which a request to this URL is passed on.
    pub(crate) fn path_to(&self, url: &str) -> String {
        format!("/proxy/{}/{}/{url}", self.contact, self.secret)
    }

    /// What the server got last.
    #[track_caller]
    pub(crate) fn got(&self) -> Came {
        self.upstream.requests().pop().unwrap()
    }

    /// Ends when there is an event with this result.
    pub(crate) async fn until_event(&self, result: &str) {
        self.until_events(result, 1).await;
    }

    /// Ends when there are so many events with this result.
    pub(crate) async fn until_events(&self, result: &str, count: usize) {
        let told = async || self.events().await.iter().filter(|(told, _)| told == result).count();
        within_patience(async {
            while told().await < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Results and reasons of what was sent, or not.
    pub(crate) async fn events(&self) -> Vec<(String, String)> {
        let mut events = self.app.events().await;
        events.retain(|event| event.action.split('.').nth(1) == Some("proxy"));
        // Two writers may have written what is of one millisecond, which then is in no order.
        events.sort_by_key(|event| {
            (event.created_at, number_of(&event.request_id), event.result != "sending")
        });
        events.into_iter().map(|event| (event.result, event.reason.unwrap_or_default())).collect()
    }
}

/// Which of the server's requests it was; 0 where the caller has named it.
fn number_of(request_id: &str) -> u64 {
    request_id.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Asks for a request in JSON, at this path.
pub(crate) async fn ask(caller: &Caller, path: &str, body: &Value) -> Back {
    call(caller, "POST", path, &[("content-type", "application/json")], body.to_string()).await
}

/// A call whose answer need not be Keyfob's own.
pub(crate) async fn call(
    caller: &Caller,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<AppBody>,
) -> Back {
    let mut request = Request::builder().method(method).uri(path);
    let own = caller.headers.iter().map(|(name, value)| (&**name, &**value));
    for (name, value) in own.chain(headers.iter().copied()) {
        request = request.header(name, value);
    }
    let request = request.body(body.into()).unwrap();
    let peer = Peer { ip: PEER.into(), delivery: None };
    let (parts, body) = caller.app.handle(request, Some(peer)).await.into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let reason = parts.extensions.get().cloned();
    Back { status: parts.status, headers: parts.headers, body, reason }
}
