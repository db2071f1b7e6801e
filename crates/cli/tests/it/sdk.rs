//! The Rust SDK against the binary: each of its methods does what it says.

use std::time::Duration;

use futures_util::TryStreamExt;
use keyfob_client::{
    Client, Error, ExposeSecret, Order, ProxyRequest,
    types::{
        Config, Connect, ContactFields, CreateTotp, SecretFields, UpdateAccount, UpdatePolicy,
        UpdateTotp,
    },
};
use keyfob_testkit::{Client as App, Options, Provider};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    api::Api,
    database::Kind,
    on_both_databases,
    process::{Server, keyfob, run},
    vault::Vault,
};

on_both_databases!(
    contacts_are_stored_found_changed_and_deleted,
    secrets_are_stored_found_changed_and_deleted,
    a_contacts_value_is_connected_looked_at_used_and_taken_away,
    a_shared_value_is_looked_at_and_taken_away,
    grants_are_taken_over_renewed_and_handed_out,
    codes_are_made_of_what_is_stored,
    a_create_that_is_sent_again_by_its_key_is_the_same_one,
    what_is_refused_says_why,
    the_key_goes_to_no_proxy_that_the_environment_names,
);

pub(crate) struct Scene {
    pub(crate) server: Server,
    vault: Vault,
    token: String,
    pub(crate) client: Client,
}

impl Scene {
    pub(crate) fn new(kind: Kind, role: &str) -> Self {
        let vault = Vault::new(kind);
        let server = vault.serve_with(&[("KEYFOB_EGRESS_ALLOW", "127.0.0.1")]);
        let token = vault.key(role).token;
        let client = client(&server, &token);
        Self { server, vault, token, client }
    }

    /// A contact that the account vouches for.
    pub(crate) async fn contact(&self) -> String {
        let verified_at = Some(Some(1_790_000_000_000));
        let fields = ContactFields { verified_at, ..ContactFields::default() };
        self.client.contacts().create(&fields).await.unwrap().id
    }

    async fn secret(&self, kind: &str, secret_type: &str, config: Value) -> String {
        let fields = SecretFields {
            kind: Some(kind.into()),
            secret_type: Some(secret_type.into()),
            config: config.as_object().cloned().map(Config),
            ..SecretFields::default()
        };
        self.client.secrets().create(&fields).await.unwrap().id
    }
}

pub(crate) fn client(server: &Server, token: &str) -> Client {
    Client::builder().base_url(&server.url).secret(token).build().unwrap()
}

/// A server that answers each request with its own head.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            let has = head.contains("authorization: bearer value-of-ann");
            let answer = format!("{} with the credential: {has}", head.lines().next().unwrap());
            let length = answer.len();
            let answer = format!(
                "HTTP/1.1 418 I'm a teapot\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{answer}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

async fn contacts_are_stored_found_changed_and_deleted(kind: Kind) {
    let scene = Scene::new(kind, "owner");
    let contacts = scene.client.contacts();
    let meta = json!({"team": "sales"}).as_object().cloned();
    let ann = ContactFields {
        fingerprint: Some("customer:00000042".into()),
        name: Some("Ann".into()),
        meta,
        ..ContactFields::default()
    };
    let id = contacts.ensure(&ann).await.unwrap().id;
    assert_eq!(contacts.ensure(&ann).await.unwrap().id, id);
    for number in 0..5 {
        let name = Some(format!("Number {number}"));
        contacts.create(&ContactFields { name, ..ContactFields::default() }).await.unwrap();
    }

    let page = contacts.list().take(2).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let names = async |all: keyfob_client::Items<keyfob_client::types::Contact>| {
        let mut names: Vec<_> = all.map_ok(|contact| contact.name).try_collect().await.unwrap();
        // Those of one millisecond are in no order.
        names.sort();
        names
    };
    let wanted = ["Ann", "Number 0", "Number 1", "Number 2", "Number 3", "Number 4"];
    assert_eq!(names(contacts.list().order(Order::Asc).take(2).items()).await, wanted);
    assert_eq!(names(contacts.list().order(Order::Asc).stream()).await, wanted);
    assert_eq!(names(contacts.export().order(Order::Asc).stream()).await, wanted);
    assert_eq!(names(contacts.list().meta("team", "sales").items()).await, ["Ann"]);
    assert_eq!(contacts.list().take(2).pages().try_collect::<Vec<_>>().await.unwrap().len(), 3);

    let one = scene.client.contact(&id);
    let change = ContactFields { nick: Some("annie".into()), ..ContactFields::default() };
    assert_eq!(one.update(&change).await.unwrap().id, id);
    let fetched = one.fetch().await.unwrap();
    assert_eq!((fetched.name.as_str(), fetched.nick.as_deref()), ("Ann", Some("annie")));
    assert_eq!(one.delete().await.unwrap().id, id);
    assert_eq!(one.fetch().await.unwrap_err().code(), Some("NOT_FOUND"));
}

async fn secrets_are_stored_found_changed_and_deleted(kind: Kind) {
    let scene = Scene::new(kind, "backend");
    let secrets = scene.client.secrets();
    let fields = SecretFields {
        alias: Some("weather".into()),
        name: Some("Weather API".into()),
        blueprint_id: Some("bp1".into()),
        kind: Some("personal".into()),
        secret_type: Some("bearer".into()),
        ..SecretFields::default()
    };
    let id = secrets.create(&fields).await.unwrap().id;
    scene.secret("shared", "plain", json!({})).await;
    assert_eq!(secrets.list().await.unwrap().items.len(), 2);
    let found = secrets.list().blueprint("bp1").stream().try_take(9).await.unwrap();
    assert_eq!((found.len(), found[0].id.as_str()), (1, id.as_str()));
    let change =
        SecretFields { description: Some("for forecasts".into()), ..SecretFields::default() };
    assert_eq!(secrets.update("@weather", &change).await.unwrap().id, id);
    let fetched = secrets.fetch("(Weather API)").await.unwrap();
    assert_eq!((fetched.id.as_str(), fetched.description.as_str()), (id.as_str(), "for forecasts"));
    assert_eq!(secrets.delete(&id).await.unwrap().id, id);
    assert_eq!(secrets.fetch(&id).await.unwrap_err().code(), Some("NOT_FOUND"));
}

async fn a_contacts_value_is_connected_looked_at_used_and_taken_away(kind: Kind) {
    let scene = Scene::new(kind, "owner");
    let upstream = echo().await;
    let host = upstream.strip_prefix("http://").unwrap();
    let secret = scene.secret("personal", "bearer", json!({ "hosts": [host] })).await;
    let origins = UpdateAccount {
        allowed_origins: Some(vec!["https://app.example.com".into()]),
        ..UpdateAccount::default()
    };
    scene.client.account().update(&origins).await.unwrap();
    let secrets = scene.client.contact(scene.contact().await).secrets();

    assert!(secrets.list().await.unwrap().items.is_empty());
    let connectable = secrets.list().with_unconnected().await.unwrap().items;
    assert_eq!((connectable.len(), connectable[0].status.as_str()), (1, "unauthenticated"));
    let verified = secrets.verify(&secret).await.unwrap();
    assert_eq!((verified.status.as_str(), verified.action.is_some()), ("unauthenticated", true));
    let link =
        secrets.authenticate(&secret).return_url("https://app.example.com/done").await.unwrap();
    assert!(link.url.expose_secret().starts_with(&format!("{}/connect/", scene.server.url)));
    let elsewhere = secrets.authenticate(&secret).return_url("https://elsewhere.example").await;
    assert_eq!(elsewhere.unwrap_err().status().unwrap().as_u16(), 400);
    let get = ProxyRequest::get(format!("{upstream}/a?b=c"));
    let refused = secrets.proxy(&secret, &get).await.unwrap_err();
    assert_eq!(refused.code(), Some("AUTHORIZATION_REQUIRED"));
    assert!(refused.authorization_url().is_some());

    let value = Connect { value: Some("value-of-ann".into()), ..Connect::default() };
    assert_eq!(secrets.connect(&secret, &value).await.unwrap().id, secret);
    assert_eq!(secrets.verify(&secret).await.unwrap().status, "authenticated");
    assert_eq!(secrets.list().stream().try_take(9).await.unwrap().len(), 1);
    let answer = secrets.proxy(&secret, &get).await.unwrap();
    assert_eq!(answer.status.as_u16(), 418);
    assert_eq!(answer.text(), "get /a?b=c http/1.1 with the credential: true");
    let post = ProxyRequest::post(format!("{upstream}/p"), "{}")
        .header("Content-Type", "application/json");
    assert!(secrets.proxy(&secret, &post).await.unwrap().text().starts_with("post /p"));
    let dry = secrets.proxy(&secret, &get).dry_run().await.unwrap();
    assert_eq!((dry.allowed, dry.request.headers["authorization"].as_str()), (true, "[redacted]"));
    let base = secrets.proxy_url(&secret, &upstream).unwrap();
    let streamed = Api::new(&base, &scene.token).get("/s").await;
    assert_eq!(streamed.text, "get /s http/1.1 with the credential: true");

    assert_eq!(secrets.revoke(&secret).await.unwrap().id, secret);
    assert_eq!(secrets.verify(&secret).await.unwrap().status, "unauthenticated");
}

async fn a_shared_value_is_looked_at_and_taken_away(kind: Kind) {
    let scene = Scene::new(kind, "backend");
    let upstream = echo().await;
    let host = upstream.strip_prefix("http://").unwrap();
    let id = scene.secret("shared", "bearer", json!({ "hosts": [host] })).await;
    let secrets = scene.client.secrets();
    assert_eq!(secrets.verify(&id).await.unwrap().status, "unauthenticated");
    assert_eq!(secrets.authenticate(&id).await.unwrap().id, id);
    let value = SecretFields { value: Some("value-of-ann".into()), ..SecretFields::default() };
    secrets.update(&id, &value).await.unwrap();
    assert_eq!(secrets.verify(&id).await.unwrap().status, "authenticated");
    let answer = secrets.proxy(&id, &ProxyRequest::get(format!("{upstream}/x"))).await.unwrap();
    assert_eq!(answer.text(), "get /x http/1.1 with the credential: true");
    assert_eq!(secrets.mint(&id).await.unwrap_err().code(), Some("NOT_MINTABLE"));
    assert_eq!(secrets.revoke(&id).await.unwrap().id, id);
    assert_eq!(secrets.verify(&id).await.unwrap().status, "unauthenticated");
}

async fn grants_are_taken_over_renewed_and_handed_out(kind: Kind) {
    let options = Options::default().with_client(App::confidential("app", "app-secret"));
    let provider = Provider::start(options).await.unwrap();
    let scene = Scene::new(kind, "backend");
    let config = |grant_type: &str| {
        json!({
            "clientId": "app", "clientSecret": "app-secret", "grantType": grant_type,
            "authorizationUrl": provider.url("/authorize"), "tokenUrl": provider.url("/token"),
        })
    };
    let secret = scene.secret("personal", "oauth", config("authorization_code")).await;
    let secrets = scene.client.contact(scene.contact().await).secrets();
    let grant = provider.issue_grant("app", Duration::from_mins(10)).unwrap();
    let handed = Connect {
        access_token: Some(grant.access_token.clone().into()),
        refresh_token: Some(grant.refresh_token.clone().into()),
        expires_at: i64::try_from(grant.expires_at.as_millis()).ok(),
        scopes: Some(json!("read write")),
        ..Connect::default()
    };
    secrets.connect(&secret, &handed).await.unwrap();
    assert_eq!(secrets.mint(&secret).await.unwrap().token.expose_secret(), grant.access_token);
    assert_eq!(secrets.refresh(&secret).await.unwrap().status, "authenticated");
    let renewed = secrets.mint(&secret).await.unwrap().token;
    assert_ne!(renewed.expose_secret(), grant.access_token);
    assert!(provider.is_valid(renewed.expose_secret()));
    secrets.revoke(&secret).await.unwrap();
    let ended = scene.client.revocations().list().await.unwrap().items;
    assert_eq!((ended.len(), ended[0].secret_id.as_str()), (1, secret.as_str()));
    assert!(scene.client.revocations().list().status("failed").await.unwrap().items.is_empty());

    let shared = scene.secret("shared", "oauth", config("client_credentials")).await;
    let first = scene.client.secrets().mint(&shared).await.unwrap().token;
    assert!(provider.is_valid(first.expose_secret()));
    assert_eq!(scene.client.secrets().refresh(&shared).await.unwrap().status, "authenticated");
}

async fn codes_are_made_of_what_is_stored(kind: Kind) {
    let scene = Scene::new(kind, "backend");
    let totp = scene.client.totp();
    let github = CreateTotp { label: Some("GitHub".into()), ..CreateTotp::default() };
    let made = totp.secrets().create(&github).await.unwrap().totp_secret;
    assert!(made.secret.is_some());
    let code = totp.get_code(&made.id).min_validity(3).include_next().await.unwrap();
    assert_eq!((code.code.len(), code.next_code.unwrap().len()), (6, 6));
    assert!(code.expires_in >= 3);
    totp.get_code(&made.id).unique().await.unwrap();
    let policy = UpdatePolicy { min_validity: Some(2), ..UpdatePolicy::default() };
    let change = UpdateTotp {
        label: Some("GitHub (bot)".into()),
        policy: Some(policy),
        ..UpdateTotp::default()
    };
    assert_eq!(
        totp.secrets().update(&made.id, &change).await.unwrap().totp_secret.label,
        "GitHub (bot)"
    );
    let fetched = totp.secrets().fetch(&made.id).await.unwrap().totp_secret;
    assert_eq!((fetched.policy.min_validity, fetched.secret.is_none()), (2, true));
    assert_eq!(totp.secrets().list().await.unwrap().totp_secrets.len(), 1);
    assert_eq!(totp.secrets().delete(&made.id).await.unwrap().status, "OK");
    let gone = totp.get_code(&made.id).await.unwrap_err();
    assert_eq!(gone.status().unwrap().as_u16(), 404);
    let key = scene.vault.key("agent");
    let pair = Client::builder().base_url(&scene.server.url).key_pair(key.id, key.secret);
    assert!(pair.build().unwrap().totp().secrets().list().await.unwrap().totp_secrets.is_empty());
}

async fn a_create_that_is_sent_again_by_its_key_is_the_same_one(kind: Kind) {
    let scene = Scene::new(kind, "backend");
    let create = |key| {
        let ann = ContactFields { name: Some("Ann".into()), ..ContactFields::default() };
        scene.client.contacts().create(&ann).idempotency_key(key)
    };
    let first = create("one").await.unwrap().id;
    assert_eq!(create("one").await.unwrap().id, first);
    assert_ne!(create("two").await.unwrap().id, first);
}

async fn what_is_refused_says_why(kind: Kind) {
    let scene = Scene::new(kind, "agent");
    let error =
        scene.client.contact("c0").fetch().header("x-request-id", "r-17").await.unwrap_err();
    assert_eq!((error.status().unwrap().as_u16(), error.code()), (403, Some("NOT_AUTHORIZED")));
    assert_eq!(error.request_id(), Some("r-17"));
    let stranger = client(&scene.server, "kft_unknown");
    let error = stranger.contacts().list().await.unwrap_err();
    assert_eq!(error.code(), Some("NOT_AUTHENTICATED"));
    let error = stranger.contacts().list().stream().try_next().await.unwrap_err();
    assert_eq!(error.code(), Some("NOT_AUTHENTICATED"));
    let Error::Refused(refusal) = error else { panic!("{error}") };
    assert!(!refusal.message.is_empty() && refusal.request_id.is_some());
}

async fn the_key_goes_to_no_proxy_that_the_environment_names(kind: Kind) {
    let scene = Scene::new(kind, "backend");
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut command = keyfob(&["contact", "list"]);
    command.env("KEYFOB_URL", &scene.server.url).env("KEYFOB_TOKEN", &scene.token);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, &url);
    }
    assert_eq!(run(command).status, Some(0));
    let asked = tokio::time::timeout(Duration::ZERO, proxy.accept());
    assert!(asked.await.is_err(), "the proxy was asked");
}
