//! What a provider says of itself.

use std::sync::Arc;

use axum::{Json, extract::State as Extract};
use serde_json::{Value, json};

use crate::{
    state::{Shared, State},
    token::DEVICE_CODE,
};

/// RFC 8414 section 2.
pub(crate) async fn authorization_server(Extract(shared): Extract<Arc<Shared>>) -> Json<Value> {
    shared.look(|state| Json(server(state)))
}

/// `OpenID` Connect Discovery section 3: the same, and what that asks for in addition.
pub(crate) async fn openid(Extract(shared): Extract<Arc<Shared>>) -> Json<Value> {
    shared.look(|state| {
        let mut metadata = server(state);
        metadata["subject_types_supported"] = json!(["public"]);
        metadata["id_token_signing_alg_values_supported"] = json!(["ES256"]);
        Json(metadata)
    })
}

/// RFC 9728 section 2, of `/resource`.
pub(crate) async fn protected_resource(Extract(shared): Extract<Arc<Shared>>) -> Json<Value> {
    shared.look(|state| {
        Json(json!({
            "resource": format!("{}/resource", state.issuer),
            "authorization_servers": [state.issuer],
            "scopes_supported": state.options.scopes,
            "bearer_methods_supported": ["header"],
        }))
    })
}

/// RFC 7517.
pub(crate) async fn keys(Extract(shared): Extract<Arc<Shared>>) -> Json<Value> {
    shared.look(|state| Json(state.signer.keys()))
}

fn server(state: &State) -> Value {
    let options = &state.options;
    let at = |path: &str| format!("{}{path}", state.issuer);
    json!({
        "issuer": state.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "device_authorization_endpoint": at("/device_authorization"),
        "revocation_endpoint": at("/revoke"),
        "introspection_endpoint": at("/introspect"),
        "userinfo_endpoint": at("/userinfo"),
        "registration_endpoint": at("/register"),
        "jwks_uri": at("/jwks"),
        "scopes_supported": options.scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported":
            ["authorization_code", "refresh_token", "client_credentials", DEVICE_CODE],
        "token_endpoint_auth_methods_supported": options.auth_methods,
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        "revocation_endpoint_auth_methods_supported": options.auth_methods,
        "introspection_endpoint_auth_methods_supported": options.auth_methods,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": options.iss,
        "protected_resources": [at("/resource")],
    })
}
