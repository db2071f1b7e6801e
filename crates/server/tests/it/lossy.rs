//! A service with a listener, and callers who hang up.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    app::{SECRETS, TestApp},
    call::Key,
    guard::CANARY,
    listening::{Server, within_patience},
};

pub(crate) const CONTACT: &str = "/api/v1/contact/create";
pub(crate) const SECRET: &str = "/api/v1/secret/create";

/// How a connection ends.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Close,
    Reset,
}

/// A service with a listener, and a key that creates.
pub(crate) struct Bench {
    pub(crate) app: TestApp,
    pub(crate) server: Server,
    pub(crate) key: Key,
}

impl Bench {
    /// With room for one connection the next one begins after the one before has ended for the server
    /// too.
    pub(crate) async fn new(connections: usize) -> Self {
        let app = TestApp::new().await;
        let server = Server::start(&app, connections);
        let (key, _) = app.new_caller("backend").await;
        Self { app, server, key }
    }

    pub(crate) fn request(&self, path: &str, body: &Value) -> String {
        request_by(&self.key, path, body)
    }

    /// Sends bytes over a new connection.
    pub(crate) async fn send(&self, bytes: &str) -> TcpStream {
        let mut stream = within_patience(self.server.connect()).await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }

    /// Creates something and reads the answer; its id.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> String {
        let mut stream = self.send(&self.request(path, body)).await;
        read_id(&mut stream).await
    }

    /// Sends a create whose connection ends while its unit of work waits, and ends when the server knows
    /// that it has. The unit is done after that.
    pub(crate) async fn lose(&self, path: &str, body: &Value, end: End) {
        let held = self.app.hold_writers().await;
        let stream = self.send(&self.request(path, body)).await;
        self.app.until_depth(1).await;
        cut(stream, end);
        self.until_ended().await;
        drop(held);
    }

    /// With room for one connection, ends when there is none.
    pub(crate) async fn until_ended(&self) {
        let mut next =
            self.send("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let mut answer = String::new();
        within_patience(next.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The ids of all that a path's creates made.
    pub(crate) async fn made(&self, path: &str) -> Vec<String> {
        let (list, items) = match path {
            SECRETS => (SECRETS, "totp_secrets"),
            CONTACT => ("/api/v1/contact/list", "items"),
            _ => ("/api/v1/secret/list", "items"),
        };
        let list = self.app.backend().get(list).await.ok();
        let items = list[items].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

pub(crate) fn request_by(key: &Key, path: &str, body: &Value) -> String {
    let (token, body) = (&key.token, body.to_string());
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Ends a connection from the caller's side.
pub(crate) fn cut(stream: TcpStream, end: End) {
    if matches!(end, End::Reset) {
        stream.set_zero_linger().unwrap();
    }
    drop(stream);
}

/// The id in the next answer.
pub(crate) async fn read_id(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let id = async {
        loop {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "the connection ended");
            let text = String::from_utf8_lossy(&answer);
            assert!(text.starts_with("HTTP/1.1 200") || text.len() < 12, "{text}");
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
            if let Some(Ok(body)) = body.map(|body| serde_json::from_str::<Value>(&body)) {
                let id = body["id"].as_str().or(body["totp_secret"]["id"].as_str());
                return id.unwrap().to_owned();
            }
        }
    };
    within_patience(id).await
}

/// One create of each noun.
pub(crate) fn creates() -> [(&'static str, Value); 3] {
    [
        (CONTACT, json!({"name": "Ann"})),
        (
            SECRET,
            json!({"name": "a secret", "value": CANARY, "config": {"hosts": ["example.com"]}}),
        ),
        (SECRETS, json!({"label": "GitHub", "secret": CANARY})),
    ]
}
