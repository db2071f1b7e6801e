//! `/connect/{state}`: what the page shows, what it takes, and when it refuses.

use serde_json::json;

use crate::{
    app::TestApp,
    call::{Answer, Call, Caller},
    connection::{connect, path, personal, state, verified_contact, verify},
    contact,
    guard::CANARY,
    secret,
};

/// A browser: it keeps one cookie.
struct Browser {
    caller: Caller,
}

impl Browser {
    fn new(app: &TestApp) -> Self {
        Self { caller: app.anonymous() }
    }

    /// Opens a link, and keeps the cookie that comes with it.
    async fn open(&mut self, link: &str) -> Answer {
        let answer = self.caller.get(link).await;
        let cookie = answer.header("set-cookie");
        if let Some((cookie, _)) = cookie.split_once(';') {
            self.caller = self.caller.clone().with("Cookie", cookie);
        }
        answer
    }

    /// Opens a link and sends its form.
    async fn submit(&mut self, link: &str, fields: &[(&str, &str)]) -> Answer {
        let proof = proof(&self.open(link).await);
        self.send(link, &proof, fields).await
    }

    fn send(&self, link: &str, proof: &str, fields: &[(&str, &str)]) -> Call {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("proof", proof).extend_pairs(fields);
        self.caller.call("POST", link, form.finish().into())
    }
}

/// What the form sends back.
fn proof(page: &Answer) -> String {
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let (_, rest) = text.split_once("name=\"proof\" value=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

#[track_caller]
fn shows(page: &Answer, status: u16, texts: &[&str]) {
    let text = page.text();
    assert_eq!(page.status, status, "{text}");
    for wanted in texts {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

/// A contact, a personal secret of this type, and a link for them.
async fn link(app: &TestApp, secret_type: &str) -> (String, String, String) {
    let backend = app.backend();
    let (contact, secret) =
        (verified_contact(&backend).await, personal(&backend, secret_type).await);
    let link = link_for(app, &contact, &secret).await;
    (contact, secret, link)
}

async fn link_for(app: &TestApp, contact: &str, secret: &str) -> String {
    let answer = app.agent().post(path(contact, secret, "authenticate"), json!({})).await.ok();
    format!("/connect/{}", state(&answer["url"]))
}

#[tokio::test]
async fn the_page_says_who_asks_whom_for_what_and_why() {
    let app = TestApp::new().await;
    app.owner().post("/api/v1/account/update", json!({"name": "Acme <Ltd>"})).await.ok();
    let person = json!({"name": "Ann \"A\"", "verifiedAt": 1});
    let contact = contact::create(&app.backend(), person).await;
    let body = json!({
        "kind": "personal", "type": "bearer", "name": "GitHub & more", "description": "For\nissues",
        "config": {"hosts": ["api.github.com", "*.example.com"]},
    });
    let link = link_for(&app, &contact, &secret::create(&app.backend(), body).await).await;
    let page = Browser::new(&app).open(&link).await;
    let texts = [
        "<title>Connect GitHub &#38; more",
        "<strong>Acme &#60;Ltd&#62;</strong> asks you, <strong>Ann &#34;A&#34;</strong>, for an access token.",
        "For\nissues",
        "<li>api.github.com</li>",
        "<li>every address that ends in .example.com</li>",
        "<label for=\"value\">Access token</label>",
        "aria-describedby=\"value-hint\"",
    ];
    shows(&page, 200, &texts);
}

#[tokio::test]
async fn each_type_has_its_form_and_what_is_typed_is_stored_exactly() {
    let app = TestApp::new().await;
    let odd = format!(" {CANARY} +&=%ü\"<");
    for (secret_type, fields, stored) in [
        ("plain", vec![("value", odd.as_str())], odd.clone()),
        ("bearer", vec![("value", CANARY)], CANARY.to_owned()),
        (
            "basic",
            vec![("username", "ann"), ("password", odd.as_str())],
            format!("{{\"username\":\"ann\",\"password\":\" {CANARY} +&=%ü\\\"<\"}}"),
        ),
    ] {
        let (contact, secret, link) = link(&app, secret_type).await;
        let page = Browser::new(&app).submit(&link, &fields).await;
        shows(&page, 200, &["is connected", &format!("data-secret=\"{secret}\"")]);
        let (_, value) = app.open_connection(&contact, &secret).await.unwrap();
        assert_eq!(value, stored);
        let verified = verify(&app.agent(), &contact, &secret).await;
        assert_eq!(verified, json!({"id": secret, "status": "authenticated"}));
    }
}

#[tokio::test]
async fn a_private_key_keeps_its_lines() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let config = json!({"algorithm": "HS256"});
    let body = json!({"kind": "personal", "type": "jwt", "config": config});
    let (contact, secret) =
        (verified_contact(&backend).await, secret::create(&backend, body).await);
    let link = link_for(&app, &contact, &secret).await;
    let key = format!("-----BEGIN-----\r\n{CANARY}\r\n");
    let mut browser = Browser::new(&app);
    shows(&browser.open(&link).await, 200, &["<textarea id=\"value\""]);
    shows(&browser.submit(&link, &[("value", &key)]).await, 200, &["is connected"]);
    let (_, value) = app.open_connection(&contact, &secret).await.unwrap();
    assert_eq!(value, key);
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

/// W1, W22.
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

#[tokio::test]
async fn a_value_that_is_refused_is_not_shown_again() {
    let app = TestApp::new().await;
    let (_, _, link) = link(&app, "bearer").await;
    let mut browser = Browser::new(&app);
    let page = browser.submit(&link, &[("value", &format!("{CANARY} x"))]).await;
    let texts =
        ["role=\"alert\"", "visible ASCII characters", "aria-describedby=\"problem value-hint\""];
    shows(&page, 400, &texts);
    let nothing = browser.submit(&link, &[]).await;
    shows(&nothing, 400, &["nothing was entered"]);
    let long = browser.submit(&link, &[("value", &"x".repeat(70_000))]).await;
    shows(&long, 413, &["That did not work"]);
    shows(&browser.submit(&link, &[("value", CANARY)]).await, 200, &["is connected"]);
}

#[tokio::test]
async fn who_declines_stores_nothing_and_ends_the_link() {
    let app = TestApp::new().await;
    let (contact, secret, link) = link(&app, "plain").await;
    let mut browser = Browser::new(&app);
    app.clock.advance_seconds(1);
    let fields = [("value", CANARY), ("do", "decline")];
    let page = browser.submit(&link, &fields).await;
    shows(&page, 200, &["You declined", "data-error=\"access_denied\""]);
    assert!(app.open_connection(&contact, &secret).await.is_none());
    shows(&browser.open(&link).await, 410, &["You declined"]);
    let event = app.events().await.pop().unwrap();
    assert_eq!((event.action.as_str(), event.result.as_str()), ("connection.connect", "declined"));
    assert_eq!(event.actor, ("contact".to_owned(), contact, "Ann".to_owned()));
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
async fn a_shared_secret_gets_its_value_at_a_link_if_it_has_none_by_then() {
    let app = TestApp::new().await;
    let id = secret::create(&app.backend(), json!({"name": "Billing"})).await;
    let link = async || {
        let answer = app.agent().post(secret::path(&id, "authenticate"), json!({})).await.ok();
        format!("/connect/{}", state(&answer["url"]))
    };
    let (first, second) = (link().await, link().await);
    app.clock.advance_seconds(1);
    let mut browser = Browser::new(&app);
    shows(&browser.submit(&first, &[("value", CANARY)]).await, 200, &["Billing is connected"]);
    let (_, [value, _]) = app.open_secret(&id).await;
    assert_eq!(value.as_deref(), Some(CANARY));
    shows(&browser.open(&second).await, 410, &["This link was withdrawn"]);
    let event = app.events().await.pop().unwrap();
    assert_eq!((event.action.as_str(), event.actor.0.as_str()), ("secret.connect", "link"));
}

#[tokio::test]
async fn who_connects_again_is_told_since_when_it_is_connected() {
    let app = TestApp::new().await;
    let (contact, secret, link) = link(&app, "plain").await;
    let text = "Connected already";
    assert!(!Browser::new(&app).open(&link).await.text().contains(text));
    connect(&app.backend(), &contact, &secret, json!({"value": CANARY})).await.ok();
    shows(&Browser::new(&app).open(&link).await, 200, &[text]);
}

/// The opener is told in the words of the original, if its origin is one that the account has named.
#[tokio::test]
async fn the_last_page_names_whom_it_tells_and_where_it_goes() {
    let app = TestApp::new().await;
    let origins = json!({"allowedOrigins": ["https://a.example", "https://b.example"]});
    app.owner().post("/api/v1/account/update", origins).await.ok();
    let (contact, secret, _) = link(&app, "plain").await;
    let url = "https://b.example/back?x=1&y=2";
    let body = json!({"returnUrl": url});
    let answer = app.agent().post(path(&contact, &secret, "authenticate"), body).await.ok();
    let link = format!("/connect/{}", state(&answer["url"]));
    let page = Browser::new(&app).submit(&link, &[("value", CANARY)]).await;
    let texts = [
        "data-origins=\"https://a.example https://b.example\"",
        "content=\"0; url=https://b.example/back?x=1&#38;y=2\"",
        "href=\"https://b.example/back?x=1&#38;y=2\"",
    ];
    shows(&page, 200, &texts);
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

#[tokio::test]
async fn a_page_runs_nothing_but_its_own_script_and_tells_nobody_of_its_address() {
    let app = TestApp::new().await;
    let (_, _, link) = link(&app, "plain").await;
    let unknown = format!("/connect/{}", "A".repeat(43));
    for (link, status) in [(&link, 200), (&unknown, 404), (&"/connect/x".to_owned(), 404)] {
        let page = app.anonymous().get(link).await;
        assert_eq!(page.status, status);
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        for part in ["form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert!(!page.text().contains("src="), "{}", page.text());
    }
    let other = app.anonymous().call("PUT", &unknown, Vec::new()).await;
    shows(&other, 405, &["That did not work"]);
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

#[tokio::test]
async fn a_damaged_row_is_a_page_too_that_tells_nothing() {
    let app = TestApp::new().await;
    let (_, _, link) = link(&app, "plain").await;
    app.database().execute("UPDATE authentication SET browser_hash = state_hash, outcome = 'x'");
    let page = app.anonymous().get(&link).await;
    shows(&page, 500, &["That did not work"]);
}
