//! Writes the whole trail as lines of JSON: everything that its verification needs.

use std::io::{self, Write};

use data_encoding::HEXLOWER;
use keyfob_api::event::{Birth, Chain, Checkpoint, End, PublicKey, TrailLine};
use keyfob_core::{
    audit::Head,
    id::{AccountId, EventId},
};
use keyfob_store::{Store, event::Stored, trail};

use super::{
    AuditError,
    database::{PAGE, read},
};
use crate::http::event::shape;

/// Writes the trail; how many events there are. A row that cannot be read ends it with an error.
pub async fn export(store: &Store, out: &mut dyn Write) -> Result<u64, AuditError> {
    for key in read(store, trail::keys).await? {
        line(out, &TrailLine::Key(PublicKey { public_key: key.to_string() }))?;
    }
    log(store, out).await?;
    let (mut after, mut events) = (String::new(), 0);
    while let Some(id) = read(store, move |tx| trail::next_chain(tx, &after)).await? {
        events += chain(store, &id, out).await?;
        after = id;
    }
    events += outside(store, out).await?;
    line(out, &TrailLine::End(End { events }))?;
    out.flush()?;
    Ok(events)
}

fn line(out: &mut dyn Write, line: &TrailLine) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

async fn log(store: &Store, out: &mut dyn Write) -> Result<(), AuditError> {
    let mut last = i64::MIN;
    loop {
        let page = read(store, move |tx| trail::checkpoints(tx, last, PAGE)).await?;
        if page.is_empty() {
            return Ok(());
        }
        for checkpoint in page {
            let checkpoint = checkpoint?;
            last = checkpoint.number;
            line(out, &TrailLine::Checkpoint(shape_checkpoint(&checkpoint)))?;
        }
    }
}

fn shape_checkpoint(checkpoint: &keyfob_core::audit::Checkpoint) -> Checkpoint {
    Checkpoint {
        number: checkpoint.number,
        created_at: checkpoint.created_at.as_millis(),
        previous: checkpoint.previous.to_string(),
        heads: Head::write_all(&checkpoint.heads),
        key_id: checkpoint.key_id.clone(),
        signature: HEXLOWER.encode(&checkpoint.signature),
    }
}

async fn chain(store: &Store, id: &str, out: &mut dyn Write) -> Result<u64, AuditError> {
    let wanted = id.to_owned();
    let birth = read(store, move |tx| trail::find_birth(tx, &wanted)).await?;
    let birth = birth.map(|birth| Birth {
        started_at: birth.started_at.as_millis(),
        node: birth.node,
        key_id: birth.key_id,
    });
    line(out, &TrailLine::Chain(Chain { id: id.to_owned(), birth }))?;
    let (mut after, mut events) = (i64::MIN, 0);
    loop {
        let wanted = id.to_owned();
        let page = read(store, move |tx| trail::walk(tx, &wanted, after, PAGE)).await?;
        page.damaged.into_iter().try_for_each(Err)?;
        let last = page.rows.last().and_then(|event| event.place.as_ref());
        let Some(last) = last.map(|place| place.position) else { return Ok(events) };
        after = last;
        events += write(out, page.rows)?;
    }
}

/// What is in no chain.
async fn outside(store: &Store, out: &mut dyn Write) -> Result<u64, AuditError> {
    let misplaced = read(store, |tx| trail::misplaced(tx, PAGE)).await?;
    let mut events = write(out, misplaced.rows)?;
    let mut after: Option<(AccountId, EventId)> = None;
    loop {
        let from = after.clone();
        let page = read(store, move |tx| {
            trail::unchained(tx, from.as_ref().map(|(account, id)| (account, id)), PAGE)
        });
        let page = page.await?;
        page.damaged.into_iter().try_for_each(Err)?;
        let Some(last) = page.rows.last() else { return Ok(events) };
        after = Some((last.account.clone(), last.id.clone()));
        events += write(out, page.rows)?;
    }
}

fn write(out: &mut dyn Write, events: Vec<Stored>) -> io::Result<u64> {
    let count = events.len() as u64;
    events.into_iter().try_for_each(|event| line(out, &TrailLine::Event(shape(event))))?;
    Ok(count)
}
