//! `/connect/{state}`: which links work, in whose browser, how often and how long.

use serde_json::json;

use crate::{
    app::TestApp,
    authentication::state,
    connect_page::{Browser, link, proof, shows},
    connection::{path, verified_contact},
    contact,
    guard::CANARY,
    secret,
};

/// W2: what is handed over is in the body of one request, and nowhere else.
#[tokio::test]
async fn a_credential_is_in_no_address() {
    let app = TestApp::new().await;
    let (contact, secret, link) = link(&app, "plain").await;
    let page = Browser::new(&app).open(&format!("{link}?value={CANARY}&do=connect")).await;
    shows(&page, 200, &["<form method=\"post\">"]);
    assert!(app.open_connection(&contact, &secret).await.is_none());
    let done = Browser::new(&app).submit(&link, &[("value", CANARY)]).await;
    assert_eq!((done.status, done.header("location")), (200, ""));
}

/// W23: the state of a link is nothing else, and nothing else is one.
#[tokio::test]
async fn a_state_is_no_key_and_a_key_is_no_state() {
    let app = TestApp::new().await;
    let (contact, secret, link) = link(&app, "plain").await;
    let state = link.strip_prefix("/connect/").unwrap();
    let holder = app.anonymous().with("Authorization", &format!("Bearer {state}"));
    let verify = holder.post(path(&contact, &secret, "verify"), json!({}));
    verify.await.error(401, "not_authenticated");
    let key = app.key_of(keyfob_core::policy::Role::Owner);
    for text in [&key.token, &key.secret, &key.id, &contact, &secret] {
        let page = app.anonymous().get(format!("/connect/{text}")).await;
        shows(&page, 404, &["This link does not work"]);
    }
}

/// What a program opens that shows a preview of a link.
#[tokio::test]
async fn looking_at_a_link_changes_nothing() {
    let app = TestApp::new().await;
    let (_, _, link) = link(&app, "plain").await;
    let events = app.events().await.len();
    for method in ["GET", "HEAD", "GET"] {
        let answer = app.anonymous().call(method, &link, Vec::new()).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(app.events().await.len(), events);
    let page = Browser::new(&app).submit(&link, &[("value", CANARY)]).await;
    shows(&page, 200, &["is connected"]);
}

/// W1.
#[tokio::test]
async fn a_link_works_once() {
    let app = TestApp::new().await;
    let (contact, secret, link) = link(&app, "plain").await;
    let mut browser = Browser::new(&app);
    let proof = proof(&browser.open(&link).await);
    let send = |value| browser.send(&link, &proof, &[("value", value)]);
    shows(&send(CANARY).await, 200, &["is connected"]);
    shows(&send("something else").await, 410, &["Connected already"]);
    shows(&app.anonymous().get(&link).await, 410, &["Connected already"]);
    let (_, value) = app.open_connection(&contact, &secret).await.unwrap();
    assert_eq!(value, CANARY);
}

#[tokio::test]
async fn of_many_who_send_the_form_at_once_one_connects() {
    let app = TestApp::new().await;
    let (contact, secret, link) = link(&app, "plain").await;
    let mut browser = Browser::new(&app);
    let proof = proof(&browser.open(&link).await);
    let values: Vec<_> = (0..20).map(|n| format!("{CANARY}{n}")).collect();
    let sent = values.iter().map(|value| browser.send(&link, &proof, &[("value", value)]));
    let answers = futures_util::future::join_all(sent.map(IntoFuture::into_future)).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    let won = statuses.iter().position(|status| *status == 200).unwrap();
    let (_, value) = app.open_connection(&contact, &secret).await.unwrap();
    assert_eq!(value, values[won]);
    statuses.remove(won);
    assert!(statuses.iter().all(|status| *status == 410), "{statuses:?}");
}

/// W22: with the status of what it says.
#[tokio::test]
async fn a_link_ends_after_fifteen_minutes() {
    let app = TestApp::new().await;
    let (contact, secret, link) = link(&app, "plain").await;
    let mut browser = Browser::new(&app);
    app.clock.advance_seconds(15 * 60 - 1);
    let proof = proof(&browser.open(&link).await);
    app.clock.advance_seconds(1);
    shows(&browser.open(&link).await, 410, &["This link has expired"]);
    let sent = browser.send(&link, &proof, &[("value", CANARY)]).await;
    shows(&sent, 410, &["This link has expired"]);
    assert!(app.open_connection(&contact, &secret).await.is_none());
}

#[tokio::test]
async fn an_old_link_is_forgotten() {
    let app = TestApp::new().await;
    let (_, _, link) = link(&app, "plain").await;
    app.clock.advance_seconds(15 * 60 + 24 * 3600);
    assert_eq!(app.broker().forget_links().await.unwrap(), 0);
    shows(&app.anonymous().get(&link).await, 410, &["This link has expired"]);
    app.clock.advance_seconds(1);
    assert_eq!(app.broker().forget_links().await.unwrap(), 1);
    shows(&app.anonymous().get(&link).await, 404, &["This link does not work"]);
}

/// W1: a link that one browser has begun to use cannot be handed to somebody else.
#[tokio::test]
async fn a_link_belongs_to_the_browser_that_first_sent_its_form() {
    let app = TestApp::new().await;
    let (contact, secret, link) = link(&app, "basic").await;
    let (mut one, mut two) = (Browser::new(&app), Browser::new(&app));
    let proof_of_two = proof(&two.open(&link).await);
    let refused = one.submit(&link, &[("username", "a:b"), ("password", CANARY)]).await;
    let texts = ["Not stored", "the user name must not contain a colon", "aria-invalid=\"true\""];
    shows(&refused, 400, &texts);
    let fields = [("username", "ann"), ("password", CANARY)];
    for page in [two.open(&link).await, two.send(&link, &proof_of_two, &fields).await] {
        shows(&page, 403, &["Open in another browser"]);
    }
    shows(&Browser::new(&app).open(&link).await, 403, &["Open in another browser"]);
    assert!(app.open_connection(&contact, &secret).await.is_none());
    shows(&one.submit(&link, &fields).await, 200, &["is connected"]);
}

#[tokio::test]
async fn a_form_that_does_not_come_from_the_page_is_refused() {
    let app = TestApp::new().await;
    let (contact, secret, link) = link(&app, "plain").await;
    let (_, _, other_link) = self::link(&app, "plain").await;
    let (mut one, mut two) = (Browser::new(&app), Browser::new(&app));
    let (own, of_other_browser) = (proof(&one.open(&link).await), proof(&two.open(&link).await));
    let of_other_link = proof(&one.open(&other_link).await);
    let value = [("value", CANARY)];
    for proof in ["", "0", &of_other_browser, &of_other_link] {
        let sent = one.send(&link, proof, &value).await;
        shows(&sent, 403, &["Nothing was stored"]);
    }
    let without_cookie = Browser::new(&app).send(&link, &own, &value).await;
    shows(&without_cookie, 403, &["Nothing was stored"]);
    let json = one.caller.call("POST", &link, format!("{{\"value\":\"{CANARY}\"}}").into());
    let json = json.header("Content-Type", "application/json").await;
    shows(&json, 400, &["That did not work"]);
    assert!(app.open_connection(&contact, &secret).await.is_none());
    // None of that has used the link, or bound it.
    shows(&two.send(&link, &of_other_browser, &value).await, 200, &["is connected"]);
}

/// W24: all that made the link right is looked at again when it is used.
#[tokio::test]
async fn a_link_is_withdrawn_with_what_it_was_for() {
    let app = TestApp::new().await;
    for change in ["revoke", "unverify", "share", "type", "delete secret", "delete contact"] {
        let backend = app.backend();
        let (contact, secret, link) = link(&app, "plain").await;
        let mut browser = Browser::new(&app);
        let proof = proof(&browser.open(&link).await);
        let call = match change {
            "revoke" => backend.post(path(&contact, &secret, "revoke"), json!({})),
            "unverify" => {
                backend.post(contact::path(&contact, "update"), json!({"verifiedAt": null}))
            }
            "share" => secret::update(&backend, &secret, json!({"kind": "shared"})),
            "type" => secret::update(&backend, &secret, json!({"type": "oauth"})),
            "delete secret" => backend.post(secret::path(&secret, "delete"), json!({})),
            _ => backend.post(contact::path(&contact, "delete"), json!({})),
        };
        call.await.ok();
        let events = app.events().await.len();
        let sent = browser.send(&link, &proof, &[("value", CANARY)]).await;
        for page in [sent, browser.open(&link).await] {
            shows(&page, 410, &["This link was withdrawn"]);
        }
        assert_eq!(app.events().await.len(), events, "{change}");
    }
}

/// Whoever stole a key shall have nothing of it once it is revoked.
#[tokio::test]
async fn a_link_ends_with_the_key_that_asked_for_it() {
    let app = TestApp::new().await;
    let (contact, secret, _) = link(&app, "plain").await;
    let (key, caller) = app.new_caller("agent").await;
    let answer = caller.post(path(&contact, &secret, "authenticate"), json!({})).await.ok();
    let link = format!("/connect/{}", state(&answer["url"]));
    let mut browser = Browser::new(&app);
    let proof = proof(&browser.open(&link).await);
    app.owner().post(format!("/api/v1/key/{}/revoke", key.id), json!({})).await.ok();
    let sent = browser.send(&link, &proof, &[("value", CANARY)]).await;
    for page in [sent, browser.open(&link).await] {
        shows(&page, 410, &["This link was withdrawn"]);
    }
}

/// Nobody agrees to what they were not shown.
#[tokio::test]
async fn what_has_changed_since_the_page_was_opened_is_shown_before_it_is_agreed_to() {
    let app = TestApp::new().await;
    let (contact, secret, link) = link(&app, "plain").await;
    for change in [
        json!({"config": {"hosts": ["evil.example"]}}),
        json!({"name": "Other name"}),
        json!({"description": "For something else"}),
        json!({"type": "bearer"}),
    ] {
        let mut browser = Browser::new(&app);
        let (_, _, link) = (&contact, &secret, link_of(&app, &contact, &secret).await);
        let proof = proof(&browser.open(&link).await);
        secret::update(&app.backend(), &secret, change.clone()).await.ok();
        let sent = browser.send(&link, &proof, &[("value", CANARY)]).await;
        shows(&sent, 400, &["has changed since you opened this page"]);
        assert!(app.open_connection(&contact, &secret).await.is_none(), "{change}");
        shows(&browser.submit(&link, &[("value", CANARY)]).await, 200, &["is connected"]);
        let revoke = app.backend().post(path(&contact, &secret, "revoke"), json!({}));
        revoke.await.ok();
    }
    let mut browser = Browser::new(&app);
    shows(&browser.open(&link).await, 410, &["This link was withdrawn"]);
}

async fn link_of(app: &TestApp, contact: &str, secret: &str) -> String {
    let answer = app.agent().post(path(contact, secret, "authenticate"), json!({})).await.ok();
    format!("/connect/{}", state(&answer["url"]))
}

/// The binding is told too: from then on nobody else can use the link.
#[tokio::test]
async fn an_entry_that_is_refused_is_an_event() {
    let app = TestApp::new().await;
    let (_, _, link) = link(&app, "bearer").await;
    app.clock.advance_seconds(1);
    Browser::new(&app).submit(&link, &[("value", "a b")]).await;
    let event = app.events().await.pop().unwrap();
    assert_eq!((event.action.as_str(), event.result.as_str()), ("connection.connect", "refused"));
}

#[tokio::test]
async fn cookies_of_others_on_this_host_harm_nothing() {
    let app = TestApp::new().await;
    let (_, _, link) = link(&app, "plain").await;
    let mut browser = Browser::new(&app);
    let proof = proof(&browser.open(&link).await);
    let (name, cookie) = browser.caller.headers.pop().unwrap();
    browser
        .caller
        .headers
        .push((name, format!("city=K\u{f6}ln; x; __Host-keyfob-browser=x; {cookie}")));
    shows(&browser.send(&link, &proof, &[("value", CANARY)]).await, 200, &["is connected"]);
}

#[tokio::test]
async fn an_origin_that_is_not_allowed_any_more_is_not_gone_to() {
    let app = TestApp::new().await;
    let (contact, secret, _) = link(&app, "plain").await;
    let origins = |origins| json!({"allowedOrigins": origins});
    let update = "/api/v1/account/update";
    app.owner().post(update, origins(vec!["https://a.example", "https://b.example"])).await.ok();
    let body = json!({"returnUrl": "https://b.example/back"});
    let answer = app.agent().post(path(&contact, &secret, "authenticate"), body).await.ok();
    let link = format!("/connect/{}", state(&answer["url"]));
    app.owner().post(update, origins(vec!["https://a.example"])).await.ok();
    let page = Browser::new(&app).submit(&link, &[("value", CANARY)]).await;
    shows(&page, 200, &["is connected", "data-origins=\"https://a.example\""]);
    assert!(!page.text().contains("b.example"), "{}", page.text());
}

/// What is decided on is held until it is stored: a personal secret never gets a value of its own.
#[tokio::test]
async fn a_shared_secret_that_becomes_personal_meanwhile_gets_no_value() {
    let app = TestApp::new().await;
    for round in 0..30 {
        let id = secret::create(&app.backend(), json!({})).await;
        let answer = app.agent().post(secret::path(&id, "authenticate"), json!({})).await.ok();
        let link = format!("/connect/{}", state(&answer["url"]));
        let mut browser = Browser::new(&app);
        let proof = proof(&browser.open(&link).await);
        let fields = [("value", CANARY)];
        let sent = browser.send(&link, &proof, &fields).into_future();
        let personal = secret::update(&app.backend(), &id, json!({"kind": "personal"}));
        let (page, changed) = tokio::join!(sent, personal.into_future());
        changed.ok();
        assert!([200, 410].contains(&page.status), "{round}: {}", page.text());
        let (_, [value, _]) = app.open_secret(&id).await;
        assert_eq!(value, None, "{round}");
    }
}

#[tokio::test]
async fn a_child_that_may_not_use_the_secret_any_more_has_no_link() {
    let app = TestApp::new().await;
    let child = app.other_account().await;
    let contact = verified_contact(&child).await;
    let body = json!({"kind": "personal", "visibility": "protected"});
    let secret = secret::create(&app.backend(), body).await;
    let answer = child.post(path(&contact, &secret, "authenticate"), json!({})).await.ok();
    let link = format!("/connect/{}", state(&answer["url"]));
    let mut browser = Browser::new(&app);
    browser.open(&link).await;
    secret::update(&app.backend(), &secret, json!({"visibility": "private"})).await.ok();
    shows(&browser.open(&link).await, 410, &["This link was withdrawn"]);
}

#[tokio::test]
async fn a_cookie_is_set_once_for_this_host_only() {
    let app = TestApp::new().await;
    let (_, _, link) = link(&app, "plain").await;
    let mut browser = Browser::new(&app);
    let page = browser.open(&link).await;
    let cookie = page.header("set-cookie").to_owned();
    let (value, rest) = cookie.split_once("; ").unwrap();
    assert!(value.starts_with("__Host-keyfob-browser="), "{cookie}");
    assert_eq!(rest, "HttpOnly; SameSite=Lax; Secure; Path=/");
    assert_eq!(browser.open(&link).await.header("set-cookie"), "");
}

/// The state is 256 random bits of which only a hash is stored, and it is in no log.
#[tokio::test]
async fn nothing_that_is_stored_or_logged_opens_a_link() {
    let app = TestApp::new().await;
    let (_, _, link) = link(&app, "plain").await;
    let mut browser = Browser::new(&app);
    browser.submit(&link, &[("value", "")]).await;
    let state = link.strip_prefix("/connect/").unwrap();
    let stored = app.left_behind();
    assert!(memchr::memmem::find(&stored, state.as_bytes()).is_none());
    assert!(!crate::guard::logs().contains(state));
    let raw = data_encoding::BASE64URL_NOPAD.decode(state.as_bytes()).unwrap();
    assert_eq!(raw.len(), 32);
    assert!(memchr::memmem::find(&stored, &raw).is_none());
}
