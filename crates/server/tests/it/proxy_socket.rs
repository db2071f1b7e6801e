//! `WebSocket` connections through the proxy (RFC 6455): what they carry, what they do not bring back, when they end.

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::Empty;
use hyper::{Request, Response, body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    call::{Call, Key},
    connection::path,
    key_limits::{limited, path as key_path},
    listening::{Server, within_patience},
    passed_on::{Scene, TOKEN},
    proxy_stream::Client,
    secret,
    upstream::{Body, Speaks, Upstream, whole},
};

const NO_CONTACT: &str = "con_00000000000000000000000000";

pub(crate) type Socket = TokioIo<Upgraded>;

/// A server's answer that it speaks WebSocket from now on, with these headers too.
fn switched(headers: &[(&str, &str)]) -> Response<Body> {
    let mut switched = Response::builder().status(101).header("connection", "upgrade");
    for (name, value) in headers {
        switched = switched.header(*name, *value);
    }
    switched.header("sec-websocket-accept", "x").body(whole("")).unwrap()
}

/// A WebSocket server that does this.
async fn server_that<F, R>(does: F) -> Upstream
where
    F: Fn(Socket) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    server_for(TOKEN.to_owned(), does).await
}

/// One for those who show it this token.
async fn server_for<F, R>(token: String, does: F) -> Upstream
where
    F: Fn(Socket) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let answer = move |mut request: Request<Incoming>| {
        assert_eq!(request.headers()["authorization"], format!("Bearer {token}"));
        assert!(!request.headers().contains_key("sec-websocket-extensions"));
        let (upgrade, does) = (hyper::upgrade::on(&mut request), does.clone());
        tokio::spawn(async move { does(TokioIo::new(upgrade.await.unwrap())).await });
        std::future::ready(switched(&[("upgrade", "websocket")]))
    };
    Upstream::start(Speaks::Clear, answer).await
}

/// One that says what it was told.
async fn echo() -> Upstream {
    echo_for(TOKEN.to_owned()).await
}

pub(crate) async fn echo_for(token: String) -> Upstream {
    server_for(token, async |socket| {
        let (mut read, mut write) = tokio::io::split(socket);
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

/// A frame as a server sends it.
fn frame(first: u8, payload: &str) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[first, length], payload.as_bytes()].concat()
}

pub(crate) fn message(text: &str) -> Vec<u8> {
    frame(0x81, text)
}

/// What a caller is sent at the end by Keyfob.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    let length = u8::try_from(reason.len() + 2).unwrap();
    [&[0x88, length, high, low], reason.as_bytes()].concat()
}

async fn ask(scene: &Scene, server: &Server, token: &str) -> Response<Incoming> {
    let mut client = Client::<Empty<Bytes>>::with_token(server, token.to_owned()).await;
    let request = client.request(scene, "GET", "/socket").header("connection", "Upgrade");
    let request = request.header("upgrade", "websocket").header("sec-websocket-key", "x");
    let request = request.header("sec-websocket-extensions", "permessage-deflate");
    let request = request.body(Empty::new()).unwrap();
    within_patience(client.sender.send_request(request)).await.unwrap()
}

pub(crate) async fn open_with(scene: &Scene, server: &Server, token: &str) -> Socket {
    let mut back = ask(scene, server, token).await;
    assert_eq!(back.status(), 101);
    assert_eq!(back.headers()["sec-websocket-accept"], "x");
    TokioIo::new(within_patience(hyper::upgrade::on(&mut back)).await.unwrap())
}

pub(crate) async fn open(scene: &Scene, server: &Server) -> Socket {
    let token = scene.app.key_of(keyfob_core::policy::Role::Agent).token.clone();
    open_with(scene, server, &token).await
}

/// That what is sent to a server that says it again comes back.
pub(crate) async fn echoes(socket: &mut Socket, sent: &[u8]) {
    socket.write_all(sent).await.unwrap();
    let mut back = vec![0; sent.len()];
    within_patience(socket.read_exact(&mut back)).await.unwrap();
    assert_eq!(back, sent);
}

pub(crate) async fn rest(mut socket: Socket) -> Vec<u8> {
    let mut rest = Vec::new();
    within_patience(socket.read_to_end(&mut rest)).await.unwrap();
    rest
}

#[tokio::test]
async fn a_websocket_carries_messages_both_ways_each_when_it_comes() {
    let scene = Scene::at(echo().await, json!({})).await;
    let server = Server::start(&scene.app, 4);
    let mut socket = open(&scene, &server).await;
    // The last ends as the credential begins, and is not kept back for that.
    for text in ["one", "two", "ends with k", "ends with kfb-canary"] {
        echoes(&mut socket, &message(text)).await;
    }
    echoes(&mut socket, &[frame(0x01, "in "), frame(0x89, ""), frame(0x80, "two")].concat()).await;
}

#[tokio::test]
async fn a_websocket_ends_before_it_brings_the_credential_back() {
    let (first, second) = TOKEN.split_at(17);
    let halves = |between: &[u8]| {
        [&frame(0x01, first), between, &frame(0x80, &format!("{second} it is"))].concat()
    };
    for leak in [
        message(&format!("{TOKEN} it is")),
        halves(b""),
        halves(&frame(0x89, "ping")),
        halves(&[frame(0x00, ""), frame(0x8a, "")].concat()),
        frame(0x89, TOKEN),
        frame(0x88, &format!("..{TOKEN}")),
    ] {
        let scene = Scene::at(echo().await, json!({})).await;
        let server = Server::start(&scene.app, 4);
        let mut socket = open(&scene, &server).await;
        echoes(&mut socket, &message("before")).await;
        socket.write_all(&leak).await.unwrap();
        let back = rest(socket).await;
        let back = String::from_utf8_lossy(&back);
        assert!(!back.contains(&TOKEN[..8]) && !back.contains(&TOKEN[20..]), "{back:?}");
        scene.until_event("redacted").await;
    }
}

#[tokio::test]
async fn a_server_that_switches_to_anything_else_has_given_no_answer() {
    for headers in [
        &[("upgrade", "websocket"), ("sec-websocket-extensions", "permessage-deflate")][..],
        &[("upgrade", "h2c")],
        &[],
    ] {
        let answer = move |_| std::future::ready(switched(headers));
        let scene = Scene::at(Upstream::start(Speaks::Clear, answer).await, json!({})).await;
        let server = Server::start(&scene.app, 4);
        let token = scene.app.key_of(keyfob_core::policy::Role::Agent).token.clone();
        assert_eq!(ask(&scene, &server, &token).await.status(), 502, "{headers:?}");
        scene.until_event("failed").await;
        scene.upstream.until_ended(1).await;
    }
}

#[tokio::test]
async fn frames_that_cannot_be_looked_into_end_it() {
    for bad in [frame(0xc1, "deflated"), vec![0x81, 0x81, 1, 2, 3, 4, 5], frame(0x80, "of none")] {
        let scene = Scene::at(echo().await, json!({})).await;
        let server = Server::start(&scene.app, 4);
        let mut socket = open(&scene, &server).await;
        socket.write_all(&[message("before"), bad].concat()).await.unwrap();
        let end = close(1002, "keyfob: it cannot be looked into");
        assert_eq!(rest(socket).await, [message("before"), end].concat());
        scene.until_event("broke_off").await;
    }
}

#[tokio::test]
async fn a_caller_who_has_sent_all_is_still_sent_to_and_a_server_that_is_gone_ends_it() {
    let upstream = server_that(async |mut socket| {
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.unwrap();
        socket.write_all(&message(&format!("{} bytes", all.len()))).await.unwrap();
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let server = Server::start(&scene.app, 4);
    let mut socket = open(&scene, &server).await;
    socket.write_all(b"four").await.unwrap();
    socket.shutdown().await.unwrap();
    assert_eq!(rest(socket).await, message("4 bytes"));
    scene.until_event("answered").await;

    let upstream = server_that(async |mut socket| socket.write_all(&message("bye")).await.unwrap());
    let scene = Scene::at(upstream.await, json!({})).await;
    let server = Server::start(&scene.app, 4);
    assert_eq!(rest(open(&scene, &server).await).await, message("bye"));
    scene.until_event("answered").await;
}

/// What takes a request's permission away.
#[derive(Clone, Copy, Debug)]
enum Loss {
    KeyRevoked,
    KeyEnds,
    KeyOfOtherHosts,
    KeyOfOtherContacts,
    KeyOfOtherActions,
    Disconnected,
    ContactUnverified,
    OtherHosts,
    SecretDeleted,
}

impl Loss {
    const ALL: [Self; 9] = [
        Self::KeyRevoked,
        Self::KeyEnds,
        Self::KeyOfOtherHosts,
        Self::KeyOfOtherContacts,
        Self::KeyOfOtherActions,
        Self::Disconnected,
        Self::ContactUnverified,
        Self::OtherHosts,
        Self::SecretDeleted,
    ];

    /// The change that does it; none where time does.
    fn change(self, scene: &Scene, key: &Key) -> Option<Call> {
        let (owner, backend) = (scene.app.owner(), scene.app.backend());
        let limit = |limits: Value| owner.post(key_path(&key.id, "update"), limits);
        let contact = format!("/api/v1/contact/{}/update", scene.contact);
        let hosts = json!({"hosts": ["elsewhere.example"]});
        Some(match self {
            Self::KeyEnds => return None,
            Self::KeyRevoked => owner.post(key_path(&key.id, "revoke"), json!({})),
            Self::KeyOfOtherHosts => limit(hosts),
            Self::KeyOfOtherContacts => limit(json!({"contacts": [NO_CONTACT]})),
            Self::KeyOfOtherActions => limit(json!({"actions": ["connection.mint"]})),
            Self::Disconnected => {
                backend.post(path(&scene.contact, &scene.secret, "revoke"), json!({}))
            }
            Self::ContactUnverified => backend.post(&contact, json!({"verifiedAt": null})),
            Self::OtherHosts => secret::update(&backend, &scene.secret, json!({"config": hosts})),
            Self::SecretDeleted => backend.post(secret::path(&scene.secret, "delete"), json!({})),
        })
    }

    /// A WebSocket that goes on, until this happens.
    async fn ends_it(self) {
        let scene = Scene::at(echo().await, json!({})).await;
        let server = Server::start(&scene.app, 4);
        let end = (scene.app.clock.seconds() + 60) * 1000;
        let (key, _) = limited(&scene.app, "agent", json!({"expiresAt": end})).await;
        let mut socket = open_with(&scene, &server, &key.token).await;
        echoes(&mut socket, &message("one")).await;
        // What changes nothing for it does not end it.
        let rename = key_path(&key.id, "update");
        scene.app.owner().post(rename, json!({"name": "other"})).await.ok();
        scene.app.clock.advance_seconds(59);
        echoes(&mut socket, &message("two")).await;
        match self.change(&scene, &key) {
            Some(change) => drop(change.await.ok()),
            None => scene.app.clock.advance_seconds(1),
        }
        let end = close(1008, "keyfob: the key may not use it any more");
        assert_eq!(rest(socket).await, end, "{self:?}");
        scene.until_event("broke_off").await;
        let events = scene.events().await;
        let (_, why) = events.iter().find(|(result, _)| result == "broke_off").unwrap();
        assert!(why.contains(": the key may not use it any more: "), "{self:?}: {why}");
        scene.upstream.until_ended(1).await;
    }
}

#[tokio::test]
async fn a_websocket_ends_when_its_request_would_be_refused_by_now() {
    join_all(Loss::ALL.map(Loss::ends_it)).await;
}

#[tokio::test]
async fn a_key_that_is_revoked_on_one_node_ends_its_websockets_on_others_and_no_other_ones() {
    let mut scene = Scene::at(echo().await, json!({})).await;
    let server = Server::start(&scene.app, 4);
    let (key, _) = limited(&scene.app, "agent", json!({})).await;
    let mut other = open(&scene, &server).await;
    let mut socket = open_with(&scene, &server, &key.token).await;
    let owner = scene.app.owner();
    let there = scene.app.on_another_node(owner).await;
    echoes(&mut socket, &message("one")).await;
    there.post(key_path(&key.id, "revoke"), json!({})).await.ok();
    scene.app.clock.advance_seconds(1);
    assert_eq!(rest(socket).await, close(1008, "keyfob: the key may not use it any more"));
    echoes(&mut other, &message("two")).await;
}
