//! From where `/mcp` may be called, and that any node answers any request.

use serde_json::json;

use crate::{
    app::{PUBLIC_URL, TestApp},
    connection::{personal, verified_contact},
    mcp_client::{Client, opens_links, rpc_error},
};

/// A request with these headers, and nothing else that a client would send.
async fn answered(app: &TestApp, headers: &[(&str, &str)]) -> (u16, String) {
    let mut caller = app.agent().with("Accept", "application/json, text/event-stream");
    for (name, value) in headers {
        caller = caller.with(name, value);
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let answer = caller.post("/mcp", body).await;
    let code = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    (answer.status, code)
}

#[tokio::test]
async fn only_names_of_this_server_are_answered() {
    let app = TestApp::new().await;
    for host in [
        "127.0.0.1:7117",
        "127.0.0.1",
        "localhost:7117",
        "LOCALHOST",
        "[::1]:7117",
        "10.1.2.3:7117",
        "keyfob.example.com",
        "Keyfob.Example.com:8443",
    ] {
        assert_eq!(answered(&app, &[("Host", host)]).await, (200, String::new()), "{host}");
    }
    for host in [
        "evil.example:7117",
        "keyfob.example.com.evil.example",
        "evil.example@127.0.0.1.evil.example",
        "127.0.0.1.nip.example",
        "localhost.evil.example",
        "2130706433",
        "a b",
        "",
    ] {
        let refused = (403, "forbidden_host".to_owned());
        assert_eq!(answered(&app, &[("Host", host)]).await, refused, "{host}");
    }
    assert_eq!(answered(&app, &[]).await, (403, "forbidden_host".into()));
    let twice = [("Host", "localhost"), ("Host", "localhost")];
    assert_eq!(answered(&app, &twice).await, (403, "forbidden_host".into()));
}

#[tokio::test]
async fn only_pages_of_this_server_may_call() {
    let app = TestApp::new().await;
    let host = ("Host", "127.0.0.1:7117");
    for origin in [PUBLIC_URL, "https://keyfob.example.com:443", "https://KEYFOB.example.com"] {
        let ok = answered(&app, &[host, ("Origin", origin)]).await;
        assert_eq!(ok, (200, String::new()), "{origin}");
    }
    for origin in [
        "https://evil.example",
        "http://keyfob.example.com",
        "https://keyfob.example.com:8443",
        "https://keyfob.example.com.evil.example",
        "http://127.0.0.1:7117",
        "http://localhost:6274",
        "null",
        "",
        "data:text/html,x",
    ] {
        let refused = (403, "forbidden_origin".to_owned());
        assert_eq!(answered(&app, &[host, ("Origin", origin)]).await, refused, "{origin}");
    }
    let twice = [host, ("Origin", PUBLIC_URL), ("Origin", "https://evil.example")];
    assert_eq!(answered(&app, &twice).await, (403, "forbidden_origin".into()));
}

/// A page of somebody else's is not told whether a key is good.
#[tokio::test]
async fn a_foreign_page_is_refused_before_its_key_is_looked_at() {
    let app = TestApp::new().await;
    let caller = app.anonymous().with("Host", "evil.example");
    let answer = caller.post("/mcp", json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await;
    answer.error(403, "forbidden_host");
}

#[tokio::test]
async fn each_request_of_a_client_may_go_to_another_node() {
    let mut app = TestApp::new().await;
    let (backend, agent) = (app.backend(), app.agent());
    let contact = verified_contact(&backend).await;
    let secret = personal(&backend, "bearer").await;
    let entry = app.entry().await;
    let other = app.on_another_node(agent.clone()).await;
    let here = Client::begin(agent, opens_links()).await;
    let there = here.at(other);
    for client in [&there, &here, &there, &here] {
        let tools = client.ask("tools/list", json!({})).await.ok();
        assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 7);
        let code = client.done("get_totp_code", json!({"id": entry})).await;
        assert_eq!(code["code"].as_str().unwrap().len(), 6);
        // What the client can do was said to one node only.
        let arguments = json!({"contact": contact, "secret": secret});
        let call = json!({"name": "authenticate_secret", "arguments": arguments});
        assert_eq!(rpc_error(&client.ask("tools/call", call).await), -32042);
    }
}
