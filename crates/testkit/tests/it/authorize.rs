//! The authorization code flow.

use std::time::Duration;

use keyfob_testkit::{Cause, Client, Endpoint};
use reqwest::StatusCode;
use url::Url;

use crate::app::{App, CALLBACK, Told};

/// The verifier and its S256 challenge of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const REQUEST: [(&str, &str); 7] = [
    ("response_type", "code"),
    ("client_id", "app"),
    ("redirect_uri", CALLBACK),
    ("scope", "read"),
    ("state", "a state & more"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

/// Opens the authorization endpoint; where it redirects, the fields of the address.
async fn open(app: &App, request: &[(&str, &str)]) -> (StatusCode, Vec<(String, String)>, String) {
    let url = Url::parse_with_params(&app.provider.url("/authorize"), request).unwrap();
    followed(app.http.get(url).send().await.unwrap()).await
}

async fn followed(response: reqwest::Response) -> (StatusCode, Vec<(String, String)>, String) {
    let status = response.status();
    let target =
        response.headers().get("location").map(|to| Url::parse(to.to_str().unwrap()).unwrap());
    let fields = target.map(|url| {
        assert!(url.as_str().starts_with(CALLBACK), "{url}");
        url.query_pairs().into_owned().collect()
    });
    (status, fields.unwrap_or_default(), response.text().await.unwrap())
}

fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
}

async fn code(app: &App) -> String {
    let (status, fields, _) = open(app, &REQUEST).await;
    assert_eq!(status, StatusCode::FOUND);
    field(&fields, "code").unwrap()
}

async fn exchange(app: &App, code: &str, verifier: &str) -> Told {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", verifier),
    ];
    app.ask("/token", &form).await
}

async fn auto() -> App {
    App::with(|options| options.auto_approve = true).await
}

/// The request with one field changed, or left out if the value is empty.
fn with<'a>(name: &str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let fields =
        REQUEST.iter().map(|(other, old)| (*other, if *other == name { value } else { old }));
    fields.filter(|(_, value)| !value.is_empty()).collect()
}

#[tokio::test]
async fn a_code_is_exchanged_for_tokens() {
    let app = auto().await;
    let (_, fields, _) = open(&app, &REQUEST).await;
    assert_eq!(field(&fields, "state").as_deref(), Some("a state & more"));
    assert_eq!(field(&fields, "iss"), Some(app.provider.issuer()));
    let told = exchange(&app, &field(&fields, "code").unwrap(), VERIFIER).await;
    told.assert_ok();
    assert_eq!(told.text("scope"), "read");
    assert_eq!(app.userinfo(&told.text("access_token")).await, StatusCode::OK);
    app.refresh(&told.text("refresh_token")).await.assert_ok();
}

#[tokio::test]
async fn the_page_lets_a_person_approve_without_javascript() {
    let app = App::start().await;
    let (status, _, page) = open(&app, &REQUEST).await;
    assert_eq!(status, StatusCode::OK);
    for part in ["method=\"post\"", "value=\"approve\"", "value=\"deny\"", "a state &#38; more"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(!page.contains("<script"));
    let form = [&REQUEST[..], &[("decision", "approve"), ("username", "bob")]].concat();
    let (_, fields, _) = followed(app.post("/authorize", &form).await.unwrap()).await;
    let told = exchange(&app, &field(&fields, "code").unwrap(), VERIFIER).await;
    told.assert_ok();
    assert_eq!(app.provider.ledger().families().values().next().unwrap().subject, "bob");
}

#[tokio::test]
async fn the_page_lets_a_person_deny() {
    let app = App::start().await;
    let form = [&REQUEST[..], &[("decision", "deny")]].concat();
    let (status, fields, _) = followed(app.post("/authorize", &form).await.unwrap()).await;
    assert_eq!(status, StatusCode::FOUND);
    assert_eq!(field(&fields, "error").as_deref(), Some("access_denied"));
    assert_eq!(field(&fields, "state").as_deref(), Some("a state & more"));
}

#[tokio::test]
async fn a_wrong_verifier_is_refused_and_spends_the_code() {
    let app = auto().await;
    let code = code(&app).await;
    exchange(&app, &code, &VERIFIER.replace('d', "e")).await.assert_refused("invalid_grant");
    exchange(&app, &code, VERIFIER).await.assert_refused("invalid_grant");
    assert!(app.provider.ledger().families().is_empty());
}

#[tokio::test]
async fn a_verifier_must_be_there_if_there_was_a_challenge() {
    let app = auto().await;
    exchange(&app, &code(&app).await, "").await.assert_refused("invalid_grant");
}

#[tokio::test]
async fn a_code_that_is_used_again_revokes_what_it_issued() {
    let app = auto().await;
    let code = code(&app).await;
    let told = exchange(&app, &code, VERIFIER).await;
    exchange(&app, &code, VERIFIER).await.assert_refused("invalid_grant");
    assert!(!app.provider.is_valid(&told.text("access_token")));
    app.refresh(&told.text("refresh_token")).await.assert_refused("invalid_grant");
    let ledger = app.provider.ledger();
    let (id, family) = ledger.families().first_key_value().unwrap();
    assert_eq!(family.death.unwrap().cause, Cause::CodeReplay);
    assert!(ledger.at(Endpoint::Token).all(|request| request.family == Some(*id)));
}

#[tokio::test]
async fn a_code_expires_and_is_bound_to_its_client_and_address() {
    let app = auto().await;
    let late = code(&app).await;
    app.clock.advance(Duration::from_mins(1));
    exchange(&app, &late, VERIFIER).await.assert_refused("invalid_grant");

    app.provider.change(|options| options.clients.push(Client::public("other")));
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "other"),
        ("code", &code(&app).await),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let told = Told::of(app.post("/token", &form).await.unwrap()).await;
    told.assert_refused("invalid_grant");

    let form = [("grant_type", "authorization_code"), ("code", &code(&app).await)];
    app.ask("/token", &[&form[..], &[("code_verifier", VERIFIER)]].concat())
        .await
        .assert_refused("invalid_grant");
}

#[tokio::test]
async fn errors_go_back_as_redirects() {
    let app = auto().await;
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
    ] {
        let (status, fields, _) = open(&app, &with(name, value)).await;
        assert_eq!(status, StatusCode::FOUND, "{name}");
        assert_eq!(field(&fields, "error").as_deref(), Some(error), "{name}");
        assert_eq!(field(&fields, "iss"), Some(app.provider.issuer()));
    }
}

#[tokio::test]
async fn an_unknown_client_or_address_is_sent_nowhere() {
    let app = auto().await;
    for (name, value) in [("client_id", "nobody"), ("redirect_uri", "https://evil.example/")] {
        let (status, fields, _) = open(&app, &with(name, value)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(fields.is_empty());
    }
    let seen = app.provider.ledger();
    assert!(
        seen.at(Endpoint::Authorize).all(|seen| seen.error.as_deref() == Some("invalid_request"))
    );
}

#[tokio::test]
async fn pkce_and_iss_can_be_left_out() {
    let app = App::with(|options| {
        options.auto_approve = true;
        options.require_pkce = false;
        options.iss = false;
    });
    let app = app.await;
    let request: Vec<_> =
        REQUEST.into_iter().filter(|(name, _)| !name.starts_with("code_")).collect();
    let (_, fields, _) = open(&app, &request).await;
    assert_eq!(field(&fields, "iss"), None);
    exchange(&app, &field(&fields, "code").unwrap(), "").await.assert_ok();
}
