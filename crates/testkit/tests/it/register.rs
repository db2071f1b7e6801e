//! Registration of clients.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{App, CALLBACK, Told};

async fn register(app: &App, metadata: &Value) -> Told {
    let request = app.http.post(app.provider.url("/register")).json(metadata);
    Told::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_client_registers_and_uses_its_secret() {
    let app = App::start().await;
    let metadata = json!({ "redirect_uris": [CALLBACK], "client_name": "An app", "unknown": 1 });
    let told = register(&app, &metadata).await;
    assert_eq!(told.status, StatusCode::CREATED);
    assert_eq!(told.body["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(told.body["client_secret_expires_at"], 0);
    let form = [("grant_type", "client_credentials")];
    let request = app.http.post(app.provider.url("/token")).form(&form);
    let secret = told.text("client_secret");
    let request = request.basic_auth(told.text("client_id"), Some(secret));
    Told::of(request.send().await.unwrap()).await.assert_ok();
}

#[tokio::test]
async fn a_public_client_gets_no_secret() {
    let app = App::start().await;
    let metadata = json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" });
    let told = register(&app, &metadata).await;
    assert_eq!(told.status, StatusCode::CREATED);
    assert!(told.body.get("client_secret").is_none());
}

#[tokio::test]
async fn wrong_metadata_is_refused() {
    let app = App::start().await;
    let method = "token_endpoint_auth_method";
    for (metadata, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["callback"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": [CALLBACK], method: "unknown" }), "invalid_client_metadata"),
        (
            json!({ "redirect_uris": [CALLBACK], method: "private_key_jwt" }),
            "invalid_client_metadata",
        ),
        (json!("text"), "invalid_client_metadata"),
    ] {
        let told = register(&app, &metadata).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{metadata}");
        told.assert_refused(error);
    }
}
