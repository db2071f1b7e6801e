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
    provider,
    renewal::{Lease, Renewal},
};
use crate::{
    error::Error,
    oauth::{Answer, Failure},
    text,
};

/// How often tokens are tried to be stored that only this node has: five minutes.
const STORE_ATTEMPTS: u32 = 300;
const STORE_EVERY: Duration = Duration::from_secs(1);
/// The first pause before a provider is asked again that does not say when; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// The longest time that a provider can put it off.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

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
                let failure =
                    Failure::not_sent(format!("the provider refused: {}", said(&refused)));
                self.settle_failure(lease, failure).await.map(Some)
            }
            Answer::Failed(failure) => self.settle_failure(lease, failure).await.map(Some),
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
        let Held { grant, config, holder, .. } = &lease.held;
        let assumed = provider::assumed_lifetime(config);
        let renewed = match grant {
            Some(grant) => grant.renewed(tokens, asked_at, assumed),
            None => Grant::obtained(tokens, asked_at, assumed),
        };
        let renewed = Arc::new(renewed);
        for attempt in 1.. {
            let (broker, lease, renewed) = (self.clone(), Arc::clone(&lease), renewed.clone());
            let stored = self.write(move |tx| broker.store_tokens(tx, &lease, &renewed, now)).await;
            if attempt > STORE_ATTEMPTS || !matches!(stored, Err(Error::Unavailable(_))) {
                return stored;
            }
            tracing::error!(secret = %holder.secret, attempt, "new tokens cannot be stored yet");
            tokio::time::sleep(STORE_EVERY).await;
        }
        unreachable!("it returns from the loop")
    }

    fn store_tokens(
        &self,
        tx: &mut WriteTx<'_>,
        lease: &Lease,
        renewed: &Grant,
        now: Timestamp,
    ) -> Result<Commit<Renewal>, Error> {
        let Held { holder, place, config, secret_account, sealed_config, .. } = &lease.held;
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
            let (account, config) = (secret_account.clone(), sealed_config.clone());
            let grant = self.to_revoke(holder, account, (value, config), now);
            revocation::insert(tx, &grant)?;
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
        self.write(move |tx| {
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
            there.swap(tx, new)?;
            refresh::end(tx, holder)?;
            let event = kept(holder, now, "broken", Some(reason.clone()));
            Ok(tx.commit(event, Some(Renewal::Broken)))
        })
        .await
    }

    /// Leaves the grant as it is, to be tried again later.
    async fn settle_failure(&self, lease: Arc<Lease>, failure: Failure) -> Result<Renewal, Error> {
        let now = self.now()?;
        let Failure { problem, retry_after, may_be_done } = failure;
        let before = &lease.before;
        let pause = pause(before.failures, retry_after, self.chance());
        let lost = may_be_done.then_some(lease.since);
        let failed = Failed {
            due_at: now.plus(pause),
            problem: problem.clone(),
            unanswered_since: before.unanswered_since.or(lost),
        };
        self.write(move |tx| {
            let holder = &lease.held.holder;
            if !refresh::fail(tx, holder, lease.fence, &failed)? {
                return Ok(tx.commit_unaudited(()));
            }
            Ok(tx.commit(kept(holder, now, "failed", Some(failed.problem.clone())), ()))
        })
        .await?;
        Ok(Renewal::Failed(problem))
    }

    /// 32 random bits, for what is spread.
    pub(super) fn chance(&self) -> u32 {
        u32::from_be_bytes(keyfob_core::random::bytes(&*self.inner.random))
    }
}

/// Why a grant has ended, for people.
fn why_dead(lease: &Lease, refused: &Refused) -> String {
    let said = said(refused);
    match lease.before.unanswered_since {
        Some(since) => format!(
            "the answer to a renewal of {} was lost, and the provider says that its refresh token is of no use any more: {said}",
            text::rfc3339(since)
        ),
        None => format!("the provider has ended it: {said}"),
    }
}

/// What a provider said, as far as it can be repeated.
fn said(refused: &Refused) -> String {
    match &refused.description {
        Some(description) => format!("{} ({description})", refused.code),
        None => refused.code.clone(),
    }
}

/// How long a provider is left alone after so many failures in a row; `chance` spreads those that failed
/// together.
fn pause(failures: u32, retry_after: Option<Duration>, chance: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.min(16)));
    let longest = doubled.min(LONGEST_PAUSE);
    let spread = longest / 2 + longest / 2 * (chance >> 16) / (1 << 16);
    spread.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_spread_over_their_second_half() {
        let seconds = |failures, chance| pause(failures, None, chance).as_secs_f32();
        assert!((seconds(0, 0) - 1.0).abs() < 0.01 && (seconds(0, u32::MAX) - 2.0).abs() < 0.01);
        assert!((seconds(3, 0) - 8.0).abs() < 0.01 && (seconds(3, u32::MAX) - 16.0).abs() < 0.01);
        assert!((seconds(u32::MAX, u32::MAX) - 300.0).abs() < 0.1);
    }

    #[test]
    fn a_provider_can_put_it_off_for_an_hour_and_never_have_it_sooner() {
        let after = |seconds| pause(0, Some(Duration::from_secs(seconds)), 0).as_secs();
        assert_eq!(after(0), 1);
        assert_eq!(after(90), 90);
        assert_eq!(after(86_400), 3_600);
    }
}
