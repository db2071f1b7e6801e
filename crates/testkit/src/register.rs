//! Registration of clients by themselves (RFC 7591).

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State as Extract,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::{
    client::{AuthMethod, Client, PublicKey},
    mint::random_text,
    refusal::Refusal,
    state::{Shared, State},
};

/// What a client says of itself. Other metadata is ignored, as RFC 7591 section 2 says.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_method: Option<AuthMethod>,
    #[serde(default)]
    grant_types: Option<Vec<String>>,
    #[serde(default)]
    jwks: Option<JwkSet>,
    #[serde(default)]
    client_name: Option<String>,
    #[serde(default)]
    scope: Option<String>,
}

pub(crate) async fn register(
    Extract(shared): Extract<Arc<Shared>>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let metadata = serde_json::from_slice(&body)
        .map_err(|wrong| Refusal::bad("invalid_client_metadata", wrong))?;
    let answer = shared.with(|state| add(state, metadata))?;
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn add(state: &mut State, metadata: Metadata) -> Result<Value, Refusal> {
    // RFC 7591 section 2.
    let method = metadata.token_endpoint_auth_method.unwrap_or(AuthMethod::ClientSecretBasic);
    let client = client(state, method, &metadata)?;
    let mut answer = json!({
        "client_id": client.id,
        "client_id_issued_at": state.now().as_seconds(),
        "redirect_uris": client.redirect_uris,
        "token_endpoint_auth_method": method,
        "grant_types": metadata.grant_types.unwrap_or_else(|| vec!["authorization_code".into()]),
        "response_types": ["code"],
    });
    let secret = client.secrets.first().map(|secret| json!(secret));
    let told = [
        ("client_secret_expires_at", secret.as_ref().map(|_| json!(0))),
        ("client_secret", secret),
        ("client_name", metadata.client_name.map(Value::from)),
        ("scope", metadata.scope.map(Value::from)),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            answer[name] = value;
        }
    }
    state.options.clients.push(client);
    Ok(answer)
}

fn client(state: &State, method: AuthMethod, metadata: &Metadata) -> Result<Client, Refusal> {
    let wrong = |why: &str| Refusal::bad("invalid_client_metadata", why);
    if !state.options.auth_methods.contains(&method) {
        return Err(wrong("token_endpoint_auth_method is not supported"));
    }
    if metadata.redirect_uris.iter().any(|uri| Url::parse(uri).is_err()) {
        return Err(Refusal::bad("invalid_redirect_uri", "a redirect_uri is not an absolute URL"));
    }
    let takes_codes = metadata.grant_types.as_ref().is_none_or(|grant_types| {
        grant_types.iter().any(|grant_type| grant_type == "authorization_code")
    });
    if takes_codes && metadata.redirect_uris.is_empty() {
        return Err(Refusal::bad("invalid_redirect_uri", "redirect_uris is missing"));
    }
    let mut client = Client {
        redirect_uris: metadata.redirect_uris.clone(),
        auth_method: Some(method),
        ..Client::public(&format!("client-{}", random_text()?))
    };
    match method {
        AuthMethod::None => {}
        AuthMethod::ClientSecretPost | AuthMethod::ClientSecretBasic => {
            client.secrets.push(format!("secret-{}", random_text()?));
        }
        AuthMethod::PrivateKeyJwt => {
            let keys = metadata.jwks.as_ref().filter(|set| !set.keys.is_empty());
            let keys = keys.ok_or_else(|| wrong("private_key_jwt needs jwks"))?.keys.iter();
            client.public_keys.extend(keys.map(|key| PublicKey::Jwk(Box::new(key.clone()))));
        }
    }
    Ok(client)
}
