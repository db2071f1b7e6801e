//! Secrets of type `template`: what they come to, and what is refused. The rules of each template are tested
//! beside them, in `broker/template`.

use keyfob_server::catalogue;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    authentication::state,
    call::Caller,
    connect_page::{Browser, shows},
    connection::{connect, path, verified_contact, verify},
    contact::refused,
    guard::CANARY,
    secret,
};

async fn template(caller: &Caller, kind: &str, config: Value) -> String {
    let body = json!({"kind": kind, "type": "template", "name": "Ours", "config": config});
    secret::create(caller, body).await
}

async fn link(app: &TestApp, path: String) -> String {
    let answer = app.agent().post(path, json!({})).await.ok();
    format!("/connect/{}", state(&answer["url"]))
}

#[tokio::test]
async fn a_personal_template_is_connected_as_what_it_stands_for() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let bearer = template(&backend, "personal", json!({"template": "openai"})).await;
    let config = json!({"template": "freshdesk", "parameters": {"subdomain": "acme"}});
    let basic = template(&backend, "personal", config).await;
    connect(&backend, &contact, &bearer, json!({"value": "two words"}))
        .await
        .error(400, "bad_request");
    connect(&backend, &contact, &basic, json!({"value": CANARY})).await.error(400, "bad_request");
    connect(&backend, &contact, &bearer, json!({"value": CANARY})).await.ok();
    let pair = json!({"username": CANARY, "password": "X"});
    connect(&backend, &contact, &basic, pair).await.ok();
    for id in [&bearer, &basic] {
        assert_eq!(verify(&app.agent(), &contact, id).await["status"], "authenticated");
    }
    let list = backend.get(format!("/api/v1/contact/{contact}/secret/list")).await.ok();
    for item in list["items"].as_array().unwrap() {
        assert_eq!((&item["type"], &item["status"]), (&json!("template"), &json!("authenticated")));
    }
}

#[tokio::test]
async fn the_page_shows_the_hosts_of_the_template_or_those_that_the_secret_leaves_of_them() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    for (config, hosts, others) in [
        (
            json!({"template": "github-token"}),
            "<li>api.github.com</li><li>uploads.github.com</li>",
            "",
        ),
        (
            json!({"template": "github-token", "hosts": ["api.github.com"]}),
            "<li>api.github.com</li>",
            "uploads.github.com",
        ),
        (
            json!({"template": "datadog", "parameters": {"site": "datadoghq.eu"}}),
            "<li>api.datadoghq.eu</li>",
            "datadoghq.com",
        ),
    ] {
        let id = template(&backend, "personal", config).await;
        let link = link(&app, path(&contact, &id, "authenticate")).await;
        let page = Browser::new(&app).open(&link).await;
        shows(&page, 200, &[hosts]);
        assert!(others.is_empty() || !page.text().contains(others), "{}", page.text());
    }
}

#[tokio::test]
async fn a_shared_template_gets_its_value_at_a_link() {
    let app = TestApp::new().await;
    let id = template(&app.backend(), "shared", json!({"template": "twilio"})).await;
    let verify = async || app.agent().post(secret::path(&id, "verify"), json!({})).await.ok();
    assert_eq!(verify().await["status"], "unauthenticated");
    let link = link(&app, secret::path(&id, "authenticate")).await;
    let mut browser = Browser::new(&app);
    shows(
        &browser.open(&link).await,
        200,
        &["<label for=\"username\">", "<li>api.twilio.com</li>"],
    );
    let fields = [("do", "connect"), ("username", "key"), ("password", CANARY)];
    assert_eq!(browser.submit(&link, &fields).await.status, 200);
    assert_eq!(verify().await["status"], "authenticated");
}

/// W3: a reference uses the template that its target fills in, and fills in nothing itself.
#[tokio::test]
async fn a_reference_stands_for_a_template_as_its_target_filled_it_in() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let config = json!({"template": "datadog", "parameters": {"site": "datadoghq.eu"}});
    let target = template(&backend, "personal", config).await;
    let config = json!({
        "reference": target, "template": "okta", "parameters": {"site": "evil.example"},
        "hosts": ["*.datadoghq.eu", "evil.example"],
    });
    let body = json!({"kind": "personal", "type": "reference", "config": config});
    let id = secret::create(&backend, body).await;
    let link = link(&app, path(&contact, &id, "authenticate")).await;
    shows(&Browser::new(&app).open(&link).await, 200, &["<li>api.datadoghq.eu</li></ul>"]);
    connect(&backend, &contact, &id, json!({"value": CANARY})).await.ok();
    assert_eq!(verify(&backend, &contact, &id).await["status"], "authenticated");
    assert_eq!(verify(&backend, &contact, &target).await["status"], "unauthenticated");
}

#[tokio::test]
async fn a_config_that_its_template_cannot_use_is_refused_and_nothing_changes() {
    let app = TestApp::new().await;
    let good = json!({"template": "zendesk", "parameters": {"subdomain": "acme"}});
    let id = template(&app.backend(), "personal", good.clone()).await;
    for (config, message) in [
        (
            json!({"template": "zendesc"}),
            "\"config.template\" is no template of the catalogue; like it are zendesk",
        ),
        (
            json!({"template": "zendesk"}),
            "\"config.parameters.subdomain\" is required: What your address has before .zendesk.com",
        ),
        (
            json!({"template": "zendesk", "parameters": {"subdomain": "evil.example/"}}),
            "\"config.parameters.subdomain\" must be letters, digits and hyphens: a part of a host name between dots",
        ),
        (
            json!({"template": "zendesk", "parameters": {"subdomain": "acme", "tokenUrl": "x"}}),
            "\"config.parameters.tokenUrl\" is no parameter: the template zendesk has subdomain",
        ),
        (
            json!({"template": "openai", "hosts": ["evil.example"]}),
            "\"config.hosts\" may only narrow what the template has: api.openai.com",
        ),
    ] {
        let body = json!({"type": "template", "config": config});
        refused(app.backend().post("/api/v1/secret/create", body.clone()).await, message);
        refused(secret::update(&app.backend(), &id, body).await, message);
    }
    assert_eq!(secret::fetch(&app.backend(), &id).await["config"], good);
}

/// The clients' secrets are those of the account, and kept like all others.
#[tokio::test]
async fn the_client_that_a_template_is_used_with_is_masked_and_kept() {
    let app = TestApp::new().await;
    let second = format!("{CANARY}2");
    let config = json!({"template": "gmail", "clientId": "c", "clientSecrets": [CANARY, second]});
    let id = template(&app.backend(), "personal", config.clone()).await;
    let mut masked = config.clone();
    masked["clientSecrets"] = json!(["********", "********"]);
    assert_eq!(secret::fetch(&app.backend(), &id).await["config"], masked);
    let rotated = format!("{CANARY}3");
    masked["clientSecrets"][0] = json!(rotated);
    secret::update(&app.backend(), &id, json!({"config": masked})).await.ok();
    let (_, [_, stored]) = app.open_secret(&id).await;
    let stored: Value = serde_json::from_str(&stored.unwrap()).unwrap();
    assert_eq!(stored["clientSecrets"], json!([rotated, second]));
}

const LIST: &str = "/api/v1/platform/secret/list";
const SEARCH: &str = "/api/v1/platform/secret/search";

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_catalogue_is_listed_page_by_page_and_as_lines_in_either_order() {
    let app = TestApp::new().await;
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.agent().get(format!("{LIST}?order=asc&take=40&cursor={cursor}")).await.ok();
        if ids(&page).is_empty() {
            assert_eq!(page["cursor"], "");
            break;
        }
        listed.extend(ids(&page));
        cursor = page["cursor"].as_str().unwrap().to_owned();
        assert_eq!(Some(&cursor), listed.last());
    }
    let mut expected: Vec<_> = catalogue::all().iter().map(|template| &template.name).collect();
    assert!(listed.iter().eq(expected.iter().copied()), "{listed:?}");
    let lines = app.agent().get("/v1/platform/secret/list").header("Accept", "application/jsonl");
    let text = lines.await.text();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<_> = lines.map(|line| line["data"]["id"].as_str().unwrap().to_owned()).collect();
    expected.reverse();
    assert!(lines.iter().eq(expected), "{lines:?}");
    let filtered = app.agent().get(format!("{LIST}?meta.a=b")).await.ok();
    assert_eq!(filtered, json!({"items": [], "cursor": ""}));
}

#[tokio::test]
async fn a_listed_template_has_all_that_a_secret_needs_to_know() {
    let app = TestApp::new().await;
    let list = app.agent().get(format!("{LIST}?order=asc&take=1&cursor=zelda")).await.ok();
    let zendesk = json!({
        "id": "zendesk", "template": "zendesk", "name": "Zendesk",
        "description": "Tickets and users of a help desk.", "kind": "personal", "type": "oauth",
        "config": {
            "authorizationUrl": "https://((subdomain)).zendesk.com/oauth/authorizations/new",
            "tokenUrl": "https://((subdomain)).zendesk.com/oauth/tokens",
            "validateUrl": "https://((subdomain)).zendesk.com/api/v2/users/me.json",
            "scope": "read write", "hosts": ["((subdomain)).zendesk.com"],
        },
        "parameters": {"subdomain": {
            "description": "What your address has before .zendesk.com", "pattern": "label",
        }},
        "pkce": "supported",
        "documentation": "https://developer.zendesk.com/documentation/ticketing/working-with-oauth/creating-and-using-oauth-tokens-with-the-api/",
        "createdAt": 0, "updatedAt": 0,
    });
    assert_eq!(list["items"], json!([zendesk]));
}

#[tokio::test]
async fn a_search_finds_templates_by_name_by_what_is_alike_and_by_description() {
    let app = TestApp::new().await;
    let found = async |body: Value| ids(&app.agent().post(SEARCH, body).await.ok());
    assert_eq!(found(json!({"search": "Slack"})).await[..2], ["slack", "slack-token"]);
    assert_eq!(found(json!({"search": "dropbx"})).await, ["dropbox"]);
    assert_eq!(found(json!({"search": "spreadsheets"})).await, ["google-sheets"]);
    assert_eq!(found(json!({"search": "google calendar", "take": 1})).await, ["google-calendar"]);
    assert_eq!(found(json!({"search": "nothing of the kind"})).await, [""; 0]);
    let best = app.agent().post(SEARCH, json!({"search": "notion"})).await.ok()["items"][0].clone();
    assert_eq!((&best["score"], &best["excerpt"]), (&json!(1.0), &best["description"]));
    for (body, message) in [
        (json!({}), "\"search\" must have a word"),
        (json!({"search": " ,"}), "\"search\" must have a word"),
        (json!({"search": "x".repeat(256)}), "\"search\" must have at most 255 characters"),
        (json!({"search": "x", "take": 0}), "\"take\" must be a whole number from 1 to 100"),
        (json!({"search": "x", "take": "2"}), "\"take\" must be a whole number"),
        (json!({"search": "x", "more": 1}), "\"more\" is not allowed"),
    ] {
        refused(app.agent().post(SEARCH, body).await, message);
    }
}

#[tokio::test]
async fn the_catalogue_needs_a_key() {
    let app = TestApp::new().await;
    app.anonymous().get(LIST).await.error(401, "not_authenticated");
    app.anonymous().post(SEARCH, json!({"search": "x"})).await.error(401, "not_authenticated");
}

/// Generated from the catalogue: the table in `docs/templates.md`.
fn table() -> String {
    let row = |template: &catalogue::Template| {
        let parameters: Vec<_> = template.parameters.iter().map(parameter).collect();
        let name = format!("[{}]({})", template.title, template.documentation);
        let kind = format!("{} {}", template.kind.as_str(), template.secret_type.as_str());
        let description = &template.description;
        format!(
            "| `{}` | {name} | {kind} | {} | {description} |\n",
            template.name,
            parameters.join(", ")
        )
    };
    let head = "| template | provider | kind and type | parameters | |\n|---|---|---|---|---|\n";
    head.to_owned() + &catalogue::all().iter().map(row).collect::<String>()
}

fn parameter((name, parameter): (&String, &catalogue::Parameter)) -> String {
    match &parameter.default {
        Some(default) => format!("`{name}` ({default})"),
        None => format!("`{name}`"),
    }
}

/// Whoever changes the catalogue pastes what this prints.
#[test]
fn the_table_in_the_documentation_is_the_catalogue() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/templates.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(&table()), "docs/templates.md wants this table:\n\n{}", table());
}
