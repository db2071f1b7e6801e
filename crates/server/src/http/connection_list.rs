//! `GET /api/v1/contact/{contact}/secret/list`: what a contact has connected, and what it could
//! (contract/contacts-and-secrets, section 5.1).

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use keyfob_api::connection as wire;
use keyfob_core::{
    id::{ConnectionId, ContactId, SecretId},
    time::Timestamp,
};
use keyfob_store::Page;

use super::{
    connection::words,
    contact,
    list::{self, Format, List, ListQuery},
};
use crate::{
    broker::{Broker, Caller, ContactSecret, Slice},
    error::Error,
    openapi::parameters,
};

/// Lists what a contact has connected, or with `status=all` also what it could.
#[utoipa::path(
    get,
    path = "/api/v1/contact/{contact}/secret/list",
    operation_id = "listContactSecrets",
    tag = "Connections",
    params(parameters::Contact, parameters::List, parameters::Meta, parameters::Connectable),
    responses((
        status = 200,
        description = "A page; as JSON lines, all of them",
        content(
            (keyfob_api::list::Page<wire::ContactSecret> = "application/json"),
            (keyfob_api::list::Line<wire::ContactSecret> = "application/jsonl"),
        ),
    )),
)]
pub(crate) async fn list(
    State(broker): State<Broker>,
    caller: Caller,
    path: contact::Id,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let format = Format::of(&headers, false)?;
    let query = ListQuery::parse(query.as_deref().unwrap_or_default());
    let contact = contact::id(path);
    let all = Secrets { broker, caller: caller.clone(), contact };
    match query.status() {
        None => {
            let slice = all.slice(&query).await?;
            list::answer(Connected(all), slice, &query, format, &caller).await
        }
        Some("all") => {
            let slice = query.slice(SecretId::parse)?;
            list::answer(Connectable(all), slice, &query, format, &caller).await
        }
        Some(_) => Err(Error::invalid("bad_request", "\"status\" must be \"all\", or absent")),
    }
}

#[derive(Clone)]
struct Secrets {
    broker: Broker,
    caller: Caller,
    contact: ContactId,
}

impl Secrets {
    /// Where the list goes on: after the `cursor` of a page, or after the last item's id, which is its
    /// secret's.
    async fn slice(&self, query: &ListQuery) -> Result<Slice<ConnectionId>, Error> {
        let Ok(Slice { after: Some(secret), oldest_first, take }) = query.slice(SecretId::parse)
        else {
            return query.slice(ConnectionId::parse);
        };
        let after = self.broker.after_secret(&self.caller, &self.contact, &secret).await?;
        let gone =
            "\"cursor\" names a secret that is not connected any more: use the page's \"cursor\"";
        let after = after.ok_or_else(|| Error::invalid("bad_request", gone))?;
        Ok(Slice { after: Some(after), oldest_first, take })
    }
}

/// What a contact has connected.
#[derive(Clone)]
struct Connected(Secrets);

impl List for Connected {
    type Row = ContactSecret;
    type Id = ConnectionId;
    type Item = wire::ContactSecret;

    async fn page(
        &self,
        slice: Slice<ConnectionId>,
    ) -> Result<Page<ContactSecret, ConnectionId>, Error> {
        let Secrets { broker, caller, contact } = &self.0;
        broker.list_connections(caller, contact, slice).await
    }

    fn id(row: &ContactSecret) -> ConnectionId {
        row.connection.clone().unwrap_or_else(ConnectionId::never)
    }

    fn shape(row: ContactSecret) -> wire::ContactSecret {
        shape(row)
    }
}

/// What a contact has connected, and what it could.
#[derive(Clone)]
struct Connectable(Secrets);

impl List for Connectable {
    type Row = ContactSecret;
    type Id = SecretId;
    type Item = wire::ContactSecret;

    async fn page(&self, slice: Slice<SecretId>) -> Result<Page<ContactSecret, SecretId>, Error> {
        let Secrets { broker, caller, contact } = &self.0;
        broker.list_connectable(caller, contact, slice).await
    }

    fn id(row: &ContactSecret) -> SecretId {
        row.secret.clone()
    }

    fn shape(row: ContactSecret) -> wire::ContactSecret {
        shape(row)
    }
}

fn shape(row: ContactSecret) -> wire::ContactSecret {
    wire::ContactSecret {
        id: row.secret.to_string(),
        name: row.name,
        description: row.description,
        secret_type: row.secret_type.as_str().into(),
        meta: None,
        status: row.status.as_str().into(),
        expires_at: row.expires_at.map(Timestamp::as_millis),
        scopes: row.scopes.map(|scopes| words(&scopes)),
        created_at: row.created_at.as_millis(),
        updated_at: row.updated_at.as_millis(),
    }
}
