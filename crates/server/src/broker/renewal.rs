//! Renewing a grant, exactly once (RFC 6749, section 6; RFC 9700, section 4.14).
//!
//! A refresh token that is used twice may end the whole grant, so at any time one request is under way for
//! it, across all nodes. Whoever renews takes a lease in the database, in the same write that notes that a
//! request is about to be sent; looks, inside that write, whether there is still something to renew; asks the
//! provider, for less time than the lease lasts; and puts the new tokens in the place of exactly those that
//! they were obtained with. What can go wrong in between:
//!
//! - The node dies. Its lease ends, a few seconds pass in which its tokens could still be stored if it did not
//!   die but had no database, and that a request may have been answered is on record: the next one sends
//!   the same refresh token once more, and if the provider says that it was used, says so and ends it.
//! - The node is late, because it stood still. Its tokens are still taken if the old ones are still there:
//!   they are newer, whoever has the lease. A failure only counts with the newest lease.
//! - A person connects anew, or revokes, meanwhile. What is there is not what the renewal began with, so
//!   nothing is changed; tokens of a grant that is gone are revoked.

use std::{sync::Arc, time::Duration};

use keyfob_core::{
    crypto::Sealed,
    id::AccountId,
    oauth::{Form, Grant},
    time::Timestamp,
};
use keyfob_store::{
    WriteTx,
    refresh::{self, Holder, Refresh},
};
use secrecy::ExposeSecret;
use tokio::time::Instant;
use url::Url;

use super::{Broker, Config, grant::Held, provider};
use crate::{
    error::Error,
    oauth::{Answer, Failure, TokenEndpoint},
};

/// The longest that a provider is waited for.
const LIMIT: Duration = Duration::from_secs(20);
/// How long after a lease was taken its request may still begin.
const LATEST_START: Duration = Duration::from_secs(5);
/// A lease outlives the slowest request that begins as late as it may, by five seconds: the clocks of nodes may
/// differ by that.
const LEASE: Duration = Duration::from_secs(30);
/// Who asks for new tokens gets those that are there while they were renewed so lately.
const JUST_NOW: Duration = Duration::from_secs(10);
/// How often those who wait for another node look.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a grant is to be renewed.
#[derive(Clone, Debug)]
pub(super) enum Need {
    /// Its access token has ended.
    Due,
    /// Its access token is about to end.
    Soon,
    /// Its turn has come before that.
    Ahead,
    /// Somebody wants the value that they have seen replaced.
    Forced(Option<Sealed>),
}

/// How a renewal went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// The grant is as it was wished for.
    Fresh,
    /// There is no such grant any more, or nothing that renews it.
    Nothing,
    /// The provider has ended it: only a person can connect anew.
    Broken,
    /// The provider did not answer as it should. It will be asked again.
    Failed(String),
    /// The provider, or what the config says of it, does not let it be renewed. It will be tried again.
    Refused(String),
    /// Keyfob could not do its part.
    Stuck,
    /// It is still under way.
    Waiting,
}

/// What there is to do about a need.
enum Look {
    Over(Renewal),
    /// Somebody else is at it.
    Elsewhere,
    Ready,
}

/// The right to ask a provider.
pub(super) struct Lease {
    pub(super) held: Held,
    /// Its number.
    pub(super) fence: i64,
    /// When it was taken.
    pub(super) since: Timestamp,
    /// How it stood before.
    pub(super) before: Refresh,
}

impl Broker {
    /// Renews the holder's grant as far as `need` says. Whoever calls this must not be cancelled.
    pub(super) async fn renew(&self, holder: &Holder, need: &Need) -> Renewal {
        match self.try_renew(holder, need).await {
            Ok(renewal) => renewal,
            Err(error) => {
                error.log("renewal");
                Renewal::Stuck
            }
        }
    }

    async fn try_renew(&self, holder: &Holder, need: &Need) -> Result<Renewal, Error> {
        loop {
            match self.look_for(holder, need).await? {
                Look::Over(renewal) => return Ok(renewal),
                // The background job has other things to do.
                Look::Elsewhere if matches!(need, Need::Ahead) => return Ok(Renewal::Waiting),
                Look::Elsewhere => tokio::time::sleep(LOOK_EVERY).await,
                Look::Ready => {
                    let begun = Instant::now();
                    let Some(lease) = self.lease(holder, need).await? else { continue };
                    let asked_at = self.inner.clock.now();
                    let answer = self.ask_for_tokens(&lease, begun).await;
                    if let Some(renewal) = self.settle(Arc::new(lease), asked_at, answer).await? {
                        return Ok(renewal);
                    }
                }
            }
        }
    }

    /// What there is to do. Nothing is decided by it: the lease is.
    async fn look_for(&self, holder: &Holder, need: &Need) -> Result<Look, Error> {
        let (now, broker) = (self.now()?, self.clone());
        let (holder, need) = (holder.clone(), need.clone());
        self.read(move |tx| {
            let Some(held) = broker.held(tx, &holder)? else {
                return Ok(Look::Over(Renewal::Nothing));
            };
            let row = held.refresh.as_ref();
            if let Some(over) = nothing_to_do(&held, row, &need, now) {
                return Ok(Look::Over(over));
            }
            Ok(row.map_or(Look::Ready, |row| is_free(row, &need, now)))
        })
        .await
    }

    /// Takes the lease, if there is still something to do and nobody was faster. What there is to do is looked
    /// at after the lease was taken: whoever had it before has stored what came of it by then, and nobody
    /// stores anything more. What was read before could be half of what another one has just stored.
    async fn lease(&self, holder: &Holder, need: &Need) -> Result<Option<Lease>, Error> {
        let (now, broker) = (self.now()?, self.clone());
        let (holder, need) = (holder.clone(), need.clone());
        self.write(move |tx| {
            let Some(before) = broker.row(tx, &holder)? else {
                return Ok(tx.commit_unaudited(None));
            };
            if !matches!(is_free(&before, &need, now), Look::Ready) {
                return Ok(tx.commit_unaudited(None));
            }
            let Some(fence) = refresh::lease(tx, &before, now, now.plus(LEASE))? else {
                return Ok(tx.commit_unaudited(None));
            };
            let held = broker.held(tx, &holder)?;
            let held = held.filter(|held| nothing_to_do(held, Some(&before), &need, now).is_none());
            if held.is_none() {
                refresh::release(tx, &before, fence)?;
            }
            let lease = held.map(|held| Lease { held, fence, since: now, before });
            Ok(tx.commit_unaudited(lease))
        })
        .await
    }

    /// The row that says how a grant is kept alive, which is made for one that has none.
    fn row(&self, tx: &mut WriteTx<'_>, holder: &Holder) -> Result<Option<Refresh>, Error> {
        if let Some(row) = refresh::find(tx, holder)? {
            return Ok(Some(row));
        }
        let Some(held) = self.held(tx, holder)? else { return Ok(None) };
        let host = provider::token_host(&held.config, held.grant.as_ref());
        refresh::insert(tx, holder, &host.unwrap_or_default())?;
        Ok(refresh::find(tx, holder)?)
    }

    /// Where a grant is renewed, and what that was found out by. One that was imported for a provider that only
    /// says itself where that is, has it found out.
    async fn renewed_at(
        &self,
        account: &AccountId,
        config: &Config,
        grant: Option<&Grant>,
    ) -> Result<(Url, Option<String>), provider::Incomplete> {
        match provider::token_endpoint(config, grant) {
            Ok(url) => Ok((url, grant.and_then(|grant| grant.source.clone()))),
            Err(incomplete) if provider::source(config).is_none() => Err(incomplete),
            Err(incomplete) if grant.is_some_and(|grant| grant.token_url.is_some()) => {
                Err(incomplete)
            }
            Err(_) => {
                let found = self.discovered(account, config).await;
                let found = found.map_err(|why| provider::Incomplete(why.to_string()))?;
                Ok((found.server.token_endpoint.clone(), provider::source(config)))
            }
        }
    }

    /// Asks the provider for new tokens, if there is enough left of the lease for the slowest answer.
    async fn ask_for_tokens(&self, lease: &Lease, begun: Instant) -> Answer {
        let Held { config, grant, .. } = &lease.held;
        let incomplete = |error: provider::Incomplete| Answer::Failed(Failure::not_sent(error.0));
        let (url, source) =
            match self.renewed_at(&lease.held.holder.account, config, grant.as_ref()).await {
                Ok(at) => at,
                Err(error) => return incomplete(error),
            };
        let registered = grant.as_ref().and_then(|grant| grant.client.as_ref());
        let preferred = grant.as_ref().and_then(|grant| grant.method);
        let to = (&url, source.as_deref());
        let client = match provider::client_for(config, registered, preferred, to) {
            Ok(client) => client,
            Err(error) => return incomplete(error),
        };
        // By both clocks: one may be set meanwhile, and the other stand still with the machine.
        let is_late = self.inner.clock.now() > lease.since.plus(LATEST_START);
        if is_late || begun.elapsed() > LATEST_START {
            let text = "the database took too long to note that the provider is asked";
            return Answer::Failed(Failure::not_sent(text.into()));
        }
        let (egress, random) = (&self.egress_of(&lease.held.holder.account), &*self.inner.random);
        let endpoint = TokenEndpoint { egress, url: &url, client: &client, random };
        let now = || self.inner.clock.now();
        endpoint.ask(&form(&lease.held), now, LIMIT).await
    }
}

/// Why there is nothing to renew, if there is not.
fn nothing_to_do(
    held: &Held,
    row: Option<&Refresh>,
    need: &Need,
    now: Timestamp,
) -> Option<Renewal> {
    if held.place.broken().is_some() {
        return Some(Renewal::Broken);
    }
    let turn = || row.and_then(|row| row.due_at).is_some_and(|due| due <= now);
    let is_wanted = match need {
        Need::Due | Need::Soon => held.is_due(now),
        Need::Ahead => turn() || held.is_due(now),
        Need::Forced(seen) => {
            held.place.value() == seen.as_ref() && (held.is_due(now) || !is_just_renewed(held, now))
        }
    };
    if !is_wanted {
        return Some(Renewal::Fresh);
    }
    (!held.can_renew(now)).then_some(Renewal::Nothing)
}

/// Whether the grant was renewed so lately that nobody gets it renewed once more by asking for it: a provider
/// must not be asked as often as a caller likes. A time that lies ahead is of a clock that was.
fn is_just_renewed(held: &Held, now: Timestamp) -> bool {
    let renewed_at = held.grant.as_ref().and_then(|grant| grant.renewed_at);
    renewed_at.is_some_and(|at| at.plus(JUST_NOW) > now && at <= now.plus(JUST_NOW))
}

/// Whether a grant can be renewed now: nobody is at it, and it did not fail just now.
fn is_free(row: &Refresh, need: &Need, now: Timestamp) -> Look {
    if row.is_leased(now) {
        return Look::Elsewhere;
    }
    let is_patient = !matches!(need, Need::Forced(_));
    if is_patient && row.backs_off_until(now).is_some() {
        return Look::Over(Renewal::Failed(row.problem.clone().unwrap_or_default()));
    }
    Look::Ready
}

/// What the provider is asked (RFC 6749, sections 4.4.2 and 6).
fn form(held: &Held) -> Form {
    let mut form = Form::new();
    match held.grant.as_ref().and_then(|grant| grant.refresh_token.as_ref()) {
        Some(token) if !held.is_of_client() => {
            form.set("grant_type", "refresh_token");
            form.set("refresh_token", token.expose_secret());
            if let Some(resource) = held.grant.as_ref().and_then(|it| it.resource.as_deref()) {
                form.set("resource", resource);
            }
        }
        _ => {
            form.set("grant_type", "client_credentials");
            if let Some(scope) = held.config.text("scope") {
                form.set("scope", scope);
            }
        }
    }
    form
}
