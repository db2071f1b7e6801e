//! `/api/v1/secret`: secrets, the definitions of credentials (contract/contacts-and-secrets, section 4.1).

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::HeaderMap,
    response::Response,
};
use keyfob_api::{list::Id as Changed, secret as wire};
use keyfob_core::{
    id::SecretId,
    secret::{Kind, SecretType, Visibility},
};
use keyfob_store::Page;

use super::{
    body,
    fields::Fields,
    list::{self, Format, List, ListQuery},
    repeat::repeat,
};
use crate::{
    broker::{
        Broker, Caller, Config, Described, MetaChange, SecretChange, SecretFilter, SecretRef, Slice,
    },
    error::Error,
    openapi::parameters,
};

pub(crate) type At = Result<Path<String>, PathRejection>;

/// The secret in a path.
pub(crate) fn at(path: At) -> SecretRef {
    parse(&path.map(|Path(text)| text).unwrap_or_default())
}

/// What no secret can be called becomes what none is called, and not an error: who may not do this at all
/// is told so whatever the name.
pub(crate) fn parse(text: &str) -> SecretRef {
    SecretRef::parse(text).unwrap_or_else(|| SecretRef::Id(SecretId::never()))
}

fn change(body: &body::Bytes) -> Result<SecretChange, Error> {
    let mut fields: Fields<'_> = body.json()?;
    let config = fields.object("config")?;
    let change = SecretChange {
        alias: fields.text("alias")?,
        name: fields.text("name")?,
        description: fields.text("description")?,
        blueprint_id: fields.text("blueprintId")?,
        kind: fields.one_of("kind", Kind::ALL, Kind::as_str)?.value(),
        secret_type: fields.one_of("type", SecretType::ALL, SecretType::as_str)?.value(),
        value: fields.secret("value")?,
        config: config.try_map(|config| Ok::<_, Error>(Some(Config::new(config))))?,
        visibility: fields.one_of("visibility", Visibility::ALL, Visibility::as_str)?.value(),
        meta: fields.object("meta")?.try_map(|meta| MetaChange::parse(meta).map(Some))?,
    };
    fields.end()?;
    Ok(change)
}

fn changed(id: &SecretId) -> Json<Changed> {
    Json(Changed { id: id.to_string() })
}

/// Defines a secret: what a credential is, whose, and where it may go.
///
/// A create that is sent again because its answer was lost makes nothing new.
#[utoipa::path(
    post,
    path = "/api/v1/secret/create",
    operation_id = "createSecret",
    tag = "Secrets",
    params(parameters::IdempotencyKey),
    request_body = wire::SecretFields,
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn create(
    State(broker): State<Broker>,
    caller: Caller,
    headers: HeaderMap,
    body: body::Bytes,
) -> Result<Json<Changed>, Error> {
    let id = broker.create_secret(&caller, change(&body)?, repeat(&headers)?).await?;
    Ok(changed(&id))
}

/// Describes a secret, never with its value.
#[utoipa::path(
    get,
    path = "/api/v1/secret/{secret}/fetch",
    operation_id = "fetchSecret",
    tag = "Secrets",
    params(parameters::Secret),
    responses((status = 200, description = "The secret, without its value", body = wire::Secret)),
)]
pub(crate) async fn fetch(
    State(broker): State<Broker>,
    caller: Caller,
    path: At,
) -> Result<Json<wire::Secret>, Error> {
    Ok(Json(shape(broker.fetch_secret(&caller, &at(path)).await?)))
}

/// Changes a secret.
///
/// What is left out stays; an empty text is none. `config` replaces the whole of it, but for each `"********"`, which
/// keeps what is stored in its place.
#[utoipa::path(
    post,
    path = "/api/v1/secret/{secret}/update",
    operation_id = "updateSecret",
    tag = "Secrets",
    params(parameters::Secret),
    request_body = wire::SecretFields,
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn update(
    State(broker): State<Broker>,
    caller: Caller,
    path: At,
    body: body::Bytes,
) -> Result<Json<Changed>, Error> {
    let change = change(&body)?;
    Ok(changed(&broker.update_secret(&caller, &at(path), change).await?))
}

/// Deletes a secret, and all that contacts have connected with it.
///
/// Grants are revoked at their providers; `GET /api/v1/revocation/list` says how that goes.
#[utoipa::path(
    post,
    path = "/api/v1/secret/{secret}/delete",
    operation_id = "deleteSecret",
    tag = "Secrets",
    params(parameters::Secret),
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn delete(
    State(broker): State<Broker>,
    caller: Caller,
    path: At,
) -> Result<Json<Changed>, Error> {
    Ok(changed(&broker.delete_secret(&caller, &at(path)).await?))
}

/// Lists secrets, never with a value.
#[utoipa::path(
    get,
    path = "/api/v1/secret/list",
    operation_id = "listSecrets",
    tag = "Secrets",
    params(parameters::List, parameters::Meta, parameters::Blueprint),
    responses((
        status = 200,
        description = "A page; as JSON lines, all of them",
        content(
            (keyfob_api::list::Page<wire::Secret> = "application/json"),
            (keyfob_api::list::Line<wire::Secret> = "application/jsonl"),
        ),
    )),
)]
pub(crate) async fn list(
    State(broker): State<Broker>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let format = Format::of(&headers, false)?;
    let query = ListQuery::parse(query.as_deref().unwrap_or_default());
    let slice = query.slice(SecretId::parse)?;
    let filter = SecretFilter { meta: query.meta(), blueprint_id: query.blueprint_id() };
    let secrets = Secrets { broker, caller: caller.clone(), filter };
    list::answer(secrets, slice, &query, format, &caller).await
}

#[derive(Clone)]
struct Secrets {
    broker: Broker,
    caller: Caller,
    filter: SecretFilter,
}

impl List for Secrets {
    type Row = Described;
    type Id = SecretId;
    type Item = wire::Secret;

    async fn page(&self, slice: Slice<SecretId>) -> Result<Page<Described, SecretId>, Error> {
        self.broker.list_secrets(&self.caller, slice, self.filter.clone()).await
    }

    fn id(row: &Described) -> SecretId {
        row.secret.id.clone()
    }

    fn shape(row: Described) -> wire::Secret {
        shape(row)
    }
}

fn shape(Described { secret, config }: Described) -> wire::Secret {
    wire::Secret {
        id: secret.id.to_string(),
        alias: secret.alias,
        name: secret.name,
        description: secret.description,
        blueprint_id: secret.blueprint_id,
        kind: secret.kind.as_str().into(),
        secret_type: secret.secret_type.as_str().into(),
        config,
        visibility: secret.visibility.as_str().into(),
        meta: secret.meta.and_then(|meta| serde_json::from_str(&meta).ok()),
        created_at: secret.created_at.as_millis(),
        updated_at: secret.updated_at.as_millis(),
    }
}
