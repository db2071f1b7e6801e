//! The token endpoint (RFC 6749 section 3.2).

use std::sync::Arc;

use axum::{extract::State as Extract, http::HeaderMap, response::Response};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use crate::{
    answer,
    authorize::Code,
    client::Client,
    client_auth::authenticate,
    device,
    family::{Beginning, Cause},
    fields::{Fields, Form},
    refusal::Refusal,
    state::{Issued, Shared, State},
};

/// RFC 8628 section 3.4.
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(crate) async fn token(
    Extract(shared): Extract<Arc<Shared>>,
    headers: HeaderMap,
    form: Result<Form, Refusal>,
) -> Response {
    shared.with(|state| match form.and_then(|Form(fields)| grant(state, &headers, &fields)) {
        Ok(issued) => answer::issued(&state.options, &issued),
        Err(refusal) => answer::refused(&state.options, refusal),
    })
}

fn grant(state: &mut State, headers: &HeaderMap, fields: &Fields) -> Result<Issued, Refusal> {
    let grant_type = fields.need("grant_type")?;
    let client = authenticate(state, headers, fields)?;
    match grant_type {
        "authorization_code" => exchange(state, &client, fields),
        "refresh_token" => refresh(state, &client, fields),
        "client_credentials" => client_credentials(state, &client, fields),
        DEVICE_CODE => device::poll(state, &client, fields),
        _ => Err(Refusal::bad("unsupported_grant_type", "this grant_type is not supported")),
    }
}

/// Begins a family, and issues its first tokens.
pub(crate) fn begin(
    state: &mut State,
    beginning: Beginning,
    with_refresh_token: bool,
) -> Result<Issued, Refusal> {
    let (now, life) = (state.now(), state.options.access_token_life);
    let family = state.ledger.families.begin(beginning, now);
    Ok(state.issue(family, life, with_refresh_token)?)
}

fn exchange(state: &mut State, client: &Client, fields: &Fields) -> Result<Issued, Refusal> {
    let text = fields.need("code")?;
    let now = state.now();
    let unknown = || Refusal::grant("the code is unknown");
    let code = state.codes.get_mut(text).ok_or_else(unknown)?;
    if code.client != client.id {
        return Err(Refusal::grant("the code was issued to another client"));
    }
    if code.used {
        // RFC 6749 section 4.1.2: what was issued for it should be revoked.
        if let Some(family) = code.family {
            state.ledger.families.kill(family, Cause::CodeReplay, now);
        }
        return Err(Refusal::grant("the code was used before; what it issued is revoked"));
    }
    // A code that was used wrongly is spent too: it has leaked, or is being guessed at.
    code.used = true;
    let code = code.clone();
    check(&code, fields)?;
    if code.expires_at <= now {
        return Err(Refusal::grant("the code has expired"));
    }
    let Code { client, subject, scope, .. } = code;
    let beginning = Beginning { client, subject, scope, grant_type: "authorization_code" };
    let issued = begin(state, beginning, true)?;
    if let Some(code) = state.codes.get_mut(text) {
        code.family = Some(issued.family);
    }
    Ok(issued)
}

fn check(code: &Code, fields: &Fields) -> Result<(), Refusal> {
    if code.redirect_uri.as_deref() != fields.get("redirect_uri") {
        return Err(Refusal::grant("redirect_uri differs from that of the authorization request"));
    }
    let verifier = fields.get("code_verifier");
    let made = verifier.map(|verifier| BASE64URL_NOPAD.encode(&Sha256::digest(verifier)));
    match (&code.challenge, made) {
        (None, None) => Ok(()),
        (None, Some(_)) => {
            Err(Refusal::grant("a code_verifier is sent, but there was no challenge"))
        }
        (Some(_), None) => Err(Refusal::grant("code_verifier is missing")),
        (Some(challenge), Some(made)) if *challenge == made => Ok(()),
        (Some(_), Some(_)) => Err(Refusal::grant("the code_verifier is not that of the challenge")),
    }
}

fn refresh(state: &mut State, client: &Client, fields: &Fields) -> Result<Issued, Refusal> {
    let text = fields.need("refresh_token")?;
    let (now, options) = (state.now(), &state.options);
    let rotates = options.rotation && !options.omit_refresh_token_on_refresh;
    let (grace, life) = (options.reuse_grace, options.access_token_life);
    let omit = options.omit_refresh_token_on_refresh;
    let families = &mut state.ledger.families;
    let family = families.use_refresh(text, &client.id, rotates, grace, now);
    let mut issued = state.issue(family.map_err(Refusal::grant)?, life, rotates)?;
    if !rotates && !omit {
        issued.refresh_token = Some(text.to_owned());
    }
    Ok(issued)
}

fn client_credentials(
    state: &mut State,
    client: &Client,
    fields: &Fields,
) -> Result<Issued, Refusal> {
    if client.is_public() {
        return Err(Refusal::bad("unauthorized_client", "a public client has no credentials"));
    }
    let scope = fields.get("scope").unwrap_or_default().to_owned();
    let (id, subject) = (client.id.clone(), client.id.clone());
    let grant_type = "client_credentials";
    begin(state, Beginning { client: id, subject, scope, grant_type }, false)
}
