//! The OpenAPI document: what each handler says of itself (`#[utoipa::path]`), the schemas of the wire types, and what
//! all
//! operations have in common.

mod common;
mod examples;
pub(crate) mod parameters;
mod schemas;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::{http::health, router};

/// What is answered without a key, beside pages for people.
#[derive(OpenApi)]
#[openapi(paths(health::live, health::ready))]
struct Health;

/// The document, as it is served.
#[must_use]
pub fn json() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    &TEXT
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut described = router::described();
    described.merge(Health::openapi());
    // Serializing types of the document's own into a tree has no way to fail.
    let mut document = serde_json::to_value(described).unwrap_or_default();
    document["info"] = json!({
        "title": "Keyfob",
        "version": env!("CARGO_PKG_VERSION"),
        "description": INTRODUCTION,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["tags"] =
        TAGS.iter().map(|(name, text)| json!({"name": name, "description": text})).collect();
    schemas::complete(&mut document);
    common::complete(&mut document);
    examples::complete(&mut document);
    document
}

const INTRODUCTION: &str = "A credential broker for AI agents: it keeps credentials, and has them used without showing them.

Two dialects, so that published clients work unchanged: `/api/v2/totp` is the TOTP API of Sendblue, `/api/v1` the API of ChatBotKit with what Keyfob adds. `/v1` is short for `/api/v1`. On `/api/v1`, what is not read with GET is a POST with a JSON object, times are unix milliseconds, and HEAD and OPTIONS answer 200 without looking at anything.

Every answer has `Cache-Control: no-store` and an `X-Request-Id`: yours, if you send one of at most 128 letters, digits and `-_.:`. Every error has a `message` for people, and a `code` for programs.";

/// The nouns, in the order in which they are shown.
const TAGS: &[(&str, &str)] = &[
    ("One-time passwords", "Secrets of one-time passwords (RFC 6238), and the codes they make."),
    ("Contacts", "End users for whom agents act."),
    ("Secrets", "What a credential is, whose it is, and where it may go."),
    (
        "Connections",
        "Contacts' own values of personal secrets, and the one value of a shared secret.",
    ),
    (
        "Requests with a credential",
        "Requests that are sent with a credential which their sender never sees.",
    ),
    ("MCP", "The same for agents that speak the Model Context Protocol."),
    ("Templates", "The catalogue: how well-known providers are reached."),
    ("Revocations", "Grants that are revoked at their providers."),
    ("Events", "The audit trail."),
    ("Keys", "API keys, their roles and their limits."),
    ("Accounts", "Tenants, and their children."),
    ("Health", "For whoever runs this server."),
];

/// An operation, and where it is.
struct Operation<'a> {
    path: &'a str,
    method: &'a str,
    fields: &'a mut Map<String, Value>,
}

/// Does something to every operation.
fn each(document: &mut Value, mut change: impl FnMut(Operation<'_>)) {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object_mut().into_iter().flatten() {
            if let Some(fields) = operation.as_object_mut() {
                change(Operation { path, method, fields });
            }
        }
    }
}
