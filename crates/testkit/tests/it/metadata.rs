//! What the provider says of itself.

use keyfob_testkit::AuthMethod;
use reqwest::StatusCode;
use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn the_authorization_server_tells_its_endpoints() {
    let app = App::with(|options| options.auth_methods = vec![AuthMethod::None]).await;
    for path in ["oauth-authorization-server", "openid-configuration"] {
        let told = app.get(&format!("/.well-known/{path}")).await;
        told.assert_ok();
        assert_eq!(told.text("issuer"), app.provider.issuer());
        assert_eq!(told.text("token_endpoint"), app.provider.url("/token"));
        assert_eq!(told.body["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(told.body["token_endpoint_auth_methods_supported"], json!(["none"]));
        assert_eq!(told.body["authorization_response_iss_parameter_supported"], true);
    }
}

#[tokio::test]
async fn every_endpoint_of_the_metadata_is_there() {
    let app = App::start().await;
    let metadata = app.get("/.well-known/oauth-authorization-server").await.body;
    let endpoints = metadata.as_object().unwrap().iter();
    let endpoints =
        endpoints.filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri");
    for (name, url) in endpoints {
        let answer = app.http.get(url.as_str().unwrap()).send().await.unwrap();
        assert_ne!(answer.status(), StatusCode::NOT_FOUND, "{name}");
    }
}

#[tokio::test]
async fn a_resource_leads_to_its_authorization_server() {
    let app = App::start().await;
    let resource = app.http.get(app.provider.url("/resource")).send().await.unwrap();
    assert_eq!(resource.status(), StatusCode::UNAUTHORIZED);
    let challenge = resource.headers()["www-authenticate"].to_str().unwrap();
    let path = "/.well-known/oauth-protected-resource/resource";
    assert_eq!(challenge, format!("Bearer resource_metadata=\"{}\"", app.provider.url(path)));
    let told = app.get(path).await;
    assert_eq!(told.body["resource"], app.provider.url("/resource"));
    assert_eq!(told.body["authorization_servers"], json!([app.provider.issuer()]));
}

#[tokio::test]
async fn userinfo_and_the_resource_take_valid_tokens() {
    let app = App::start().await;
    let grant = app.grant();
    for path in ["/userinfo", "/resource"] {
        let request = app.http.get(app.provider.url(path)).bearer_auth(&grant.access_token);
        let told = crate::app::Told::of(request.send().await.unwrap()).await;
        assert_eq!((told.status, &told.body["sub"]), (StatusCode::OK, &"alice".into()));
        let request = app.http.get(app.provider.url(path)).bearer_auth("unknown");
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    }
}
