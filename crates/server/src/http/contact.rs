//! `/api/v1/contact`: contacts (contract/contacts-and-secrets, section 2).

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::HeaderMap,
    response::Response,
};
use keyfob_api::{contact as wire, list::Id as Changed};
use keyfob_core::{id::ContactId, policy::Action, time::Timestamp};
use keyfob_store::{Page, contact::Contact};

use super::{
    body,
    fields::Fields,
    list::{self, Format, List, ListQuery},
    repeat::repeat,
};
use crate::{
    broker::{Broker, Caller, ContactChange, MetaChange, MetaFilter, Slice},
    error::Error,
    openapi::parameters,
};

pub(crate) type Id = Result<Path<String>, PathRejection>;

/// The contact in a path.
pub(crate) fn id(path: Id) -> ContactId {
    parse(&path.map(|Path(text)| text).unwrap_or_default())
}

/// A malformed id becomes one that does not exist, and not an error: who may not do this at all is told
/// so whatever the id.
pub(crate) fn parse(text: &str) -> ContactId {
    ContactId::parse(text.trim()).unwrap_or_else(|_| ContactId::never())
}

fn change(body: &body::Bytes) -> Result<ContactChange, Error> {
    let mut fields: Fields<'_> = body.json()?;
    let change = ContactChange {
        name: fields.text("name")?,
        description: fields.text("description")?,
        fingerprint: fields.text("fingerprint")?,
        email: fields.text("email")?,
        phone: fields.text("phone")?,
        nick: fields.text("nick")?,
        preferences: fields.text("preferences")?,
        verified_at: fields.time("verifiedAt")?,
        meta: fields.object("meta")?.try_map(|meta| MetaChange::parse(meta).map(Some))?,
    };
    fields.end()?;
    Ok(change)
}

fn changed(id: &ContactId) -> Json<Changed> {
    Json(Changed { id: id.to_string() })
}

/// Makes a contact: an end user for whom agents act.
///
/// A create that is sent again because its answer was lost makes nothing new.
#[utoipa::path(
    post,
    path = "/api/v1/contact/create",
    operation_id = "createContact",
    tag = "Contacts",
    params(parameters::IdempotencyKey),
    request_body = wire::ContactFields,
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn create(
    State(broker): State<Broker>,
    caller: Caller,
    headers: HeaderMap,
    body: body::Bytes,
) -> Result<Json<Changed>, Error> {
    let id = broker.create_contact(&caller, change(&body)?, repeat(&headers)?).await?;
    Ok(changed(&id))
}

/// Finds the contact with these fields, or makes it.
///
/// With a `fingerprint` it is found by that, and a new one is verified from now on. Without, it is found by name,
/// e-mail address, phone number and nickname together, and is not verified. What is found is not changed.
#[utoipa::path(
    post,
    path = "/api/v1/contact/ensure",
    operation_id = "ensureContact",
    tag = "Contacts",
    request_body = wire::ContactFields,
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn ensure(
    State(broker): State<Broker>,
    caller: Caller,
    body: body::Bytes,
) -> Result<Json<Changed>, Error> {
    Ok(changed(&broker.ensure_contact(&caller, change(&body)?).await?))
}

/// Describes a contact.
#[utoipa::path(
    get,
    path = "/api/v1/contact/{contact}/fetch",
    operation_id = "fetchContact",
    tag = "Contacts",
    params(parameters::Contact),
    responses((status = 200, description = "The contact", body = wire::Contact)),
)]
pub(crate) async fn fetch(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
) -> Result<Json<wire::Contact>, Error> {
    Ok(Json(shape(broker.fetch_contact(&caller, &id(path)).await?)))
}

/// Changes a contact.
///
/// What is left out stays; an empty text is none.
#[utoipa::path(
    post,
    path = "/api/v1/contact/{contact}/update",
    operation_id = "updateContact",
    tag = "Contacts",
    params(parameters::Contact),
    request_body = wire::ContactFields,
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn update(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
    body: body::Bytes,
) -> Result<Json<Changed>, Error> {
    let change = change(&body)?;
    let id = id(path);
    broker.update_contact(&caller, &id, change).await?;
    Ok(changed(&id))
}

/// Deletes a contact, and all that it has connected.
///
/// Its grants are revoked at their providers; `GET /api/v1/revocation/list` says how that goes.
#[utoipa::path(
    post,
    path = "/api/v1/contact/{contact}/delete",
    operation_id = "deleteContact",
    tag = "Contacts",
    params(parameters::Contact),
    responses((status = 200, description = "Its id", body = Changed)),
)]
pub(crate) async fn delete(
    State(broker): State<Broker>,
    caller: Caller,
    path: Id,
) -> Result<Json<Changed>, Error> {
    let id = id(path);
    broker.delete_contact(&caller, &id).await?;
    Ok(changed(&id))
}

/// Lists contacts.
#[utoipa::path(
    get,
    path = "/api/v1/contact/list",
    operation_id = "listContacts",
    tag = "Contacts",
    params(parameters::List, parameters::Meta),
    responses((
        status = 200,
        description = "A page; as JSON lines, all of them",
        content(
            (keyfob_api::list::Page<wire::Contact> = "application/json"),
            (keyfob_api::list::Line<wire::Contact> = "application/jsonl"),
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
    answer(broker, caller, Action::ContactList, query.as_deref(), format).await
}

/// Exports contacts, also as CSV. For owner keys.
#[utoipa::path(
    get,
    path = "/api/v1/contact/export",
    operation_id = "exportContacts",
    tag = "Contacts",
    params(parameters::List, parameters::Meta),
    responses((
        status = 200,
        description = "A page; as JSON lines or CSV, all of them",
        content(
            (keyfob_api::list::Page<wire::Contact> = "application/json"),
            (keyfob_api::list::Line<wire::Contact> = "application/jsonl"),
            (String = "text/csv"),
        ),
    )),
)]
pub(crate) async fn export(
    State(broker): State<Broker>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let format = Format::of(&headers, true)?;
    answer(broker, caller, Action::ContactExport, query.as_deref(), format).await
}

async fn answer(
    broker: Broker,
    caller: Caller,
    action: Action,
    query: Option<&str>,
    format: Format,
) -> Result<Response, Error> {
    let query = ListQuery::parse(query.unwrap_or_default());
    let slice = query.slice(ContactId::parse)?;
    let contacts = Contacts { broker, caller: caller.clone(), action, filter: query.meta() };
    list::answer(contacts, slice, &query, format, &caller).await
}

#[derive(Clone)]
struct Contacts {
    broker: Broker,
    caller: Caller,
    action: Action,
    filter: MetaFilter,
}

impl List for Contacts {
    type Row = Contact;
    type Id = ContactId;
    type Item = wire::Contact;

    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "description",
        "fingerprint",
        "email",
        "phone",
        "nick",
        "preferences",
        "verifiedAt",
        "meta",
        "createdAt",
        "updatedAt",
    ];

    async fn page(&self, slice: Slice<ContactId>) -> Result<Page<Contact, ContactId>, Error> {
        self.broker.list_contacts(&self.caller, self.action, slice, self.filter.clone()).await
    }

    fn id(row: &Contact) -> ContactId {
        row.id.clone()
    }

    fn shape(row: Contact) -> wire::Contact {
        shape(row)
    }
}

fn shape(contact: Contact) -> wire::Contact {
    wire::Contact {
        id: contact.id.to_string(),
        name: contact.name,
        description: contact.description,
        fingerprint: contact.fingerprint,
        email: contact.email,
        phone: contact.phone,
        nick: contact.nick,
        preferences: contact.preferences,
        verified_at: contact.verified_at.map(Timestamp::as_millis),
        meta: contact.meta.and_then(|meta| serde_json::from_str(&meta).ok()),
        created_at: contact.created_at.as_millis(),
        updated_at: contact.updated_at.as_millis(),
    }
}
