//! Connecting at a provider: from the link's page there and back (`/secrets/oauth/callback`).

use keyfob_testkit::{Client, Endpoint, Fault};
use serde_json::{Value, json};
use url::Url;

use crate::{
    app::PUBLIC_URL,
    authentication::state,
    call::Answer,
    connect_page::{Browser, shows},
    scene::{LIFE, Scene, config},
    secret,
};

/// A new link of the scene's contact.
pub(crate) async fn link(scene: &Scene) -> String {
    let answer = scene.call(&scene.app.agent(), "authenticate").await.ok();
    format!("/connect/{}", state(&answer["url"]))
}

/// Where the page leads.
fn onward(page: &Answer) -> Url {
    shows(page, 200, &["On to 127.0.0.1"]);
    let text = page.text();
    let (_, rest) = text.split_once("content=\"0; url=").unwrap();
    let url = rest.split_once('"').unwrap().0.replace("&#38;", "&").replace("&amp;", "&");
    Url::parse(&url).unwrap()
}

/// Presses the button that leads to the provider.
pub(crate) async fn go_on(browser: &mut Browser, link: &str) -> Url {
    onward(&browser.submit(link, &[("do", "continue")]).await)
}

/// Where the provider sends a person back to who agrees.
#[expect(clippy::disallowed_methods, reason = "a person's browser is not Keyfob's way out")]
pub(crate) async fn agree(url: &Url) -> String {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    let answer = client.get(url.clone()).send().await.unwrap();
    let back = answer.headers()["location"].to_str().unwrap();
    back.strip_prefix(PUBLIC_URL).unwrap().to_owned()
}

/// Goes to the provider, agrees, and comes back.
async fn connect(scene: &Scene) -> (Browser, String) {
    let link = link(scene).await;
    let mut browser = Browser::new(&scene.app);
    let url = go_on(&mut browser, &link).await;
    // So that events have an order.
    scene.app.clock.advance_seconds(1);
    let back = agree(&url).await;
    (browser, back)
}

async fn results(scene: &Scene) -> Vec<(String, String)> {
    let events = scene.app.events().await.into_iter();
    let connects = events.filter(|event| event.action == "connection.connect");
    connects.map(|event| (event.result, event.reason.unwrap_or_default())).collect()
}

#[tokio::test]
async fn a_person_agrees_at_the_provider_and_the_agent_can_use_it() {
    let scene = Scene::new().await;
    let link = link(&scene).await;
    let mut browser = Browser::new(&scene.app);
    let page = browser.open(&link).await;
    shows(&page, 200, &["Connect Mail", "Continue to 127.0.0.1", "<li>read</li><li>write</li>"]);
    let url = go_on(&mut browser, &link).await;
    let query: std::collections::BTreeMap<String, String> =
        url.query_pairs().into_owned().collect();
    assert_eq!(query["prompt"], "consent", "the URL's own query stays");
    assert_eq!(query["redirect_uri"], format!("{PUBLIC_URL}/secrets/oauth/callback"));
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["scope"], "read write");
    assert_ne!(format!("/connect/{}", query["state"]), link, "the provider never sees the link");
    scene.app.clock.advance_seconds(1);
    let back = agree(&url).await;
    let done = browser.open(&back).await;
    shows(&done, 200, &["Mail is connected"]);
    let token = scene.token().await;
    assert!(scene.provider.is_valid(&token));
    let verified = scene.verify().await;
    assert_eq!(
        (&verified["status"], &verified["scopes"]),
        (&json!("authenticated"), &json!(["read", "write"]))
    );
    let told: Vec<_> = results(&scene).await.into_iter().map(|(result, _)| result).collect();
    assert_eq!(told, ["started", "ok"]);
    // And it stays connected.
    scene.outlive();
    assert!(scene.provider.is_valid(&scene.token().await));
}

#[tokio::test]
async fn a_client_has_its_own_tokens_without_a_person() {
    let scene = Scene::new().await;
    let mut config = config(&scene.provider);
    config["grantType"] = json!("client_credentials");
    let id = secret::create(&scene.app.backend(), json!({"type": "oauth", "config": config})).await;
    for round in 1..=3 {
        let call = scene.app.agent().post(secret::path(&id, "verify"), json!({}));
        let verified = call.await.ok();
        assert_eq!(
            (&verified["status"], &verified["action"]),
            (&json!("authenticated"), &Value::Null)
        );
        let call = scene.app.backend().post(secret::path(&id, "mint"), json!({}));
        assert!(scene.provider.is_valid(call.await.ok()["token"].as_str().unwrap()));
        assert_eq!(scene.asked(), round);
        scene.outlive();
    }
    let call = scene.app.agent().post(secret::path(&id, "authenticate"), json!({}));
    call.await.error(409, "not_connectable");
}

/// Whatever goes wrong, a page says so, an event tells why, and what was connected before goes on to work.
#[tokio::test]
async fn what_goes_wrong_at_the_provider_is_shown_and_told_and_harms_nothing() {
    let scene = Scene::new().await;
    let before = scene.import(LIFE).await;
    for (fault, status, code) in [
        (Fault::false_invalid_grant(), 400, "invalid_grant"),
        (Fault::invalid_client(), 400, "invalid_client"),
        (Fault::internal_error(), 502, "HTTP 500"),
        (Fault::DropBefore, 502, "did not answer as it should"),
        (Fault::malformed_json(), 502, "HTTP 200"),
    ] {
        let (mut browser, back) = connect(&scene).await;
        scene.provider.script(Endpoint::Token, fault);
        let page = browser.open(&back).await;
        shows(&page, status, &["Mail is not connected", "Nothing was stored", "data-error="]);
        let (result, reason) = results(&scene).await.pop().unwrap();
        assert!(result == "failed" && reason.contains(code), "{code}: {result}: {reason}");
        assert_eq!(scene.token().await, before.access_token);
    }
}

#[tokio::test]
async fn a_person_who_says_no_at_the_provider_has_declined() {
    let scene = Scene::new().await;
    let before = scene.import(LIFE).await;
    let link = link(&scene).await;
    let mut browser = Browser::new(&scene.app);
    let url = go_on(&mut browser, &link).await;
    scene.app.clock.advance_seconds(1);
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let back = format!("/secrets/oauth/callback?error=access_denied&state={state}");
    shows(&browser.open(&back).await, 200, &["You declined", "data-error=\"access_denied\""]);
    assert_eq!(results(&scene).await.pop().unwrap().0, "declined");
    shows(&browser.open(&link).await, 410, &["You declined"]);
    shows(&browser.open(&back).await, 410, &[]);
    assert_eq!(scene.token().await, before.access_token);
}

#[tokio::test]
async fn an_error_of_the_provider_is_named_and_the_link_can_be_used_again() {
    let scene = Scene::new().await;
    let link = link(&scene).await;
    let mut browser = Browser::new(&scene.app);
    let url = go_on(&mut browser, &link).await;
    scene.app.clock.advance_seconds(1);
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let back =
        format!("/secrets/oauth/callback?error=invalid_scope&error_description=x&state={state}");
    let page = browser.open(&back).await;
    shows(&page, 400, &["127.0.0.1 refused: invalid_scope.", "data-error=\"invalid_scope\""]);
    assert_eq!(results(&scene).await.pop().unwrap().1, "the provider refused: invalid_scope (x)");
    let url = go_on(&mut browser, &link).await;
    let back = agree(&url).await;
    shows(&browser.open(&back).await, 200, &["Mail is connected"]);
}

#[tokio::test]
async fn an_answer_works_once_in_the_browser_that_asked_and_with_its_state() {
    let scene = Scene::new().await;
    let (mut browser, back) = connect(&scene).await;
    let stranger = Browser::new(&scene.app).open(&back).await;
    shows(&stranger, 403, &["Open in another browser"]);
    let (path, query) = back.split_once('?').unwrap();
    for query in [
        "code=x".to_owned(),
        "code=x&state=".to_owned(),
        format!("code=x&state={}", "A".repeat(43)),
        format!("{query}&state=again"),
        String::new(),
    ] {
        let page = browser.open(&format!("{path}?{query}")).await;
        shows(&page, 404, &["This link does not work"]);
    }
    shows(&browser.open(&back).await, 200, &["Mail is connected"]);
    let token = scene.token().await;
    shows(&browser.open(&back).await, 410, &["Connected already"]);
    assert_eq!(scene.token().await, token);
    assert_eq!(scene.provider.ledger().at(Endpoint::Token).count(), 1, "the code was sent once");
}

#[tokio::test]
async fn of_an_answer_that_comes_twice_at_once_one_counts() {
    let scene = Scene::new().await;
    let (browser, back) = connect(&scene).await;
    let calls = (0..10).map(|_| browser.caller.get(&back).into_future());
    let pages = futures_util::future::join_all(calls).await;
    let connected = pages.iter().filter(|page| page.status == 200).count();
    assert_eq!(connected, 1);
    assert_eq!(scene.asked(), 1);
    assert!(scene.provider.is_valid(&scene.token().await));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_changes_nothing_and_is_told() {
    let scene = Scene::new().await;
    let before = scene.import(100 * LIFE).await;
    let (mut browser, back) = connect(&scene).await;
    scene.app.clock.advance_seconds(900);
    shows(&browser.open(&back).await, 410, &["This link has expired"]);
    let (result, reason) = results(&scene).await.pop().unwrap();
    assert_eq!((result.as_str(), reason.as_str()), ("refused", "the link has expired"));
    assert_eq!(scene.asked(), 0);
    assert_eq!(scene.token().await, before.access_token);
}

/// A server that answers for another one mixes them up (RFC 9207).
#[tokio::test]
async fn an_answer_from_another_issuer_is_refused() {
    let scene = Scene::new().await;
    scene.configure(&json!({"issuer": "https://other.example.com"})).await.ok();
    let (mut browser, back) = connect(&scene).await;
    assert!(back.contains("&iss="), "{back}");
    shows(&browser.open(&back).await, 400, &["Mail is not connected", "Nothing was stored"]);
    assert_eq!(results(&scene).await.pop().unwrap().0, "failed");
    assert_eq!(scene.asked(), 0, "the code is not sent");
}

/// Without metadata, and where the config does not say it, what the answer says of itself is taken.
#[tokio::test]
async fn an_issuer_that_nobody_can_know_is_taken() {
    let scene = Scene::new().await;
    let (mut browser, back) = connect(&scene).await;
    assert!(back.contains("&iss="), "{back}");
    shows(&browser.open(&back).await, 200, &["Mail is connected"]);
}

/// Whoever asks again at a link is waiting for the newer answer.
#[tokio::test]
async fn of_two_requests_at_one_link_the_later_one_counts() {
    let scene = Scene::new().await;
    let link = link(&scene).await;
    let mut browser = Browser::new(&scene.app);
    let [first, second] = [go_on(&mut browser, &link).await, go_on(&mut browser, &link).await];
    let back = agree(&first).await;
    shows(&browser.open(&back).await, 404, &["This link does not work"]);
    let back = agree(&second).await;
    shows(&browser.open(&back).await, 200, &["Mail is connected"]);
}

/// What was obtained for a link that was withdrawn meanwhile must not stay alive at the provider.
#[tokio::test]
async fn a_grant_that_nobody_waits_for_any_more_is_queued_to_be_revoked() {
    let scene = Scene::new().await;
    let (browser, back) = connect(&scene).await;
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let call = tokio::spawn(browser.caller.get(&back).into_future());
    scene.until_asked(1).await;
    scene.call(&scene.app.backend(), "revoke").await.ok();
    scene.provider.release();
    shows(&call.await.unwrap(), 410, &["This link was withdrawn"]);
    let verified = scene.verify().await;
    assert_eq!(verified["status"], "unauthenticated");
    let queued = scene.app.database().number("SELECT count(*) FROM revocation");
    assert_eq!(queued, 1);
}

/// To many providers it is the same grant as that which is connected: both would end.
#[tokio::test]
async fn a_grant_that_comes_too_late_is_not_revoked_beside_a_connection_that_works() {
    let scene = Scene::new().await;
    let before = scene.import(100 * LIFE).await;
    let (browser, back) = connect(&scene).await;
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let call = tokio::spawn(browser.caller.get(&back).into_future());
    scene.until_asked(1).await;
    scene.app.clock.advance_seconds(900);
    scene.provider.release();
    shows(&call.await.unwrap(), 410, &["This link has expired"]);
    assert_eq!(scene.app.database().number("SELECT count(*) FROM revocation"), 0);
    assert_eq!(scene.token().await, before.access_token);
}

#[tokio::test]
async fn the_form_of_the_first_page_must_come_from_it() {
    let scene = Scene::new().await;
    let link = link(&scene).await;
    let mut browser = Browser::new(&scene.app);
    browser.open(&link).await;
    shows(&browser.send(&link, "x.y", &[("do", "continue")]).await, 403, &["Nothing was stored"]);
    let mut other = Browser::new(&scene.app);
    go_on(&mut browser, &link).await;
    let page = other.open(&link).await;
    shows(&page, 403, &["Open in another browser"]);
}

/// The answers of the providers there are.
#[tokio::test]
async fn answers_in_every_shape_are_understood() {
    use keyfob_testkit::AnswerStyle;
    for style in
        [AnswerStyle::Json, AnswerStyle::Form, AnswerStyle::TextNumbers, AnswerStyle::SlackUser]
    {
        let scene = Scene::with(|options| options.answer_style = style).await;
        let (mut browser, back) = connect(&scene).await;
        shows(&browser.open(&back).await, 200, &["Mail is connected"]);
        for _ in 0..3 {
            assert!(scene.provider.is_valid(&scene.token().await), "{style:?}");
            scene.outlive();
        }
        assert_eq!(scene.asked(), 3);
    }
}

/// Each way in which a client can prove who it is, at the exchange and at each renewal (W8).
#[tokio::test]
async fn clients_prove_who_they_are_in_every_way() {
    use keyfob_testkit::AuthMethod;
    for (method, client) in [
        ("client_secret_post", json!({"clientSecret": "app-secret"})),
        ("client_secret_basic", json!({"clientSecret": "app-secret"})),
        ("none", json!({"clientId": "public"})),
        (
            "private_key_jwt",
            json!({"clientId": "signing", "clientKey": KEY, "clientKeyAlgorithm": "ES256", "clientKeyId": "k1"}),
        ),
    ] {
        let scene = Scene::with(|options| {
            options.clients.push(Client::public("public"));
            options.clients.push(Client::signing(
                "signing",
                keyfob_testkit::Algorithm::ES256,
                PUBLIC_KEY,
            ));
        })
        .await;
        let mut config = config(&scene.provider);
        config.as_object_mut().unwrap().remove("clientSecret");
        config["tokenEndpointAuthMethod"] = json!(method);
        for (name, value) in client.as_object().unwrap() {
            config[name] = value.clone();
        }
        secret::update(&scene.app.backend(), &scene.secret, json!({"config": config})).await.ok();
        let (mut browser, back) = connect(&scene).await;
        shows(&browser.open(&back).await, 200, &["Mail is connected"]);
        scene.outlive();
        assert!(scene.provider.is_valid(&scene.token().await));
        let ledger = scene.provider.ledger();
        let used: Vec<_> = ledger.at(Endpoint::Token).filter_map(|it| it.auth_method).collect();
        let expected: AuthMethod = serde_json::from_value(json!(method)).unwrap();
        assert_eq!(used, [expected; 2]);
    }
}

const KEY: &str = include_str!("keys/es256.pem");
const PUBLIC_KEY: &str = include_str!("keys/es256.pub.pem");

/// W2: the tokens never pass through the browser.
#[tokio::test]
async fn no_token_is_in_a_url_or_a_page() {
    let scene = Scene::new().await;
    let (mut browser, back) = connect(&scene).await;
    assert!(!back.contains("at-f") && !back.contains("rt-f"), "{back}");
    let done = browser.open(&back).await;
    assert!(!done.text().contains("at-f") && !done.text().contains("rt-f"));
    assert!(done.headers.values().all(|value| !value.to_str().unwrap().contains("at-f")));
}
