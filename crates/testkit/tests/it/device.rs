//! Devices without a browser.

use std::time::Duration;

use reqwest::StatusCode;

use crate::app::{App, Told};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn begin(app: &App) -> Told {
    let told = app.ask("/device_authorization", &[("scope", "read")]).await;
    told.assert_ok();
    told
}

async fn poll(app: &App, begun: &Told) -> Told {
    let code = begun.text("device_code");
    app.ask("/token", &[("grant_type", DEVICE_CODE), ("device_code", &code)]).await
}

/// Polls when the interval is over.
async fn poll_later(app: &App, begun: &Told) -> Told {
    app.clock.advance(Duration::from_secs(5));
    poll(app, begun).await
}

#[tokio::test]
async fn a_device_polls_until_somebody_approves() {
    let app = App::start().await;
    let begun = begin(&app).await;
    assert_eq!((&begun.body["interval"], &begun.body["expires_in"]), (&5.into(), &600.into()));
    poll(&app, &begun).await.assert_refused("authorization_pending");
    assert!(app.provider.approve_device(&begun.text("user_code"), "bob"));
    let told = poll_later(&app, &begun).await;
    told.assert_ok();
    app.refresh(&told.text("refresh_token")).await.assert_ok();
    assert_eq!(app.provider.ledger().families().values().next().unwrap().subject, "bob");
    poll_later(&app, &begun).await.assert_refused("invalid_grant");
}

#[tokio::test]
async fn a_device_that_polls_too_fast_has_to_slow_down() {
    let app = App::start().await;
    let begun = begin(&app).await;
    poll(&app, &begun).await.assert_refused("authorization_pending");
    poll(&app, &begun).await.assert_refused("slow_down");
    poll_later(&app, &begun).await.assert_refused("slow_down");
    app.clock.advance(Duration::from_secs(15));
    poll(&app, &begun).await.assert_refused("authorization_pending");
}

#[tokio::test]
async fn a_device_that_is_denied_or_late_gets_nothing() {
    let app = App::start().await;
    let (denied, late) = (begin(&app).await, begin(&app).await);
    assert!(app.provider.deny_device(&denied.text("user_code")));
    poll(&app, &denied).await.assert_refused("access_denied");
    app.clock.advance(Duration::from_mins(10));
    poll(&app, &late).await.assert_refused("expired_token");
    assert!(!app.provider.approve_device(&late.text("user_code"), "bob"));
}

#[tokio::test]
async fn the_page_approves_and_denies() {
    let app = App::start().await;
    for (decision, error) in [("approve", None), ("deny", Some("access_denied"))] {
        let begun = begin(&app).await;
        let page = app.http.get(begun.text("verification_uri_complete")).send().await.unwrap();
        assert!(page.text().await.unwrap().contains(&begun.text("user_code")));
        // As people type it.
        let typed = begun.text("user_code").to_lowercase().replace('-', " ");
        let form = [("user_code", typed.as_str()), ("username", "bob"), ("decision", decision)];
        let answer = app.post("/device", &form).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let told = poll(&app, &begun).await;
        match error {
            None => told.assert_ok(),
            Some(error) => told.assert_refused(error),
        }
        let again = app.post("/device", &form).await.unwrap();
        assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_device_is_approved_at_once_if_the_options_say_so() {
    let app = App::with(|options| options.auto_approve = true).await;
    let begun = begin(&app).await;
    poll(&app, &begun).await.assert_ok();
}
