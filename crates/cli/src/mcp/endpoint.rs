//! Messages of MCP (Model Context Protocol) on their way to the server's `/mcp` and back, as they are.
//!
//! Of a message only what the transport needs is read, so that what a later version of the protocol brings passes as
//! well (MCP, "Streamable HTTP").

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use data_encoding::BASE64;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, header};
use keyfob_client::{Answer, Client, Error, Opened, Request};
use serde::Deserialize;
use serde_json::value::RawValue;
use sse_stream::SseStream;

const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";
const EVENTS: &str = "text/event-stream";
/// The request that begins a session.
pub(super) const INITIALIZE: &str = "initialize";
/// What a client begins with: nothing else is sent before it is over. One that gets no answer to the second tries the
/// first.
pub(super) const BEGINNINGS: [&str; 2] = [INITIALIZE, "server/discover"];
const PATIENCE_TO_BEGIN: Duration = Duration::from_mins(1);
/// The server has a limit of its own for each tool.
const PATIENCE: Duration = Duration::from_hours(1);

/// The server's `/mcp`, for one client of MCP. Cheap to clone.
#[derive(Clone)]
pub(super) struct Endpoint {
    client: Client,
    begun: Arc<Mutex<Begun>>,
}

/// What the handshake has come to, and each request after it says again.
#[derive(Clone, Default)]
struct Begun {
    session: Option<String>,
    version: Option<String>,
}

/// What the transport needs of a message.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Initialized<'a> {
    #[serde(borrow)]
    result: Option<Agreed<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Agreed<'a> {
    #[serde(borrow)]
    protocol_version: Cow<'a, str>,
}

impl Endpoint {
    pub(super) fn new(client: Client) -> Self {
        Self { client, begun: Arc::default() }
    }

    /// Sends a message, and calls `each` with what comes back. Nothing does for one that is no request. To drop this
    /// is to cancel the request.
    pub(super) async fn send(
        &self,
        message: &RawValue,
        mut each: impl FnMut(&RawValue),
    ) -> Result<(), Error> {
        let read = serde_json::from_str(message.get()).ok();
        let read: Message<'_> = read.unwrap_or(Message { method: None, params: None });
        let method = read.method.as_deref().unwrap_or_default();
        let begins_session = method == INITIALIZE;
        let patience = if BEGINNINGS.contains(&method) { PATIENCE_TO_BEGIN } else { PATIENCE };
        let mut request = self.request(message).timeout(patience);
        if !begins_session {
            let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).clone();
            request = begun.write(request, &read);
        }
        let opened = request.open().await?;
        let headers = opened.headers.clone();
        receive(opened, |answer| {
            if begins_session {
                *self.begun.lock().unwrap_or_else(PoisonError::into_inner) =
                    Begun::of(&headers, answer);
            }
            each(answer);
        })
        .await
    }

    fn request(&self, message: &RawValue) -> Request<Answer> {
        let request = self.client.fetch("/mcp").buffer(message.get().to_owned());
        let request = request.header("content-type", "application/json");
        request.header("accept", &format!("application/json, {EVENTS}"))
    }
}

async fn receive(opened: Opened, mut each: impl FnMut(&RawValue)) -> Result<(), Error> {
    let status = opened.status;
    if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
        return Ok(());
    }
    let foreign = |what: &str| Error::Foreign { status, what: what.to_owned() };
    let kind = opened.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with(EVENTS)) {
        let mut events = SseStream::from_bytes_stream(opened.body);
        while let Some(event) = events.next().await {
            let broken_off = |message| Error::BrokenOff { code: None, message };
            let event = event.map_err(|error| broken_off(error.to_string()))?;
            // One without data keeps the connection open.
            if let Some(data) = event.data.filter(|data| !data.is_empty()) {
                each(serde_json::from_str(&data).map_err(|_| foreign("other events"))?);
            }
        }
        return Ok(());
    }
    // Some errors of the protocol have a status of their own.
    let answer = opened.whole().await?;
    if let Some(message) = as_message(&answer.body) {
        each(message);
        return Ok(());
    }
    answer.accepted().and(Err(foreign("something else")))
}

/// An answer of the protocol, and none of Keyfob's own.
fn as_message(bytes: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Versioned<'a> {
        jsonrpc: Cow<'a, str>,
    }
    let versioned: Versioned<'_> = serde_json::from_slice(bytes).ok()?;
    (versioned.jsonrpc == "2.0").then(|| serde_json::from_slice(bytes).ok())?
}

impl Begun {
    fn of(headers: &HeaderMap, answer: &RawValue) -> Self {
        let read: Option<Initialized<'_>> = serde_json::from_str(answer.get()).ok();
        let version = read.and_then(|read| read.result).map(|agreed| agreed.protocol_version);
        let session = headers.get(SESSION).and_then(|session| session.to_str().ok());
        Self { session: session.map(str::to_owned), version: version.map(Cow::into_owned) }
    }

    /// What a request says of its session; or of itself, where there are none (2026-07-28).
    fn write(self, request: Request<Answer>, message: &Message<'_>) -> Request<Answer> {
        let params = message.params.as_ref();
        let own = params.and_then(|params| params.meta.as_ref()?.version.as_deref());
        let Some(version) = own else {
            let both = [(SESSION, self.session), (VERSION, self.version)];
            return both.into_iter().fold(request, |request, (name, value)| match value {
                Some(value) => request.header(name, &value),
                None => request,
            });
        };
        let request = request.header(VERSION, version);
        let request = match message.method.as_deref() {
            Some(method) => request.header("mcp-method", method),
            None => request,
        };
        let name = params.and_then(|params| params.name.as_deref().or(params.uri.as_deref()));
        match name {
            Some(name) => request.header("mcp-name", &as_header(name)),
            None => request,
        }
    }
}

/// A name as a header can hold it (MCP 2026-07-28, "Streamable HTTP", standard headers).
fn as_header(name: &str) -> Cow<'_, str> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if is_plain && name.trim() == name && !name.starts_with("=?base64?") {
        return name.into();
    }
    format!("=?base64?{}?=", BASE64.encode(name.as_bytes())).into()
}
