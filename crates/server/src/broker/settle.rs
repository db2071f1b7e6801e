//! What is stored after a provider was asked to renew a grant.

use std::{sync::Arc, time::Duration};

use keyfob_core::{
    oauth::{Grant, Refused, Tokens},
    time::Timestamp,
};
use keyfob_store::{
    Commit, WriteTx,
    refresh::{self, Failed},
    revocation,
};

use super::{
    Broker,
    grant::{Held, New, kept},
    pause::pause,
    provider,
    renewal::{Lease, Renewal},
};
use crate::{
    error::Error,
    oauth::{Answer, Failure, refusal},
    text,
};

/// It is tried so often, and then for five minutes more, to store what only this node has. Whoever has new tokens
/// has to be there before those who would use the old ones once more, whom `store::refresh` keeps waiting for as
/// long as the frequent attempts last.
const QUICK_ATTEMPTS: u32 = 50;
const STORE_ATTEMPTS: u32 = QUICK_ATTEMPTS + 295;
const STORE_QUICKLY: Duration = Duration::from_millis(100);
const STORE_EVERY: Duration = Duration::from_secs(1);
/// The longest pause before a provider is asked again that does not say when.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

impl Broker {
    /// Stores what the provider said to what it was asked at `asked_at`. `None` if things have to be looked at anew.
    pub(super) async fn settle(
        &self,
        lease: Arc<Lease>,
        asked_at: Timestamp,
        answer: Answer,
    ) -> Result<Option<Renewal>, Error> {
        match answer {
            Answer::Tokens(tokens) => self.settle_tokens(lease, asked_at, tokens).await.map(Some),
            Answer::Refused(refused) if refused.is_dead_grant() && !lease.held.is_of_client() => {
                self.settle_dead(lease, &refused).await
            }
            Answer::Refused(refused) => {
                let failure = Failure::not_sent(refusal(&refused));
                let settled = self.settle_failure(Arc::clone(&lease), failure).await?;
                // After that, and whether it works or not: the lease must not last for want of it.
                if refused.is_unknown_client() {
                    self.forget_client_of_grant(&lease.held).await;
                }
                Ok(Some(settled))
            }
            Answer::Failed(failure) => self.settle_failure(lease, failure).await.map(Some),
        }
    }

    /// Forgets the client of a grant, if it was registered for its secret: people who connect anew need one
    /// that the provider knows.
    async fn forget_client_of_grant(&self, held: &Held) {
        let Some(client) = held.grant.as_ref().and_then(|grant| grant.client.as_ref()) else {
            return;
        };
        let forgotten = self.forget_client(&held.secret.account, &held.holder.secret, client);
        if let Err(error) = forgotten.await {
            tracing::error!(%error, "a client that its provider does not know could not be forgotten");
        }
    }

    /// Nobody else has these tokens, and the old ones may be of no use any more: storing them is tried for
    /// as long as a database may need to come back.
    /// Their life is counted from when they were asked for: an answer may be on its way for longer than they
    /// are renewed ahead of their end.
    async fn settle_tokens(
        &self,
        lease: Arc<Lease>,
        asked_at: Timestamp,
        tokens: Tokens,
    ) -> Result<Renewal, Error> {
        let now = self.now()?;
        let Held { grant, config, .. } = &lease.held;
        let assumed = provider::assumed_lifetime(config);
        let renewed = match grant {
            Some(grant) => grant.renewed(tokens, asked_at, assumed),
            None => Grant::obtained(tokens, asked_at, assumed),
        };
        let (broker, renewed) = (self.clone(), Arc::new(renewed));
        let stored = self.persist(move |tx| broker.store_tokens(tx, &lease, &renewed, now)).await;
        self.begin_revocations();
        stored
    }

    /// Runs a unit that stores what only this node has, for as long as a database may need to come back.
    pub(super) async fn persist<T: Send + 'static>(
        &self,
        unit: impl FnMut(&mut WriteTx<'_>) -> Result<Commit<T>, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let mut attempt = 1;
        loop {
            match self.change(unit.clone()).await {
                Err(error) if error.may_pass() && attempt < STORE_ATTEMPTS => {
                    tracing::error!(%error, attempt, "new tokens cannot be stored yet");
                    let is_quick = attempt <= QUICK_ATTEMPTS;
                    attempt += 1;
                    tokio::time::sleep(if is_quick { STORE_QUICKLY } else { STORE_EVERY }).await;
                }
                stored => return stored,
            }
        }
    }

    fn store_tokens(
        &self,
        tx: &mut WriteTx<'_>,
        lease: &Lease,
        renewed: &Grant,
        now: Timestamp,
    ) -> Result<Commit<Renewal>, Error> {
        let Held { holder, place, config, secret, .. } = &lease.held;
        let value = self.seal_grant(tx, holder, renewed)?;
        let (expires_at, scopes) = (renewed.ends_at(), renewed.scope.clone());
        let new = New { value: value.clone(), expires_at, scopes, broken: None, now };
        if place.swap(tx, new)? {
            self.plan_refresh(tx, holder, renewed, config, now)?;
            return Ok(tx.commit(kept(holder, now, "ok", None), Renewal::Fresh));
        }
        // Of a grant that is gone nothing may stay alive. One that was connected anew may be the same one to
        // the provider, which is why the tokens are only dropped then.
        if place.reread(tx)?.is_none_or(|place| place.value().is_none()) {
            revocation::insert(tx, &self.to_revoke(holder, Some(secret), value, now))?;
        }
        let reason = Some("it was replaced or revoked meanwhile".into());
        Ok(tx.commit(kept(holder, now, "discarded", reason), Renewal::Fresh))
    }

    /// The provider says that the refresh token is of no use. That ends the grant, unless another one is
    /// there by now: then whoever was faster has won a race, and nothing is lost.
    async fn settle_dead(
        &self,
        lease: Arc<Lease>,
        refused: &Refused,
    ) -> Result<Option<Renewal>, Error> {
        let (now, reason) = (self.now()?, why_dead(&lease, refused));
        let settled = self.change(move |tx| {
            let Held { holder, place, grant, .. } = &lease.held;
            let Some(there) = place.reread(tx)? else {
                return Ok(tx.commit_unaudited(Some(Renewal::Nothing)));
            };
            let is_newest = refresh::find(tx, holder)?.is_some_and(|it| it.fence == lease.fence);
            let Some(value) =
                there.value().filter(|value| is_newest && Some(*value) == place.value())
            else {
                return Ok(tx.commit_unaudited(None));
            };
            // The access token is good for as long as it is, whatever becomes of the other one.
            let end = grant.as_ref().and_then(|grant| grant.access_token_expires_at);
            let new = New {
                value: value.clone(),
                expires_at: Some(end.unwrap_or(now)),
                scopes: there.scopes().map(str::to_owned),
                broken: Some(reason.clone()),
                now,
            };
            // On PostgreSQL somebody may have connected anew since it was read: then nothing of this counts.
            if !there.swap(tx, new)? || !refresh::end_lease(tx, holder, lease.fence)? {
                return Err(Error::conflict("another one was faster"));
            }
            let event = kept(holder, now, "broken", Some(reason.clone()));
            Ok(tx.commit(event, Some(Renewal::Broken)))
        });
        match settled.await {
            Err(Error::Conflict { .. }) => Ok(None),
            settled => settled,
        }
    }

    /// Leaves the grant as it is, to be tried again later.
    async fn settle_failure(&self, lease: Arc<Lease>, failure: Failure) -> Result<Renewal, Error> {
        let now = self.now()?;
        let Failure { problem, retry_after, may_be_done, is_outage } = failure;
        let before = &lease.before;
        let pause = pause(before.failures, LONGEST_PAUSE, retry_after, self.chance());
        let lost = may_be_done.then_some(lease.since);
        let failed = Failed {
            due_at: now.plus(pause),
            problem: problem.clone(),
            unanswered_since: before.unanswered_since.or(lost),
        };
        self.change(move |tx| {
            let holder = &lease.held.holder;
            if !refresh::fail(tx, holder, lease.fence, &failed)? {
                return Ok(tx.commit_unaudited(()));
            }
            Ok(tx.commit(kept(holder, now, "failed", Some(failed.problem.clone())), ()))
        })
        .await?;
        Ok(if is_outage { Renewal::Failed(problem) } else { Renewal::Refused(problem) })
    }

    /// 32 random bits, for what is spread.
    pub(super) fn chance(&self) -> u32 {
        u32::from_be_bytes(keyfob_core::random::bytes(&*self.inner.random))
    }
}

/// Why a grant has ended, for people.
fn why_dead(lease: &Lease, refused: &Refused) -> String {
    let said = refusal(refused);
    match lease.before.unanswered_since {
        Some(since) => format!(
            "the answer to a renewal of {} was lost, and the provider says that its refresh token is of no use any more: {said}",
            text::rfc3339(since)
        ),
        None => format!("the grant has ended: {said}"),
    }
}
