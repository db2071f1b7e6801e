//! Callers and their calls, written to be read: `app.backend().post(path, body).await.ok()`. Every
//! answer is checked for what all answers have in common.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
};

use axum::{
    body::Body,
    http::{HeaderMap, Request},
};
use http_body_util::BodyExt;
use keyfob_server::app::{App, Peer};
use serde_json::Value;

use crate::guard::Guard;

/// The media type of HTML forms.
const FORM: &str = "application/x-www-form-urlencoded";
/// Where all calls come from.
pub(crate) const PEER: &str = "192.0.2.7";
/// The headers an answer may have.
const HEADERS: &[&str] = &[
    "content-type",
    "content-length",
    "cache-control",
    "x-request-id",
    "retry-after",
    "x-should-retry",
    "allow",
    "mcp-session-id",
];
/// The headers that only pages have, all of them always.
const PAGE_HEADERS: [&str; 5] = [
    "content-security-policy",
    "cross-origin-resource-policy",
    "referrer-policy",
    "x-content-type-options",
    "x-frame-options",
];
/// The headers that only pages may have.
const OF_PAGES: [&str; 2] = ["set-cookie", "content-encoding"];
/// The headers of files of the page of the API, which may be kept.
const OF_FILES: [&str; 2] = ["etag", "vary"];
/// The media types of pages, and of what they consist of.
const PAGES: [&str; 3] =
    ["text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"];
/// The calls whose answers hold a secret.
const REVEALS: [&str; 3] =
    ["POST /api/v2/totp/secrets", "POST /api/v1/key/create", "POST /api/v1/account/create"];

/// A key as its holder knows it.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
}

impl Key {
    /// The key in an answer to its create.
    pub(crate) fn from_answer(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Self { id: text("id"), secret: text("secret"), token: text("token") }
    }
}

/// Someone who calls the service.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) app: App,
    pub(crate) guard: Arc<Guard>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Caller {
    /// The same caller with one more header on each call.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same caller with this key in the two headers of the Sendblue clients.
    pub(crate) fn with_pair(self, key: &Key) -> Self {
        self.with("SB-API-KEY-ID", &key.id).with("SB-API-SECRET-KEY", &key.secret)
    }

    /// The same caller with this key in `Authorization`.
    pub(crate) fn with_token(self, key: &Key) -> Self {
        self.with("Authorization", &format!("Bearer {}", key.token))
    }

    pub(crate) fn get(&self, path: impl AsRef<str>) -> Call {
        self.call("GET", path.as_ref(), Vec::new())
    }

    pub(crate) fn delete(&self, path: impl AsRef<str>) -> Call {
        self.call("DELETE", path.as_ref(), Vec::new())
    }

    #[expect(clippy::needless_pass_by_value, reason = "`json!` in the call reads best")]
    pub(crate) fn post(&self, path: impl AsRef<str>, body: Value) -> Call {
        self.call("POST", path.as_ref(), body.to_string().into())
    }

    #[expect(clippy::needless_pass_by_value, reason = "`json!` in the call reads best")]
    pub(crate) fn patch(&self, path: impl AsRef<str>, body: Value) -> Call {
        self.call("PATCH", path.as_ref(), body.to_string().into())
    }

    /// A call with any method and any body.
    pub(crate) fn call(&self, method: &str, path: &str, body: Vec<u8>) -> Call {
        Call { caller: self.clone(), method: method.to_owned(), path: path.to_owned(), body }
    }
}

/// A call that is about to be sent.
pub(crate) struct Call {
    caller: Caller,
    method: String,
    path: String,
    body: Vec<u8>,
}

impl Call {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.caller = self.caller.with(name, value);
        self
    }

    async fn send(self) -> Answer {
        let Self { caller, method, path, body } = self;
        let mut request = Request::builder().method(method.as_str()).uri(&path);
        for (name, value) in &caller.headers {
            request = request.header(name, value);
        }
        if method == "POST" && !caller.headers.iter().any(|(name, _)| name == "Content-Type") {
            let kind = if path.starts_with("/connect/") { FORM } else { "application/json" };
            request = request.header("Content-Type", kind);
        }
        let request = request.body(Body::from(body)).unwrap();
        let peer = Peer { ip: PEER.into(), delivery: None };
        let response = caller.app.handle(request, Some(peer)).await;
        let (parts, body) = response.into_parts();
        let answer = Answer {
            call: format!("{method} {path}"),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().into(),
        };
        answer.check(&caller.guard);
        answer
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// What came back.
pub(crate) struct Answer {
    /// Method and path of the call.
    call: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body of an answer that is to be a good one.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}: {}", self.call, self.text());
        self.json()
    }

    /// The body of an answer that is to be this error.
    #[track_caller]
    pub(crate) fn error(self, status: u16, error: &str) -> Value {
        let body = self.json();
        let said = (self.status, body["error"].as_str().unwrap_or("none"));
        assert_eq!(said, (status, error), "{}: {}", self.call, self.text());
        body
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.call, self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The seconds in `Retry-After`.
    #[track_caller]
    pub(crate) fn retry_after(&self) -> u64 {
        self.header("retry-after").parse().unwrap()
    }

    /// What holds for every answer, whatever was asked (contract/keyfob, "Every answer").
    fn check(&self, guard: &Guard) {
        let call = &self.call;
        let is_page = PAGES.contains(&self.header("content-type"));
        let is_file = call.contains(" /docs/") && self.status < 400;
        for name in self.headers.keys().map(axum::http::HeaderName::as_str) {
            let of_page = is_page && (PAGE_HEADERS.contains(&name) || OF_PAGES.contains(&name));
            let is_known = HEADERS.contains(&name) || is_file && OF_FILES.contains(&name);
            assert!(is_known || of_page, "{call}: the header {name}");
        }
        let cached = if is_file { "no-cache" } else { "no-store" };
        assert_eq!(self.header("cache-control"), cached, "{call}");
        assert!(!self.header("x-request-id").is_empty(), "{call}");
        match (self.body.is_empty(), self.header("content-type")) {
            (true, "" | "application/jsonl")
            | (false, "application/json" | "application/jsonl" | "text/csv; charset=utf-8") => {}
            (false, _) if is_page => {
                for name in PAGE_HEADERS {
                    assert!(self.headers.contains_key(name), "{call}: no {name}");
                }
            }
            (false, _) if call == "GET /metrics" => {}
            (true, _) if call.starts_with("HEAD ") => {}
            (_, kind) => panic!("{call}: content type {kind:?}, {:?}", self.text()),
        }
        if self.status >= 400 && !is_page {
            self.check_error();
        }
        self.check_secrets(guard);
    }

    fn check_error(&self) {
        let call = &self.call;
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or("").to_owned();
        let error = text("error");
        assert!(!text("message").is_empty() && !error.is_empty(), "{call}");
        assert_eq!(error, text("code").to_lowercase(), "{call}");
        assert_eq!(text("code"), error.to_uppercase(), "{call}");
        assert_eq!(text("request_id"), self.header("x-request-id"), "{call}");
        let (_, path) = call.split_once(' ').unwrap();
        let mut fields = vec!["code", "error", "message", "request_id"];
        if path.starts_with("/api/v2/") {
            assert_eq!(body["status"], "ERROR", "{call}");
            assert_eq!(body["error_message"], body["message"], "{call}");
            assert_eq!(body["error_code"], body["error"], "{call}");
            fields.extend(["status", "error_message", "error_code"]);
        }
        if error == "authorization_required" {
            fields.push("url");
        }
        for name in body.as_object().unwrap().keys() {
            assert!(fields.contains(&name.as_str()), "{call}: the field {name}");
        }
        let retry_after = self.header("retry-after").parse::<u64>().ok();
        let waits = [429, 503].contains(&self.status);
        assert_eq!(retry_after.is_some(), waits, "{call}: Retry-After");
        assert!(retry_after.is_none_or(|s| (1..=60).contains(&s)), "{call}");
        let is_final = self.header("x-should-retry") == "false";
        assert_eq!(is_final, [409, 501].contains(&self.status), "{call}");
    }

    fn check_secrets(&self, guard: &Guard) {
        let Self { call, body, .. } = self;
        let revealed = self.status == 200 && REVEALS.contains(&call.as_str());
        let found = if revealed && call.contains("/totp/") {
            guard.find_key_in(body)
        } else if self.status == 200 && call.ends_with("/mint") {
            guard.find_no_token_in(body)
        } else {
            guard.find_in(body)
        };
        assert_eq!(found, None, "the guard found that in the answer to {call}");
        for (name, value) in &self.headers {
            let found = guard.find_in(value.as_bytes());
            assert_eq!(found, None, "the guard found that in {name} of {call}");
        }
        if revealed {
            let body = self.json();
            for key in [&body, &body["key"]] {
                if let Some(secret) = key["secret"].as_str() {
                    guard.know_key(secret);
                }
            }
            if let Some(secret) = body["totp_secret"]["secret"].as_str() {
                guard.know_totp(secret);
            }
        }
    }
}
