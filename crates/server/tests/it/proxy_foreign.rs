//! Where a credential goes whose secret another account has defined. Whoever defines it changes its config as they
//! like; what a contact of another account has connected goes no further than that contact has agreed to.

use serde_json::{Value, json};

use crate::{
    authentication::state,
    call::{Call, Caller},
    connect_page::{Browser, proof, shows},
    connection::{connect, path, verified_contact},
    passed_on::{Back, Scene, TOKEN, ask, call},
    secret,
    upstream::{Speaks, Upstream, answer},
};

pub(crate) const THEIRS: &str = "kfb-their-token/77aa88bb99cc00dd";
pub(crate) const NEVER: &str = "409 authorization_required";
pub(crate) const OUTSIDE: &str = "400 invalid_destination";

/// A secret that one account has defined, and a contact of another one that has connected it.
pub(crate) struct Foreign {
    pub(crate) scene: Scene,
    /// A server of whoever defines the secret.
    pub(crate) evil: Upstream,
    pub(crate) other: Caller,
    pub(crate) contact: String,
}

impl Foreign {
    pub(crate) async fn new() -> Self {
        Self::with(json!({}), "public").await
    }

    /// With this in the config, and this visibility.
    async fn with(config: Value, visibility: &str) -> Self {
        let upstream = Upstream::start(Speaks::Clear, async |_| answer("hello")).await;
        let evil = Upstream::start(Speaks::Clear, async |_| answer("got it")).await;
        let scene = Scene::at(upstream, config.clone()).await;
        scene.app.guard().know_value(THEIRS);
        let other = scene.app.other_account().await;
        let contact = verified_contact(&other).await;
        let foreign = Self { scene, evil, other, contact };
        foreign.define(json!({"visibility": visibility})).await.ok();
        foreign.connect(&foreign.scene.secret).await.ok();
        foreign
    }

    /// Changes the secret, as its own account.
    pub(crate) fn define(&self, change: Value) -> Call {
        secret::update(&self.scene.app.backend(), &self.scene.secret, change)
    }

    /// Changes its config, beside the host of the server that it is for.
    async fn configure(&self, more: Value) {
        let mut config = json!({"hosts": [self.host()]});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.define(json!({"config": config})).await.ok();
    }

    pub(crate) fn connect(&self, secret: &str) -> Call {
        connect(&self.other, &self.contact, secret, json!({"value": THEIRS}))
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.scene.upstream.port())
    }

    pub(crate) fn evil_host(&self) -> String {
        format!("127.0.0.1:{}", self.evil.port())
    }

    pub(crate) fn evil_url(&self) -> String {
        format!("http://{}/", self.evil_host())
    }

    /// What comes of a request with what the other account's contact has connected.
    async fn sent(&self, method: &str, url: &str) -> String {
        self.sent_with(&self.scene.secret, method, url).await
    }

    pub(crate) async fn sent_with(&self, secret: &str, method: &str, url: &str) -> String {
        let body = json!({"url": url, "method": method});
        let in_json = ask(&self.other, &path(&self.contact, secret, "proxy"), &body).await;
        let in_path = format!("/proxy/{}/{secret}/{url}", self.contact);
        let in_path = call(&self.other, method, &in_path, &[], "").await;
        let [one, two] = [in_json, in_path].map(|back| came(&back));
        assert_eq!(one, two, "{method} {url}");
        one
    }

    async fn get(&self, url: &str) -> String {
        self.sent("GET", url).await
    }

    async fn is_sent_as_agreed(&self) {
        assert_eq!(self.get(&self.scene.url("/")).await, "200");
        assert_eq!(self.scene.got().headers["authorization"], format!("Bearer {THEIRS}"));
    }

    async fn explained(&self, url: &str) -> (bool, String) {
        explained(&self.other, &self.contact, &self.scene.secret, url).await
    }

    async fn verified(&self) -> Value {
        let path = path(&self.contact, &self.scene.secret, "verify");
        self.other.post(path, json!({})).await.ok()
    }
}

pub(crate) fn came(back: &Back) -> String {
    match back.status.as_u16() {
        200 => "200".to_owned(),
        status => format!("{status} {}", back.json()["error"].as_str().unwrap()),
    }
}

pub(crate) async fn explained(
    caller: &Caller,
    contact: &str,
    secret: &str,
    url: &str,
) -> (bool, String) {
    let to = format!("{}?dry_run=1", path(contact, secret, "proxy"));
    let told = ask(caller, &to, &json!({"url": url})).await.json();
    let reason = told["reason"].as_str().unwrap_or_default().to_owned();
    (told["allowed"].as_bool().unwrap(), reason)
}

/// Whoever defines a secret changes its hosts, and waits for the credentials of everybody who uses it.
#[tokio::test]
async fn who_defines_a_secret_gets_no_credential_of_another_accounts_contacts() {
    for visibility in ["public", "protected"] {
        let foreign = Foreign::with(json!({}), visibility).await;
        foreign.is_sent_as_agreed().await;
        let both = json!([foreign.host(), foreign.evil_host()]);
        for hosts in [both, json!([foreign.evil_host()])] {
            foreign.define(json!({"config": {"hosts": hosts}})).await.ok();
            assert_eq!(foreign.get(&foreign.evil_url()).await, NEVER, "{visibility} {hosts}");
            let (is_allowed, why) = foreign.explained(&foreign.evil_url()).await;
            assert!(!is_allowed && why.contains("not for this destination"), "{why}");
            // The definer's own contacts go where their own account says.
            let own = path(&foreign.scene.contact, &foreign.scene.secret, "proxy");
            let body = json!({"url": foreign.evil_url()});
            assert_eq!(ask(&foreign.scene.app.agent(), &own, &body).await.status, 200);
        }
        for came in foreign.evil.requests() {
            assert_eq!(came.headers["authorization"], format!("Bearer {TOKEN}"));
        }
        assert_eq!(foreign.evil.requests().len(), 2);
        // Where it may go now it is not agreed to, and where that was agreed to it may not go now.
        assert_eq!(foreign.get(&foreign.scene.url("/")).await, OUTSIDE);
        foreign.configure(json!({})).await;
        foreign.is_sent_as_agreed().await;
    }
}

#[tokio::test]
async fn what_is_not_sent_for_want_of_consent_is_told_with_a_link_and_in_the_trail() {
    let foreign = Foreign::new().await;
    foreign.define(json!({"config": {"hosts": [foreign.evil_host()]}})).await.ok();
    let body = json!({"url": foreign.evil_url()});
    let proxy = path(&foreign.contact, &foreign.scene.secret, "proxy");
    let back = ask(&foreign.other, &proxy, &body).await;
    let why = back.error(409, "authorization_required");
    assert!(why.contains("another account's") && why.contains("connect it anew"), "{why}");
    let link = format!("/connect/{}", state(&back.json()["url"]));
    shows(&Browser::new(&foreign.scene.app).open(&link).await, 200, &[&foreign.evil_host()]);
    let events = foreign.other.get("/api/v1/event/list?limit=50").await.ok();
    let told = events["items"].as_array().unwrap().iter();
    let told = told.filter(|event| event["action"] == "connection.proxy");
    let told: Vec<_> = told.map(|event| (&event["result"], &event["reason"])).collect();
    let [(result, reason)] = told[..] else { panic!("{told:?}") };
    assert_eq!(result, "refused");
    assert!(reason.as_str().unwrap().contains("connect it anew"), "{reason}");
}

/// Taking away counts from the next request on, and giving back what was agreed to needs nobody.
#[tokio::test]
async fn what_the_definer_takes_away_counts_at_once_and_what_it_adds_does_not() {
    let given = json!({"methods": ["GET", "POST"], "paths": ["/v1/"]});
    let foreign = Foreign::with(given.clone(), "public").await;
    let v1 = foreign.scene.url("/v1/x");
    let v2 = foreign.scene.url("/v2/x");
    for (config, method, url, expected) in [
        (given.clone(), "GET", &v1, "200"),
        (given.clone(), "POST", &v1, "200"),
        (given.clone(), "PUT", &v1, OUTSIDE),
        (given.clone(), "GET", &v2, OUTSIDE),
        (json!({"methods": ["GET"], "paths": ["/v1/"]}), "POST", &v1, OUTSIDE),
        (json!({"methods": ["GET"], "paths": ["/v1/"]}), "GET", &v1, "200"),
        (json!({"methods": ["GET"], "paths": ["/v1/y"]}), "GET", &v1, OUTSIDE),
        (json!({"hosts": ["elsewhere.example"]}), "GET", &v1, OUTSIDE),
        (json!({"hosts": []}), "GET", &v1, OUTSIDE),
        (json!({"paths": ["/v1/"]}), "PUT", &v1, NEVER),
        (json!({}), "PUT", &v1, NEVER),
        (json!({"methods": ["GET"]}), "GET", &v2, NEVER),
        (json!({"paths": ["/"]}), "GET", &v2, NEVER),
        (json!({"paths": ["/v1/", "/v2/"]}), "GET", &v2, NEVER),
        (json!({"paths": ["/v1/", "/v2/"]}), "GET", &v1, "200"),
        (json!({}), "POST", &v1, "200"),
        (given, "POST", &v1, "200"),
    ] {
        foreign.configure(config.clone()).await;
        assert_eq!(foreign.sent(method, url).await, expected, "{config} {method} {url}");
    }
}

/// A query is in logs of servers, and another header may be one that is passed on.
#[tokio::test]
async fn a_credential_that_would_go_elsewhere_in_a_request_goes_nowhere() {
    let foreign = Foreign::new().await;
    for changed in [
        json!({"inject": {"query": "key"}}),
        json!({"inject": {"header": "X-Forward"}}),
        json!({"inject": {"header": "Authorization", "prefix": "Bearer "}}),
        json!({"inject": {"basic": "username"}}),
    ] {
        foreign.configure(changed.clone()).await;
        assert_eq!(foreign.get(&foreign.scene.url("/")).await, NEVER, "{changed}");
        let (is_allowed, why) = foreign.explained(&foreign.scene.url("/")).await;
        assert!(!is_allowed && why.contains("where its credential goes in a request"), "{why}");
        let verified = foreign.verified().await;
        assert_eq!(verified["status"], "unauthenticated");
        assert!(verified["action"]["url"].is_string(), "{verified}");
        foreign.configure(json!({"inject": null})).await;
        foreign.is_sent_as_agreed().await;
        assert_eq!(foreign.verified().await["status"], "authenticated");
    }
}

#[tokio::test]
async fn a_pair_that_was_to_sign_is_never_shown_and_the_other_way_round() {
    let foreign = Foreign::new().await;
    let pair = json!({"username": "AKIDEXAMPLE", "password": THEIRS});
    let signing = |region: &str| json!({"hosts": [foreign.host()], "signing": "sigv4", "region": region, "service": "s3"});
    let body = json!({"kind": "personal", "type": "basic", "visibility": "public", "config": signing("eu-west-1")});
    let signs = secret::create(&foreign.scene.app.backend(), body).await;
    connect(&foreign.other, &foreign.contact, &signs, pair).await.ok();
    let url = foreign.scene.url("/");
    let get = async || foreign.sent_with(&signs, "GET", &url).await;
    assert_eq!(get().await, "200");
    for (config, expected) in [
        (json!({"hosts": [foreign.host()]}), NEVER),
        (signing("us-east-1"), NEVER),
        (signing("eu-west-1"), "200"),
    ] {
        let change =
            secret::update(&foreign.scene.app.backend(), &signs, json!({"config": config}));
        change.await.ok();
        assert_eq!(get().await, expected, "{config}");
    }
}

/// Connecting anew is agreeing to what the secret says now, by whatever way.
#[tokio::test]
async fn who_connects_anew_agrees_to_where_the_secret_goes_now() {
    let foreign = Foreign::new().await;
    let more =
        json!({"hosts": [foreign.host(), foreign.evil_host()], "inject": {"header": "X-Key"}});
    foreign.define(json!({"config": more})).await.ok();
    assert_eq!(foreign.get(&foreign.scene.url("/")).await, NEVER);
    foreign.connect(&foreign.scene.secret).await.ok();
    assert_eq!(foreign.get(&foreign.evil_url()).await, "200");
    assert_eq!(foreign.evil.requests().pop().unwrap().headers["x-key"], THEIRS);
    // And at a link, which shows it.
    foreign.configure(json!({"methods": ["GET"], "paths": ["/v1/", "/v2/"]})).await;
    let asked = foreign
        .other
        .post(path(&foreign.contact, &foreign.scene.secret, "authenticate"), json!({}));
    let link = format!("/connect/{}", state(&asked.await.ok()["url"]));
    let mut browser = Browser::new(&foreign.scene.app);
    let page = browser.open(&link).await;
    shows(&page, 200, &["Only with GET.", "Only to addresses that begin with /v1/, /v2/."]);
    // Not to what it says by the time that the form is sent.
    foreign.configure(json!({})).await;
    let fields = [("value", THEIRS)];
    let changed = browser.send(&link, &proof(&page), &fields).await;
    assert_ne!(changed.status, 200, "{}", changed.text());
    assert_eq!(foreign.get(&foreign.scene.url("/v1/")).await, NEVER);
    let page = browser.open(&link).await;
    assert!(!page.text().contains("Only"), "{}", page.text());
    shows(&browser.send(&link, &proof(&page), &fields).await, 200, &["is connected"]);
    foreign.is_sent_as_agreed().await;
    assert_eq!(foreign.get(&foreign.evil_url()).await, OUTSIDE);
}

/// What was connected before there were terms.
#[tokio::test]
async fn where_it_is_not_known_what_was_agreed_to_nothing_is_sent() {
    let foreign = Foreign::new().await;
    let own = &foreign.scene;
    own.app.database().execute("UPDATE connection SET terms = NULL");
    own.app.clock.advance_seconds(1);
    assert_eq!(foreign.get(&own.url("/")).await, NEVER);
    let verified = foreign.verified().await;
    assert_eq!(verified["status"], "unauthenticated");
    assert!(verified["reason"].as_str().unwrap().contains("not known"), "{verified}");
    assert_eq!(own.send(&own.app.agent(), json!({"url": own.url("/")})).await.status, 200);
    foreign.connect(&own.secret).await.ok();
    foreign.is_sent_as_agreed().await;
    // A secret that goes nowhere has nothing to agree to.
    own.app.database().execute("UPDATE connection SET terms = NULL");
    foreign.define(json!({"config": {}})).await.ok();
    assert_eq!(foreign.verified().await["status"], "authenticated");
}

/// What is sealed beside the value opens there only.
#[tokio::test]
async fn terms_that_were_copied_from_another_connection_do_not_open() {
    let foreign = Foreign::new().await;
    let second = verified_contact(&foreign.other).await;
    let secret = &foreign.scene.secret;
    foreign.define(json!({"config": {"hosts": [foreign.host(), foreign.evil_host()]}})).await.ok();
    connect(&foreign.other, &second, secret, json!({"value": THEIRS})).await.ok();
    foreign.scene.app.database().execute(&format!(
        "UPDATE connection SET terms = (SELECT terms FROM connection WHERE contact_id = '{second}')
         WHERE contact_id = '{}'",
        foreign.contact
    ));
    foreign.scene.app.clock.advance_seconds(1);
    let body = json!({"url": foreign.evil_url()});
    let back = ask(&foreign.other, &path(&foreign.contact, secret, "proxy"), &body).await;
    assert_eq!(back.status, 500, "{}", back.text());
    assert!(foreign.evil.requests().is_empty());
}
