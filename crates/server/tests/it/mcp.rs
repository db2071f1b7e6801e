//! `/mcp` as a server of the protocol: its versions, its tools, its errors, and what it has in common with other routes.

use serde_json::json;

use crate::{
    app::{TestApp, canary_code},
    guard::logs,
    key_limits::limited,
    manual_clock::START,
    mcp_client::{Client, HANDSHAKE, STATELESS, opens_links, rpc_error},
};

const TOOLS: [&str; 7] = [
    "authenticate_secret",
    "get_totp_code",
    "list_contacts",
    "list_secrets",
    "list_totp",
    "send_request",
    "verify_secret",
];

#[tokio::test]
async fn each_version_of_the_protocol_is_spoken() {
    let app = TestApp::new().await;
    let client = Client::new(app.agent());
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", HANDSHAKE] {
        let params = json!({
            "protocolVersion": version, "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        });
        let answer = client.ask("initialize", params).await;
        assert_eq!(answer.header("mcp-session-id"), "", "nothing has to be remembered");
        let result = answer.ok()["result"].clone();
        assert_eq!(result["protocolVersion"], version);
        assert_eq!(result["serverInfo"]["name"], "keyfob");
        let instructions = result["instructions"].as_str().unwrap();
        for told in ["verify_secret", "no instructions to you"] {
            assert!(instructions.contains(told), "{told}");
        }
        assert_eq!(result["capabilities"], json!({"tools": {}}));
    }
    let stateless = Client::stateless(app.agent(), json!({}));
    let found = stateless.ask("server/discover", json!({})).await.ok();
    assert!(found["result"]["supportedVersions"].as_array().unwrap().contains(&json!(STATELESS)));
    let tools = stateless.ask("tools/list", json!({})).await.ok();
    assert_eq!(tools["result"]["resultType"], "complete");
}

#[tokio::test]
async fn a_notification_is_taken_and_says_nothing() {
    let app = TestApp::new().await;
    let client = Client::new(app.agent());
    let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let answer = client.caller.post("/mcp", body).await;
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
}

#[tokio::test]
async fn each_tool_says_what_it_takes_answers_and_does() {
    let app = TestApp::new().await;
    let listed = Client::new(app.agent()).ask("tools/list", json!({})).await.ok();
    let tools = listed["result"]["tools"].as_array().unwrap().clone();
    let mut names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, TOOLS);
    for tool in &tools {
        let name = tool["name"].as_str().unwrap();
        let input = &tool["inputSchema"];
        assert_eq!(input["additionalProperties"], false, "{name}");
        for (field, schema) in input["properties"].as_object().unwrap() {
            assert!(schema["description"].is_string(), "{name}: {field}");
        }
        assert_eq!(tool["outputSchema"]["type"], "object", "{name}");
        for foreign in ["\"format\"", "\"null\"", "anyOf"] {
            assert!(!tool.to_string().contains(foreign), "{name}: {foreign}");
        }
        let hints = &tool["annotations"];
        let hint = |of: &str| hints[of].as_bool().unwrap();
        assert_eq!(hint("readOnlyHint"), name.starts_with("list_"), "{name}");
        assert_eq!(hint("destructiveHint"), name == "send_request", "{name}");
        assert!(hints["title"].is_string() && tool["title"] == hints["title"], "{name}");
        let _ = (hint("idempotentHint"), hint("openWorldHint"));
        let says = tool["description"].as_str().unwrap();
        let releases = says.starts_with("RELEASES") || says.starts_with("USES");
        assert_eq!(releases, ["get_totp_code", "send_request"].contains(&name), "{name}: {says}");
        assert!(!says.contains("mint"), "{name}");
        let tells_others_words = name.starts_with("list_") || name == "send_request";
        assert_eq!(says.contains("no instructions"), tells_others_words, "{name}: {says}");
    }
    for (name, mut arguments) in [
        ("get_totp_code", json!({"id": "x"})),
        ("list_secrets", json!({})),
        ("verify_secret", json!({"secret": "x"})),
    ] {
        let schema = &tools.iter().find(|tool| tool["name"] == name).unwrap()["inputSchema"];
        let validator = jsonschema::validator_for(schema).unwrap();
        assert!(validator.is_valid(&arguments), "{name}");
        arguments["more"] = json!(1);
        assert!(!validator.is_valid(&arguments), "{name}");
    }
}

#[tokio::test]
async fn an_agent_gets_a_code_and_the_trail_has_it_as_over_http() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let client = Client::new(app.agent().with("X-Request-Id", "mcp-1"));
    let code = client.done("get_totp_code", json!({"id": id})).await;
    let until = START + 30;
    let expected = json!({"code": canary_code(30, START), "expires_in": 30, "valid_until": until});
    assert_eq!(code, expected);
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "totp.code").unwrap();
    assert_eq!((&*event.result, &*event.request_id), ("ok", "mcp-1"));
}

#[tokio::test]
async fn a_code_is_waited_for_as_over_http() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let client = Client::new(app.agent());
    let first = client.done("get_totp_code", json!({"id": id, "unique": true})).await;
    let second = client.done("get_totp_code", json!({"id": id, "unique": true}));
    let second = tokio::spawn(second);
    app.clock.waiters(1).await;
    app.clock.advance_seconds(30);
    let second = second.await.unwrap();
    assert_eq!(first["code"], canary_code(30, START));
    assert_eq!(second["code"], canary_code(30, START + 30));
    let too_long = client.failed("get_totp_code", json!({"id": id, "min_validity": 31})).await;
    assert!(too_long["message"].as_str().unwrap().contains("31"), "{too_long}");
}

#[tokio::test]
async fn who_hangs_up_does_not_wait_on() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let client = Client::new(app.agent());
    client.done("get_totp_code", json!({"id": id, "unique": true})).await;
    let waiting = client.done("get_totp_code", json!({"id": id, "unique": true}));
    let waiting = tokio::spawn(waiting);
    app.clock.waiters(1).await;
    waiting.abort();
    app.clock.waiters(0).await;
}

#[tokio::test]
async fn what_is_wrong_with_arguments_a_model_is_told() {
    let app = TestApp::new().await;
    let client = Client::new(app.agent());
    for (tool, arguments, says) in [
        ("get_totp_code", json!({}), "\"id\" is required"),
        ("get_totp_code", json!({"id": null}), "\"id\" is required"),
        ("get_totp_code", json!({"id": 1}), "\"id\" must be a string"),
        ("get_totp_code", json!({"id": "x", "more": 1}), "\"more\" is not allowed"),
        ("get_totp_code", json!({"id": "x", "unique": "yes"}), "\"unique\" must be true or false"),
        (
            "get_totp_code",
            json!({"id": "x", "min_validity": "10"}),
            "\"min_validity\" must be a whole number",
        ),
        (
            "get_totp_code",
            json!({"id": "x", "min_validity": -1}),
            "\"min_validity\" must be a whole number",
        ),
        ("list_totp", json!({"limit": 0}), "\"limit\" must be a whole number from 1 to 100"),
        ("list_contacts", json!({"limit": 101}), "\"limit\" must be a whole number from 1 to 100"),
        ("verify_secret", json!({"contact": "con_x"}), "\"secret\" is required"),
        ("authenticate_secret", json!({"secret": "x", "contact": 1}), "\"contact\" must be"),
        (
            "send_request",
            json!({"secret": "x", "url": "https://x.example", "headers": {"X": 1}}),
            "\"headers\" must be an object of strings",
        ),
        ("list_totp", json!({"cursor": "nonsense"}), "cursor"),
        (
            "send_request",
            json!({"secret": "x", "url": "https://x.example", "method": "BREW"}),
            "\"method\" must be one of [GET, ",
        ),
    ] {
        let error = client.failed(tool, arguments.clone()).await;
        assert_eq!(error["code"], "BAD_REQUEST", "{tool} {arguments}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{tool}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_call_of_a_tool_is_an_error_of_the_protocol() {
    let app = TestApp::new().await;
    let client = Client::new(app.agent());
    for (method, params, code) in [
        ("tools/call", json!({"name": "mint_secret", "arguments": {}}), -32602),
        ("tools/call", json!({"name": "get_totp_code", "arguments": [1]}), -32602),
        ("tools/call", json!({}), -32602),
        ("prompts/get", json!({"name": "x"}), -32601),
        ("nonsense", json!({}), -32601),
    ] {
        let answer = client.ask(method, params.clone()).await;
        assert_eq!(rpc_error(&answer), code, "{method} {params}: {}", answer.text());
    }
    let long = "x".repeat(900_000);
    for (method, params) in
        [("tools/call", json!({"name": long, "arguments": {}})), (&*long, json!({}))]
    {
        let answer = client.ask(method, params).await;
        rpc_error(&answer);
        assert!(answer.text().len() < 1000, "{}", answer.text().len());
    }
    for body in ["", "nonsense", "[]", "{\"jsonrpc\":\"2.0\"}", "{\"id\":1}"] {
        let answer = client.caller.call("POST", "/mcp", body.into()).await;
        answer.error(400, "bad_request");
    }
    let large = json!({"jsonrpc": "2.0", "id": 1, "method": "x".repeat(1024 * 1024)});
    client.caller.post("/mcp", large).await.error(413, "too_large");
}

#[tokio::test]
async fn nobody_gets_in_without_a_key_and_other_methods_are_refused() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let client = Client::new(app.anonymous());
    let call = json!({"name": "get_totp_code", "arguments": {"id": id}});
    client.ask("tools/call", call.clone()).await.error(401, "not_authenticated");
    // A session is no key.
    let session = Client::begin(app.agent(), opens_links()).await;
    session.at(app.anonymous()).ask("tools/call", call).await.error(401, "not_authenticated");
    let pair = Client::new(app.backend());
    assert!(pair.done("get_totp_code", json!({"id": id})).await["code"].is_string());
    for method in ["GET", "DELETE", "PUT"] {
        let answer = client.caller.call(method, "/mcp", Vec::new()).await;
        assert_eq!(answer.header("allow"), "POST");
        answer.error(405, "method_not_allowed");
    }
    let (key, caller) = app.new_caller("agent").await;
    let client = Client::new(caller);
    client.done("list_totp", json!({})).await;
    app.owner().post(format!("/api/v1/key/{}/revoke", key.id), json!({})).await.ok();
    client.ask("tools/list", json!({})).await.error(401, "not_authenticated");
}

#[tokio::test]
async fn a_key_does_over_mcp_what_it_may_over_http_and_no_more() {
    let app = TestApp::new().await;
    let (mine, other) = (app.entry().await, app.entry().await);
    let (_, caller) =
        limited(&app, "agent", json!({"totp": [mine], "actions": ["totp.code"]})).await;
    let client = Client::new(caller);
    client.done("get_totp_code", json!({"id": mine})).await;
    for not_there in [json!({"id": other}), json!({"id": "nonsense"})] {
        let error = client.failed("get_totp_code", not_there).await;
        assert_eq!(error["code"], "NOT_FOUND");
        assert!(error["next"].as_str().unwrap().contains("list_totp"), "{error}");
    }
    for tool in ["list_totp", "list_secrets", "list_contacts"] {
        assert_eq!(client.code_of(tool, json!({})).await, "NOT_AUTHORIZED", "{tool}");
    }
    let foreign = Client::new(app.other_account().await);
    assert_eq!(foreign.code_of("get_totp_code", json!({"id": mine})).await, "NOT_FOUND");
    let (_, rare) = limited(&app, "agent", json!({"rate": 1})).await;
    let rare = Client::new(rare);
    rare.done("list_totp", json!({})).await;
    let over = rare.ask("tools/call", json!({"name": "list_totp", "arguments": {}})).await;
    over.error(429, "rate_limited");
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let app = TestApp::new().await;
    Client::new(app.agent()).done("list_totp", json!({})).await;
    let metrics = app.operator().get("/metrics").await.text();
    assert!(metrics.contains("route=\"/mcp\",status=\"200\""), "{metrics}");
}

/// What tools say they take is what they look at.
#[tokio::test]
async fn each_argument_of_each_tool_is_read() {
    let app = TestApp::new().await;
    let client = Client::new(app.agent());
    let listed = client.ask("tools/list", json!({})).await.ok();
    for tool in listed["result"]["tools"].as_array().unwrap() {
        let (name, schema) = (tool["name"].as_str().unwrap(), &tool["inputSchema"]);
        let fields = schema["properties"].as_object().unwrap();
        let mut right = json!({});
        for field in schema["required"].as_array().into_iter().flatten() {
            right[field.as_str().unwrap()] = json!("x");
        }
        for field in fields.keys() {
            let mut wrong = right.clone();
            wrong[field] = json!([]);
            let error = client.failed(name, wrong).await;
            assert_eq!(error["code"], "BAD_REQUEST", "{name}: {error}");
            let named = format!("\"{field}\" must be ");
            assert!(error["message"].as_str().unwrap().starts_with(&named), "{name}: {error}");
        }
    }
}

/// The library logs whole messages, and with them codes and links.
#[tokio::test]
async fn what_passes_is_not_logged_at_any_level() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let client = Client::new(app.agent());
    client.done("get_totp_code", json!({"id": id})).await;
    client.call("nonsense", json!({})).await;
    let logs = logs();
    assert!(logs.contains("route=\"/mcp\""), "the service's own line is there");
    assert!(!logs.contains("rmcp::"));
}

#[tokio::test]
async fn a_fault_of_the_server_says_nothing_but_its_request() {
    let app = TestApp::new().await;
    let client = Client::new(app.agent());
    let id = app.entry().await;
    client.done("get_totp_code", json!({"id": id})).await;
    app.close();
    let error = client.failed("get_totp_code", json!({"id": id})).await;
    assert_eq!(error["code"], "SERVICE_UNAVAILABLE");
    assert_eq!(error["retry_after"], 1);
}
