//! `/api/v1/key`: API keys (contract/keyfob).

use axum::{
    Json,
    body::Body,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use keyfob_api::key as wire;
use keyfob_core::{id::KeyId, policy::Role, time::Timestamp};
use keyfob_store::key::Key;

use super::{body, list::ListQuery};
use crate::{
    broker::{Broker, Caller, KeyPlan, NewKey, Slice},
    error::Error,
};

type Id = Result<Path<String>, PathRejection>;

/// The id in a path. A malformed one becomes one that does not exist, and not an error: who may not
/// do this at all is told so whatever the id.
fn id(path: Id) -> KeyId {
    let text = path.map(|Path(text)| text).unwrap_or_default();
    KeyId::parse(&text).unwrap_or_else(|_| KeyId::never())
}

/// `POST /api/v1/key/create`
pub(crate) async fn create(
    State(broker): State<Broker>,
    caller: Caller,
    body: body::Bytes,
) -> Result<Json<wire::CreatedKey>, Error> {
    let wire::CreateKey { role, name, expires_at } = body.json()?;
    let text = "\"role\" must be one of [owner, backend, agent]";
    let role = Role::parse(&role).ok_or_else(|| Error::invalid("invalid_role", text))?;
    let expires_at = expires_at.map(Timestamp::from_millis);
    let key = broker.create_key(&caller, KeyPlan { role, name, expires_at }).await?;
    Ok(Json(created(&key)))
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

/// `GET /api/v1/key/list`
pub(crate) async fn list(
    State(broker): State<Broker>,
    caller: Caller,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(query) = query.map_err(|_| Error::invalid("bad_request", "malformed query"))?;
    let after = query.cursor().map(KeyId::parse).transpose();
    let after =
        after.map_err(|_| Error::invalid("bad_request", "\"cursor\" is not one of a list"))?;
    let slice = Slice { after, oldest_first: query.oldest_first()?, take: query.take()? };
    if headers.get(header::ACCEPT).is_some_and(|accept| accept == JSONL) {
        return lines(broker, caller, slice).await;
    }
    let page = broker.list_keys(&caller, slice).await?;
    let cursor = page.last.map(|id| id.to_string()).unwrap_or_default();
    let items: Vec<_> = page.rows.into_iter().map(shape).collect();
    Ok(Json(wire::Page { items, cursor }).into_response())
}

const JSONL: &str = "application/jsonl";

/// The whole list, a line for each key, a page at a time.
async fn lines(broker: Broker, caller: Caller, slice: Slice<KeyId>) -> Result<Response, Error> {
    let first = broker.list_keys(&caller, slice.clone()).await?;
    let pages = stream::try_unfold((first, slice), move |(page, mut slice)| {
        let (broker, caller) = (broker.clone(), caller.clone());
        async move {
            let Some(last) = page.last else {
                return Ok::<_, Error>(None);
            };
            slice.after = Some(last);
            let mut chunk = Vec::new();
            for key in page.rows {
                let line = serde_json::json!({"type": "item", "data": shape(key)});
                serde_json::to_writer(&mut chunk, &line).map_err(Error::internal)?;
                chunk.push(b'\n');
            }
            let next = broker.list_keys(&caller, slice.clone()).await?;
            Ok(Some((chunk, (next, slice))))
        }
    });
    Ok(([(header::CONTENT_TYPE, JSONL)], Body::from_stream(pages)).into_response())
}

/// `GET /api/v1/key/{id}/fetch`
pub(crate) async fn fetch(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
) -> Result<Json<wire::Key>, Error> {
    Ok(Json(shape(broker.fetch_key(&caller, &id(path)).await?)))
}

/// `POST /api/v1/key/{id}/update`
pub(crate) async fn update(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
    body: body::Bytes,
) -> Result<Json<wire::Id>, Error> {
    let wire::UpdateKey { name } = body.json()?;
    let id = id(path);
    broker.update_key(&caller, &id, name).await?;
    Ok(Json(wire::Id { id: id.to_string() }))
}

/// `POST /api/v1/key/{id}/revoke`
pub(crate) async fn revoke(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
) -> Result<Json<wire::Id>, Error> {
    let id = id(path);
    broker.revoke_key(&caller, &id).await?;
    Ok(Json(wire::Id { id: id.to_string() }))
}

/// A key as `fetch` and `list` show it.
pub(crate) fn shape(key: Key) -> wire::Key {
    wire::Key {
        id: key.id.to_string(),
        name: key.name,
        role: key.role.as_str().into(),
        created_at: key.created_at.as_millis(),
        expires_at: key.expires_at.map(Timestamp::as_millis),
        revoked_at: key.revoked_at.map(Timestamp::as_millis),
    }
}
