//! `/connect/{state}`: what the page shows, what it takes, and when it refuses.

use data_encoding::BASE64;
use keyfob_core::policy::Role;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    authentication::state,
    call::{Answer, Call, Caller},
    connection::{connect, path, personal, verified_contact, verify},
    contact,
    guard::CANARY,
    secret,
};

/// A browser: it keeps one cookie.
pub(crate) struct Browser {
    pub(crate) caller: Caller,
}

impl Browser {
    pub(crate) fn new(app: &TestApp) -> Self {
        Self { caller: app.anonymous() }
    }

    /// Opens a link, and keeps the cookie that comes with it.
    pub(crate) async fn open(&mut self, link: &str) -> Answer {
        let answer = self.caller.get(link).await;
        let cookie = answer.header("set-cookie");
        if let Some((cookie, _)) = cookie.split_once(';') {
            self.caller = self.caller.clone().with("Cookie", cookie);
        }
        answer
    }

    /// Opens a link and sends its form.
    pub(crate) async fn submit(&mut self, link: &str, fields: &[(&str, &str)]) -> Answer {
        let proof = proof(&self.open(link).await);
        self.send(link, &proof, fields).await
    }

    pub(crate) fn send(&self, link: &str, proof: &str, fields: &[(&str, &str)]) -> Call {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("proof", proof).extend_pairs(fields);
        self.caller.call("POST", link, form.finish().into())
    }
}

/// What the form sends back.
pub(crate) fn proof(page: &Answer) -> String {
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let (_, rest) = text.split_once("name=\"proof\" value=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

#[track_caller]
pub(crate) fn shows(page: &Answer, status: u16, texts: &[&str]) {
    let text = page.text();
    assert_eq!(page.status, status, "{text}");
    for wanted in texts {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

/// A contact, a personal secret of this type, and a link for them.
pub(crate) async fn link(app: &TestApp, secret_type: &str) -> (String, String, String) {
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
async fn the_page_says_how_long_the_link_works_and_where_it_leads() {
    let app = TestApp::new().await;
    let origins = json!({"allowedOrigins": ["https://app.example.com"]});
    app.owner().post("/api/v1/account/update", origins).await.ok();
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "plain").await);
    let body = json!({"returnUrl": "https://app.example.com/back"});
    let answer = app.agent().post(path(&contact, &secret, "authenticate"), body).await.ok();
    let link = format!("/connect/{}", state(&answer["url"]));
    let mut browser = Browser::new(&app);
    let texts = ["for 15 more minutes", "Then you go on to app.example.com."];
    shows(&browser.open(&link).await, 200, &texts);
    app.clock.advance_seconds(13 * 60);
    shows(&browser.open(&link).await, 200, &["for 2 more minutes"]);
    app.clock.advance_seconds(60);
    shows(&browser.open(&link).await, 200, &["for one more minute"]);
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
    let (contact, secret, link) = jwt_link(&app, "EdDSA").await;
    // PKCS#8 of an Ed25519 key (RFC 8410, section 7).
    let header = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let body = BASE64.encode(&[&header[..], &[7; 32]].concat());
    let key = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----");
    let mut browser = Browser::new(&app);
    shows(&browser.open(&link).await, 200, &["<textarea id=\"value\"", "Private key"]);
    // As a browser sends lines, with one at the end that came along.
    let sent = format!("{key}\n").replace('\n', "\r\n");
    shows(&browser.submit(&link, &[("value", &sent)]).await, 200, &["is connected"]);
    let (_, value) = app.open_connection(&contact, &secret).await.unwrap();
    assert_eq!(value, key);
}

#[tokio::test]
async fn a_key_that_is_a_text_is_asked_for_as_one() {
    let app = TestApp::new().await;
    let (contact, secret, link) = jwt_link(&app, "HS256").await;
    let mut browser = Browser::new(&app);
    let texts = ["for a signing key", "<input id=\"value\" name=\"value\" type=\"password\""];
    shows(&browser.open(&link).await, 200, &texts);
    shows(&browser.submit(&link, &[("value", CANARY)]).await, 200, &["is connected"]);
    let (_, value) = app.open_connection(&contact, &secret).await.unwrap();
    assert_eq!(value, CANARY);
}

async fn jwt_link(app: &TestApp, algorithm: &str) -> (String, String, String) {
    let backend = app.backend();
    let config = json!({"algorithm": algorithm});
    let body = json!({"kind": "personal", "type": "jwt", "config": config});
    let (contact, secret) =
        (verified_contact(&backend).await, secret::create(&backend, body).await);
    let link = link_for(app, &contact, &secret).await;
    (contact, secret, link)
}

#[tokio::test]
async fn the_page_says_what_is_signed_with_a_key_and_nobody_agrees_to_anything_else() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let signing = |claims: Value| {
        json!({
            "hosts": ["api.example.com"], "algorithm": "HS256", "expiresInSeconds": 5400,
            "schema": "JWT", "claims": claims,
        })
    };
    let claims =
        json!({"aud": "https://a.example", "groups": ["a", 1], "note": "a\n\"b\"", "exp": 1});
    let body = json!({"kind": "personal", "type": "jwt", "config": signing(claims)});
    let secret = secret::create(&backend, body).await;
    let contact = verified_contact(&backend).await;
    let link = link_for(&app, &contact, &secret).await;
    let mut browser = Browser::new(&app);
    let page = browser.open(&link).await;
    let texts = [
        "<p>Behind the word JWT.</p>",
        "A token for each use, with HS256, which works for 90 minutes.",
        "<ul><li>&#34;aud&#34;: &#34;https://a.example&#34;</li><li>&#34;groups&#34;: [&#34;a&#34;,1]</li>",
        "<li>&#34;note&#34;: &#34;a\\n\\&#34;b\\&#34;&#34;</li></ul>",
    ];
    shows(&page, 200, &texts);
    assert!(!page.text().contains("&#34;exp&#34;"), "that is said of each token anew");
    for config in [signing(json!({"aud": "https://b.example"})), signing(json!({}))] {
        let proof = proof(&browser.open(&link).await);
        secret::update(&backend, &secret, json!({"config": config})).await.ok();
        let changed = browser.send(&link, &proof, &[("value", CANARY)]).await;
        shows(&changed, 400, &["has changed since you opened this page"]);
    }
    shows(&browser.open(&link).await, 200, &["when it ends, and nothing else."]);
    shows(&browser.submit(&link, &[("value", CANARY)]).await, 200, &["is connected"]);
    let link = link_for(&app, &contact, &personal(&backend, "bearer").await).await;
    let text = Browser::new(&app).open(&link).await.text();
    assert!(!text.contains("signed with it") && !text.contains("Behind the word"), "{text}");
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
    // Whoever has the link could be there: the contact is named, and who asked.
    assert_eq!((event.actor.0.as_str(), event.actor.2.as_str()), ("link", "Ann"));
    assert_eq!(event.contact_id, Some(contact));
    let asked = format!("link asked for by {}", app.key_of(Role::Agent).id);
    assert_eq!(event.reason, Some(asked));
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

/// W22: the opener is told in the words of the original, if its origin is one that the account has named.
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

#[tokio::test]
async fn a_damaged_row_is_a_page_too_that_tells_nothing() {
    let app = TestApp::new().await;
    let (_, _, link) = link(&app, "plain").await;
    app.database().execute("UPDATE authentication SET browser_hash = state_hash, outcome = 'x'");
    let page = app.anonymous().get(&link).await;
    shows(&page, 500, &["That did not work"]);
}
