//! Events that have been kept for long enough are removed, from the beginnings of their chains. Before that it is
//! signed up to where: so nobody else can pass off a removal of his own as this.
//!
//! What the database says of an event's age does not count alone: a checkpoint that is as old must cover it, and
//! all that is removed must be as this vault wrote it.

use std::time::Duration;

use keyfob_core::{
    audit::{Checkpoint, Edge, Hash, Head, Linked, SEALED},
    time::Timestamp,
};
use keyfob_store::{
    WriteTx,
    event::Stored,
    trail::{self, Outside},
};

use super::{Broker, event_job::READ_AT_ONCE, event_log::sealed_edge};
use crate::error::Error;

/// So long after the newest checkpoint the clock is not believed.
const SILENCE: Duration = Duration::from_hours(24);

impl Broker {
    /// Removes events that are older than `keep`; how many. An event goes when all that were written before it in
    /// its chain go too.
    pub async fn expire_events(&self, keep: Duration) -> Result<u64, Error> {
        let now = self.now()?;
        let before = now.minus(keep);
        let newest_at = self.event_log().await?.newest_at();
        if newest_at.is_none_or(|at| now.since(at) > SILENCE) {
            tracing::info!(
                "no events are removed by retention: nothing was signed for a day, or the clock is wrong",
            );
            return Ok(0);
        }
        let (mut after, mut removed) = (None, 0);
        loop {
            let from: Option<String> = after.clone();
            let next = self.read(move |tx| Ok(trail::next_chain(tx, from.as_deref())?));
            let Some(chain) = next.await? else { break };
            // No chain of Keyfob's has the name of what is sealed.
            if chain != SEALED {
                removed += self.expire_chain(&chain, before, now).await?;
            }
            after = Some(chain);
        }
        Ok(removed + self.expire_unchained(before, now).await?)
    }

    async fn expire_chain(
        &self,
        chain: &str,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, Error> {
        if let Some(edge) = self.edge_of(chain, before).await? {
            self.sign(vec![edge], now).await?;
        }
        // Also what an earlier run has signed and not removed.
        let edge = self.event_log().await?.edge(chain);
        let Some((position, _)) = edge else { return Ok(0) };
        let chain = chain.to_owned();
        self.forget(move |tx, limit| trail::expire(tx, &chain, position, limit)).await
    }

    /// Up to where a chain is older, if that is farther than it was removed already.
    async fn edge_of(&self, chain: &str, before: Timestamp) -> Result<Option<Head>, Error> {
        let (covered, edge) = {
            let log = self.event_log().await?;
            (log.covered_before(chain, before), log.edge(chain))
        };
        if covered <= edge.map_or(0, |(position, _)| position) {
            return Ok(None);
        }
        let is_old =
            |event: &Linked<'_>| event.position <= covered && event.record.created_at < before;
        let birth = self.birth_of(chain).await?.map(|birth| birth.hash());
        // How it began is told by the edge where no event is left that follows it.
        let birth = birth.filter(|birth| edge.is_none_or(|(_, edge)| edge.birth == *birth));
        let start =
            birth.map(|birth| edge.map_or((0, birth), |(at, Edge { hash, .. })| (at, hash)));
        let found = match start {
            Some(start) => self.vouched(chain, start, is_old).await?,
            None => None,
        };
        if found.is_none() {
            kept(chain);
        }
        let new = found.filter(|(position, _)| start.is_some_and(|(start, _)| *position > start));
        let head =
            |(position, hash)| Head { chain: chain.to_owned(), position, hash, edge_of: birth };
        Ok(new.map(head))
    }

    /// Removes those from before there were chains, if they are as they were sealed. Another node may be doing the
    /// same: each page is hashed from where the log says, and signed only if it still says so.
    async fn expire_unchained(&self, before: Timestamp, now: Timestamp) -> Result<u64, Error> {
        if !self.is_as_sealed(before).await? {
            return Ok(0);
        }
        let mut removed = 0;
        loop {
            let edge = sealed_edge(&*self.event_log().await?);
            let Some(((position, hash), last)) = self.old_unchained(edge, before).await? else {
                return Ok(removed);
            };
            let edge_of = Some(Checkpoint::NOTHING);
            let head = Head { chain: SEALED.into(), position, hash, edge_of };
            let expire = move |tx: &mut WriteTx<'_>| trail::expire_unchained(tx, &last);
            let signed = self.sign_and(vec![head], now, Some(edge), expire).await?;
            removed += signed.unwrap_or(0);
        }
    }

    /// Whether there are old events from before there were chains, and all of those are as they were sealed.
    async fn is_as_sealed(&self, before: Timestamp) -> Result<bool, Error> {
        loop {
            let (sealed, edge) = {
                let log = self.event_log().await?;
                if log.covered_before(SEALED, before) == 0 {
                    return Ok(false);
                }
                (log.covered(SEALED), sealed_edge(&log))
            };
            if sealed == Some(edge) || self.old_unchained(edge, before).await?.is_none() {
                return Ok(false);
            }
            if Some(self.all_unchained(edge).await?) == sealed {
                return Ok(true);
            }
            // Unless another node has removed some of them meanwhile.
            if sealed_edge(&*self.event_log().await?) == edge {
                kept("of none");
                return Ok(false);
            }
        }
    }

    /// The last of the next events in no chain that are older, up to a part: its position and hash, and where it
    /// is.
    async fn old_unchained(
        &self,
        (mut position, mut hash): (i64, Hash),
        before: Timestamp,
    ) -> Result<Option<((i64, Hash), Outside)>, Error> {
        let page = self.read(move |tx| Ok(trail::unchained(tx, None, READ_AT_ONCE)?)).await?;
        let mut last = None;
        for event in page.rows.iter().take_while(|event| event.created_at < before) {
            position += 1;
            hash = event.record().hash(SEALED, position, &hash);
            last = Some(event);
        }
        Ok(last.map(|event| {
            let Stored { created_at, account, id, .. } = event;
            let found_by = (created_at.as_millis(), account.to_string(), id.to_string());
            ((position, hash), found_by)
        }))
    }

    /// The position and hash of the last event in no chain.
    async fn all_unchained(
        &self,
        (mut position, mut hash): (i64, Hash),
    ) -> Result<(i64, Hash), Error> {
        let mut after = None;
        loop {
            let page = self.read(move |tx| Ok(trail::unchained(tx, after.as_ref(), READ_AT_ONCE)?));
            let page = page.await?;
            for event in &page.rows {
                position += 1;
                hash = event.record().hash(SEALED, position, &hash);
            }
            after = page.last;
            if after.is_none() {
                return Ok((position, hash));
            }
        }
    }
}

fn kept(chain: &str) {
    tracing::error!(
        chain,
        "events are kept although they are old enough to be removed, because they are not as this vault wrote them: `keyfob event verify` says more",
    );
}
