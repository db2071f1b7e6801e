//! Answers that are not the provider's own.

use std::time::Duration;

use keyfob_testkit::{Endpoint, Fault, IssuedGrant};
use reqwest::Response;

use crate::app::App;

/// Refreshes under this fault, which the provider is not to see.
async fn under(fault: Fault) -> (App, IssuedGrant, Response) {
    let app = App::start().await;
    let grant = app.grant();
    app.provider.script(Endpoint::Token, fault);
    let answer = app.try_refresh(&grant.refresh_token).await.unwrap();
    assert_eq!(app.provider.ledger().refreshes(grant.family), 0);
    (app, grant, answer)
}

/// The same, and the token is as good as before.
async fn harmless(fault: Fault) -> (u16, String, String) {
    let (app, grant, answer) = under(fault).await;
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    let body = answer.text().await.unwrap();
    app.refresh(&grant.refresh_token).await.assert_ok();
    (status, kind.unwrap_or_default(), body)
}

#[tokio::test]
async fn a_server_error() {
    assert_eq!(harmless(Fault::internal_error()).await.0, 500);
}

#[tokio::test]
async fn the_page_of_a_gateway() {
    let (status, kind, body) = harmless(Fault::bad_gateway()).await;
    assert_eq!((status, kind.as_str()), (502, "text/html"));
    assert!(body.starts_with("<html>"));
}

#[tokio::test]
async fn an_answer_that_says_when_to_come_back() {
    let later = Duration::from_secs(7);
    for (fault, status) in
        [(Fault::unavailable(later), 503), (Fault::too_many_requests(later), 429)]
    {
        let (_app, _, answer) = under(fault).await;
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["retry-after"], "7");
    }
}

#[tokio::test]
async fn a_false_invalid_grant() {
    let (status, _, body) = harmless(Fault::false_invalid_grant()).await;
    assert_eq!((status, body.as_str()), (400, r#"{"error":"invalid_grant"}"#));
}

#[tokio::test]
async fn an_invalid_client() {
    let (status, _, body) = harmless(Fault::invalid_client()).await;
    assert_eq!((status, body.as_str()), (401, r#"{"error":"invalid_client"}"#));
}

#[tokio::test]
async fn json_that_is_none() {
    let (status, kind, body) = harmless(Fault::malformed_json()).await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    serde_json::from_str::<serde_json::Value>(&body).unwrap_err();
}

#[tokio::test]
async fn nothing_at_all() {
    assert_eq!(harmless(Fault::empty()).await.2, "");
    let (status, _, body) = harmless(Fault::no_content()).await;
    assert_eq!((status, body.as_str()), (204, ""));
}

#[tokio::test]
async fn far_too_much() {
    let (status, kind, body) = harmless(Fault::HugeBody { bytes: 3_000_000 }).await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    assert!(body.len() > 3_000_000);
    serde_json::from_str::<serde_json::Value>(&body).unwrap();
}

#[tokio::test]
async fn a_redirect_to_elsewhere() {
    let (_app, _, answer) = under(Fault::redirect("https://elsewhere.example/token")).await;
    assert_eq!(answer.status().as_u16(), 302);
    assert_eq!(answer.headers()["location"], "https://elsewhere.example/token");
}

#[tokio::test]
async fn an_error_after_the_request_was_done() {
    let app = App::start().await;
    let grant = app.grant();
    app.provider.script(Endpoint::Token, Fault::internal_error().after_processing());
    assert_eq!(app.refresh(&grant.refresh_token).await.status.as_u16(), 500);
    let ledger = app.provider.ledger();
    assert_eq!(ledger.refreshes(grant.family), 1);
    assert_eq!(ledger.requests[0].status, Some(200));
    app.refresh(&grant.refresh_token).await.assert_refused("invalid_grant");
}
