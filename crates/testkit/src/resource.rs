//! What takes access tokens (RFC 6750): userinfo, and a resource.

use std::sync::Arc;

use axum::{
    Json,
    extract::State as Extract,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    refusal::Note,
    state::{Shared, State},
};

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

pub(crate) async fn userinfo(
    Extract(shared): Extract<Arc<Shared>>,
    headers: HeaderMap,
) -> Response {
    shared.look(|state| match holder(state, &headers) {
        Some((subject, _)) => {
            Json(json!({ "sub": subject, "name": subject, "preferred_username": subject }))
                .into_response()
        }
        None => challenge(state, &headers),
    })
}

pub(crate) async fn resource(
    Extract(shared): Extract<Arc<Shared>>,
    headers: HeaderMap,
) -> Response {
    shared.look(|state| match holder(state, &headers) {
        Some((subject, scope)) => Json(json!({ "sub": subject, "scope": scope })).into_response(),
        None => challenge(state, &headers),
    })
}

/// For whom the request's access token stands, and what it allows, if it is valid.
fn holder(state: &State, headers: &HeaderMap) -> Option<(String, String)> {
    let token = bearer(headers)?;
    let families = &state.ledger.families;
    let valid = families.is_access_valid(token, state.now());
    let family = valid.then(|| families.access(token)).flatten()?.family;
    families.all.get(&family).map(|family| (family.subject.clone(), family.scope.clone()))
}

/// 401, and where to learn how to get a token (RFC 9728 section 5.1).
fn challenge(state: &State, headers: &HeaderMap) -> Response {
    let metadata = format!("{}/.well-known/oauth-protected-resource/resource", state.issuer);
    // A request without a token gets no error code (RFC 6750 section 3.1).
    let error = bearer(headers).map(|_| "invalid_token");
    let said = error.map(|error| format!("error=\"{error}\", ")).unwrap_or_default();
    let header = format!("Bearer {said}resource_metadata=\"{metadata}\"");
    let body = Json(json!({ "error": error }));
    let mut response =
        (StatusCode::UNAUTHORIZED, [("www-authenticate", header)], body).into_response();
    let note = Note { error: error.map(str::to_owned), issued: None };
    response.extensions_mut().insert(note);
    response
}
