//! A provider that the tests script, and a secret of type oauth that is connected there.

use std::{fmt, sync::Arc, time::Duration};

use keyfob_server::clock::Clock;
use keyfob_testkit::{Client, Endpoint, IssuedGrant, Moment, Options, Provider};
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    call::{Call, Caller},
    connection::{connect, path, verified_contact},
    manual_clock::ManualClock,
    secret,
};

/// The provider reads the service's clock.
struct SameClock(Arc<ManualClock>);

impl fmt::Debug for SameClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SameClock")
    }
}

impl keyfob_testkit::Clock for SameClock {
    fn now(&self) -> Moment {
        Moment::from_millis(self.0.now().as_millis().cast_unsigned())
    }
}

/// The life of the tokens of a scene.
pub(crate) const LIFE: Duration = Duration::from_mins(10);

/// A service and a provider that know each other, and a contact with a personal secret.
pub(crate) struct Scene {
    pub(crate) app: TestApp,
    pub(crate) provider: Provider,
    pub(crate) contact: String,
    pub(crate) secret: String,
}

/// The config of a client of this provider.
pub(crate) fn config(provider: &Provider) -> Value {
    json!({
        "clientId": "app",
        "clientSecret": "app-secret",
        "authorizationUrl": provider.url("/authorize?prompt=consent&x=%2F"),
        "tokenUrl": provider.url("/token"),
        "revokeUrl": provider.url("/revoke"),
        "scope": "read write",
    })
}

/// What `connect` takes of a grant.
pub(crate) fn tokens(grant: &IssuedGrant) -> Value {
    json!({
        "accessToken": grant.access_token,
        "refreshToken": grant.refresh_token,
        "expiresAt": grant.expires_at.as_millis(),
    })
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A scene whose provider has other habits.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let app = TestApp::new().await;
        app.guard().know_tokens();
        let mut options = Options::default()
            .with_client(Client::confidential("app", "app-secret"))
            .with_clock(SameClock(Arc::clone(&app.clock)));
        options.access_token_life = LIFE;
        options.auto_approve = true;
        change(&mut options);
        let provider = Provider::start(options).await.unwrap();
        let backend = app.backend();
        let contact = verified_contact(&backend).await;
        let body = json!({"kind": "personal", "type": "oauth", "name": "Mail", "config": config(&provider)});
        let secret = secret::create(&backend, body).await;
        Self { app, provider, contact, secret }
    }

    /// A scene whose contact has a grant already.
    pub(crate) async fn connected() -> (Self, IssuedGrant) {
        Self::connected_with(|_| ()).await
    }

    pub(crate) async fn connected_with(change: impl FnOnce(&mut Options)) -> (Self, IssuedGrant) {
        let scene = Self::with(change).await;
        let grant = scene.import(LIFE).await;
        (scene, grant)
    }

    /// Gives the contact a grant that the provider has issued.
    pub(crate) async fn import(&self, life: Duration) -> IssuedGrant {
        let grant = self.provider.issue_grant("app", life).unwrap();
        let mut body = tokens(&grant);
        body["scopes"] = json!(["read", "write"]);
        connect(&self.app.backend(), &self.contact, &self.secret, body).await.ok();
        grant
    }

    /// Makes a shared secret with this value.
    pub(crate) async fn share(&self, value: &Value) -> String {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let body = json!({"type": "oauth", "value": value, "config": config(&self.provider)});
        secret::create(&self.app.backend(), body).await
    }

    /// Sends the secret its config with these changes.
    pub(crate) fn configure(&self, changes: &Value) -> Call {
        let mut config = config(&self.provider);
        let changes = changes.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(changes);
        secret::update(&self.app.backend(), &self.secret, json!({"config": config}))
    }

    pub(crate) fn call(&self, caller: &Caller, action: &str) -> Call {
        caller.post(path(&self.contact, &self.secret, action), json!({}))
    }

    /// The token that a backend gets.
    pub(crate) async fn token(&self) -> String {
        self.token_of(&self.app.backend()).await
    }

    pub(crate) async fn token_of(&self, caller: &Caller) -> String {
        let minted = self.call(caller, "mint").await.ok();
        minted["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn verify(&self) -> Value {
        self.call(&self.app.agent(), "verify").await.ok()
    }

    /// Moves the clock on until tokens of [`LIFE`] have ended.
    pub(crate) fn outlive(&self) {
        self.app.clock.advance(LIFE);
    }

    /// Moves the clock on until tokens of [`LIFE`] have only this left.
    pub(crate) fn outlive_but(&self, left: Duration) {
        self.app.clock.advance(LIFE.checked_sub(left).unwrap());
    }

    /// How often the token endpoint was asked.
    pub(crate) fn asked(&self) -> usize {
        self.provider.ledger().at(Endpoint::Token).count()
    }

    /// Ends when the token endpoint was asked so often.
    pub(crate) async fn until_asked(&self, times: usize) {
        let asked = self.provider.until(|ledger| ledger.at(Endpoint::Token).count() >= times);
        asked.await.unwrap();
    }

    /// The results of the renewals so far, and why.
    pub(crate) async fn renewals(&self) -> Vec<(String, String)> {
        let events = self.app.events().await.into_iter();
        let renewals = events.filter(|event| event.action == "connection.refresh");
        renewals.map(|event| (event.result, event.reason.unwrap_or_default())).collect()
    }
}
