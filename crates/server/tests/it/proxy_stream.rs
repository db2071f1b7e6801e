//! `ANY /proxy/{contact}/{secret}/{https-url}`: requests that are passed on as they come (contract/keyfob, "Mint and
//! proxy"), through real sockets.

use std::sync::Arc;

use axum::body::Body as AppBody;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::{
    Request, Response,
    body::{Body as _, Frame},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    listening::{Server, within_patience},
    passed_on::{Scene, TOKEN},
    upstream::{Body, Speaks, Upstream, answer},
};

/// A body that is sent part by part.
fn parts() -> (mpsc::Sender<&'static str>, Body) {
    let (send, mut parts) = mpsc::channel(1);
    let frames = futures_util::stream::poll_fn(move |cx| {
        parts.poll_recv(cx).map(|part| part.map(|part| Ok(Frame::data(Bytes::from(part)))))
    });
    (send, StreamBody::new(frames).boxed_unsync())
}

/// A caller with a connection of its own.
pub(crate) struct Client<B> {
    pub(crate) sender: http1::SendRequest<B>,
    token: String,
}

impl<B> Client<B>
where
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn new(scene: &Scene, server: &Server) -> Self {
        let token = scene.app.key_of(keyfob_core::policy::Role::Agent).token.clone();
        Self::with_token(server, token).await
    }

    pub(crate) async fn with_token(server: &Server, token: String) -> Self {
        let io = TokioIo::new(server.connect().await);
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Self { sender, token }
    }

    pub(crate) fn request(
        &self,
        scene: &Scene,
        method: &str,
        to: &str,
    ) -> hyper::http::request::Builder {
        let path = format!("/proxy/{}/{}/{}", scene.contact, scene.secret, scene.url(to));
        let request = Request::builder().method(method).uri(path).header("host", "keyfob");
        request.header("authorization", format!("Bearer {}", self.token))
    }
}

#[tokio::test]
async fn an_event_stream_comes_event_by_event() {
    let (send, body) = parts();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let upstream = Upstream::start(Speaks::Clear, move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async {
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let server = Server::start(&scene.app, 4);
    let mut client = Client::<Empty<Bytes>>::new(&scene, &server).await;
    let request = client.request(&scene, "GET", "/events").body(Empty::new()).unwrap();
    let mut back = within_patience(client.sender.send_request(request)).await.unwrap();
    assert_eq!(back.headers()["content-type"], "text/event-stream");
    for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
        send.send(event).await.unwrap();
        // The next one is sent when this one is here.
        let frame = within_patience(back.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
    drop(send);
    assert!(within_patience(back.frame()).await.is_none());
}

#[tokio::test]
async fn an_upload_is_passed_on_while_it_comes() {
    let (told, mut got) = mpsc::channel(8);
    let upstream = Upstream::start(Speaks::Clear, move |mut request| {
        let told = told.clone();
        async move {
            while let Some(frame) = request.body_mut().frame().await {
                let data = frame.unwrap().into_data().unwrap();
                told.send(String::from_utf8(data.to_vec()).unwrap()).await.unwrap();
            }
            answer("done")
        }
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let server = Server::start(&scene.app, 4);
    let mut client = Client::<Body>::new(&scene, &server).await;
    let (send, body) = parts();
    let request = client.request(&scene, "POST", "/upload").body(body).unwrap();
    let back = tokio::spawn(client.sender.send_request(request));
    for part in ["one", "two"] {
        send.send(part).await.unwrap();
        assert_eq!(within_patience(got.recv()).await.unwrap(), part);
    }
    drop(send);
    let back = within_patience(back).await.unwrap().unwrap();
    assert_eq!(back.into_body().collect().await.unwrap().to_bytes(), "done");
}

/// Nothing piles up in Keyfob: an endless answer to who does not read it stands still.
#[tokio::test]
async fn who_does_not_read_holds_the_server_back() {
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let upstream = Upstream::start(Speaks::Clear, move |_| {
        let sent = Arc::clone(&counted);
        let endless = futures_util::stream::repeat_with(move || {
            sent.fetch_add(65_536, std::sync::atomic::Ordering::Relaxed);
            Ok::<_, std::io::Error>(Frame::data(vec![b'x'; 65_536].into()))
        });
        async { Response::new(StreamBody::new(endless).boxed_unsync()) }
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let path = format!("/proxy/{}/{}/{}", scene.contact, scene.secret, scene.url("/"));
    let agent = scene.app.agent();
    let mut request = Request::builder().uri(path);
    for (name, value) in &agent.headers {
        request = request.header(name, value);
    }
    let back = agent.app.handle(request.body(AppBody::empty()).unwrap(), None).await;
    assert_eq!(back.status(), 200);
    let mut body = back.into_body();
    let first = within_patience(body.frame()).await.unwrap().unwrap();
    assert!(first.is_data());
    // Time enough for gigabytes.
    let verify = crate::connection::path(&scene.contact, &scene.secret, "verify");
    for _ in 0..300 {
        agent.post(&verify, json!({})).await.ok();
    }
    let sent = sent.load(std::sync::atomic::Ordering::Relaxed);
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were sent to nobody");
    assert!(!body.is_end_stream());
}

/// An SDK whose base URL is Keyfob's puts its key, which is Keyfob's, where it always puts it.
#[tokio::test]
async fn clients_of_other_services_show_keyfobs_key_in_their_own_headers() {
    let scene = Scene::new().await;
    let token = scene.app.key_of(keyfob_core::policy::Role::Agent).token.clone();
    let anonymous = scene.app.anonymous();
    for (name, value) in [
        ("x-api-key", token.clone()),
        ("api-key", token.clone()),
        ("x-goog-api-key", token.clone()),
        ("authorization", format!("token {token}")),
    ] {
        let back = scene.pass(&anonymous, "GET", "/v1", &[(name, &value)], "").await;
        assert_eq!(back.status, 200, "{name}: {}", back.text());
        let got = scene.got();
        assert_eq!(got.headers["authorization"], format!("Bearer {TOKEN}"));
        assert!(!format!("{:?}", got.headers).contains(&token), "{name}");
    }
    let back = scene.pass(&anonymous, "GET", "/v1", &[("x-api-key", "wrong")], "").await;
    back.error(401, "not_authenticated");
    scene.pass(&anonymous, "GET", "/v1", &[], "").await.error(401, "not_authenticated");
}

#[tokio::test]
async fn the_url_in_the_path_is_read_once_and_sent_as_it_was_read() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    for (to, sent) in [
        ("/", "/"),
        ("/a%2Fb/c%20d?e=%2F&f=g+h&i", "/a%2Fb/c%20d?e=%2F&f=g+h&i"),
        ("/a//b", "/a//b"),
        ("/v1/?x=https://a.b/%3F", "/v1/?x=https://a.b/%3F"),
        // Dot segments are resolved, as in every URL (RFC 3986, section 6.2.2.3).
        ("/a%20b/..%2f/%2e%2e/c?d=/../", "/a%20b/c?d=/../"),
        ("/a/./b/../c", "/a/c"),
    ] {
        assert_eq!(scene.pass(&agent, "GET", to, &[], "").await.status, 200);
        assert_eq!(scene.got().uri.to_string(), sent);
    }
    // Something in front has made one slash of two.
    let url = scene.url("/once").replace("http://", "http:/");
    let path = format!("/proxy/{}/{}/{url}", scene.contact, scene.secret);
    assert_eq!(crate::passed_on::call(&agent, "GET", &path, &[], "").await.status, 200);
    assert_eq!(scene.got().uri.to_string(), "/once");
}

/// As clients do that are generated of the document: a parameter of the path is one segment to them.
#[tokio::test]
async fn a_url_that_is_encoded_as_a_whole_is_decoded_once() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    let path = |url: &str| format!("/proxy/{}/{}/{url}", scene.contact, scene.secret);
    let encoded = |url: &str| utf8_percent_encode(url, NON_ALPHANUMERIC).to_string();
    for (to, sent) in [
        ("/", "/"),
        ("/a%2Fb/c%20d?e=%2F&f=g+h&i", "/a%2Fb/c%20d?e=%2F&f=g+h&i"),
        ("/%252F?x=https://a.b/%3F", "/%252F?x=https://a.b/%3F"),
        ("/a%20b/..%2f/%2e%2e/c?d=/../", "/a%20b/c?d=/../"),
    ] {
        let path = path(&encoded(&scene.url(to)));
        assert_eq!(crate::passed_on::call(&agent, "GET", &path, &[], "").await.status, 200);
        assert_eq!(scene.got().uri.to_string(), sent);
    }
    // Of one that is encoded in part nobody knows which part is to be decoded.
    let in_part = path(&format!("{}/a%2Fb", encoded(&scene.url(""))));
    let with_query = path(&format!("{}?a=b", encoded(&scene.url("/"))));
    let twice = path(&encoded(&encoded(&scene.url("/"))));
    let no_text = path(&format!("{}%FF", encoded(&scene.url("/"))));
    for path in [in_part, with_query, twice, no_text] {
        let refused = crate::passed_on::call(&agent, "GET", &path, &[], "").await;
        let why = refused.error(400, "invalid_destination");
        assert_eq!(why, "the URL must begin with https://", "{path}");
    }
    // What is decided on is what is sent.
    let elsewhere = path(&encoded("https://elsewhere.example/"));
    let refused = crate::passed_on::call(&agent, "GET", &elsewhere, &[], "").await;
    let why = refused.error(400, "invalid_destination");
    assert!(why.starts_with("the secret may not be sent to elsewhere.example"), "{why}");
}
