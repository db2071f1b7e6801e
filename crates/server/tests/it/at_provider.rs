//! A person who connects at a provider: what they have, and the way there and back.

use keyfob_testkit::{Endpoint, Fault, Options, Provider};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

use crate::{
    app::{PUBLIC_URL, TestApp},
    authentication::state,
    call::Answer,
    connect_page::Browser,
    connection::{path, verified_contact},
    secret,
};

/// A provider at which everybody agrees at once.
pub(crate) async fn provider() -> Provider {
    Provider::start(Options { auto_approve: true, ..Options::default() }).await.unwrap()
}

/// Lets the provider describe itself as `change` says, from now on.
pub(crate) fn describes(provider: &Provider, change: Value) {
    let at = |path| provider.url(path);
    let mut document = json!({
        "issuer": provider.issuer(),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "revocation_endpoint": at("/revoke"),
        "registration_endpoint": at("/register"),
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
    });
    let Value::Object(change) = change else { panic!("{change} is no object") };
    document.as_object_mut().unwrap().extend(change);
    provider.clear_script();
    let fault = Fault::status(200, "application/json", &document.to_string());
    provider.script(Endpoint::Metadata, fault).always();
}

/// A personal secret with this config.
pub(crate) async fn oauth(app: &TestApp, config: Value) -> String {
    let body = json!({"kind": "personal", "type": "oauth", "name": "Mail", "config": config});
    secret::create(&app.backend(), body).await
}

/// A new contact, and a link for them.
pub(crate) async fn link_to(app: &TestApp, secret: &str) -> (String, String) {
    let contact = verified_contact(&app.backend()).await;
    let answer = app.agent().post(path(&contact, secret, "authenticate"), json!({})).await.ok();
    let link = format!("/connect/{}", state(&answer["url"]));
    (contact, link)
}

impl Browser {
    /// Presses the button that leads to the provider.
    pub(crate) async fn go_on(&mut self, link: &str) -> Answer {
        self.submit(link, &[("do", "continue")]).await
    }

    /// Goes to the provider that a page leads to, agrees, and comes back.
    pub(crate) async fn go_there_and_back(&self, page: &Answer) -> Answer {
        self.caller.get(back(&there(page)).await).await
    }
}

/// Where a page leads.
#[track_caller]
pub(crate) fn there(page: &Answer) -> Url {
    let text = page.text();
    assert!(page.status == 200 && text.contains("On to "), "{text}");
    let (_, rest) = text.split_once("href=\"http").unwrap();
    let url = format!("http{}", rest.split_once('"').unwrap().0);
    url.replace("&#38;", "&").parse().unwrap()
}

/// Where the provider sends a person who agrees: a path with a query.
pub(crate) async fn back(url: &Url) -> String {
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let target = format!("{}?{}", url.path(), url.query().unwrap());
    let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let location = answer.lines().find_map(|line| line.strip_prefix("location: "));
    let location = location.unwrap_or_else(|| panic!("{answer}"));
    location.strip_prefix(PUBLIC_URL).unwrap().to_owned()
}

/// Goes all the way with a new contact; the last page.
pub(crate) async fn connects(app: &TestApp, secret: &str) -> Answer {
    let (_, link) = link_to(app, secret).await;
    let mut browser = Browser::new(app);
    let page = browser.go_on(&link).await;
    browser.go_there_and_back(&page).await
}

/// Why the newest event says that something failed.
pub(crate) async fn reason(app: &TestApp) -> String {
    let event = app.events().await.into_iter().rev().find(|event| event.result == "failed");
    event.unwrap().reason.unwrap()
}

/// How often the provider was asked there.
pub(crate) fn asked(provider: &Provider, endpoint: Endpoint) -> usize {
    provider.ledger().at(endpoint).count()
}
