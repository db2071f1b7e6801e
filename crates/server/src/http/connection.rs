//! `/api/v1/contact/{contact}/secret`: what contacts have connected (contract/contacts-and-secrets,
//! section 5), and the same for shared secrets (section 4.2).

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use keyfob_api::{connection as wire, list::Id as Changed};
use keyfob_core::{
    id::{ContactId, SecretId},
    time::Timestamp,
};
use serde_json::Value;

use super::{body, contact, fields::Fields, secret};
use crate::{
    broker::{Broker, Caller, Handed, Imported, Link, Minted, SecretRef, Status, Verified},
    error::Error,
    openapi::parameters,
};

/// More scopes than any provider has.
const MOST_SCOPES: usize = 500;

pub(crate) type Both = Result<Path<(String, String)>, PathRejection>;

/// The contact and the secret in a path.
pub(super) fn both(path: Both) -> (ContactId, SecretRef) {
    let (contact, secret) = path.map(|Path(both)| both).unwrap_or_default();
    (contact::parse(&contact), secret::parse(&secret))
}

fn changed(id: &SecretId) -> Json<Changed> {
    Json(Changed { id: id.to_string() })
}

/// Says whether a contact's credential can be used.
///
/// If not, and if a person can do something about it, `action.url` is a link for them: a secret, good for one use
/// within 15 minutes. A provider that does not answer just now changes nothing of what is said here.
#[utoipa::path(
    post,
    path = "/api/v1/contact/{contact}/secret/{secret}/verify",
    operation_id = "verifyContactSecret",
    tag = "Connections",
    params(parameters::ContactAndSecret),
    responses((status = 200, description = "Whether it can be used", body = wire::Verified)),
)]
pub(crate) async fn verify(
    State(broker): State<Broker>,
    caller: Caller,
    path: Both,
) -> Result<Json<wire::Verified>, Error> {
    let (contact, secret) = both(path);
    Ok(verified(broker.verify_connection(&caller, &contact, &secret).await?))
}

/// Makes a link at which the contact connects it.
///
/// It is a secret, good for one use within 15 minutes. Fields that are not named here are ignored.
#[utoipa::path(
    post,
    path = "/api/v1/contact/{contact}/secret/{secret}/authenticate",
    operation_id = "authenticateContactSecret",
    tag = "Connections",
    params(parameters::ContactAndSecret),
    request_body = wire::Authenticate,
    responses((status = 200, description = "The link", body = wire::Authentication)),
)]
pub(crate) async fn authenticate(
    State(broker): State<Broker>,
    caller: Caller,
    path: Both,
    body: body::Bytes,
) -> Result<Json<wire::Authentication>, Error> {
    let (return_url, (contact, secret)) = (return_url(&body)?, both(path));
    let link = broker.authenticate_connection(&caller, &contact, &secret, return_url).await?;
    Ok(linked(link))
}

/// Stores a credential for a contact.
///
/// One of `{value}` (types `plain`, `bearer`, `jwt`), `{username, password}` (`basic`) and `{accessToken,
/// refreshToken?, expiresAt?, scopes?}` (`oauth`: a grant that a provider has given already).
#[utoipa::path(
    post,
    path = "/api/v1/contact/{contact}/secret/{secret}/connect",
    operation_id = "connectContactSecret",
    tag = "Connections",
    params(parameters::ContactAndSecret),
    request_body = wire::Connect,
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn connect(
    State(broker): State<Broker>,
    caller: Caller,
    path: Both,
    body: body::Bytes,
) -> Result<Json<Changed>, Error> {
    let (handed, (contact, secret)) = (handed(&body)?, both(path));
    Ok(changed(&broker.connect(&caller, &contact, &secret, handed).await?))
}

/// Takes a contact's credential away.
///
/// A grant is revoked at its provider, soon. What is gone already is answered alike.
#[utoipa::path(
    post,
    path = "/api/v1/contact/{contact}/secret/{secret}/revoke",
    operation_id = "revokeContactSecret",
    tag = "Connections",
    params(parameters::ContactAndSecret),
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn revoke(
    State(broker): State<Broker>,
    caller: Caller,
    path: Both,
) -> Result<Json<Changed>, Error> {
    let (contact, secret) = both(path);
    Ok(changed(&broker.revoke_connection(&caller, &contact, &secret).await?))
}

/// Has the token of a contact's credential renewed now.
///
/// Only of type `oauth`. A connection that works goes on to work if this fails.
#[utoipa::path(
    post,
    path = "/api/v1/contact/{contact}/secret/{secret}/refresh",
    operation_id = "refreshContactSecret",
    tag = "Connections",
    params(parameters::ContactAndSecret),
    responses((status = 200, description = "Whether it can be used now", body = wire::Verified)),
)]
pub(crate) async fn refresh(
    State(broker): State<Broker>,
    caller: Caller,
    path: Both,
) -> Result<Json<wire::Verified>, Error> {
    let (contact, secret) = both(path);
    Ok(verified(broker.refresh_connection(&caller, &contact, &secret).await?))
}

/// Hands out a token of a contact's credential.
///
/// Of types `oauth`, renewed first where it is due, and `jwt`, signed for this. Only of a secret of the account's own,
/// and for an agent's key only if its limits say `mint`.
#[utoipa::path(
    post,
    path = "/api/v1/contact/{contact}/secret/{secret}/mint",
    operation_id = "mintContactSecret",
    tag = "Connections",
    params(parameters::ContactAndSecret),
    responses((status = 200, description = "The token", body = wire::Minted)),
)]
pub(crate) async fn mint(
    State(broker): State<Broker>,
    caller: Caller,
    path: Both,
) -> Result<Json<wire::Minted>, Error> {
    let (contact, secret) = both(path);
    Ok(minted(broker.mint_connection(&caller, &contact, &secret).await?))
}

/// Says whether the one value of a shared secret can be used.
///
/// If not, and if a person can do something about it, `action.url` is a link for them: a secret, good for one use
/// within 15 minutes. A provider that does not answer just now changes nothing of what is said here.
#[utoipa::path(
    post,
    path = "/api/v1/secret/{secret}/verify",
    operation_id = "verifySecret",
    tag = "Connections",
    params(parameters::Secret),
    responses((status = 200, description = "Whether it can be used", body = wire::Verified)),
)]
pub(crate) async fn verify_shared(
    State(broker): State<Broker>,
    caller: Caller,
    path: secret::At,
) -> Result<Json<wire::Verified>, Error> {
    Ok(verified(broker.verify_secret(&caller, &secret::at(path)).await?))
}

/// Makes a link at which somebody connects it for everybody.
///
/// It is a secret, good for one use within 15 minutes. Fields that are not named here are ignored.
#[utoipa::path(
    post,
    path = "/api/v1/secret/{secret}/authenticate",
    operation_id = "authenticateSecret",
    tag = "Connections",
    params(parameters::Secret),
    request_body = wire::Authenticate,
    responses((status = 200, description = "The link", body = wire::Authentication)),
)]
pub(crate) async fn authenticate_shared(
    State(broker): State<Broker>,
    caller: Caller,
    path: secret::At,
    body: body::Bytes,
) -> Result<Json<wire::Authentication>, Error> {
    let return_url = return_url(&body)?;
    Ok(linked(broker.authenticate_secret(&caller, &secret::at(path), return_url).await?))
}

/// Has the token of the one value of a shared secret renewed now.
///
/// Only of type `oauth`. A connection that works goes on to work if this fails.
#[utoipa::path(
    post,
    path = "/api/v1/secret/{secret}/refresh",
    operation_id = "refreshSecret",
    tag = "Connections",
    params(parameters::Secret),
    responses((status = 200, description = "Whether it can be used now", body = wire::Verified)),
)]
pub(crate) async fn refresh_shared(
    State(broker): State<Broker>,
    caller: Caller,
    path: secret::At,
) -> Result<Json<wire::Verified>, Error> {
    Ok(verified(broker.refresh_secret(&caller, &secret::at(path)).await?))
}

/// Hands out a token of the one value of a shared secret.
///
/// Of types `oauth`, renewed first where it is due, and `jwt`, signed for this. Only of a secret of the account's own,
/// and for an agent's key only if its limits say `mint`.
#[utoipa::path(
    post,
    path = "/api/v1/secret/{secret}/mint",
    operation_id = "mintSecret",
    tag = "Connections",
    params(parameters::Secret),
    responses((status = 200, description = "The token", body = wire::Minted)),
)]
pub(crate) async fn mint_shared(
    State(broker): State<Broker>,
    caller: Caller,
    path: secret::At,
) -> Result<Json<wire::Minted>, Error> {
    Ok(minted(broker.mint_secret(&caller, &secret::at(path)).await?))
}

/// Takes the one value of a shared secret away.
///
/// A grant is revoked at its provider, soon. What is gone already is answered alike.
#[utoipa::path(
    post,
    path = "/api/v1/secret/{secret}/revoke",
    operation_id = "revokeSecret",
    tag = "Connections",
    params(parameters::Secret),
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn revoke_shared(
    State(broker): State<Broker>,
    caller: Caller,
    path: secret::At,
) -> Result<Json<Changed>, Error> {
    Ok(changed(&broker.revoke_secret(&caller, &secret::at(path)).await?))
}

/// `returnUrl` of a body. The original takes no body here, and ignores what is in it.
fn return_url(body: &body::Bytes) -> Result<Option<String>, Error> {
    if body.is_empty() {
        return Ok(None);
    }
    let mut fields: Fields<'_> = body.json()?;
    Ok(fields.text("returnUrl")?.value().filter(|url| !url.is_empty()))
}

fn handed(body: &body::Bytes) -> Result<Handed, Error> {
    let mut fields: Fields<'_> = body.json()?;
    let [value, username, password, access_token, refresh_token] =
        ["value", "username", "password", "accessToken", "refreshToken"]
            .map(|name| fields.secret(name));
    let (expires_at, scopes) = (fields.time("expiresAt")?.value(), scopes(&mut fields)?);
    fields.end()?;
    let refresh_token = refresh_token?.value();
    let is_grant = refresh_token.is_some() || expires_at.is_some() || scopes.is_some();
    match (value?.value(), username?.value(), password?.value(), access_token?.value()) {
        (None, None, None, Some(access_token)) => {
            Ok(Handed::Grant(Imported { access_token, refresh_token, expires_at, scopes }))
        }
        (Some(value), None, None, None) if !is_grant => Ok(Handed::Value(value)),
        (None, Some(username), Some(password), None) if !is_grant => {
            Ok(Handed::Pair { username, password })
        }
        _ => Err(Error::invalid(
            "bad_request",
            "\"value\" is required; or \"username\" and \"password\" for a secret of type basic; or \"accessToken\" (with \"refreshToken\", \"expiresAt\" and \"scopes\") for one of type oauth",
        )),
    }
}

/// `scopes` as OAuth has them, separated by blanks, or as our answers have them, a list.
fn scopes(fields: &mut Fields<'_>) -> Result<Option<String>, Error> {
    let wrong =
        || Error::invalid("bad_request", "\"scopes\" must be a string or a list of strings");
    let Some(given) = fields.any("scopes")?.value() else { return Ok(None) };
    let words: Vec<&str> = match &given {
        Value::String(text) => text.split_ascii_whitespace().collect(),
        Value::Array(list) => {
            let words: Option<_> = list.iter().map(Value::as_str).collect();
            words.ok_or_else(wrong)?
        }
        _ => return Err(wrong()),
    };
    let is_scope = |word: &&str| word.bytes().all(|byte| byte.is_ascii_graphic());
    if !words.iter().all(is_scope) || words.len() > MOST_SCOPES {
        return Err(wrong());
    }
    Ok(Some(words.join(" ")).filter(|text| !text.is_empty()))
}

fn minted(Minted { token, expires_at }: Minted) -> Json<wire::Minted> {
    Json(wire::Minted { token, expires_at: expires_at.map(Timestamp::as_millis) })
}

fn linked(Link { secret, url }: Link) -> Json<wire::Authentication> {
    Json(wire::Authentication { id: secret.to_string(), url })
}

/// Strict clients know two words here; what else there is to say is the reason.
fn verified(verified: Verified) -> Json<wire::Verified> {
    let status = match verified.status {
        Status::Authenticated => Status::Authenticated,
        Status::Unauthenticated | Status::Expired | Status::Broken => Status::Unauthenticated,
    };
    let action = |url| wire::Act { kind: "authenticate".into(), url };
    Json(wire::Verified {
        id: verified.secret.to_string(),
        status: status.as_str().into(),
        reason: verified.reason,
        expires_at: verified.expires_at.map(Timestamp::as_millis),
        scopes: verified.scopes.map(|scopes| words(&scopes)),
        action: verified.link.map(action),
    })
}

pub(super) fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}
