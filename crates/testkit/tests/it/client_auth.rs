//! Client authentication with secrets.

use keyfob_testkit::{AuthMethod, Client, Endpoint};
use reqwest::StatusCode;

use crate::app::{App, ID, SECRET, Told};

const FORM: [(&str, &str); 1] = [("grant_type", "client_credentials")];

async fn basic(app: &App, id: &str, secret: &str) -> Told {
    let request = app.http.post(app.provider.url("/token")).form(&FORM);
    Told::of(request.basic_auth(id, Some(secret)).send().await.unwrap()).await
}

#[tokio::test]
async fn a_secret_is_taken_in_the_body_and_in_the_header() {
    let app = App::start().await;
    app.ask("/token", &FORM).await.assert_ok();
    basic(&app, ID, SECRET).await.assert_ok();
    let ledger = app.provider.ledger();
    let methods: Vec<_> = ledger.at(Endpoint::Token).filter_map(|seen| seen.auth_method).collect();
    assert_eq!(methods, [AuthMethod::ClientSecretPost, AuthMethod::ClientSecretBasic]);
}

#[tokio::test]
async fn the_parts_of_the_header_are_form_encoded() {
    let (id, secret) = ("a:client", "with space, & : % + ü");
    let app = App::with(|options| options.clients.push(Client::confidential(id, secret))).await;
    let encoded = "with+space%2C+%26+%3A+%25+%2B+%C3%BC";
    basic(&app, "a%3Aclient", encoded).await.assert_ok();
    basic(&app, "a%3Aclient", secret).await.assert_refused("invalid_client");
}

#[tokio::test]
async fn a_wrong_secret_is_answered_401() {
    let app = App::start().await;
    let told = basic(&app, ID, "wrong").await;
    assert_eq!(told.status, StatusCode::UNAUTHORIZED);
    told.assert_refused("invalid_client");
    basic(&app, "nobody", SECRET).await.assert_refused("invalid_client");
    let form = [FORM[0], ("client_id", ID)];
    let told = Told::of(app.post("/token", &form).await.unwrap()).await;
    told.assert_refused("invalid_client");
}

#[tokio::test]
async fn a_client_has_several_secrets_until_they_are_retired() {
    let app = App::start().await;
    app.provider.change(|options| options.clients[0].secrets.push("new".to_owned()));
    basic(&app, ID, SECRET).await.assert_ok();
    basic(&app, ID, "new").await.assert_ok();
    assert!(app.provider.retire_secret(ID, SECRET));
    assert!(!app.provider.retire_secret(ID, SECRET));
    basic(&app, ID, SECRET).await.assert_refused("invalid_client");
    basic(&app, ID, "new").await.assert_ok();
}

#[tokio::test]
async fn two_methods_in_one_request_are_refused() {
    let app = App::start().await;
    let form = [FORM[0], ("client_id", ID), ("client_secret", SECRET)];
    let request = app.http.post(app.provider.url("/token")).form(&form);
    let told = Told::of(request.basic_auth(ID, Some(SECRET)).send().await.unwrap()).await;
    told.assert_refused("invalid_request");
}

#[tokio::test]
async fn a_method_that_is_not_supported_is_refused() {
    let app = App::with(|options| options.auth_methods = vec![AuthMethod::ClientSecretBasic]).await;
    app.ask("/token", &FORM).await.assert_refused("invalid_client");
    basic(&app, ID, SECRET).await.assert_ok();
}

#[tokio::test]
async fn a_public_client_refreshes_without_a_secret() {
    let app = App::with(|options| options.clients.push(Client::public("public"))).await;
    let grant = app.provider.issue_grant("public", crate::app::HOUR).unwrap();
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &grant.refresh_token),
        ("client_id", "public"),
    ];
    let told = Told::of(app.post("/token", &form).await.unwrap()).await;
    told.assert_ok();
    app.refresh(&told.text("refresh_token")).await.assert_refused("invalid_grant");
}

#[tokio::test]
async fn a_field_that_is_there_twice_and_a_body_that_is_no_form_are_refused() {
    let app = App::start().await;
    app.ask("/token", &[FORM[0], FORM[0]]).await.assert_refused("invalid_request");
    let request = app.http.post(app.provider.url("/token")).json(&FORM);
    Told::of(request.send().await.unwrap()).await.assert_refused("invalid_request");
}
