//! The log of checkpoints as this server knows it. What counts is what the vault's key has signed, from the first
//! checkpoint on: where the log is another one, nothing is signed after it and nothing is removed.

use keyfob_core::audit::{BrokenLog, Checkpoint, Hash, Log, SEALED};
use keyfob_store::{ReadTx, StoreError, trail};
use tokio::sync::MutexGuard;

use super::{Broker, event_job::READ_AT_ONCE};
use crate::error::Error;

impl Broker {
    /// The log with all that was added to it. Nothing is signed while it is held.
    pub(super) async fn event_log(&self) -> Result<MutexGuard<'_, Log>, Error> {
        let mut log = self.inner.signed.log().await;
        loop {
            let known = log.newest();
            let tail = self.read(move |tx| Ok(tail(tx, known)?)).await?.map_err(refused)?;
            if tail.is_empty() && known.is_some() {
                return Ok(log);
            }
            log.extend(&tail, &self.inner.audit_key.public()).map_err(refused)?;
        }
    }
}

/// The next checkpoints after the newest one that is known, which must be there as it was.
pub(super) fn tail(
    tx: &mut ReadTx<'_>,
    known: Option<(i64, Hash)>,
) -> Result<Result<Vec<Checkpoint>, BrokenLog>, StoreError> {
    let from = known.map_or(i64::MIN, |(number, _)| number);
    let mut tail = Vec::new();
    for (number, checkpoint) in trail::checkpoints(tx, from, READ_AT_ONCE)? {
        let Ok(checkpoint) = checkpoint else { return Ok(Err(BrokenLog(number))) };
        tail.push(checkpoint);
    }
    if let Some((number, hash)) = known {
        if tail.first().is_none_or(|first| (first.number, first.hash()) != (number, hash)) {
            return Ok(Err(BrokenLog(number)));
        }
        tail.remove(0);
    }
    Ok(Ok(tail))
}

/// Up to where what is from before there were chains was removed.
pub(super) fn sealed_edge(log: &Log) -> (i64, Hash) {
    let edge = log.edge(SEALED).map(|(position, edge)| (position, edge.hash));
    edge.unwrap_or((0, Checkpoint::NOTHING))
}

/// The same after these checkpoints too.
pub(super) fn edge_after(edge: (i64, Hash), checkpoints: &[Checkpoint]) -> (i64, Hash) {
    let heads = checkpoints.iter().flat_map(|checkpoint| &checkpoint.heads);
    let edges = heads.filter(|head| head.chain == SEALED && head.edge_of.is_some());
    edges.map(|head| (head.position, head.hash)).fold(edge, Ord::max)
}

/// Says that nothing goes on.
pub(super) fn refused(error: BrokenLog) -> Error {
    tracing::error!(number = error.0, "somebody else writes this database: {error}");
    Error::internal(error)
}
