//! What a message is, before anything is made of it (JSON-RPC 2.0; MCP, "Base protocol").

use rmcp::model::ClientJsonRpcMessage;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::Error;

/// A request, or what is no request and has no `id`. Answers are not taken: the server asks nothing.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is read to see that it can be, and by the library then")]
pub(super) struct Call {
    jsonrpc: JsonRpc,
    /// What the answer is known by.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    id: Option<MessageId>,
    method: String,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    params: Option<Map<String, Value>>,
}

/// An answer to a request.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is read to see that it can be, and by the library then")]
pub(super) enum Reply {
    Answered(Answered),
    Failed(Failed),
}

/// What came of it.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is read to see that it can be, and by the library then")]
pub(super) struct Answered {
    jsonrpc: JsonRpc,
    id: MessageId,
    result: Map<String, Value>,
}

/// Why nothing came of it.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is read to see that it can be, and by the library then")]
pub(super) struct Failed {
    jsonrpc: JsonRpc,
    id: MessageId,
    error: RpcError,
}

#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is read to see that it can be, and by the library then")]
pub(super) struct RpcError {
    code: i32,
    message: String,
    /// More about it, for a program.
    #[serde(default)]
    data: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
pub(super) enum JsonRpc {
    #[serde(rename = "2.0")]
    Two,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is read to see that it can be, and by the library then")]
pub(super) enum MessageId {
    Number(i64),
    Text(String),
}

/// What is there is something: `null` is not the same as nothing.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Refuses what is no message: the library would do so in words of its own, which repeat a part of it.
pub(super) fn expect(bytes: &[u8]) -> Result<(), Error> {
    let is_one = serde_json::from_slice::<Call>(bytes).is_ok();
    if is_one && serde_json::from_slice::<ClientJsonRpcMessage>(bytes).is_ok() {
        return Ok(());
    }
    Err(Error::invalid("bad_request", "the body is not a JSON-RPC message of MCP"))
}
