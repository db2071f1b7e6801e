//! Signs how far the chains of events have come (`core/audit`).
//!
//! Of this node's own chains it signs what their writers have committed, whatever the database says by then. Of
//! those of processes that have ended without it signs what it finds, if the tags of the events say that it is
//! what was written. It signs nothing after a log that is not as it knows it (`event_log`).

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use keyfob_core::{
    audit::{Birth, Checkpoint, Hash, Head, Linked, Log, follow},
    time::Timestamp,
};
use keyfob_store::{StoreError, WriteTx, trail, vault};

use super::{
    Broker,
    event_log::{edge_after, refused, sealed_edge, tail},
};
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
pub(super) struct Signed {
    last: Mutex<Last>,
    log: tokio::sync::Mutex<Log>,
}

#[derive(Default)]
struct Last {
    at: Option<Timestamp>,
    /// When it could not.
    failed_at: Option<Timestamp>,
    /// Positions of this node's own chains.
    positions: BTreeMap<String, i64>,
}

impl Signed {
    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn log(&self) -> tokio::sync::MutexGuard<'_, Log> {
        self.log.lock().await
    }
}

impl Broker {
    /// Signs how far this node's chains have come, once there is enough of it; how many events that covers.
    pub async fn sign_events(&self) -> Result<i64, Error> {
        let now = self.now()?;
        let (heads, events) = self.unsigned();
        let is_over = |at: Option<Timestamp>| at.is_none_or(|at| !is_within(INTERVAL, at, now));
        let (is_due, is_wanted) = {
            let last = self.inner.signed.last();
            (is_over(last.at), is_over(last.failed_at))
        };
        if !is_wanted || events == 0 || (events < EVENTS && !is_due) {
            return Ok(0);
        }
        let signed = self.sign(heads, now).await;
        self.inner.signed.last().failed_at = signed.is_err().then_some(now);
        signed.map(|()| events)
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
        self.sign_and(heads, now, None, |_| Ok(0)).await.map(drop)
    }

    /// Adds a checkpoint to the log, and does something else together with it; how much. `from`: up to where what
    /// is sealed must have been removed by then; `None` is the answer if another node was faster.
    pub(super) async fn sign_and(
        &self,
        heads: Vec<Head>,
        now: Timestamp,
        from: Option<(i64, Hash)>,
        mut also: impl FnMut(&mut WriteTx<'_>) -> Result<u64, StoreError> + Send + 'static,
    ) -> Result<Option<u64>, Error> {
        let mut log = self.event_log().await?;
        let (known, broker, signed) = (log.newest(), self.clone(), heads.clone());
        let edge = sealed_edge(&log);
        let (new, done) = self
            .write(move |tx| {
                // One node at a time: each one follows the one before it.
                vault::lock(tx)?;
                let mut new = tail(tx, known)?.map_err(refused)?;
                if from.is_some_and(|from| from != edge_after(edge, &new)) {
                    return Ok(tx.commit_unaudited((new, None)));
                }
                let checkpoint = broker.next_checkpoint(known, &new, heads.clone(), now)?;
                trail::insert(tx, &checkpoint)?;
                new.push(checkpoint);
                let done = also(tx)?;
                Ok(tx.commit_unaudited((new, Some(done))))
            })
            .await?;
        log.extend(&new, &self.inner.audit_key.public()).map_err(refused)?;
        if done.is_none() {
            return Ok(None);
        }
        if let Some((number, hash)) = log.newest() {
            tracing::debug!(number, %hash, "a checkpoint of the audit trail");
        }
        let mut last = self.inner.signed.last();
        last.at = Some(now);
        let own = signed.into_iter().filter(|head| head.edge_of.is_none());
        last.positions.extend(own.map(|head| (head.chain, head.position)));
        Ok(done)
    }

    /// The checkpoint that comes after these, which come after the one that is known.
    fn next_checkpoint(
        &self,
        known: Option<(i64, Hash)>,
        tail: &[Checkpoint],
        heads: Vec<Head>,
        now: Timestamp,
    ) -> Result<Checkpoint, Error> {
        let key = &self.inner.audit_key;
        let (last, previous) = follow(known, tail, &key.public()).map_err(refused)?;
        let (number, key_id, signature) = (last + 1, String::new(), Vec::new());
        let mut checkpoint =
            Checkpoint { number, created_at: now, previous, heads, key_id, signature };
        key.sign(&mut checkpoint);
        Ok(checkpoint)
    }

    /// Signs chains of processes that have ended without; how many.
    pub async fn sign_stale_chains(&self) -> Result<usize, Error> {
        let now = self.now()?;
        let own: Vec<_> = self.inner.store.heads().into_iter().map(|head| head.chain).collect();
        let (mut after, mut signed) = (String::new(), 0);
        loop {
            let from = after.clone();
            let ends = self.read(move |tx| Ok(trail::ends(tx, &from, HEADS)?)).await?;
            let Some((last, _)) = ends.last() else { return Ok(signed) };
            after.clone_from(last);
            let mut heads = Vec::new();
            for (chain, end) in ends.into_iter().filter(|(chain, _)| !own.contains(chain)) {
                heads.extend(self.stale_head(chain, end, now).await?);
            }
            if !heads.is_empty() {
                signed += heads.len();
                self.sign(heads, now).await?;
            }
        }
    }

    /// How far another process's chain has come that has not been signed for long; `None` if there is nothing to
    /// sign, or if it is not as it was written.
    async fn stale_head(
        &self,
        chain: String,
        end: i64,
        now: Timestamp,
    ) -> Result<Option<Head>, Error> {
        let is_recent = |at: Timestamp| is_within(STALE, at, now);
        let (covered, named_at) = {
            let log = self.event_log().await?;
            (log.covered(&chain), log.named_at(&chain))
        };
        if covered.is_some_and(|(covered, _)| covered >= end) || named_at.is_some_and(is_recent) {
            return Ok(None);
        }
        let birth = self.birth_of(&chain).await?;
        if covered.is_none() && birth.as_ref().is_some_and(|birth| is_recent(birth.started_at)) {
            return Ok(None);
        }
        let start = covered.or_else(|| birth.map(|birth| (0, birth.hash())));
        let all = |_: &Linked<'_>| true;
        let found = match start {
            Some(start) => self.vouched(&chain, start, all).await?,
            None => None,
        };
        let head = found.map(|(position, hash)| Head {
            chain: chain.clone(),
            position,
            hash,
            edge_of: None,
        });
        if head.is_none() {
            tracing::error!(
                chain,
                "events that were not signed yet are not as they were written: `keyfob event verify` says which",
            );
        }
        Ok(head.filter(|head| start.is_some_and(|(start, _)| head.position > start)))
    }

    /// How the chain began, if a row says so that can be read.
    pub(super) async fn birth_of(&self, chain: &str) -> Result<Option<Birth>, Error> {
        let chain = chain.to_owned();
        let birth = self.read(move |tx| match trail::find_birth(tx, &chain) {
            Err(StoreError::Corrupt { .. }) => Ok(None),
            birth => Ok(birth?),
        });
        birth.await
    }

    /// The position and hash of the last event of the chain that is wanted, of those that come after `start` one
    /// by one; `None` if one of them is not as this vault wrote it.
    pub(super) async fn vouched(
        &self,
        chain: &str,
        start: (i64, Hash),
        is_wanted: impl Fn(&Linked<'_>) -> bool,
    ) -> Result<Option<(i64, Hash)>, Error> {
        let (mut position, mut hash) = start;
        loop {
            let (chain, from) = (chain.to_owned(), position.saturating_add(1));
            let page = self.read(move |tx| Ok(trail::walk(tx, &chain, from, READ_AT_ONCE)?));
            let page = page.await?;
            if page.last.is_none() {
                return Ok(Some((position, hash)));
            }
            for event in &page.rows {
                let Some(event) = event.linked() else { return Ok(None) };
                if !is_wanted(&event) {
                    return Ok(Some((position, hash)));
                }
                let is_next =
                    event.position == position.saturating_add(1) && event.previous == Some(hash);
                match event.hash.filter(|_| is_next && self.has_written(&event)) {
                    Some(next) => (position, hash) = (event.position, next),
                    None => return Ok(None),
                }
            }
            if !page.damaged.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Whether this vault has written the event as it is.
    fn has_written(&self, event: &Linked<'_>) -> bool {
        let key = &self.inner.audit_key;
        let is_tagged = event.hash.zip(event.tag).is_some_and(|(hash, tag)| key.tag(&hash) == tag);
        is_tagged && event.is_whole()
    }
}

/// Whether less than `span` lies between a moment and now. One that is later was told by a clock that was ahead, and
/// must hold nothing up until that time comes.
fn is_within(span: Duration, at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < span && at.since(now) < span
}
