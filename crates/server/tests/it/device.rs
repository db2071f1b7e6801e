//! Connecting by a code that a person enters at the provider (RFC 8628).

use std::time::Duration;

use futures_util::FutureExt;
use keyfob_testkit::{Client, Endpoint, Fault, Options, Provider};
use serde_json::json;

use crate::{
    app::TestApp,
    at_provider::{asked, describes, link_to, oauth},
    call::{Answer, Caller},
    connect_page::{Browser, proof, shows},
    connection::verify,
    guard::logs,
};

/// A person who was shown a code.
struct Person {
    app: TestApp,
    provider: Provider,
    contact: String,
    secret: String,
    link: String,
    browser: Browser,
    page: Answer,
}

/// What a page shows to be entered.
#[track_caller]
fn code(page: &Answer) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("<code translate=\"no\">").unwrap_or_else(|| panic!("{text}"));
    rest.split_once("</code>").unwrap().0.to_owned()
}

async fn provider() -> Provider {
    let client = Client::public("app");
    // Keyfob's own clock is moved by hand, the provider's is not.
    let options = Options { device_interval: Duration::ZERO, ..Options::default() };
    Provider::start(options.with_client(client)).await.unwrap()
}

impl Person {
    async fn new() -> Self {
        let provider = provider().await;
        let config = json!({
            "deviceAuthorizationUrl": provider.url("/device_authorization"),
            "tokenUrl": provider.url("/token"), "clientId": "app", "scope": "read write",
        });
        Self::at(provider, config).await
    }

    async fn at(provider: Provider, config: serde_json::Value) -> Self {
        let app = TestApp::new().await;
        let secret = oauth(&app, config).await;
        let (contact, link) = link_to(&app, &secret).await;
        let mut browser = Browser::new(&app);
        let page = browser.go_on(&link).await;
        Self { app, provider, contact, secret, link, browser, page }
    }

    /// What the page shows when it looks again by itself.
    async fn look(&self) -> Answer {
        self.browser.caller.get(format!("{}?waiting", self.link)).await
    }

    /// Lets the time of a poll come, and waits until it was answered and dealt with.
    async fn after_a_poll(&self) {
        let before = asked(&self.provider, Endpoint::Token);
        self.app.clock.waiters(1).await;
        self.app.clock.advance_seconds(5);
        let is_answered = |ledger: &keyfob_testkit::Ledger| {
            let mut polls = ledger.at(Endpoint::Token).skip(before);
            polls.next().is_some_and(|poll| !poll.in_flight)
        };
        self.provider.until(is_answered).await.unwrap();
    }

    async fn until_event(&self, result: &str) -> Option<String> {
        let found = async {
            loop {
                let events = self.app.events().await;
                if let Some(event) = events.into_iter().find(|event| event.result == result) {
                    return event.reason;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.unwrap()
    }

    async fn until_connected(&self) {
        let connected = async {
            while self.app.open_connection(&self.contact, &self.secret).await.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), connected).await.unwrap();
    }

    fn approve(&self) {
        assert!(self.provider.approve_device(&code(&self.page), "ann"));
    }
}

#[tokio::test]
async fn a_person_enters_a_code_at_the_provider_and_is_connected() {
    let person = Person::new().await;
    let texts = [
        "<noscript><meta http-equiv=\"refresh\" content=\"5; url=?waiting\"></noscript>",
        "data-look-after=\"5\"",
        "Enter this code at 127.0.0.1",
        &format!("href=\"{}", person.provider.url("/device?user_code=")),
        "target=\"_blank\"",
        &format!("<strong translate=\"no\">{}</strong>", person.provider.url("/device")),
        "For <span id=\"time-left\">10 more minutes</span>",
    ];
    shows(&person.page, 200, &texts);
    person.after_a_poll().await;
    assert_eq!(code(&person.look().await), code(&person.page));
    person.approve();
    person.after_a_poll().await;
    person.until_connected().await;
    let secret = format!("data-secret=\"{}\"", person.secret);
    shows(&person.look().await, 200, &["Mail is connected", &secret]);
    shows(&person.browser.caller.get(&person.link).await, 410, &["Connected already"]);
    shows(&Browser::new(&person.app).open(&format!("{}?waiting", person.link)).await, 410, &[]);
    let verified = verify(&person.app.agent(), &person.contact, &person.secret).await;
    assert_eq!(verified["status"], "authenticated");
    let families = person.provider.ledger().families().clone();
    assert_eq!(families.values().next().unwrap().scope, "read write");
}

#[tokio::test]
async fn a_person_who_refuses_at_the_provider_has_declined() {
    let person = Person::new().await;
    assert!(person.provider.deny_device(&code(&person.page)));
    person.after_a_poll().await;
    person.until_event("declined").await;
    shows(&person.look().await, 200, &["You declined", "data-error=\"access_denied\""]);
    assert!(person.app.open_connection(&person.contact, &person.secret).await.is_none());
}

#[tokio::test]
async fn a_person_declines_while_the_page_waits() {
    let person = Person::new().await;
    let decline = person.browser.send(&person.link, &proof(&person.page), &[("do", "decline")]);
    shows(&decline.await, 200, &["You declined"]);
    person.approve();
    person.app.clock.advance_seconds(60);
    shows(&person.look().await, 200, &["You declined"]);
    assert_eq!(asked(&person.provider, Endpoint::Token), 0);
}

#[tokio::test]
async fn a_code_that_nobody_entered_in_time_makes_room_for_another() {
    let mut person = Person::new().await;
    person.app.clock.waiters(1).await;
    person.app.clock.advance_seconds(600);
    let reason = person.until_event("failed").await.unwrap();
    assert!(reason.contains("in time"), "{reason}");
    let page = person.look().await;
    shows(&page, 200, &["nothing came of the last code", "Continue to 127.0.0.1"]);
    let before = code(&person.page);
    person.page = person.browser.go_on(&person.link).await;
    assert_ne!(code(&person.page), before);
    person.approve();
    person.after_a_poll().await;
    person.until_connected().await;
}

#[tokio::test]
async fn a_code_that_the_provider_has_ended_makes_room_for_another() {
    let person = Person::new().await;
    let ended = Fault::status(400, "application/json", r#"{"error":"expired_token"}"#);
    person.provider.script(Endpoint::Token, ended);
    person.after_a_poll().await;
    let reason = person.until_event("failed").await.unwrap();
    assert!(reason.contains("ended"), "{reason}");
    shows(&person.look().await, 200, &["nothing came of the last code"]);
}

#[tokio::test]
async fn a_provider_that_wants_fewer_polls_is_asked_five_seconds_later_each_time() {
    let person = Person::new().await;
    let slow = Fault::status(400, "application/json", r#"{"error":"slow_down"}"#);
    person.provider.script(Endpoint::Token, slow);
    person.after_a_poll().await;
    person.app.clock.waiters(1).await;
    shows(&person.look().await, 200, &["content=\"10; url=?waiting\""]);
    person.app.clock.advance_seconds(9);
    person.look().await;
    assert_eq!(asked(&person.provider, Endpoint::Token), 1);
    person.approve();
    person.app.clock.advance_seconds(1);
    person.until_connected().await;
    assert_eq!(asked(&person.provider, Endpoint::Token), 2);
}

#[tokio::test]
async fn an_outage_of_the_provider_ends_nothing() {
    let person = Person::new().await;
    for fault in [Fault::bad_gateway(), Fault::DropBefore] {
        person.provider.script(Endpoint::Token, fault);
        person.after_a_poll().await;
        person.app.clock.waiters(1).await;
        // Twice the usual pause, half of it by the next poll.
        person.app.clock.advance_seconds(5);
    }
    code(&person.look().await);
    person.approve();
    person.app.clock.advance_seconds(10);
    person.until_connected().await;
}

#[tokio::test]
async fn a_stop_waits_for_a_poll_that_is_out_and_keeps_the_tokens_that_it_brings() {
    let person = Person::new().await;
    person.approve();
    person.provider.script(Endpoint::Token, Fault::HoldAfter);
    person.app.clock.waiters(1).await;
    person.app.clock.advance_seconds(5);
    person.provider.until(|ledger| ledger.at(Endpoint::Token).count() == 1).await.unwrap();
    let mut stop = std::pin::pin!(person.app.broker().finish_requests());
    assert!(stop.as_mut().now_or_never().is_none(), "it did not wait");
    person.provider.release();
    stop.await;
    assert!(person.app.open_connection(&person.contact, &person.secret).await.is_some());
}

#[tokio::test]
async fn nothing_is_polled_any_more_after_a_stop() {
    let person = Person::new().await;
    person.approve();
    person.app.clock.waiters(1).await;
    person.app.broker().finish_requests().await;
    person.app.clock.advance_seconds(5);
    person.app.clock.waiters(0).await;
    person.app.broker().finish_requests().await;
    assert_eq!(asked(&person.provider, Endpoint::Token), 0);
}

/// The code is used up: what it brought is stored when the database is back.
#[tokio::test]
async fn a_database_that_fails_when_the_tokens_come_loses_none() {
    let person = Person::new().await;
    person.approve();
    person.provider.script(Endpoint::Token, Fault::HoldAfter);
    person.app.clock.waiters(1).await;
    person.app.clock.advance_seconds(5);
    person.provider.until(|ledger| ledger.at(Endpoint::Token).count() == 1).await.unwrap();
    person.app.database().execute("ALTER TABLE authentication RENAME TO elsewhere");
    let failures = || logs().matches("new tokens cannot be stored yet").count();
    let before = failures();
    person.provider.release();
    let failed = async {
        while failures() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), failed).await.unwrap();
    person.app.database().execute("ALTER TABLE elsewhere RENAME TO authentication");
    person.until_connected().await;
    assert_eq!(asked(&person.provider, Endpoint::Token), 1);
}

#[tokio::test]
async fn the_page_goes_on_when_the_node_where_it_began_is_gone() {
    let mut person = Person::new().await;
    person.app.restart().await;
    let app = person.app.anonymous().app;
    person.browser.caller = Caller { app, ..person.browser.caller.clone() };
    assert_eq!(code(&person.look().await), code(&person.page));
    person.approve();
    assert_eq!(asked(&person.provider, Endpoint::Token), 0, "it is not time yet");
    person.app.clock.advance_seconds(5);
    shows(&person.look().await, 200, &["Mail is connected"]);
}

#[tokio::test]
async fn all_nodes_and_pages_together_ask_once_per_interval() {
    let mut person = Person::new().await;
    let other = person.app.on_another_node(person.browser.caller.clone()).await;
    person.app.clock.waiters(1).await;
    person.app.clock.advance_seconds(5);
    let mut pages = Vec::new();
    for number in 0..10 {
        let caller = if number % 2 == 0 { other.clone() } else { person.browser.caller.clone() };
        let path = format!("{}?waiting", person.link);
        pages.push(tokio::spawn(async move { caller.get(path).await }));
    }
    for page in pages {
        assert_eq!(code(&page.await.unwrap()), code(&person.page));
    }
    person.app.clock.waiters(1).await;
    assert_eq!(asked(&person.provider, Endpoint::Token), 1);
}

#[tokio::test]
async fn who_presses_again_is_shown_the_same_code() {
    let person = Person::new().await;
    let again = person.browser.send(&person.link, &proof(&person.page), &[("do", "continue")]);
    assert_eq!(code(&again.await), code(&person.page));
    let opened = person.browser.caller.get(&person.link).await;
    assert_eq!(code(&opened), code(&person.page));
    assert_eq!(asked(&person.provider, Endpoint::DeviceAuthorization), 1);
}

#[tokio::test]
async fn another_browser_is_not_shown_the_code() {
    let person = Person::new().await;
    for path in [person.link.clone(), format!("{}?waiting", person.link)] {
        let page = Browser::new(&person.app).open(&path).await;
        shows(&page, 403, &["Open in another browser"]);
        assert!(!page.text().contains(&code(&person.page)));
    }
}

#[tokio::test]
async fn a_provider_that_offers_codes_only_is_found_out_about_and_registers_the_client() {
    let provider = provider().await;
    let codes_only = json!({
        "authorization_endpoint": null,
        "device_authorization_endpoint": provider.url("/device_authorization"),
    });
    describes(&provider, codes_only);
    let config = json!({"issuer": provider.issuer()});
    let person = Person::at(provider, config).await;
    person.approve();
    person.after_a_poll().await;
    person.until_connected().await;
    assert_eq!(asked(&person.provider, Endpoint::Register), 1);
}

#[tokio::test]
async fn a_provider_that_gives_no_code_is_told_and_can_be_asked_again() {
    let provider = provider().await;
    let refusal = Fault::status(400, "application/json", r#"{"error":"invalid_scope"}"#);
    for fault in [refusal, Fault::bad_gateway()] {
        provider.script(Endpoint::DeviceAuthorization, fault);
    }
    let config = json!({
        "deviceAuthorizationUrl": provider.url("/device_authorization"),
        "tokenUrl": provider.url("/token"), "clientId": "app",
    });
    let mut person = Person::at(provider, config).await;
    shows(&person.page, 400, &["refused: invalid_scope", "data-error=\"invalid_scope\""]);
    shows(&person.browser.go_on(&person.link).await, 502, &["Mail is not connected"]);
    code(&person.browser.go_on(&person.link).await);
}

#[tokio::test]
async fn what_is_kept_of_a_code_is_sealed_and_gone_at_the_end() {
    let person = Person::new().await;
    let user_code = code(&person.page);
    person.approve();
    person.after_a_poll().await;
    person.until_connected().await;
    let left = "SELECT count(*) FROM authentication WHERE request IS NOT NULL";
    assert_eq!(person.app.database().number(left), 0);
    let behind = person.app.left_behind();
    assert!(memchr::memmem::find(&behind, user_code.as_bytes()).is_none());
}

#[tokio::test]
async fn a_code_that_ends_before_it_can_be_asked_about_is_not_shown() {
    let options = Options { device_code_life: Duration::from_secs(4), ..Options::default() };
    let provider = Provider::start(options.with_client(Client::public("app"))).await.unwrap();
    let config = json!({
        "deviceAuthorizationUrl": provider.url("/device_authorization"),
        "tokenUrl": provider.url("/token"), "clientId": "app",
    });
    let person = Person::at(provider, config).await;
    shows(&person.page, 502, &["is not connected", "open the link once more"]);
    assert_eq!(
        person.until_event("failed").await.as_deref(),
        Some("the provider's code ends before the provider may be asked about it")
    );
}
