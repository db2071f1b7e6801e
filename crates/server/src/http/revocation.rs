//! `/api/v1/revocation`: how revocations at providers go (contract/keyfob, "Connections").

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use keyfob_api::revocation as wire;
use keyfob_core::{id::ConnectionId, time::Timestamp};
use keyfob_store::{Page, revocation::Progress};

use super::list::{self, Format, List, ListQuery};
use crate::{
    broker::{Broker, Caller, RevocationStatus, Slice},
    error::Error,
    openapi::parameters,
};

/// Lists how grants are revoked at their providers: what is under way, and what ended within a week.
#[utoipa::path(
    get,
    path = "/api/v1/revocation/list",
    operation_id = "listRevocations",
    tag = "Revocations",
    params(parameters::List, parameters::Revocation),
    responses((
        status = 200,
        description = "A page; as JSON lines, all of them",
        content(
            (keyfob_api::list::Page<wire::Revocation> = "application/json"),
            (keyfob_api::list::Line<wire::Revocation> = "application/jsonl"),
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
    let slice = query.slice(ConnectionId::parse)?;
    let status = query.status().map(status).transpose()?;
    let revocations = Revocations { broker, caller: caller.clone(), status };
    list::answer(revocations, slice, &query, format, &caller).await
}

fn status(word: &str) -> Result<RevocationStatus, Error> {
    let text = "\"status\" must be one of \"pending\", \"revoked\", \"unsupported\" and \"failed\"";
    RevocationStatus::parse(word).ok_or_else(|| Error::invalid("bad_request", text))
}

#[derive(Clone)]
struct Revocations {
    broker: Broker,
    caller: Caller,
    status: Option<RevocationStatus>,
}

impl List for Revocations {
    type Row = Progress;
    type Id = ConnectionId;
    type Item = wire::Revocation;

    async fn page(
        &self,
        slice: Slice<ConnectionId>,
    ) -> Result<Page<Progress, ConnectionId>, Error> {
        self.broker.list_revocations(&self.caller, slice, self.status).await
    }

    fn id(row: &Progress) -> ConnectionId {
        row.id.clone()
    }

    fn shape(row: Progress) -> wire::Revocation {
        let status = RevocationStatus::of(&row).as_str().to_owned();
        wire::Revocation {
            id: row.id.to_string(),
            contact_id: row.contact.map(|id| id.to_string()),
            secret_id: row.secret.to_string(),
            status,
            attempts: row.attempts,
            problem: row.problem,
            created_at: row.created_at.as_millis(),
            next_attempt_at: row.due_at.map(Timestamp::as_millis),
            ended_at: row.ended_at.map(Timestamp::as_millis),
        }
    }
}
