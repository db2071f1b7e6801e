//! Signs how far the chains of events have come (`core/audit`).
//!
//! Of this node's own chains it signs what their writers have committed, whatever the database says by then. Of
//! those of processes that have ended without it signs what it finds, if the tags of the events say that it is
//! what was written.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use keyfob_core::{
    audit::{Birth, Checkpoint, Hash, Head, Linked},
    time::Timestamp,
};
use keyfob_store::{event::Stored, trail, vault};

use super::Broker;
use crate::error::Error;

/// So many events after the last checkpoint there is another one.
const EVENTS: i64 = 1000;
/// And so long after it, if there are any.
const INTERVAL: Duration = Duration::from_mins(1);
/// A chain that nobody has signed for so long is nobody's any more.
const STALE: Duration = Duration::from_mins(3);
/// Heads in one checkpoint of other chains.
const HEADS: u32 = 100;
/// Events that one unit of work reads.
pub(super) const READ_AT_ONCE: u32 = 500;
/// How often what was written meanwhile is signed too when the server stops.
const LAST_ROUNDS: u32 = 10;

/// What this node has signed last.
#[derive(Default)]
pub(super) struct Signed(Mutex<Last>);

#[derive(Default)]
struct Last {
    at: Option<Timestamp>,
    /// Positions of this node's own chains.
    positions: BTreeMap<String, i64>,
    /// The newest checkpoint's number and hash.
    newest: Option<(i64, Hash)>,
}

impl Signed {
    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Signs how far this node's chains have come, once there is enough of it; how many events that covers.
    pub async fn sign_events(&self) -> Result<i64, Error> {
        let now = self.now()?;
        let (heads, events) = self.unsigned();
        let is_due = {
            let last = self.inner.signed.last();
            last.at.is_none_or(|at| now.since(at) >= INTERVAL)
        };
        if events < EVENTS && (events == 0 || !is_due) {
            return Ok(0);
        }
        self.sign(heads, now).await?;
        Ok(events)
    }

    /// Signs all that is written, and what is written while it does: the server stops.
    pub async fn finish_events(&self) {
        for _ in 0..LAST_ROUNDS {
            match self.sign_what_is_queued().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    return tracing::warn!(%error, "the last events are not signed yet: the next start does it");
                }
            }
        }
    }

    async fn sign_what_is_queued(&self) -> Result<i64, Error> {
        // What was queued before this is written with it.
        self.write(|tx| Ok(tx.commit_unaudited(()))).await?;
        let (heads, events) = self.unsigned();
        if events > 0 {
            self.sign(heads, self.now()?).await?;
        }
        Ok(events)
    }

    /// Those of this node's chains that have grown, and by how many events together.
    fn unsigned(&self) -> (Vec<Head>, i64) {
        let last = self.inner.signed.last();
        let signed = |head: &Head| last.positions.get(&head.chain).copied().unwrap_or(0);
        let mut heads = self.inner.store.heads();
        heads.retain(|head| head.position > signed(head));
        let events = heads.iter().map(|head| head.position - signed(head)).sum();
        (heads, events)
    }

    /// Adds a checkpoint to the log.
    pub(super) async fn sign(&self, heads: Vec<Head>, now: Timestamp) -> Result<(), Error> {
        let broker = self.clone();
        let signed = heads.clone();
        let checkpoint = self.write(move |tx| {
            // One node at a time: each one follows the one before it.
            vault::lock(tx)?;
            let checkpoint = broker.next_checkpoint(trail::newest(tx)?, heads.clone(), now)?;
            trail::insert_key(tx, &broker.inner.audit_key.public(), now)?;
            trail::insert(tx, &checkpoint)?;
            Ok(tx.commit_unaudited(checkpoint))
        });
        let checkpoint = checkpoint.await?;
        let (number, hash) = (checkpoint.number, checkpoint.hash());
        tracing::debug!(number, %hash, "a checkpoint of the audit trail");
        let mut last = self.inner.signed.last();
        last.at = Some(now);
        last.newest = Some((number, hash));
        let own = signed.into_iter().filter(|head| !head.is_edge);
        last.positions.extend(own.map(|head| (head.chain, head.position)));
        Ok(())
    }

    fn next_checkpoint(
        &self,
        newest: Option<Checkpoint>,
        heads: Vec<Head>,
        now: Timestamp,
    ) -> Result<Checkpoint, Error> {
        let found = newest.map(|newest| (newest.number, newest.hash()));
        let known = self.inner.signed.last().newest;
        if let Some((number, hash)) = known
            && found.is_none_or(|found| found.0 < number || (found.0 == number && found.1 != hash))
        {
            tracing::error!(
                number,
                %hash,
                "a checkpoint of the audit trail that this server has written is gone: somebody else writes this database. `keyfob event verify` says what else was changed",
            );
        }
        let (last, previous) = found.unwrap_or((0, Checkpoint::NOTHING));
        let full = || {
            Error::internal(
                "the newest checkpoint of the audit trail has no number that another could follow",
            )
        };
        let number = last.checked_add(1).ok_or_else(full)?;
        let (key_id, signature) = (String::new(), Vec::new());
        let mut checkpoint =
            Checkpoint { number, created_at: now, previous, heads, key_id, signature };
        self.inner.audit_key.sign(&mut checkpoint);
        Ok(checkpoint)
    }

    /// Signs chains of processes that have ended without; how many.
    pub async fn sign_stale_chains(&self) -> Result<usize, Error> {
        let now = self.now()?;
        let own: Vec<_> = self.inner.store.heads().into_iter().map(|head| head.chain).collect();
        let (mut after, mut signed) = (String::new(), 0);
        loop {
            let from = after.clone();
            let stale = self.read(move |tx| Ok(trail::stale(tx, now.minus(STALE), &from, HEADS)?));
            let stale = stale.await?;
            let Some((last, _)) = stale.last() else { return Ok(signed) };
            after.clone_from(&last.chain);
            let mut heads = Vec::new();
            for (birth, covered) in
                stale.into_iter().filter(|(birth, _)| !own.contains(&birth.chain))
            {
                heads.extend(self.head_of(&birth, covered).await?);
            }
            if !heads.is_empty() {
                signed += heads.len();
                self.sign(heads, now).await?;
            }
        }
    }

    /// How far another process's chain has come since it was signed; `None` if it is not as it was written.
    async fn head_of(&self, birth: &Birth, covered: i64) -> Result<Option<Head>, Error> {
        let mut head: Option<Head> = None;
        loop {
            let after = head.as_ref().map_or(covered, |head| head.position);
            let chain = birth.chain.clone();
            let page = self.read(move |tx| Ok(trail::walk(tx, &chain, after, READ_AT_ONCE)?));
            let page = page.await?;
            if page.last.is_none() {
                return Ok(head);
            }
            let follows = head.as_ref().map_or(after == 0, |_| true);
            let before = head.as_ref().map_or_else(|| birth.hash(), |head| head.hash);
            match self.vouched(birth, after, follows.then_some(before), &page.rows) {
                Some(next) if page.damaged.is_empty() => head = Some(next),
                _ => {
                    tracing::error!(
                        chain = birth.chain,
                        after,
                        "events that were not signed yet are not as they were written: `keyfob event verify` says which",
                    );
                    return Ok(None);
                }
            }
        }
    }

    /// The last of these events, which follow each other from a position on, if this vault has written them all.
    fn vouched(
        &self,
        birth: &Birth,
        mut position: i64,
        mut follows: Option<Hash>,
        events: &[Stored],
    ) -> Option<Head> {
        for event in events {
            let event = event.linked()?;
            position = position.checked_add(1)?;
            let is_next = event.position == position
                && follows.is_none_or(|follows| event.previous == Some(follows));
            if !is_next || !self.has_written(birth, &event) {
                return None;
            }
            follows = event.hash;
        }
        Some(Head { chain: birth.chain.clone(), position, hash: follows?, is_edge: false })
    }

    /// Whether this vault has written the event as it is.
    pub(super) fn has_written(&self, birth: &Birth, event: &Linked<'_>) -> bool {
        let key = &self.inner.audit_key;
        let is_tagged = event.hash.zip(event.tag).is_some_and(|(hash, tag)| key.tag(&hash) == tag);
        birth.key_id == key.id() && is_tagged && event.is_whole()
    }
}
