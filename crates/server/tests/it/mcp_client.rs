//! A client of `/mcp` that speaks JSON-RPC by hand, so that tests see what is on the wire.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::call::{Answer, Call, Caller};

/// The newest version with a handshake, and the one without.
pub(crate) const HANDSHAKE: &str = "2025-11-25";
pub(crate) const STATELESS: &str = "2026-07-28";
/// What a client can do that has people open links.
pub(crate) fn opens_links() -> Value {
    json!({"elicitation": {"url": {}}})
}

/// A client with a key.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) caller: Caller,
    version: &'static str,
    capabilities: Value,
}

impl Client {
    /// One that can nothing but call tools, and does not begin with a handshake.
    pub(crate) fn new(caller: Caller) -> Self {
        Self { caller: with_headers(caller), version: HANDSHAKE, capabilities: json!({}) }
    }

    /// One that says what it can do when it begins.
    pub(crate) async fn begin(caller: Caller, capabilities: Value) -> Self {
        let mut client = Self::new(caller);
        let params = json!({
            "protocolVersion": HANDSHAKE, "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "1"},
        });
        let answer = client.ask("initialize", params).await;
        let session = answer.header("mcp-session-id").to_owned();
        assert_eq!(answer.ok()["result"]["protocolVersion"], HANDSHAKE);
        if !session.is_empty() {
            client.caller = client.caller.with("Mcp-Session-Id", &session);
        }
        client
    }

    /// One that says what it can do with each request (2026-07-28).
    pub(crate) fn stateless(caller: Caller, capabilities: Value) -> Self {
        Self { caller: with_headers(caller), version: STATELESS, capabilities }
    }

    /// The same client at another node, or with another key.
    pub(crate) fn at(&self, caller: Caller) -> Self {
        let mut caller = with_headers(caller);
        let session = self.caller.headers.iter().find(|(name, _)| name == "Mcp-Session-Id");
        caller.headers.extend(session.cloned());
        Self { caller, ..self.clone() }
    }

    /// A request, as the version has it.
    pub(crate) fn ask(&self, method: &str, mut params: Value) -> Call {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let mut caller = self.caller.clone();
        if method != "initialize" {
            caller = caller.with("MCP-Protocol-Version", self.version);
        }
        if self.version == STATELESS {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": STATELESS,
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": self.capabilities,
            });
            caller = caller.with("Mcp-Method", method);
            if let Some(name) = params["name"].as_str() {
                caller = caller.with("Mcp-Name", name);
            }
        }
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        caller.post("/mcp", body)
    }

    /// What a call of a tool is answered with.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await.ok()
    }

    /// The answer of a tool that does what it was asked for.
    #[track_caller]
    pub(crate) fn done(
        &self,
        tool: &'static str,
        arguments: Value,
    ) -> impl Future<Output = Value> + use<> {
        let client = self.clone();
        async move {
            let answer = client.call(tool, arguments).await;
            let result = &answer["result"];
            assert_eq!(result["isError"], false, "{tool}: {answer}");
            let text = result["content"][0]["text"].as_str().unwrap();
            let structured = result["structuredContent"].clone();
            assert_eq!(serde_json::from_str::<Value>(text).unwrap(), structured, "{tool}");
            structured
        }
    }

    /// The error of a tool that does not.
    pub(crate) async fn failed(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments).await;
        let result = &answer["result"];
        assert_eq!(result["isError"], true, "{tool}: {answer}");
        assert_eq!(result["structuredContent"], Value::Null, "{tool}");
        let error: Value =
            serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        for field in ["code", "message", "next", "request_id"] {
            assert!(error[field].is_string(), "{tool}: no {field} in {error}");
        }
        error
    }

    /// The code of that error.
    pub(crate) async fn code_of(&self, tool: &str, arguments: Value) -> String {
        self.failed(tool, arguments).await["code"].as_str().unwrap().to_owned()
    }
}

/// What every request has.
fn with_headers(caller: Caller) -> Caller {
    caller.with("Host", "127.0.0.1:7117").with("Accept", "application/json, text/event-stream")
}

/// The JSON-RPC error in an answer.
#[track_caller]
pub(crate) fn rpc_error(answer: &Answer) -> i64 {
    let body = answer.json();
    body["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {body}"))
}
