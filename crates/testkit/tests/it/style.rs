//! The styles in which providers answer.

use keyfob_testkit::AnswerStyle;
use serde_json::json;

use crate::app::{App, HOUR, Told};

async fn styled(style: AnswerStyle) -> (App, Told) {
    let app = App::with(|options| options.answer_style = style).await;
    let grant = app.grant();
    let told = app.refresh(&grant.refresh_token).await;
    told.assert_ok();
    (app, told)
}

#[tokio::test]
async fn as_a_form() {
    let (app, told) = styled(AnswerStyle::Form).await;
    let body = told.body.as_str().unwrap().to_owned();
    let fields: Vec<(String, String)> =
        form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert!(fields.contains(&("expires_in".to_owned(), "3600".to_owned())), "{body}");
    let access_token = &fields.iter().find(|(name, _)| name == "access_token").unwrap().1;
    assert!(app.provider.is_valid(access_token));
    let refused = app.refresh("unknown").await;
    refused.assert_ok();
    assert!(refused.body.as_str().unwrap().starts_with("error=invalid_grant"));
}

#[tokio::test]
async fn with_numbers_that_are_texts() {
    let (_app, told) = styled(AnswerStyle::TextNumbers).await;
    assert_eq!(told.body["expires_in"], "3600");
}

#[tokio::test]
async fn as_slack_does_for_users() {
    let (app, told) = styled(AnswerStyle::SlackUser).await;
    assert_eq!(told.body["ok"], true);
    assert!(told.body.get("access_token").is_none());
    let user = &told.body["authed_user"];
    assert!(app.provider.is_valid(user["access_token"].as_str().unwrap()));
    assert_eq!(user["token_type"], "user");
    let refused = app.refresh("unknown").await;
    refused.assert_ok();
    assert_eq!(refused.body, json!({ "ok": false, "error": "invalid_grant" }));
}

#[tokio::test]
async fn without_expires_in() {
    let app = App::with(|options| options.omit_expires_in = true).await;
    let told = app.refresh(&app.grant().refresh_token).await;
    told.assert_ok();
    assert!(told.body.get("expires_in").is_none());
}

#[tokio::test]
async fn with_the_life_of_the_refresh_token() {
    let app = App::with(|options| {
        options.tell_refresh_token_life = true;
        options.refresh_token_life = Some(2 * HOUR);
    });
    let app = app.await;
    assert_eq!(
        app.refresh(&app.grant().refresh_token).await.body["refresh_token_expires_in"],
        7200
    );
}

#[tokio::test]
async fn with_access_tokens_that_are_jwts() {
    let app = App::with(|options| options.jwt_access_tokens = true).await;
    let grant = app.grant();
    let header = jsonwebtoken::decode_header(&grant.access_token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let keys: jsonwebtoken::jwk::JwkSet =
        serde_json::from_value(app.get("/jwks").await.body).unwrap();
    let key = keys.find(header.kid.as_deref().unwrap()).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let mut rules = jsonwebtoken::Validation::new(header.alg);
    rules.set_audience(&[app.provider.url("/resource")]);
    rules.set_issuer(&[app.provider.issuer()]);
    let token: jsonwebtoken::TokenData<serde_json::Value> =
        jsonwebtoken::decode(&grant.access_token, &key, &rules).unwrap();
    assert_eq!(token.claims["exp"], grant.expires_at.as_seconds());
    assert_eq!(app.userinfo(&grant.access_token).await, 200);
}
