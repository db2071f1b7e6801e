//! The first checkpoint of a vault, with which its log begins. It seals the events from before there were chains,
//! of which it lets nobody add any later.
//!
//! A log begins once. So that nobody can have it begun anew, over a past of his own, each data key is wrapped
//! together with the hash of the first checkpoint: without them a vault opens nothing, and only who has the master
//! key can wrap one otherwise.

use std::sync::Arc;

use keyfob_core::{
    audit::{AuditKey, Checkpoint, Hash, Head, SEALED},
    crypto::MasterKey,
    random::Random,
    time::Timestamp,
};
use keyfob_store::{ReadTx, Store, StoreError, WriteTx, data_key, trail, vault};

use super::PAGE;

/// Begins the log of a vault that never had one; the hash of the first checkpoint, if it is there as this vault
/// wrote it. Where it was removed it is not made again, and verification tells.
pub(crate) async fn seal(
    store: &Store,
    master: &Arc<MasterKey>,
    now: Timestamp,
    random: Arc<dyn Random>,
) -> Result<Option<Hash>, StoreError> {
    if !store.read(is_begun).await? {
        let master = Arc::clone(master);
        let begin = store.write(move |tx| {
            vault::lock(tx)?;
            let begun = begin(tx, &master, now, &*random)?;
            Ok::<_, StoreError>(tx.commit_unaudited(begun))
        });
        if let Some(begun) = begin.await? {
            tell(&begun);
        }
    }
    let key = master.audit_key();
    let first = store.read(|tx| trail::checkpoints(tx, 1, 1)).await?;
    let first = first.into_iter().filter_map(|(_, first)| first.ok());
    let mut first = first.filter(|first| first.number == 1 && key.public().has_signed(first));
    let first = first.next().map(|first| first.hash());
    Ok(first)
}

/// Tells of it. Where there are events from before, nobody but this says that they are the vault's own.
fn tell(begun: &Checkpoint) {
    let checkpoint = format!("1:{}", begun.hash());
    match begun.heads.first() {
        None => tracing::info!(checkpoint, "the audit trail begins"),
        Some(head) => tracing::warn!(
            checkpoint,
            events = head.position,
            "the audit trail is sealed, with so many events from before there were checkpoints: right at the first start of a version that has them, and at no other",
        ),
    }
}

fn is_begun(tx: &mut ReadTx<'_>) -> Result<bool, StoreError> {
    let is_signed = !trail::checkpoints(tx, i64::MIN, 1)?.is_empty();
    Ok(is_signed || trail::next_chain(tx, None)?.is_some())
}

/// The first checkpoint, if the vault never had one.
fn begin(
    tx: &mut WriteTx<'_>,
    master: &MasterKey,
    now: Timestamp,
    random: &dyn Random,
) -> Result<Option<Checkpoint>, StoreError> {
    if is_begun(tx)? {
        return Ok(None);
    }
    let Some(keys) = unanchored(tx, master)? else { return Ok(None) };
    let checkpoint = first(tx, &master.audit_key(), now)?;
    // A vault without a key has no past.
    if keys.is_empty() && !checkpoint.heads.is_empty() {
        return Ok(None);
    }
    trail::insert(tx, &checkpoint)?;
    let anchor = checkpoint.hash();
    for data_key::Stored { account, id, wrapped } in keys {
        let wrapped = master.anchor_data_key(&account, id, &wrapped, Some(&anchor), random);
        let wrapped = wrapped.map_err(|error| StoreError::Database(error.into()))?;
        data_key::replace(tx, &data_key::Stored { account, id, wrapped })?;
    }
    Ok(Some(checkpoint))
}

/// All data keys, if none of them was wrapped together with a first checkpoint.
fn unanchored(
    tx: &mut ReadTx<'_>,
    master: &MasterKey,
) -> Result<Option<Vec<data_key::Stored>>, StoreError> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = data_key::list(tx, after.as_ref(), PAGE)?;
        let is_unanchored = |key: &data_key::Stored| {
            master.anchor_of_data_key(&key.account, key.id, &key.wrapped) == Ok(None)
        };
        if !page.damaged.is_empty() || !page.rows.iter().all(is_unanchored) {
            return Ok(None);
        }
        keys.extend(page.rows);
        after = page.last;
        if after.is_none() {
            return Ok(Some(keys));
        }
    }
}

fn first(
    tx: &mut WriteTx<'_>,
    key: &AuditKey,
    created_at: Timestamp,
) -> Result<Checkpoint, StoreError> {
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
    let mut checkpoint = Checkpoint {
        number: 1,
        created_at,
        previous: Checkpoint::NOTHING,
        heads: Some(head).into_iter().filter(|head| head.position > 0).collect(),
        key_id: String::new(),
        signature: Vec::new(),
    };
    key.sign(&mut checkpoint);
    Ok(checkpoint)
}
