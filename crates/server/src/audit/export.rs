//! Writes the whole trail as lines of JSON: everything that its verification needs.

use std::io::{self, Write};

use data_encoding::HEXLOWER;
use keyfob_api::event::{Birth, Chain, Checkpoint, End, TrailLine};
use keyfob_core::audit::Head;
use keyfob_store::{Store, event::Stored, trail};

use super::{AuditError, PAGE, database::read};
use crate::http::event::shape;

/// Writes the trail; how many events there are. A row that cannot be read ends it with an error.
pub async fn export(store: &Store, out: &mut dyn Write) -> Result<u64, AuditError> {
    let before = read(store, trail::count).await?;
    let (next, _) = log(store, i64::MIN, out).await?;
    let (mut after, mut events) = (None, 0);
    loop {
        let from: Option<String> = after.clone();
        let id = read(store, move |tx| trail::next_chain(tx, from.as_deref())).await?;
        let Some(id) = id else { break };
        events += chain(store, &id, out).await?;
        after = Some(id);
    }
    events += outside(store, out).await?;
    // What began meanwhile may name one of these.
    if let (_, true) = log(store, next, out).await? {
        let text = "events were removed by retention while the trail was exported: export it again";
        return Err(AuditError::Refused(text.into()));
    }
    let after = read(store, trail::count).await?;
    if !(before.min(after)..=before.max(after)).contains(&events) {
        return Err(AuditError::Refused(format!(
            "{after} events are stored, and {events} are where events can be: `keyfob event verify` says more"
        )));
    }
    line(out, &TrailLine::End(End { events }))?;
    out.flush()?;
    Ok(events)
}

fn line(out: &mut dyn Write, line: &TrailLine) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Writes the checkpoints from a number on; the number after them, and whether one lets events be removed.
async fn log(store: &Store, mut next: i64, out: &mut dyn Write) -> Result<(i64, bool), AuditError> {
    let mut has_edges = false;
    loop {
        let page = read(store, move |tx| trail::checkpoints(tx, next, PAGE)).await?;
        if page.is_empty() {
            return Ok((next, has_edges));
        }
        for (number, checkpoint) in page {
            let checkpoint = checkpoint?;
            next = number.checked_add(1).ok_or_else(|| {
                AuditError::Refused("no checkpoint has the number of the last one".into())
            })?;
            has_edges |= checkpoint.heads.iter().any(|head| head.edge_of.is_some());
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
        checkpoint: birth.checkpoint.0,
        checkpoint_hash: birth.checkpoint.1.to_string(),
    });
    line(out, &TrailLine::Chain(Chain { id: id.to_owned(), birth }))?;
    let (mut from, mut events) = (Some(i64::MIN), 0);
    while let Some(next) = from {
        let wanted = id.to_owned();
        let page = read(store, move |tx| trail::walk(tx, &wanted, next, PAGE)).await?;
        page.damaged.into_iter().try_for_each(Err)?;
        from = page.last.and_then(|last| last.checked_add(1));
        events += write(out, page.rows)?;
    }
    Ok(events)
}

/// What is in no chain.
async fn outside(store: &Store, out: &mut dyn Write) -> Result<u64, AuditError> {
    let (mistyped, _) = read(store, |tx| trail::mistyped(tx, 1)).await?;
    mistyped.into_iter().try_for_each(Err)?;
    let (mut from, mut events) = (Some(i64::MIN), 0);
    while let Some(next) = from {
        let page = read(store, move |tx| trail::misplaced(tx, next, PAGE)).await?;
        page.damaged.into_iter().try_for_each(Err)?;
        // Several may have the position at which a page ends: what is not written is counted.
        from = page.last.and_then(|last| last.checked_add(1));
        events += write(out, page.rows)?;
    }
    let mut after = None;
    loop {
        let page = read(store, move |tx| trail::unchained(tx, after.as_ref(), PAGE)).await?;
        page.damaged.into_iter().try_for_each(Err)?;
        events += write(out, page.rows)?;
        after = page.last;
        if after.is_none() {
            return Ok(events);
        }
    }
}

fn write(out: &mut dyn Write, events: Vec<Stored>) -> io::Result<u64> {
    let count = events.len() as u64;
    events.into_iter().try_for_each(|event| line(out, &TrailLine::Event(shape(event))))?;
    Ok(count)
}
