//! `/api/v1/key`: API keys (contract/keyfob).

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::HeaderMap,
    response::Response,
};
use keyfob_api::{key as wire, list::Id as Changed};
use keyfob_core::{id::KeyId, policy::Role, proxy::Method, time::Timestamp};
use keyfob_store::{Page, key::Key};

use super::{
    body,
    fields::Fields,
    list::{self, Format, List, ListQuery},
};
use crate::{
    broker::{Broker, Caller, Given, KeyChange, KeyPlan, LimitsChange, NewKey, Slice},
    error::Error,
    openapi::parameters,
};

type Id = Result<Path<String>, PathRejection>;

/// The id in a path. A malformed one becomes one that does not exist, and not an error: who may not
/// do this at all is told so whatever the id.
fn id(path: Id) -> KeyId {
    let text = path.map(|Path(text)| text).unwrap_or_default();
    KeyId::parse(&text).unwrap_or_else(|_| KeyId::never())
}

/// Makes a key.
///
/// It may do no more than the key that makes it.
#[utoipa::path(
    post,
    path = "/api/v1/key/create",
    operation_id = "createKey",
    tag = "Keys",
    request_body = wire::CreateKey,
    responses((status = 200, description = "The key, with its secret: no other answer has that", body = wire::CreatedKey)),
)]
pub(crate) async fn create(
    State(broker): State<Broker>,
    caller: Caller,
    body: body::Bytes,
) -> Result<Json<wire::CreatedKey>, Error> {
    let mut fields: Fields<'_> = body.json()?;
    let missing = || Error::invalid("bad_request", "missing field `role`");
    let plan = KeyPlan {
        role: role(&fields.text("role")?.value().ok_or_else(missing)?)?,
        name: fields.text("name")?.value().unwrap_or_default(),
        expires_at: fields.millis("expiresAt")?.value(),
        limits: limits(&mut fields)?,
    };
    fields.end()?;
    let key = broker.create_key(&caller, plan).await?;
    Ok(Json(created(&key)))
}

fn role(name: &str) -> Result<Role, Error> {
    let text = "\"role\" must be one of [owner, backend, agent]";
    Role::parse(name).ok_or_else(|| Error::invalid("invalid_role", text))
}

fn limits(fields: &mut Fields<'_>) -> Result<LimitsChange, Error> {
    Ok(LimitsChange {
        contacts: fields.texts("contacts")?,
        secrets: fields.texts("secrets")?,
        totp: fields.texts("totp")?,
        actions: fields.texts("actions")?,
        hosts: fields.texts("hosts")?,
        methods: fields.texts("methods")?,
        paths: fields.texts("paths")?,
        rate: fields.number("rate")?,
        quota: fields.number("quota")?,
    })
}

/// What a create of the command line says.
pub(crate) fn plan(wanted: wire::CreateKey) -> Result<KeyPlan, Error> {
    let wire::CreateKey { role: of, name, expires_at, limits } = wanted;
    let wire::Limits { contacts, secrets, totp, actions, hosts, methods, paths, rate, quota } =
        limits;
    Ok(KeyPlan {
        role: role(&of)?,
        name,
        expires_at: expires_at.map(Timestamp::from_millis),
        limits: LimitsChange {
            contacts: given(contacts),
            secrets: given(secrets),
            totp: given(totp),
            actions: given(actions),
            hosts: given(hosts),
            methods: given(methods),
            paths: given(paths),
            rate: given(rate),
            quota: given(quota),
        },
    })
}

fn given<T>(value: Option<T>) -> Given<T> {
    value.map_or(Given::Absent, Given::Value)
}

/// A new key as it is handed over.
pub(crate) fn created(key: &NewKey) -> wire::CreatedKey {
    wire::CreatedKey {
        id: key.id.to_string(),
        secret: key.secret.to_text(),
        token: key.secret.to_token(&key.id),
        role: key.role.as_str().into(),
        name: key.name.clone(),
    }
}

/// Lists the account's keys, without their secrets.
#[utoipa::path(
    method(get, post),
    path = "/api/v1/key/list",
    operation_id = "listKeys",
    tag = "Keys",
    params(parameters::List),
    responses((
        status = 200,
        description = "A page; as JSON lines, all of them",
        content(
            (keyfob_api::list::Page<wire::Key> = "application/json"),
            (keyfob_api::list::Line<wire::Key> = "application/jsonl"),
        ),
    )),
)]
pub(crate) async fn list(
    State(broker): State<Broker>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let query = ListQuery::parse(query.as_deref().unwrap_or_default());
    let (slice, format) = (query.slice(KeyId::parse)?, Format::of(&headers, false)?);
    let keys = Keys { broker, caller: caller.clone() };
    list::answer(keys, slice, &query, format, &caller).await
}

#[derive(Clone)]
struct Keys {
    broker: Broker,
    caller: Caller,
}

impl List for Keys {
    type Row = Key;
    type Id = KeyId;
    type Item = wire::Key;

    async fn page(&self, slice: Slice<KeyId>) -> Result<Page<Key, KeyId>, Error> {
        self.broker.list_keys(&self.caller, slice).await
    }

    fn id(row: &Key) -> KeyId {
        row.id.clone()
    }

    fn shape(row: Key) -> wire::Key {
        shape(row)
    }
}

/// Describes a key, without its secret.
#[utoipa::path(
    method(get, post),
    path = "/api/v1/key/{id}/fetch",
    operation_id = "fetchKey",
    tag = "Keys",
    params(parameters::Key),
    responses((status = 200, description = "The key", body = wire::Key)),
)]
pub(crate) async fn fetch(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
) -> Result<Json<wire::Key>, Error> {
    Ok(Json(shape(broker.fetch_key(&caller, &id(path)).await?)))
}

/// Changes a key: its name, its end and its limits.
///
/// What is left out stays; `null` takes an end or a limit away.
#[utoipa::path(
    post,
    path = "/api/v1/key/{id}/update",
    operation_id = "updateKey",
    tag = "Keys",
    params(parameters::Key),
    request_body = wire::UpdateKey,
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn update(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
    body: body::Bytes,
) -> Result<Json<Changed>, Error> {
    let mut fields: Fields<'_> = body.json()?;
    let change = KeyChange {
        name: match fields.text("name")? {
            Given::Null => Some(String::new()),
            name => name.value(),
        },
        expires_at: fields.millis("expiresAt")?,
        limits: limits(&mut fields)?,
    };
    fields.end()?;
    let id = id(path);
    broker.update_key(&caller, &id, change).await?;
    Ok(Json(Changed { id: id.to_string() }))
}

/// Revokes a key, for good.
///
/// It counts for the next request, and for what is under way; on other nodes within a second.
#[utoipa::path(
    post,
    path = "/api/v1/key/{id}/revoke",
    operation_id = "revokeKey",
    tag = "Keys",
    params(parameters::Key),
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn revoke(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
) -> Result<Json<Changed>, Error> {
    let id = id(path);
    broker.revoke_key(&caller, &id).await?;
    Ok(Json(Changed { id: id.to_string() }))
}

/// A key as `fetch` and `list` show it.
pub(crate) fn shape(key: Key) -> wire::Key {
    let limits = wire::Limits {
        contacts: texts(key.limits.contacts.as_deref()),
        secrets: texts(key.limits.secrets.as_deref()),
        totp: texts(key.limits.totp.as_deref()),
        actions: key
            .limits
            .actions
            .as_ref()
            .map(|all| all.iter().map(|it| it.as_str().into()).collect()),
        hosts: texts(key.limits.hosts.as_deref()),
        methods: key
            .limits
            .methods
            .as_ref()
            .map(|all| all.iter().copied().map(Method::as_str).map(Into::into).collect()),
        paths: texts(key.limits.paths.as_deref()),
        rate: key.limits.rate,
        quota: key.limits.quota,
    };
    wire::Key {
        id: key.id.to_string(),
        name: key.name,
        role: key.role.as_str().into(),
        created_at: key.created_at.as_millis(),
        expires_at: key.expires_at.map(Timestamp::as_millis),
        revoked_at: key.revoked_at.map(Timestamp::as_millis),
        unreadable: !key.is_readable,
        limits,
    }
}

fn texts(names: Option<&[impl ToString]>) -> Option<Vec<String>> {
    names.map(|names| names.iter().map(ToString::to_string).collect())
}
