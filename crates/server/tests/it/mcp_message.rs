//! What is taken for a message of MCP, whatever its headers, and what is not.

use serde_json::{Value, json};

use crate::{app::TestApp, call::Answer};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

async fn post(app: &TestApp, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut caller = app.agent().with("Host", "localhost");
    for (name, value) in headers {
        caller = caller.with(name, value);
    }
    caller.call("POST", "/mcp", body.as_bytes().to_vec()).await
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[tokio::test]
async fn a_client_may_accept_what_it_likes_since_the_answer_is_always_json() {
    let app = TestApp::new().await;
    for accept in ["application/json", "*/*", "text/event-stream", "text/html", ""] {
        let answer = post(&app, &[JSON, ("Accept", accept)], PING).await;
        assert_eq!((answer.status, answer.json()["id"].clone()), (200, json!(1)), "{accept:?}");
    }
    assert_eq!(post(&app, &[JSON], PING).await.status, 200);
}

#[tokio::test]
async fn other_headers_are_refused_in_our_own_words_which_repeat_nothing() {
    let app = TestApp::new().await;
    let cases: [&[(&str, &str)]; 2] =
        [&[("Content-Type", "text/plain")], &[JSON, ("MCP-Protocol-Version", "CANARY")]];
    for headers in cases {
        let answer = post(&app, headers, PING).await;
        let text = answer.json().to_string();
        assert!(!text.contains("CANARY"), "{text}");
        assert_eq!(answer.status, 400, "{headers:?}: {text}");
    }
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let app = TestApp::new().await;
    let wrong = [
        json!({}),
        json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]),
        json!({"jsonrpc": "1.0", "id": 1, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": 7}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": null}),
        json!({"jsonrpc": "2.0", "id": 1}),
        json!({"jsonrpc": "2.0", "id": "x", "result": {}}),
        json!({"jsonrpc": "2.0", "id": "x", "error": {"code": -1, "message": "no"}}),
        Value::Null,
    ];
    for body in wrong {
        post(&app, &[JSON], &body.to_string()).await.error(400, "bad_request");
    }
    post(&app, &[JSON], "{").await.error(400, "bad_request");
}

#[tokio::test]
async fn what_is_no_request_is_taken_and_not_answered() {
    let app = TestApp::new().await;
    for method in ["notifications/initialized", "notifications/cancelled", "notifications/other"] {
        let body = json!({"jsonrpc": "2.0", "method": method, "params": {}}).to_string();
        let answer = post(&app, &[JSON], &body).await;
        assert_eq!((answer.status, answer.text().as_str()), (202, ""), "{method}");
    }
}
