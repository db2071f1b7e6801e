//! Secrets whose grants come from a scripted provider.

use std::time::Duration;

use keyfob_server::jobs;
use keyfob_testkit::{Client, IssuedGrant, Options, Provider};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    app::TestApp,
    call::Caller,
    connection::{connect, verified_contact},
    secret,
};

/// A provider that knows the client `app` by its secret.
pub(crate) async fn provider() -> Provider {
    let client = Client::confidential("app", "app-secret");
    Provider::start(Options::default().with_client(client)).await.unwrap()
}

/// The config of a secret at that provider, with what `more` says otherwise.
pub(crate) fn config(provider: &Provider, more: Value) -> Value {
    let mut config = json!({
        "clientId": "app", "clientSecret": "app-secret", "tokenUrl": provider.url("/token"),
        "authorizationUrl": provider.url("/authorize"), "revokeUrl": provider.url("/revoke"),
    });
    let Value::Object(more) = more else { panic!("{more} is no object") };
    config.as_object_mut().unwrap().extend(more);
    config
}

/// A personal secret with this config.
pub(crate) async fn personal(caller: &Caller, config: Value) -> String {
    secret::create(caller, json!({"kind": "personal", "type": "oauth", "config": config})).await
}

/// A grant of the provider's, whose tokens the guard looks for from now on.
pub(crate) fn grant(app: &TestApp, provider: &Provider, client: &str) -> IssuedGrant {
    let grant = provider.issue_grant(client, Duration::from_hours(1)).unwrap();
    app.guard().know_totp(&grant.access_token);
    app.guard().know_totp(&grant.refresh_token);
    grant
}

/// What `connect` takes of a grant.
pub(crate) fn tokens(grant: &IssuedGrant) -> Value {
    json!({"accessToken": grant.access_token, "refreshToken": grant.refresh_token})
}

/// A new contact that has connected the secret with a new grant of the client `app`.
pub(crate) async fn connected(
    app: &TestApp,
    caller: &Caller,
    provider: &Provider,
    secret: &str,
) -> (String, IssuedGrant) {
    let (contact, grant) = (verified_contact(caller).await, grant(app, provider, "app"));
    connect(caller, &contact, secret, tokens(&grant)).await.ok();
    (contact, grant)
}

/// The background work of a service, until it is dropped.
pub(crate) struct Jobs(JoinHandle<()>);

impl Jobs {
    pub(crate) fn of(app: &TestApp) -> Self {
        Self(tokio::spawn(jobs::run(app.broker().clone(), None)))
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.0.abort();
    }
}
