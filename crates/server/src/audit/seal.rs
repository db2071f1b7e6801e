//! The first checkpoint of a vault: it seals the events from before there were chains, of which it lets nobody add
//! any later.

use keyfob_core::{
    audit::{AuditKey, Checkpoint, Head, SEALED},
    time::Timestamp,
};
use keyfob_store::{ReadTx, Store, StoreError, WriteTx, trail, vault};

use super::PAGE;

/// Writes the first checkpoint, if there is nothing of a trail yet. Where there are chains and no checkpoint,
/// somebody has removed it, and verification tells.
pub(crate) async fn seal(store: &Store, key: AuditKey, now: Timestamp) -> Result<(), StoreError> {
    if store.read(is_begun).await? {
        return Ok(());
    }
    let seal = store.write(move |tx| {
        vault::lock(tx)?;
        if !is_begun(tx)? {
            let mut checkpoint = first(tx, now)?;
            key.sign(&mut checkpoint);
            trail::insert(tx, &checkpoint)?;
        }
        Ok::<_, StoreError>(tx.commit_unaudited(()))
    });
    seal.await
}

fn is_begun(tx: &mut ReadTx<'_>) -> Result<bool, StoreError> {
    let is_signed = !trail::checkpoints(tx, i64::MIN, 1)?.is_empty();
    Ok(is_signed || trail::next_chain(tx, None)?.is_some())
}

fn first(tx: &mut WriteTx<'_>, created_at: Timestamp) -> Result<Checkpoint, StoreError> {
    let (mut position, mut hash, mut after) = (0, Checkpoint::NOTHING, None);
    loop {
        let page = trail::unchained(tx, after.as_ref(), PAGE)?;
        for event in &page.rows {
            position += 1;
            hash = event.record().hash(SEALED, position, &hash);
        }
        after = page.last;
        if after.is_none() {
            break;
        }
    }
    let head = Head { chain: SEALED.into(), position, hash, edge_of: None };
    Ok(Checkpoint {
        number: 1,
        created_at,
        previous: Checkpoint::NOTHING,
        heads: Some(head).into_iter().filter(|head| head.position > 0).collect(),
        key_id: String::new(),
        signature: Vec::new(),
    })
}
