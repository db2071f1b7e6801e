//! Renewing a grant, exactly once (RFC 6749, section 6; RFC 9700, section 4.14).
//!
//! A refresh token that is used twice may end the whole grant, so at any time one request is under way for
//! it, across all nodes. Whoever renews takes a lease in the database, in the same write that notes that a
//! request is about to be sent; looks, inside that write, whether there is still something to renew; asks the
//! provider, for less time than the lease lasts; and puts the new tokens in the place of exactly those that
//! they were obtained with. What can go wrong in between:
//!
//! - The node dies. Its lease ends, and that a request may have been answered is on record: the next one sends
//!   the same refresh token once more, and if the provider says that it was used, says so and ends it.
//! - The node is late, because it stood still. Its tokens are still taken if the old ones are still there:
//!   they are newer, whoever has the lease. A failure only counts with the newest lease.
//! - A person connects anew, or revokes, meanwhile. What is there is not what the renewal began with, so
//!   nothing is changed; tokens of a grant that is gone are revoked.

use std::{sync::Arc, time::Duration};

use keyfob_core::{crypto::Sealed, oauth::Form, time::Timestamp};
use keyfob_store::{
    ReadTx,
    refresh::{self, Holder, Refresh},
};
use secrecy::ExposeSecret;

use super::{Broker, grant::Held, provider};
use crate::{
    error::Error,
    oauth::{Answer, Failure, TokenEndpoint},
};

/// The longest that a provider is waited for.
const LIMIT: Duration = Duration::from_secs(20);
/// A lease outlives the slowest request. The clocks of nodes may differ by what is left of it.
const LEASE: Duration = Duration::from_secs(30);
/// How often those who wait for another node look.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a grant is to be renewed.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    /// Its access token is not to be handed out any more.
    Due,
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
    /// It did not work, and will be tried again.
    Failed(String),
    /// It is still under way.
    Waiting,
}

/// What there is to do about a wish.
enum Look {
    Over(Renewal),
    /// Somebody else is at it.
    Elsewhere,
    Ready(Box<Held>),
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
    /// Renews the holder's grant as far as `wish` says. Whoever calls this must not be cancelled.
    pub(super) async fn renew(&self, holder: &Holder, wish: &Wish) -> Renewal {
        match self.try_renew(holder, wish).await {
            Ok(renewal) => renewal,
            Err(error) => {
                error.log("renewal");
                Renewal::Failed("Keyfob could not do it now".into())
            }
        }
    }

    async fn try_renew(&self, holder: &Holder, wish: &Wish) -> Result<Renewal, Error> {
        loop {
            match self.look_for(holder, wish).await? {
                Look::Over(renewal) => return Ok(renewal),
                // The background job has other things to do.
                Look::Elsewhere if matches!(wish, Wish::Ahead) => return Ok(Renewal::Waiting),
                Look::Elsewhere => tokio::time::sleep(LOOK_EVERY).await,
                Look::Ready(_) => {
                    let Some(lease) = self.lease(holder, wish).await? else { continue };
                    let asked_at = self.inner.clock.now();
                    let answer = self.ask_for_tokens(&lease).await;
                    if let Some(renewal) = self.settle(Arc::new(lease), asked_at, answer).await? {
                        return Ok(renewal);
                    }
                }
            }
        }
    }

    async fn look_for(&self, holder: &Holder, wish: &Wish) -> Result<Look, Error> {
        let (now, broker) = (self.now()?, self.clone());
        let (holder, wish) = (holder.clone(), wish.clone());
        self.read(move |tx| broker.look(tx, &holder, &wish, now)).await
    }

    /// What there is to do. Looked at before the lease is taken, and once more inside.
    fn look(
        &self,
        tx: &mut ReadTx<'_>,
        holder: &Holder,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<Look, Error> {
        let Some(held) = self.held(tx, holder)? else {
            return Ok(Look::Over(Renewal::Nothing));
        };
        if held.place.broken().is_some() {
            return Ok(Look::Over(Renewal::Broken));
        }
        let due_at = held.refresh.as_ref().and_then(|refresh| refresh.due_at);
        let is_wanted = match wish {
            Wish::Due => held.is_due(now),
            Wish::Ahead => due_at.is_some_and(|due| due <= now) || held.is_due(now),
            Wish::Forced(seen) => held.place.value() == seen.as_ref(),
        };
        if !is_wanted {
            return Ok(Look::Over(Renewal::Fresh));
        }
        if !held.can_renew(now) {
            return Ok(Look::Over(Renewal::Nothing));
        }
        let Some(refresh) = &held.refresh else { return Ok(Look::Ready(Box::new(held))) };
        if refresh.is_leased(now) {
            return Ok(Look::Elsewhere);
        }
        let is_patient = !matches!(wish, Wish::Forced(_));
        if is_patient && refresh.backs_off_until(now).is_some() {
            let problem = refresh.problem.clone().unwrap_or_default();
            return Ok(Look::Over(Renewal::Failed(problem)));
        }
        Ok(Look::Ready(Box::new(held)))
    }

    /// Takes the lease, if there is still something to do and nobody was faster.
    async fn lease(&self, holder: &Holder, wish: &Wish) -> Result<Option<Lease>, Error> {
        let (now, broker) = (self.now()?, self.clone());
        let (holder, wish) = (holder.clone(), wish.clone());
        self.write(move |tx| {
            let Look::Ready(held) = broker.look(tx, &holder, &wish, now)? else {
                return Ok(tx.commit_unaudited(None));
            };
            let Some(before) = held.refresh.clone() else {
                // Looked at anew before it is asked for: others may have made the row, and renewed, meanwhile.
                let host = provider::token_host(&held.config, held.grant.as_ref());
                refresh::begin(tx, &holder, &host.unwrap_or_default())?;
                return Ok(tx.commit_unaudited(None));
            };
            let fence = refresh::lease(tx, &before, now, now.plus(LEASE))?;
            let lease = |fence| Lease { held: *held, fence, since: now, before };
            Ok(tx.commit_unaudited(fence.map(lease)))
        })
        .await
    }

    /// Asks the provider for new tokens, if there is enough left of the lease.
    async fn ask_for_tokens(&self, lease: &Lease) -> Answer {
        let Held { config, grant, .. } = &lease.held;
        let incomplete = |error: provider::Incomplete| Answer::Failed(Failure::not_sent(error.0));
        let url = match provider::token_endpoint(config, grant.as_ref()) {
            Ok(url) => url,
            Err(error) => return incomplete(error),
        };
        let registered = grant.as_ref().and_then(|grant| grant.client.as_ref());
        let client = match provider::client(config, registered, None) {
            Ok(client) => client,
            Err(error) => return incomplete(error),
        };
        if self.inner.clock.now().plus(LIMIT) > lease.since.plus(LEASE) {
            let text = "the database took too long to note that the provider is asked";
            return Answer::Failed(Failure::not_sent(text.into()));
        }
        let (egress, random) = (&self.inner.egress, &*self.inner.random);
        let endpoint = TokenEndpoint { egress, url: &url, client: &client, random };
        let now = || self.inner.clock.now();
        endpoint.ask(&form(&lease.held), now, LIMIT).await
    }
}

/// What the provider is asked (RFC 6749, sections 4.4.2 and 6).
fn form(held: &Held) -> Form {
    let mut form = Form::new();
    match held.grant.as_ref().and_then(|grant| grant.refresh_token.as_ref()) {
        Some(token) if !held.is_of_client() => {
            form.set("grant_type", "refresh_token");
            form.set("refresh_token", token.expose_secret());
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
