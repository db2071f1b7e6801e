//! `/api/v2/totp` (contract/totp).

use axum::{
    Json,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::HeaderMap,
    response::Response,
};
use bytes::{BufMut, BytesMut};
use futures_util::stream;
use keyfob_api::totp as wire;
use keyfob_core::id::TotpId;
use keyfob_store::{Page, totp::Totp};

use super::{body, contact, draft::draft, wish::wish};
use crate::{
    app::json_stream,
    broker::{Broker, Caller, Change, CreatedTotp, Given, Released},
    error::Error,
    openapi::parameters,
    text::rfc3339,
};

type Id = Result<Path<String>, PathRejection>;

/// The id in a path. A malformed one becomes one that does not exist, and not an error: who may not
/// do this at all is told so whatever the id.
fn id(path: Id) -> TotpId {
    let text = path.map(|Path(text)| text).unwrap_or_default();
    TotpId::parse(&text).unwrap_or_else(|_| TotpId::never())
}

/// Stores the secret of one-time passwords.
///
/// Of `uri` and `label` one is required. Without `secret` the server makes one. A create that is sent again because
/// its answer was lost, with the same `Idempotency-Key` or as the Sendblue clients do, makes nothing new.
#[utoipa::path(
    post,
    path = "/api/v2/totp/secrets",
    operation_id = "createTotp",
    tag = "One-time passwords",
    params(parameters::IdempotencyKey),
    request_body = wire::CreateTotp,
    responses((status = 200, description = "What was stored, with its secret: no other answer has that", body = wire::TotpAnswer)),
)]
pub(crate) async fn create(
    State(broker): State<Broker>,
    caller: Caller,
    headers: HeaderMap,
    body: body::Bytes,
) -> Result<Json<wire::TotpAnswer>, Error> {
    let draft = draft(&headers, &body)?;
    let CreatedTotp { totp, secret, is_weak } = broker.create_totp(&caller, draft).await?;
    let mut totp_secret = shape(totp);
    totp_secret.secret = Some(secret);
    if is_weak {
        totp_secret.warnings.push("weak_secret".into());
    }
    Ok(Json(wire::TotpAnswer { status: OK.into(), totp_secret }))
}

const OK: &str = "OK";

/// Lists the entries of one-time passwords, without their secrets.
///
/// Entries are read a page at a time, as fast as the caller takes them. Damaged ones are left out, with a warning at
/// the end: they must not hide the others.
#[utoipa::path(
    get,
    path = "/api/v2/totp/secrets",
    operation_id = "listTotp",
    tag = "One-time passwords",
    responses((status = 200, description = "All entries of the account, oldest first", body = wire::TotpList)),
)]
pub(crate) async fn list(State(broker): State<Broker>, caller: Caller) -> Result<Response, Error> {
    let page = broker.list_totp(&caller, None).await?;
    let first = Sending { page, has_begun: false, sent: 0, damaged: 0 };
    let pages = stream::try_unfold(Some(first), move |sending| {
        let (broker, caller) = (broker.clone(), caller.clone());
        async move {
            let Some(sending) = sending else { return Ok(None) };
            let chunk = next_chunk(&broker, &caller, sending).await;
            // The answer has begun: all that is left is to break it off, and to say why.
            chunk.map(Some).inspect_err(|error| error.log(caller.request_id()))
        }
    });
    Ok(json_stream(Body::from_stream(pages)))
}

/// How far a list has been sent.
struct Sending {
    /// What is next.
    page: Page<Totp, TotpId>,
    has_begun: bool,
    /// Entries that were sent, and left out, so far.
    sent: usize,
    damaged: usize,
}

/// The next piece of a list, and what comes after it.
async fn next_chunk(
    broker: &Broker,
    caller: &Caller,
    Sending { page, has_begun, mut sent, mut damaged }: Sending,
) -> Result<(BytesMut, Option<Sending>), Error> {
    let mut chunk = BytesMut::new();
    if !has_begun {
        chunk.put_slice(br#"{"status":"OK","totp_secrets":["#);
    }
    damaged += page.damaged.len();
    for totp in page.rows {
        if sent > 0 {
            chunk.put_u8(b',');
        }
        sent += 1;
        serde_json::to_writer((&mut chunk).writer(), &shape(totp)).map_err(Error::internal)?;
    }
    if page.last.is_some() {
        let page = broker.list_totp(caller, page.last).await?;
        if page.last.is_some() {
            return Ok((chunk, Some(Sending { page, has_begun: true, sent, damaged })));
        }
    }
    chunk.put_u8(b']');
    if damaged > 0 {
        let warnings = [format!(
            "{damaged} damaged entries are left out: the server's log and `keyfob doctor` name them"
        )];
        chunk.put_slice(br#","warnings":"#);
        serde_json::to_writer((&mut chunk).writer(), &warnings).map_err(Error::internal)?;
    }
    chunk.put_u8(b'}');
    Ok((chunk, None))
}

/// Describes an entry, without its secret.
#[utoipa::path(
    get,
    path = "/api/v2/totp/secrets/{id}",
    operation_id = "fetchTotp",
    tag = "One-time passwords",
    params(parameters::Totp),
    responses((status = 200, description = "The entry", body = wire::TotpAnswer)),
)]
pub(crate) async fn fetch(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
) -> Result<Json<wire::TotpAnswer>, Error> {
    let totp = broker.fetch_totp(&caller, &id(path)).await?;
    Ok(Json(wire::TotpAnswer { status: OK.into(), totp_secret: shape(totp) }))
}

/// Changes an entry: its label, issuer, contact and policy. What is left out stays.
#[utoipa::path(
    patch,
    path = "/api/v2/totp/secrets/{id}",
    operation_id = "updateTotp",
    tag = "One-time passwords",
    params(parameters::Totp),
    request_body = wire::UpdateTotp,
    responses((status = 200, description = "The entry as it is now", body = wire::TotpAnswer)),
)]
pub(crate) async fn update(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
    body: body::Bytes,
) -> Result<Json<wire::TotpAnswer>, Error> {
    let wire::UpdateTotp { contact_id, label, issuer, policy } = body.json()?;
    let wire::UpdatePolicy { unique, min_validity, forget_steps_ahead } =
        policy.unwrap_or_default();
    let contact = match contact_id.as_deref() {
        None => Given::Absent,
        Some("") => Given::Null,
        Some(id) => Given::Value(contact::parse(id)),
    };
    let change = Change { contact, label, issuer, unique, min_validity, forget_steps_ahead };
    let totp = broker.update_totp(&caller, &id(path), change).await?;
    Ok(Json(wire::TotpAnswer { status: OK.into(), totp_secret: shape(totp) }))
}

/// Deletes an entry for good.
#[utoipa::path(
    delete,
    path = "/api/v2/totp/secrets/{id}",
    operation_id = "deleteTotp",
    tag = "One-time passwords",
    params(parameters::Totp),
    responses((status = 200, description = "It is gone", body = wire::Status)),
)]
pub(crate) async fn delete(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
) -> Result<Json<wire::Status>, Error> {
    broker.delete_totp(&caller, &id(path)).await?;
    Ok(Json(wire::Status { status: OK.into() }))
}

/// Tells the current code.
///
/// The answer waits where a code is asked for that is not there yet, for 55 s at the most; what is further away is
/// refused with 429. Parameters that are not named here are ignored.
#[utoipa::path(
    get,
    path = "/api/v2/totp/code/{id}",
    operation_id = "totpCode",
    tag = "One-time passwords",
    params(parameters::Totp, parameters::Code),
    responses((status = 200, description = "The code", body = wire::CodeAnswer)),
)]
pub(crate) async fn code(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
    RawQuery(query): RawQuery,
) -> Result<Json<wire::CodeAnswer>, Error> {
    let wish = wish(query.as_deref().unwrap_or_default())?;
    let released = broker.code(&caller, &id(path), wish).await?;
    Ok(Json(answer(&released)))
}

fn answer(released: &Released) -> wire::CodeAnswer {
    let Released { code, next, step, parameters, at, .. } = released;
    let (valid_until, server_time) = (parameters.ends_at(*step), at.as_seconds());
    wire::CodeAnswer {
        status: OK.into(),
        code: code.as_str().into(),
        expires_in: u32::try_from(valid_until - server_time).unwrap_or(1),
        server_time,
        valid_from: parameters.starts_at(*step),
        valid_until,
        period: parameters.period(),
        digits: parameters.digits(),
        next_valid_from: next.as_ref().map(|_| valid_until),
        next_code: next.as_ref().map(|next| next.as_str().into()),
    }
}

fn shape(totp: Totp) -> wire::Totp {
    let Totp { id, contact, label, issuer, parameters, policy, created_at, updated_at } = totp;
    wire::Totp {
        id: id.to_string(),
        algorithm: parameters.algorithm().as_str().into(),
        contact_id: contact.map(|id| id.to_string()),
        created_at: rfc3339(created_at),
        digits: parameters.digits(),
        issuer,
        label,
        period: parameters.period(),
        kind: parameters.kind().as_str().into(),
        updated_at: rfc3339(updated_at),
        policy: wire::Policy { unique: policy.unique, min_validity: policy.min_validity },
        secret: None,
        warnings: Vec::new(),
    }
}
