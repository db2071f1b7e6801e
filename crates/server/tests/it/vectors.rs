//! The shared vectors (`tests/vectors/totp.json`) of the level `api`, over HTTP, with the clock set
//! to their time. The core judges those of its level itself.

use keyfob_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    app::{SECRETS, TestApp, code_path},
    call::Answer,
};

const VECTORS: &str = include_str!("../../../../tests/vectors/totp.json");
/// All of the file; so that none is left out unnoticed.
const ALL: usize = 99;
const CORE: usize = 31;

#[derive(Deserialize)]
struct Vector {
    name: String,
    level: String,
    time: i64,
    secret_id: Option<String>,
    expected: Expected,
    #[serde(default)]
    parsed: Map<String, Value>,
    /// The fields of the create.
    #[serde(flatten)]
    fields: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    code: Option<String>,
    expires_in: Option<u32>,
    error: Option<String>,
    status: Option<u16>,
}

impl Vector {
    fn body(&self) -> Value {
        let mut body = self.fields.clone();
        for note in ["note", "verified_by"] {
            body.remove(note);
        }
        // Those about bodies mean what they leave out.
        if !self.name.starts_with("body:") {
            body.entry("label").or_insert(json!("a label"));
        }
        Value::Object(body)
    }

    fn check_refusal(&self, answer: &Answer, status: u16) {
        let text = answer.text();
        for sent in ["secret", "uri"] {
            let sent = self.fields.get(sent).and_then(Value::as_str);
            if let Some(sent) = sent.filter(|sent| sent.len() > 4) {
                assert!(!text.contains(sent), "{}: {text}", self.name);
            }
        }
        assert_eq!(answer.status, status, "{}: {text}", self.name);
        let error = self.expected.error.as_deref().unwrap();
        assert_eq!(answer.json()["error"], error, "{}", self.name);
    }

    fn check_parsed(&self, entry: &Value) {
        for (field, value) in &self.parsed {
            if field != "account" {
                assert_eq!(&entry[field], value, "{}: {field}", self.name);
            }
        }
        let text = |field| self.parsed.get(field).and_then(Value::as_str);
        if let (Some(issuer), Some(account)) = (text("issuer"), text("account")) {
            let label = [issuer, account].into_iter().filter(|part| !part.is_empty());
            let label = label.collect::<Vec<_>>().join(" - ");
            assert_eq!(entry["label"], label, "{}", self.name);
        }
    }

    async fn run(&self, app: &TestApp) {
        app.clock.set(Timestamp::from_seconds(self.time));
        if let Some(id) = &self.secret_id {
            let answer = app.agent().get(code_path(id, "")).await;
            return self.check_refusal(&answer, self.expected.status.unwrap());
        }
        let answer = app.backend().post(SECRETS, self.body()).await;
        if let Some(status) = self.expected.status {
            return self.check_refusal(&answer, status);
        }
        assert_eq!(answer.status, 200, "{}: {}", self.name, answer.text());
        let entry = answer.ok()["totp_secret"].clone();
        self.check_parsed(&entry);
        let id = entry["id"].as_str().unwrap();
        let code = app.agent().get(code_path(id, "")).await.ok();
        let Expected { code: expected, expires_in, .. } = &self.expected;
        assert_eq!(code["code"], expected.clone().unwrap(), "{}", self.name);
        assert_eq!(code["expires_in"], expires_in.unwrap(), "{}", self.name);
        assert_eq!(code["server_time"], self.time, "{}", self.name);
    }
}

#[tokio::test]
async fn every_shared_vector_of_the_api_comes_out_over_http() {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    let all = vectors.len();
    let app = TestApp::new().await;
    let mut judged = 0;
    for vector in vectors.iter().filter(|vector| vector.level == "api") {
        vector.run(&app).await;
        judged += 1;
    }
    assert_eq!((all, judged), (ALL, ALL - CORE));
}

/// More than is asked for: the level says where a vector must hold, not where it may.
#[tokio::test]
async fn the_vectors_of_the_core_come_out_over_http_as_well() {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    let app = TestApp::new().await;
    let mut judged = 0;
    for vector in vectors.iter().filter(|vector| vector.level == "core") {
        // Those need a clock before 1970 (`clock.rs`) or digits that only a URI may have.
        if vector.time >= 0 && vector.fields.get("digits") != Some(&json!(7)) {
            vector.run(&app).await;
            judged += 1;
        }
    }
    assert!(judged > CORE / 2, "{judged}");
}
