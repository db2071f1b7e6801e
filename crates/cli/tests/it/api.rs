//! The API as a caller sees it.

use std::time::Duration;

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

/// A server, and a key's token.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `null` if it is not JSON.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body
    }

    /// The seconds of `Retry-After`.
    #[track_caller]
    pub(crate) fn retry_after(&self) -> Duration {
        let seconds = self.headers.get("retry-after").expect("there is a Retry-After");
        let seconds = seconds.to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        Duration::from_secs(seconds)
    }
}

/// A one-time code.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) code: String,
    pub(crate) step: i64,
}

impl Code {
    #[track_caller]
    pub(crate) fn of(body: &Value) -> Self {
        let number = |field: &str| body[field].as_i64().expect("a number");
        let (from, until, now) =
            (number("valid_from"), number("valid_until"), number("server_time"));
        assert!((from..until).contains(&now), "{body}");
        Self { code: body["code"].as_str().unwrap().into(), step: from / number("period") }
    }
}

impl Api {
    pub(crate) fn new(url: &str, token: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test is a caller")]
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(90))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { http, url: url.into(), token: token.into() }
    }

    /// The same connections' worth of client, at another server.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { url: url.into(), ..self.clone() }
    }

    /// Another caller of the same server.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// One request; an error if the connection broke.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        request_id: &str,
    ) -> reqwest::Result<Answer> {
        let request = self.http.request(method, self.url_of(path));
        let request = request.bearer_auth(&self.token).header("x-request-id", request_id);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, "test").await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body), "test").await.unwrap()
    }

    /// Stores a secret; the entry's id.
    pub(crate) async fn create(&self, body: &Value) -> String {
        let body = self.post("/api/v2/totp/secrets", body).await.ok();
        body["totp_secret"]["id"].as_str().unwrap().into()
    }

    /// Stores this secret under a label; the entry's id.
    pub(crate) async fn store(&self, label: &str, secret: &str, period: u32) -> String {
        self.create(&json!({"label": label, "secret": secret, "period": period})).await
    }

    /// The entry's current code.
    pub(crate) async fn code(&self, id: &str) -> Code {
        Code::of(&self.get(&format!("/api/v2/totp/code/{id}")).await.ok())
    }

    /// All entries.
    pub(crate) async fn list(&self) -> Vec<Value> {
        let mut body = self.get("/api/v2/totp/secrets").await.ok();
        serde_json::from_value(body["totp_secrets"].take()).unwrap()
    }
}
