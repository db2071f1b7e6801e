//! Revocation (RFC 7009) and introspection (RFC 7662).

use std::sync::Arc;

use axum::{
    Json,
    extract::State as Extract,
    http::{HeaderMap, StatusCode},
};
use serde_json::{Value, json};

use crate::{
    client_auth::authenticate,
    clock::Moment,
    family::{Cause, FamilyId},
    fields::Form,
    refusal::Refusal,
    state::{Shared, State},
};

/// Which of the two a token is.
enum Found {
    Access(FamilyId),
    Refresh(FamilyId),
}

impl Found {
    const fn family(&self) -> FamilyId {
        match self {
            Self::Access(family) | Self::Refresh(family) => *family,
        }
    }
}

/// No token is both, so that `token_type_hint` says only where to look first.
fn find(state: &State, token: &str, hint: Option<&str>) -> Option<Found> {
    let families = &state.ledger.families;
    let access = || families.access(token).map(|token| Found::Access(token.family));
    let refresh = || families.refresh(token).map(|token| Found::Refresh(token.family));
    match hint {
        Some("refresh_token") => refresh().or_else(access),
        _ => access().or_else(refresh),
    }
}

pub(crate) async fn revoke(
    Extract(shared): Extract<Arc<Shared>>,
    headers: HeaderMap,
    Form(fields): Form,
) -> Result<StatusCode, Refusal> {
    shared.with(|state| {
        let client = authenticate(state, &headers, &fields)?;
        let token = fields.need("token")?;
        let now = state.now();
        // What is unknown is as good as revoked (RFC 7009 section 2.2).
        let Some(found) = find(state, token, fields.get("token_type_hint")) else {
            return Ok(StatusCode::OK);
        };
        let families = &mut state.ledger.families;
        if families.all.get(&found.family()).is_some_and(|family| family.client != client.id) {
            let why = "the token was issued to another client";
            return Err(Refusal::bad("unauthorized_client", why));
        }
        match found {
            Found::Access(_) => families.revoke_access(token, now),
            Found::Refresh(family) => {
                families.kill(family, Cause::Revoked, now);
            }
        }
        Ok(StatusCode::OK)
    })
}

pub(crate) async fn introspect(
    Extract(shared): Extract<Arc<Shared>>,
    headers: HeaderMap,
    Form(fields): Form,
) -> Result<Json<Value>, Refusal> {
    shared.with(|state| {
        authenticate(state, &headers, &fields)?;
        let token = fields.need("token")?;
        let found = find(state, token, fields.get("token_type_hint"));
        let active = found.and_then(|found| describe(state, token, &found, state.now()));
        Ok(Json(active.unwrap_or_else(|| json!({ "active": false }))))
    })
}

/// What a token that is valid says of itself.
fn describe(state: &State, token: &str, found: &Found, now: Moment) -> Option<Value> {
    let families = &state.ledger.families;
    let family = families.all.get(&found.family())?;
    let (valid, end) = match found {
        Found::Access(_) => {
            (families.is_access_valid(token, now), Some(families.access(token)?.expires_at))
        }
        Found::Refresh(_) => {
            (families.is_refresh_valid(token, now), families.refresh(token)?.expires_at)
        }
    };
    valid.then(|| {
        json!({
            "active": true,
            "iss": state.issuer,
            "sub": family.subject,
            "username": family.subject,
            "client_id": family.client,
            "scope": family.scope,
            "exp": end.map(Moment::as_seconds),
        })
    })
}
