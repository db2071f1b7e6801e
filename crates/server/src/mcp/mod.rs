//! `/mcp`: the operations as tools of an MCP server (Model Context Protocol, streamable HTTP). No rules: a tool calls
//! the broker as `http/` does.
//!
//! Whatever a request needs comes with it. No node remembers anything of a client, so each request of one may go to
//! another node. All that is known of `rmcp`, whose major versions come fast, is in this module.

mod arguments;
mod bound;
mod code;
mod connection;
mod failure;
mod handler;
mod lists;
mod message;
mod page;
mod person;
mod request;
mod session;
mod site;
mod tools;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use http_body_util::Full;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};

use self::{handler::Handler, session::Session};
use crate::{
    auth::Shown,
    broker::{Broker, Caller},
    error::Error,
    http::body,
};

/// Answers a message of MCP (Model Context Protocol, streamable HTTP).
///
/// What an agent may use, as tools: to list it, to verify and to authenticate what a contact connects, to read a one-time code, and to send a request with a credential. No tool hands out a stored value. A message that is no request is answered with 202; the protocol's own refusals are JSON-RPC errors, some with a status of their own.
#[utoipa::path(
    post,
    path = "/mcp",
    operation_id = "mcp",
    tag = "MCP",
    request_body(content = message::Call, description = "A JSON-RPC message", content_type = "application/json"),
    responses(
        (status = 200, description = "The answer, a JSON-RPC message", body = message::Reply),
        (status = 202, description = "The message was taken; there is no answer to it"),
        (status = "default", description = "A refusal: Keyfob's own (see any other operation), or a JSON-RPC error of the protocol"),
    ),
)]
pub(crate) async fn serve(
    State(broker): State<Broker>,
    caller: Result<Caller, Error>,
    shown: Shown,
    request: Request,
) -> Result<Response, Error> {
    // Before anything is said of the key: a page of somebody else's is told nothing.
    site::expect_known(request.uri(), request.headers(), broker.public_url())?;
    let caller = caller?;
    let (mut parts, body) = request.into_parts();
    let message = body::message(body, &broker, &caller).await?;
    message::expect(&message)?;
    let session = Session::of(&parts.headers);
    // It has done its work, and the library hands all headers on.
    parts.headers = without_key(&parts.headers, &shown);
    // The answer is in one piece, whether a client would have taken a stream or not.
    parts.headers.insert(header::ACCEPT, BOTH);
    let handler = Handler::new(broker, caller, shown, session);
    let begun = handler.begun();
    let service = StreamableHttpService::new(
        move || Ok(handler.clone()),
        Arc::new(NeverSessionManager::default()),
        config(),
    );
    let answer = service.handle(Request::from_parts(parts, Full::new(message))).await;
    let mut answer = answer.map(Body::new);
    if is_refused_in_other_words(&answer) {
        return Err(Error::invalid("bad_request", OTHER_HEADERS));
    }
    if let Some(session) = begun.get() {
        session.write(answer.headers_mut());
    }
    Ok(answer)
}

const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const OTHER_HEADERS: &str = "the headers are not those of MCP over HTTP: \"Content-Type\" is application/json, and \"MCP-Protocol-Version\" the version that \"initialize\" was answered with";

/// Whether the library refuses a request in a text of its own, which repeats a part of it.
fn is_refused_in_other_words(answer: &Response) -> bool {
    let media_type = answer.headers().get(header::CONTENT_TYPE);
    answer.status().is_client_error() && media_type.is_none_or(|it| it != "application/json")
}

/// No sessions, which only the node that began one would have; and an answer in one piece.
fn config() -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // Both were looked at, with errors in our own words.
        .disable_allowed_hosts()
        .disable_allowed_origins()
}

fn without_key(headers: &HeaderMap, shown: &Shown) -> HeaderMap {
    let mut rest = headers.clone();
    for name in shown.headers(headers) {
        rest.remove(name);
    }
    rest
}
