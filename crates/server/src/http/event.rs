//! `/api/v1/event`: the audit trail (contract/keyfob, "Events").

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use keyfob_api::event as wire;
use keyfob_core::{
    audit::{Bytes, Hash},
    id::EventId,
    time::Timestamp,
};
use keyfob_store::{
    Page,
    event::{Place, Stored},
};

use super::list::{self, Format, List, ListQuery};
use crate::{
    broker::{Broker, Caller, EventFilter, Slice},
    error::Error,
    openapi::parameters,
};

/// Moments beyond this, in either direction, are none: the year 9999.
const LATEST: i64 = 253_402_300_799_999;

/// Lists the account's audit trail: who did what to which object, when, with what result.
///
/// No event holds a value, a code, a token or a URL's query. A page may have fewer events than were asked for although
/// more follow: it ends where its `cursor` is empty.
#[utoipa::path(
    get,
    path = "/api/v1/event/list",
    operation_id = "listEvents",
    tag = "Events",
    params(parameters::List, wire::EventQuery),
    responses((
        status = 200,
        description = "A page; as JSON lines, all of them",
        content(
            (keyfob_api::list::Page<wire::Event> = "application/json"),
            (keyfob_api::list::Line<wire::Event> = "application/jsonl"),
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
    let query = query.as_deref().unwrap_or_default();
    let (filter, query) = (filter(query)?, ListQuery::parse(query));
    let slice = query.slice(EventId::parse)?;
    let events = Events { broker, caller: caller.clone(), filter };
    list::answer(events, slice, &query, format, &caller).await
}

/// Reads what the list is filtered by. Of a key that is there twice the first counts.
fn filter(query: &str) -> Result<EventFilter, Error> {
    let mut filter = EventFilter::default();
    let mut seen = Vec::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = value.trim();
        if value.is_empty() || seen.contains(&key) {
            continue;
        }
        let text = || Some(value.to_owned());
        match key.as_ref() {
            "since" => filter.since = Some(moment("since", value)?),
            "until" => filter.until = Some(moment("until", value)?),
            "actor" => filter.actor = text(),
            "action" if EventFilter::knows_action(value) => filter.action = text(),
            "action" => return Err(no_action()),
            "object" => (filter.object_type, filter.object) = object(value),
            "contact" => filter.contact = text(),
            "result" => filter.result = text(),
            _ => {}
        }
        seen.push(key);
    }
    Ok(filter)
}

fn moment(name: &str, value: &str) -> Result<Timestamp, Error> {
    let millis = value.parse().ok().filter(|millis| (0..=LATEST).contains(millis));
    let text = || format!("\"{name}\" must be a moment in unix milliseconds");
    Ok(Timestamp::from_millis(millis.ok_or_else(|| Error::invalid("bad_request", text()))?))
}

fn no_action() -> Error {
    let text = "\"action\" must be the name of an action, such as \"totp.code\", or what several begin with before the dot, such as \"totp\"";
    Error::invalid("bad_request", text)
}

/// `ID`, or `NOUN:ID`.
fn object(value: &str) -> (Option<String>, Option<String>) {
    match value.split_once(':') {
        Some((noun, id)) => {
            (Some(noun.to_owned()), Some(id.to_owned()).filter(|id| !id.is_empty()))
        }
        None => (None, Some(value.to_owned())),
    }
}

#[derive(Clone)]
struct Events {
    broker: Broker,
    caller: Caller,
    filter: EventFilter,
}

impl List for Events {
    type Row = Stored;
    type Id = EventId;
    type Item = wire::Event;
    // Some 50,000 events.
    const PARTS: u32 = 100;

    async fn page(&self, slice: Slice<EventId>) -> Result<Page<Stored, EventId>, Error> {
        self.broker.list_events(&self.caller, slice, self.filter.clone()).await
    }

    fn id(row: &Stored) -> EventId {
        row.id.clone()
    }

    fn shape(row: Stored) -> wire::Event {
        wire::Event { tag: None, ..shape(row) }
    }
}

/// An event as it is sent, with its tag.
pub(crate) fn shape(event: Stored) -> wire::Event {
    let Stored { actor: (kind, id, name), object: (noun, object), .. } = event;
    let (chain, position, place) = match event.place {
        Some(Place { chain, position, previous, hash, tag }) => {
            (Some(chain), Some(position), (previous, hash, tag))
        }
        None => (None, None, (None, None, None)),
    };
    let hex = |hash: Option<Hash>| hash.map(|hash| hash.to_string());
    wire::Event {
        id: event.id.to_string(),
        created_at: event.created_at.as_millis(),
        account_id: event.account.to_string(),
        actor: wire::Actor { kind, id, name },
        action: event.action,
        object: wire::Object { kind: noun, id: object },
        contact_id: event.contact_id,
        result: event.result,
        reason: event.reason,
        ip: event.ip,
        request_id: event.request_id,
        chain,
        position,
        hash: hex(place.1),
        previous_hash: hex(place.0),
        tag: place.2.map(|tag| tag.to_string()),
    }
}

/// An event as it was sent, read back.
pub(crate) fn unshape(event: wire::Event) -> Stored {
    fn read<const N: usize>(text: Option<&String>) -> Option<Bytes<N>> {
        text.and_then(|text| Bytes::parse(text))
    }
    let place = event.chain.clone().zip(event.position).map(|(chain, position)| Place {
        chain,
        position,
        previous: read(event.previous_hash.as_ref()),
        hash: read(event.hash.as_ref()),
        tag: read(event.tag.as_ref()),
    });
    Stored {
        id: EventId::from_stored(&event.id),
        account: keyfob_core::id::AccountId::from_stored(&event.account_id),
        created_at: Timestamp::from_millis(event.created_at),
        actor: (event.actor.kind, event.actor.id, event.actor.name),
        action: event.action,
        object: (event.object.kind, event.object.id),
        contact_id: event.contact_id,
        result: event.result,
        reason: event.reason,
        ip: event.ip,
        request_id: event.request_id,
        place,
    }
}
