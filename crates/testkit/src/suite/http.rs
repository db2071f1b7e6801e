//! A broker that speaks Keyfob's API: secrets of type `oauth`, contacts, and `connect`, `mint`, `refresh`,
//! `verify` and `revoke` of what a contact has connected.

use std::{
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use super::broker::{Broker, Definition, Failed, State};
use crate::{
    clock::{Clock, SystemClock},
    provider::IssuedGrant,
};

/// The longest that a call is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// A broker that is reached over HTTP, at one address for each of its nodes.
#[derive(Debug)]
pub struct HttpBroker {
    http: reqwest::Client,
    nodes: RwLock<Vec<String>>,
    token: String,
    made: AtomicU64,
}

/// A contact, and the secret whose grant it has.
#[derive(Clone, Debug)]
pub struct ContactSecret {
    contact: String,
    secret: String,
}

impl ContactSecret {
    fn path(&self, action: &str) -> String {
        format!("/api/v1/contact/{}/secret/{}/{action}", self.contact, self.secret)
    }
}

impl HttpBroker {
    /// A broker at these addresses, such as `http://127.0.0.1:7117`, asked with the token of a key that may
    /// define secrets, make contacts and mint.
    pub fn new(nodes: Vec<String>, token: &str) -> Result<Self, reqwest::Error> {
        #[expect(clippy::disallowed_methods, reason = "the suite is a caller of the broker")]
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()?;
        let (nodes, token) = (RwLock::new(nodes), token.to_owned());
        Ok(Self { http, nodes, token, made: AtomicU64::new(0) })
    }

    /// Says where a node is that was started again.
    pub fn set_node(&self, node: usize, url: &str) {
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = nodes.get_mut(node) {
            url.clone_into(place);
        }
    }

    fn url(&self, node: usize) -> String {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.get(node % nodes.len().max(1)).cloned().unwrap_or_default()
    }

    async fn ask(&self, node: usize, path: &str, body: &Value) -> Result<Value, Failed> {
        let request = self.http.post(format!("{}{path}", self.url(node)));
        let broken = |error: reqwest::Error| Failed::Unreachable(error.to_string());
        let sent = request.bearer_auth(&self.token).json(body).send().await;
        let answer = sent.map_err(broken)?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(broken)?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let message = || body["message"].as_str().unwrap_or(&text).to_owned();
        match (status, body["error"].as_str()) {
            (200, _) => Ok(body),
            (503, _) => Err(Failed::Later(message())),
            (409, Some("authorization_required")) => Err(Failed::Ended(message())),
            _ => Err(Failed::Unexpected(format!("{path} answered {status}: {}", message()))),
        }
    }

    /// Asks one node after the other, until one answers.
    async fn ask_any(&self, path: &str, body: &Value) -> Result<Value, Failed> {
        let mut answer = Err(Failed::Unreachable("it has no nodes".into()));
        for node in 0..self.nodes() {
            answer = self.ask(node, path, body).await;
            if !matches!(answer, Err(Failed::Unreachable(_))) {
                break;
            }
        }
        answer
    }

    async fn create(&self, path: &str, body: &Value) -> Result<String, Failed> {
        let made = self.ask_any(path, body).await?;
        text(&made, "id")
    }
}

fn text(body: &Value, name: &str) -> Result<String, Failed> {
    let text = body[name].as_str().map(str::to_owned);
    text.ok_or_else(|| Failed::Unexpected(format!("an answer has no \"{name}\"")))
}

fn config(definition: &Definition) -> Value {
    let mut config = json!({
        "clientId": definition.client_id,
        "tokenEndpointAuthMethod": definition.auth_method,
        "authorizationUrl": definition.authorization_url,
        "tokenUrl": definition.token_url,
        "revokeUrl": definition.revoke_url,
        "scope": "read",
    });
    if let [first, others @ ..] = &definition.client_secrets[..] {
        config["clientSecret"] = json!(first);
        if !others.is_empty() {
            config["clientSecrets"] = json!(others);
        }
    }
    config
}

impl Broker for HttpBroker {
    type Client = String;
    type Holder = ContactSecret;

    fn nodes(&self) -> usize {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    async fn define(&self, definition: &Definition) -> Result<String, Failed> {
        let name = format!("suite {}", definition.token_url);
        let config = config(definition);
        let body = json!({"name": name, "kind": "personal", "type": "oauth", "config": config});
        self.create("/api/v1/secret/create", &body).await
    }

    async fn hold(&self, client: &String, grant: &IssuedGrant) -> Result<ContactSecret, Failed> {
        let (number, now) = (self.made.fetch_add(1, Ordering::Relaxed), SystemClock.now());
        let body = json!({"name": format!("suite {number}"), "verifiedAt": now});
        let contact = self.create("/api/v1/contact/create", &body).await?;
        let holder = ContactSecret { contact, secret: client.clone() };
        self.replace(&holder, grant).await?;
        Ok(holder)
    }

    async fn replace(&self, holder: &ContactSecret, grant: &IssuedGrant) -> Result<(), Failed> {
        let body = json!({
            "accessToken": grant.access_token,
            "refreshToken": grant.refresh_token,
            "expiresAt": grant.expires_at,
        });
        self.ask_any(&holder.path("connect"), &body).await.map(drop)
    }

    async fn token(&self, node: usize, holder: &ContactSecret) -> Result<String, Failed> {
        let minted = self.ask(node, &holder.path("mint"), &json!({})).await?;
        text(&minted, "token")
    }

    async fn refresh(&self, node: usize, holder: &ContactSecret) -> Result<(), Failed> {
        self.ask(node, &holder.path("refresh"), &json!({})).await.map(drop)
    }

    async fn revoke(&self, holder: &ContactSecret) -> Result<(), Failed> {
        self.ask_any(&holder.path("revoke"), &json!({})).await.map(drop)
    }

    async fn state(&self, holder: &ContactSecret) -> Result<State, Failed> {
        let verified = self.ask_any(&holder.path("verify"), &json!({})).await?;
        let is_connected = text(&verified, "status")? == "authenticated";
        let reason = verified["reason"].as_str().unwrap_or_default().to_owned();
        Ok(State { is_connected, reason })
    }
}
