//! How a link reaches a person through `/mcp`: in words to the model, or past it, by the client.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    app::{PUBLIC_URL, TestApp},
    authentication::state,
    call::Caller,
    connect_page::{Browser, shows},
    connection::{connect, personal, verified_contact},
    guard::CANARY,
    key_limits::limited,
    mcp_client::{Client, opens_links},
    secret,
};

pub(crate) struct Scene {
    pub(crate) app: TestApp,
    /// What tools are told.
    pub(crate) which: Value,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let app = TestApp::new().await;
        let backend = app.backend();
        let contact = verified_contact(&backend).await;
        let secret = personal(&backend, "bearer").await;
        Self { app, which: json!({"contact": contact, "secret": secret}) }
    }

    fn text(&self, name: &str) -> &str {
        self.which[name].as_str().unwrap()
    }

    /// The person does what the page asks for.
    pub(crate) async fn connect_at(&self, link: &Value) {
        opens(&self.app, link).await;
    }

    pub(crate) async fn reconnected(&self) {
        let (contact, secret) = (self.text("contact"), self.text("secret"));
        connect(&self.app.backend(), contact, secret, json!({"value": CANARY})).await.ok();
    }

    /// A call of a tool that may need a person, and what a client that was asked says.
    pub(crate) fn params(tool: &str, arguments: &Value, action: Option<&str>) -> Value {
        let mut params = json!({"name": tool, "arguments": arguments});
        if let Some(action) = action {
            params["inputResponses"] = json!({"connect": {"action": action}});
        }
        params
    }
}

/// A person goes to the link and hands over a credential.
async fn opens(app: &TestApp, link: &Value) {
    let link = format!("/connect/{}", state(link));
    let page = Browser::new(app).submit(&link, &[("value", CANARY)]).await;
    shows(&page, 200, &["is connected"]);
}

pub(crate) fn is_link(url: &Value) -> bool {
    url.as_str().is_some_and(|url| url.starts_with(&format!("{PUBLIC_URL}/connect/")))
}

#[tokio::test]
async fn a_model_is_given_the_link_and_told_what_to_do_with_it() {
    let scene = Scene::new().await;
    let client = Client::new(scene.app.agent());
    let verified = client.done("verify_secret", scene.which.clone()).await;
    assert_eq!(verified["status"], "unauthenticated");
    assert!(verified["next"].as_str().unwrap().contains("authenticate_secret"), "{verified}");
    assert!(!verified.to_string().contains("/connect/"), "who only asks gets no link: {verified}");
    let waiting = client.done("authenticate_secret", scene.which.clone()).await;
    assert_eq!(waiting["status"], "waiting");
    assert!(is_link(&waiting["url"]), "{waiting}");
    assert!(waiting["next"].as_str().unwrap().contains("to nobody else"), "{waiting}");
    let same = client.done("authenticate_secret", scene.which.clone()).await;
    assert_eq!(same["url"], waiting["url"]);
    scene.connect_at(&waiting["url"]).await;
    let verified = client.done("verify_secret", scene.which.clone()).await;
    assert_eq!((&verified["status"], &verified["next"]), (&json!("authenticated"), &Value::Null));
    let done = client.done("authenticate_secret", scene.which.clone()).await;
    assert_eq!((&done["status"], &done["url"]), (&json!("authenticated"), &Value::Null));
}

#[tokio::test]
async fn what_can_be_used_is_connected_anew_only_if_that_is_asked_for() {
    let scene = Scene::new().await;
    scene.reconnected().await;
    let client = Client::new(scene.app.agent());
    let mut arguments = scene.which.clone();
    assert_eq!(
        client.done("authenticate_secret", arguments.clone()).await["status"],
        "authenticated"
    );
    arguments["reconnect"] = json!(true);
    let waiting = client.done("authenticate_secret", arguments).await;
    assert!(is_link(&waiting["url"]), "{waiting}");
}

#[tokio::test]
async fn a_shared_secret_is_connected_without_a_contact() {
    let app = TestApp::new().await;
    let shared = secret::create(&app.backend(), json!({"name": "Team", "type": "bearer"})).await;
    let client = Client::new(app.agent());
    let which = json!({"secret": shared});
    assert_eq!(client.done("verify_secret", which.clone()).await["status"], "unauthenticated");
    let waiting = client.done("authenticate_secret", which.clone()).await;
    opens(&app, &waiting["url"]).await;
    assert_eq!(client.done("verify_secret", which.clone()).await["status"], "authenticated");
    // A link, which an agent may ask for, does not replace what everybody uses.
    let again = json!({"secret": shared, "reconnect": true});
    assert_eq!(client.code_of("authenticate_secret", again).await, "ALREADY_CONNECTED");
}

#[tokio::test]
async fn a_client_with_a_session_is_asked_by_an_error_and_the_model_sees_no_link() {
    let scene = Scene::new().await;
    let client = Client::begin(scene.app.agent(), opens_links()).await;
    let client = client.at(scene.app.agent().with("X-Request-Id", "chosen"));
    let mut ids = BTreeSet::from(["chosen".to_owned(), String::new()]);
    for tool in ["authenticate_secret", "send_request"] {
        let mut arguments = scene.which.clone();
        if tool == "send_request" {
            arguments["url"] = json!("http://127.0.0.1:9/");
            let hosts = json!({"config": {"hosts": ["127.0.0.1:9"]}});
            secret::update(&scene.app.backend(), scene.text("secret"), hosts).await.ok();
        }
        let answer = client.call(tool, arguments).await;
        let error = &answer["error"];
        assert_eq!(error["code"], -32042, "{tool}: {answer}");
        let asked = error["data"]["elicitations"].as_array().unwrap();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0]["mode"], "url");
        assert!(is_link(&asked[0]["url"]), "{answer}");
        let id = asked[0]["elicitationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} is not this question's own");
        assert!(!error["message"].as_str().unwrap().contains("http"));
    }
    let answer = client.call("authenticate_secret", scene.which.clone()).await;
    scene.connect_at(&answer["error"]["data"]["elicitations"][0]["url"]).await;
    // Clients call again when the person is back.
    let done = client.done("authenticate_secret", scene.which.clone()).await;
    assert_eq!(done["status"], "authenticated");
}

#[tokio::test]
async fn who_has_not_said_that_it_opens_links_is_told_in_words() {
    let scene = Scene::new().await;
    for can in [json!({}), json!({"elicitation": {}}), json!({"elicitation": {"form": {}}})] {
        let client = Client::begin(scene.app.agent(), can.clone()).await;
        let answer = client.done("authenticate_secret", scene.which.clone()).await;
        assert!(is_link(&answer["url"]), "{can}: {answer}");
        let client = Client::stateless(scene.app.agent(), can.clone());
        let answer = client.done("authenticate_secret", scene.which.clone()).await;
        assert!(is_link(&answer["url"]), "{can}: {answer}");
    }
}

#[tokio::test]
async fn a_client_without_a_session_is_asked_by_a_result_and_calls_again() {
    let scene = Scene::new().await;
    let client = Client::stateless(scene.app.agent(), opens_links());
    let ask = async |action| {
        let params = Scene::params("authenticate_secret", &scene.which, action);
        client.ask("tools/call", params).await.ok()["result"].clone()
    };
    let asked = ask(None).await;
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let question = &asked["inputRequests"]["connect"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["mode"], "url");
    let url = question["params"]["url"].clone();
    assert!(is_link(&url), "{asked}");
    // Whoever went to the page need not be done there.
    let waiting = ask(Some("accept")).await;
    assert_eq!(waiting["structuredContent"]["status"], "waiting", "{waiting}");
    assert!(!waiting.to_string().contains("/connect/"), "{waiting}");
    for action in ["decline", "cancel"] {
        let declined = ask(Some(action)).await;
        assert_eq!(declined["structuredContent"]["status"], "declined", "{declined}");
    }
    scene.connect_at(&url).await;
    let done = ask(Some("accept")).await;
    assert_eq!(done["structuredContent"]["status"], "authenticated", "{done}");
}

#[tokio::test]
async fn a_request_whose_person_would_not_is_not_sent() {
    let scene = Scene::new().await;
    let hosts = json!({"config": {"hosts": ["127.0.0.1:9"]}});
    secret::update(&scene.app.backend(), scene.text("secret"), hosts).await.ok();
    let client = Client::stateless(scene.app.agent(), opens_links());
    let mut arguments = scene.which.clone();
    arguments["url"] = json!("http://127.0.0.1:9/");
    for action in ["accept", "decline"] {
        if action == "decline" {
            // It could be sent.
            scene.reconnected().await;
        }
        let params = Scene::params("send_request", &arguments, Some(action));
        let answer = client.ask("tools/call", params).await.ok();
        let result = &answer["result"];
        assert_eq!(result["isError"], true, "{answer}");
        let text = result["content"][0]["text"].as_str().unwrap();
        let error: Value = serde_json::from_str(text).unwrap();
        assert_eq!(error["code"], "AUTHORIZATION_REQUIRED", "{action}");
        assert!(error["next"].as_str().unwrap().contains("verify_secret"), "{action}: {error}");
        assert_eq!(error["url"], Value::Null, "{action}");
    }
}

#[tokio::test]
async fn keys_that_may_not_ask_for_links_get_none_and_those_that_may_only_ask_get_one() {
    let scene = Scene::new().await;
    let client = async |actions: Value| {
        let (_, caller): (_, Caller) =
            limited(&scene.app, "agent", json!({"actions": actions})).await;
        Client::new(caller)
    };
    let asks = client(json!(["connection.verify"])).await;
    assert_eq!(asks.done("verify_secret", scene.which.clone()).await["status"], "unauthenticated");
    let refused = asks.code_of("authenticate_secret", scene.which.clone()).await;
    assert_eq!(refused, "NOT_AUTHORIZED");
    let links = client(json!(["connection.authenticate"])).await;
    assert_eq!(links.code_of("verify_secret", scene.which.clone()).await, "NOT_AUTHORIZED");
    let waiting = links.done("authenticate_secret", scene.which.clone()).await;
    assert!(is_link(&waiting["url"]), "{waiting}");
}

#[tokio::test]
async fn a_person_is_sent_back_only_where_the_account_lets_them() {
    let scene = Scene::new().await;
    let mut arguments = scene.which.clone();
    arguments["return_url"] = json!("https://evil.example/");
    let client = Client::new(scene.app.agent());
    let error = client.failed("authenticate_secret", arguments).await;
    assert_eq!(error["code"], "INVALID_RETURN_URL", "{error}");
}

#[tokio::test]
async fn foreign_accounts_find_nothing() {
    let scene = Scene::new().await;
    let foreign = Client::new(scene.app.other_account().await);
    let mut send = scene.which.clone();
    send["url"] = json!("https://api.example.com/");
    for (tool, arguments) in [
        ("verify_secret", scene.which.clone()),
        ("authenticate_secret", scene.which.clone()),
        ("send_request", send),
        ("verify_secret", json!({"secret": scene.text("secret")})),
    ] {
        assert_eq!(foreign.code_of(tool, arguments).await, "NOT_FOUND", "{tool}");
    }
}
