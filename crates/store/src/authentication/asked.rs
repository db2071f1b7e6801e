//! What was asked of a provider at an authentication.

use keyfob_core::{crypto::Sealed, ticket::TicketHash, time::Timestamp};

use super::{Authentication, read};
use crate::{
    ReadTx, StoreError, WriteTx,
    conn::{Bind, Row, sql},
};

/// What was asked of a provider at an authentication.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The authentication.
    pub authentication: Authentication,
    /// The hash of the state that it was asked with.
    pub request_state: TicketHash,
    /// What the answer needs, sealed; `None` if it has come.
    pub request: Option<Sealed>,
    /// When the provider may be asked again whether a person has let a device in.
    pub poll_at: Option<Timestamp>,
}

/// Notes what is being asked of a provider at an open authentication, in place of what was before. `false`
/// if it has ended.
pub fn ask(
    tx: &mut WriteTx<'_>,
    state: &TicketHash,
    request_state: &TicketHash,
    request: &Sealed,
    poll_at: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let ask = sql!(
        authentication,
        "UPDATE authentication SET request_hash = $2, request = $3, poll_at = $4
         WHERE state_hash = $1 AND outcome IS NULL"
    );
    let params: [&dyn Bind; 4] = [
        &state.as_bytes(),
        &request_state.as_bytes(),
        &request.as_bytes(),
        &poll_at.map(Timestamp::as_millis),
    ];
    Ok(tx.execute(ask, &params)? == 1)
}

/// Puts off the next poll about the device of this request, and changes what is kept of it. `false` if another
/// one took its place, its answer has come, or somebody else did.
pub fn slow_down(
    tx: &mut WriteTx<'_>,
    request_state: &TicketHash,
    request: &Sealed,
    seen: Timestamp,
    next: Timestamp,
) -> Result<bool, StoreError> {
    let slow_down = sql!(
        authentication,
        "UPDATE authentication SET request = $2, poll_at = $4
         WHERE request_hash = $1 AND poll_at = $3 AND request IS NOT NULL AND outcome IS NULL"
    );
    let (state, request) = (request_state.as_bytes(), request.as_bytes());
    let params: [&dyn Bind; 4] = [&state, &request, &seen.as_millis(), &next.as_millis()];
    Ok(tx.execute(slow_down, &params)? == 1)
}

/// What was asked with this state, if nothing was asked since.
pub fn find_asked(
    tx: &mut ReadTx<'_>,
    request_state: &TicketHash,
) -> Result<Option<Asked>, StoreError> {
    let find = sql!(
        authentication,
        concat!(
            "SELECT ",
            columns!(),
            ", request, poll_at, request_hash FROM authentication WHERE request_hash = $1"
        )
    );
    tx.one(find, &[&request_state.as_bytes()], read_asked)
}

/// What was asked last at this authentication, if anything was.
pub fn find_asked_at(tx: &mut ReadTx<'_>, state: &TicketHash) -> Result<Option<Asked>, StoreError> {
    let find = sql!(
        authentication,
        concat!(
            "SELECT ",
            columns!(),
            ", request, poll_at, request_hash FROM authentication
             WHERE state_hash = $1 AND request_hash IS NOT NULL"
        )
    );
    tx.one(find, &[&state.as_bytes()], read_asked)
}

fn read_asked(row: &Row<'_>) -> Result<Asked, StoreError> {
    let request_state = TicketHash::from_stored(&row.get::<Vec<u8>>(12)?);
    Ok(Asked {
        authentication: read(row)?,
        request_state: request_state.ok_or_else(|| row.damaged("request_hash"))?,
        request: row.get::<Option<Vec<u8>>>(10)?.map(Sealed::from_stored),
        poll_at: row.time_if_any(11)?,
    })
}

/// Takes the request that was sent with this state: its answer has come. `false` if it was taken, or if
/// another one took its place: of any number of concurrent calls exactly one gets `true`. The state itself
/// stays known, so that an answer that is sent again can be told from one to nothing.
pub fn take(tx: &mut WriteTx<'_>, request_state: &TicketHash) -> Result<bool, StoreError> {
    let take = sql!(
        authentication,
        "UPDATE authentication SET request = NULL, poll_at = NULL
         WHERE request_hash = $1 AND request IS NOT NULL"
    );
    Ok(tx.execute(take, &[&request_state.as_bytes()])? == 1)
}

/// Puts off when the provider may be asked again about a device, from `seen` to `next`. `false` if somebody
/// else did: of any number of concurrent calls exactly one gets `true`, and asks.
pub fn poll(
    tx: &mut WriteTx<'_>,
    state: &TicketHash,
    seen: Timestamp,
    next: Timestamp,
) -> Result<bool, StoreError> {
    let poll = sql!(
        authentication,
        "UPDATE authentication SET poll_at = $3
         WHERE state_hash = $1 AND poll_at = $2 AND request IS NOT NULL AND outcome IS NULL"
    );
    let params: [&dyn Bind; 3] = [&state.as_bytes(), &seen.as_millis(), &next.as_millis()];
    Ok(tx.execute(poll, &params)? == 1)
}
