//! Events that have been kept for long enough are removed, from the beginnings of their chains. Before that it is
//! signed up to where: so nobody else can pass off a removal of his own as this.

use std::time::Duration;

use keyfob_core::{
    audit::{Head, Linked},
    time::Timestamp,
};
use keyfob_store::trail;

use super::{Broker, event_job::READ_AT_ONCE};
use crate::error::Error;

impl Broker {
    /// Removes events that are older than `keep`; how many. An event goes when all that were written before it in
    /// its chain go too.
    pub async fn expire_events(&self, keep: Duration) -> Result<u64, Error> {
        let now = self.now()?;
        let before = now.minus(keep);
        let (mut after, mut removed) = (String::new(), 0);
        loop {
            let from = after.clone();
            let next = self.read(move |tx| Ok(trail::next_chain(tx, &from)?));
            let Some(chain) = next.await? else { break };
            if let Some(edge) = self.edge_of(&chain, before).await? {
                let position = edge.position;
                self.sign(vec![edge], now).await?;
                let chain = chain.clone();
                removed += self
                    .forget(move |tx, limit| trail::expire(tx, &chain, position, limit))
                    .await?;
            }
            after = chain;
        }
        Ok(removed + self.expire_unchained(before).await?)
    }

    /// Up to where a chain is older; `None` if nothing of it is.
    async fn edge_of(&self, chain: &str, before: Timestamp) -> Result<Option<Head>, Error> {
        // Mostly the first one says that there is nothing to do.
        let (mut edge, mut limit) = (None, 1);
        loop {
            let (chain, after) = (chain.to_owned(), edge.unwrap_or(i64::MIN));
            let ages = self.read(move |tx| Ok(trail::ages(tx, &chain, after, limit)?)).await?;
            let old = ages.iter().take_while(|(_, created_at)| *created_at < before);
            let count = old.clone().count();
            edge = old.last().map(|(position, _)| *position).or(edge);
            if count < limit as usize {
                break;
            }
            limit = READ_AT_ONCE;
        }
        let Some(position) = edge else { return Ok(None) };
        let chain = chain.to_owned();
        let found = self.read(move |tx| {
            let birth = trail::find_birth(tx, &chain)?;
            let event = trail::walk(tx, &chain, position - 1, 1)?.rows.pop();
            Ok(birth.zip(event))
        });
        let head = found.await?.and_then(|(birth, event)| {
            // What was written under a master key from before is told by the checkpoints that cover it.
            let is_older = birth.key_id != self.inner.audit_key.id();
            let is_right = |event: &Linked<'_>| {
                if is_older { event.is_whole() } else { self.has_written(&birth, event) }
            };
            let event = event.linked().filter(is_right)?;
            Some(Head { chain: birth.chain, position, hash: event.hash?, is_edge: true })
        });
        if head.is_none() {
            tracing::error!(
                "events are kept although they are old enough to be removed, because they are not as this vault wrote them: `keyfob event verify` says more",
            );
        }
        Ok(head)
    }

    /// Removes those from before there were chains.
    async fn expire_unchained(&self, before: Timestamp) -> Result<u64, Error> {
        let (mut after, mut removed) = (String::new(), 0);
        loop {
            let from = after.clone();
            let next = self.read(move |tx| Ok(trail::next_unchained(tx, &from)?));
            let Some(account) = next.await? else { return Ok(removed) };
            after.clone_from(&account);
            removed += self
                .forget(move |tx, limit| trail::expire_unchained(tx, &account, before, limit))
                .await?;
        }
    }
}
