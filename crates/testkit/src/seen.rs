//! What the ledger notes of a request, before anything is done about it.

use axum::http::request::Parts;
use bytes::Bytes;

use crate::{
    client::AuthMethod,
    client_auth::claimed,
    endpoint::Endpoint,
    family::FamilyId,
    fields::{Fields, is_form},
    ledger::Request,
    resource::bearer,
    state::State,
};

/// Notes what a request says, whether or not it will be looked at.
pub(crate) fn seen(parts: &Parts, body: &Bytes, state: &State) -> Request {
    let fields = if is_form(&parts.headers) {
        Fields::parse(body)
    } else {
        Fields::parse(parts.uri.query().unwrap_or_default().as_bytes())
    };
    let endpoint = Endpoint::of(parts.uri.path());
    let (client, auth_method) = client(parts, &fields, endpoint);
    let carried = carried(parts, &fields, state);
    Request {
        at: state.now(),
        endpoint,
        method: parts.method.to_string(),
        grant_type: fields.get("grant_type").map(str::to_owned),
        client,
        auth_method,
        family: carried.map(|(family, _)| family),
        generation: carried.map(|(_, generation)| generation),
        fault: None,
        status: None,
        error: None,
        in_flight: true,
    }
}

fn client(
    parts: &Parts,
    fields: &Fields,
    endpoint: Endpoint,
) -> (Option<String>, Option<AuthMethod>) {
    let authenticates = matches!(
        endpoint,
        Endpoint::Token | Endpoint::DeviceAuthorization | Endpoint::Revoke | Endpoint::Introspect
    );
    match claimed(&parts.headers, fields) {
        Ok(claimed) if authenticates => (Some(claimed.client), Some(claimed.method)),
        _ => (fields.get("client_id").map(str::to_owned), None),
    }
}

/// The family and generation of the token that the request carries, or of what its code issued before.
fn carried(parts: &Parts, fields: &Fields, state: &State) -> Option<(FamilyId, u32)> {
    if let Some(code) = fields.get("code").and_then(|code| state.codes.get(code)) {
        return code.family.map(|family| (family, 0));
    }
    let token = fields.get("refresh_token").or(fields.get("token")).or(bearer(&parts.headers))?;
    let families = &state.ledger.families;
    let refresh = families.refresh(token).map(|token| (token.family, token.generation));
    refresh.or_else(|| families.access(token).map(|token| (token.family, token.generation)))
}
