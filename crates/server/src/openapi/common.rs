//! What all operations have in common: who may ask, what each answer carries, and how each can fail.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::each;
use crate::error::CODES;

/// Completes the operations of a document.
pub(super) fn complete(document: &mut Value) {
    each(document, |operation| {
        name_by_method(operation.fields, operation.method);
        if let Some(kind) = Kind::of(operation.path) {
            take_json(operation.fields, operation.method, kind);
            ask_for_a_key(operation.fields, operation.path);
            fail(operation.fields, kind);
        }
        if operation.path == "/mcp" {
            ask_for_a_key(operation.fields, operation.path);
            operation.fields["responses"]["default"]["content"] = json!({"application/json": {"schema": {"anyOf": [
                {"$ref": "#/components/schemas/Error"},
                {"$ref": "#/components/schemas/Reply"},
            ]}}});
        }
        if operation.path.starts_with("/proxy/") && may_have_body(operation.method) {
            operation
                .fields
                .insert("requestBody".into(), json!({"content": {"*/*": {"schema": {}}}}));
        }
        if operation.path == "/readyz" {
            operation.fields["responses"]["503"] = reference(Kind::V1, 503);
        }
        for response in operation.fields["responses"].as_object_mut().into_iter().flatten() {
            carry_headers(response.1, response.0);
        }
    });
    let components = &mut document["components"];
    components["parameters"] = parameters();
    components["headers"] = headers();
    components["securitySchemes"] = schemes();
    components["responses"] =
        Kind::ALL.into_iter().flat_map(failures).collect::<Map<_, _>>().into();
}

/// How operations differ in what they have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    V1,
    V2,
    /// What asks others in a caller's name: `…/proxy` and `/proxy/…`.
    Proxy,
}

impl Kind {
    const ALL: [Self; 3] = [Self::V1, Self::V2, Self::Proxy];

    /// `None` for what needs no key.
    fn of(path: &str) -> Option<Self> {
        if path.starts_with("/proxy/") || path.ends_with("/proxy") {
            Some(Self::Proxy)
        } else if path.starts_with("/api/v1/") {
            Some(Self::V1)
        } else {
            path.starts_with("/api/v2/").then_some(Self::V2)
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::V1 => "V1",
            Self::V2 => "V2",
            Self::Proxy => "Proxy",
        }
    }
}

/// A handler that answers several methods is several operations, of which each has a name.
fn name_by_method(operation: &mut Map<String, Value>, method: &str) {
    let name = operation["operationId"].as_str().unwrap_or_default();
    let is_several = ["listKeys", "fetchKey", "pass"].contains(&name);
    if is_several && method != "get" {
        let (first, rest) = method.split_at(1);
        operation["operationId"] = format!("{name}{}{rest}", first.to_ascii_uppercase()).into();
    }
}

/// A body of `/api/v1` is JSON, whatever is made of it (`auth.rs`).
fn take_json(operation: &mut Map<String, Value>, method: &str, kind: Kind) {
    if kind == Kind::V1 && method == "post" && !operation.contains_key("requestBody") {
        operation.insert(
            "requestBody".into(),
            json!({
                "description": "Nothing is read of it, but `Content-Type` must be `application/json`.",
                "required": true,
                "content": {"application/json": {"schema": {}, "example": {}}},
            }),
        );
    }
}

fn may_have_body(method: &str) -> bool {
    ["post", "put", "patch", "delete"].contains(&method)
}

/// Who may ask, as whom.
fn ask_for_a_key(operation: &mut Map<String, Value>, path: &str) {
    let mut ways = vec![json!({"token": []}), json!({"keyId": [], "keySecret": []})];
    if path.starts_with("/proxy/") {
        ways.extend(FOREIGN.map(|(name, _)| json!({name: []})));
    }
    operation.insert("security".into(), ways.into());
    let all = operation.entry("parameters").or_insert_with(|| json!([]));
    for name in ["runAs", "runAsEmail", "requestId"] {
        if let Some(all) = all.as_array_mut() {
            all.push(json!({"$ref": format!("#/components/parameters/{name}")}));
        }
    }
}

/// How any operation can fail.
fn fail(operation: &mut Map<String, Value>, kind: Kind) {
    let reads_body = operation.get("requestBody").is_some_and(|body| body["description"].is_null());
    let responses = &mut operation["responses"];
    if kind == Kind::Proxy && responses["200"].is_object() {
        let content = &mut responses["200"]["content"];
        let own = content["application/json"]["schema"].take();
        content["application/json"]["schema"] = or_the_upstreams(&own);
        content["*/*"] = json!({"schema": {}});
    }
    for (status, _) in STATUSES {
        if (reads_body || ![408, 413].contains(status)) && has(kind, *status) {
            responses[status.to_string()] = reference(kind, *status);
        }
    }
}

/// The statuses of errors, and what each is called.
const STATUSES: &[(u16, &str)] = &[
    (400, "BadRequest"),
    (401, "NotAuthenticated"),
    (403, "NotAuthorized"),
    (404, "NotFound"),
    (408, "Timeout"),
    (409, "Conflict"),
    (413, "TooLarge"),
    (429, "TooManyRequests"),
    (431, "HeadersTooLarge"),
    (500, "InternalError"),
    (501, "NotImplemented"),
    (502, "UpstreamFailed"),
    (503, "Unavailable"),
];

/// Only what asks others can fail because of them.
fn has(kind: Kind, status: u16) -> bool {
    kind == Kind::Proxy || ![501, 502].contains(&status)
}

fn reference(kind: Kind, status: u16) -> Value {
    let name = STATUSES.iter().find(|(of, _)| *of == status).map_or("", |(_, name)| *name);
    json!({"$ref": format!("#/components/responses/{}{name}", kind.name())})
}

/// The errors of one kind.
fn failures(kind: Kind) -> impl Iterator<Item = (String, Value)> {
    let of_kind = STATUSES.iter().filter(move |(status, _)| has(kind, *status));
    of_kind.map(move |(status, name)| (format!("{}{name}", kind.name()), failure(kind, *status)))
}

fn failure(kind: Kind, status: u16) -> Value {
    let v2 = kind == Kind::V2;
    let listed = CODES.iter().filter(|code| code.status == status && code.dialects.has(v2));
    let codes: BTreeSet<_> = listed.map(|code| code.name.to_ascii_uppercase()).collect();
    let schema = if v2 { "TotpError" } else { "Error" };
    let error = json!({
        "allOf": [
            {"$ref": format!("#/components/schemas/{schema}")},
            {"properties": {"code": {"enum": codes}}},
        ],
    });
    let names = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
    let mut response = if kind == Kind::Proxy {
        json!({
            "description": format!("Keyfob's own refusal, with code {names}; or the upstream's answer"),
            "content": {
                "application/json": {"schema": or_the_upstreams(&error)},
                "*/*": {"schema": {}},
            },
        })
    } else {
        json!({
            "description": format!("The code is {names}"),
            "content": {"application/json": {"schema": error}},
        })
    };
    carry_headers(&mut response, &status.to_string());
    response
}

fn or_the_upstreams(own: &Value) -> Value {
    json!({"anyOf": [own, {"description": "Whatever the upstream answers"}]})
}

/// What every answer carries, and what errors do that tell a client when to ask again.
fn carry_headers(response: &mut Value, status: &str) {
    if response["$ref"].is_string() || status == "default" {
        return;
    }
    let mut names = vec!["X-Request-Id", "Cache-Control"];
    match status {
        "429" | "503" => names.push("Retry-After"),
        "409" | "501" | "502" => names.push("x-should-retry"),
        _ => {}
    }
    for name in names {
        response["headers"][name] = json!({"$ref": format!("#/components/headers/{name}")});
    }
}

fn headers() -> Value {
    json!({
        "X-Request-Id": {
            "description": "Names the request in the log and in the audit trail: yours, or one that Keyfob made.",
            "required": true,
            "schema": {"type": "string"},
        },
        "Cache-Control": {
            "description": "No answer is kept by anybody on the way.",
            "required": true,
            "schema": {"type": "string", "const": "no-store"},
        },
        "Retry-After": {
            "description": "After how many seconds it is worth asking again.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 60},
        },
        "x-should-retry": {
            "description": "That it is of no use to send the request again, for clients which do that by themselves.",
            "schema": {"type": "string", "const": "false"},
        },
    })
}

fn parameters() -> Value {
    json!({
        "runAs": {
            "name": "x-runas-user-id",
            "in": "header",
            "description": "Acts as the direct child of the key's account that has this id. Anyone else is a 401. Also as `x-runas-userid`.",
            "schema": {"type": "string"},
        },
        "runAsEmail": {
            "name": "x-runas-child-user-email",
            "in": "header",
            "description": "The same by the child's e-mail address; the id counts first.",
            "schema": {"type": "string"},
        },
        "requestId": {
            "name": "X-Request-Id",
            "in": "header",
            "description": "Names the request in the log, in the audit trail and in the answer, if it is of at most 128 letters, digits and `-_.:`.",
            "schema": {"type": "string"},
        },
    })
}

/// Where clients of other services put their keys.
const FOREIGN: [(&str, &str); 3] =
    [("xApiKey", "x-api-key"), ("apiKey", "api-key"), ("xGoogApiKey", "x-goog-api-key")];

fn schemes() -> Value {
    let mut schemes = json!({
        "token": {"type": "http", "scheme": "bearer", "description": "A key's token, `kft_…`."},
        "keyId": {"type": "apiKey", "in": "header", "name": "sb-api-key-id", "description": "A key's id."},
        "keySecret": {"type": "apiKey", "in": "header", "name": "sb-api-secret-key", "description": "The secret that goes with it."},
    });
    for (scheme, name) in FOREIGN {
        schemes[scheme] = json!({
            "type": "apiKey", "in": "header", "name": name,
            "description": "A key's token, where clients of other services put their key.",
        });
    }
    schemes
}
