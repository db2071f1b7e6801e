//! Connecting by a code that a person types at the provider (RFC 8628), where that has no page to be sent to.
//!
//! The code is kept, sealed, at the link. Whoever has the turn asks the provider whether the person has agreed:
//! a task on the node where it began, and the page whenever it is looked at, so that the end of that node is not
//! the end of it. A turn is taken by one conditional write, and lasts longer than the slowest answer: the
//! provider is asked once per interval, by one of all nodes.

use std::time::Duration;

use keyfob_core::{
    oauth::{
        Form, Grant, TokenAnswer, Tokens,
        device::{DeviceAuthorization, Poll, slower},
    },
    ticket::{Ticket, TicketHash},
    time::Timestamp,
};
use keyfob_store::{
    authentication::{self, Outcome},
    secret::Secret,
};
use secrecy::ExposeSecret;
use url::Url;

use super::{
    Broker, Config, Trouble, Visit,
    asked::{Device, Request},
    authentication::USABLE_FOR,
    authorization::Obtained,
    link, provider,
    provider::{Incomplete, Provider, Unable},
    usable::Usable,
};
use crate::{
    error::{Error, LinkProblem},
    oauth::{Answer, NoCode, TokenEndpoint},
};

/// The grant of devices (RFC 8628, section 3.4).
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The longest that a code is waited for: a person waits.
const LIMIT: Duration = Duration::from_secs(15);
/// A turn outlives the slowest answer.
const TURN: Duration = Duration::from_secs(30);
/// The shortest time between two polls, whatever a provider says.
const SHORTEST: Duration = Duration::from_secs(5);
/// The longest that a provider can put off the next poll.
const LONGEST: Duration = Duration::from_mins(1);
/// So long a task waits when its own database fails.
const PAUSE: Duration = Duration::from_secs(10);
/// So long a page waits for an answer, before it shows that there is none yet.
const PATIENCE: Duration = Duration::from_secs(3);

/// What there is to do.
enum Look {
    /// Nothing, any more.
    Over,
    /// Nothing until then.
    Later(Timestamp),
    Turn(Box<Turn>),
}

/// The right to ask the provider once.
struct Turn {
    request: Request,
    device: Device,
    secret: Secret,
    config: Config,
    state: TicketHash,
    /// How long it lasts, which is also what the next turn is told by.
    until: Timestamp,
}

impl Broker {
    /// Asks the provider for a code, keeps it at the link, and begins to wait.
    pub(super) async fn ask_for_code(
        &self,
        visit: &Visit,
        usable: &Usable,
        provider: &Provider,
        url: &Url,
    ) -> Result<(), Unable> {
        let mut form = Form::new();
        for (name, value) in
            [("scope", usable.config.text("scope")), ("resource", provider.resource.as_deref())]
        {
            if let Some(value) = value {
                form.set(name, value);
            }
        }
        let (egress, random) = (&self.egress_of(&usable.secret.account), &*self.inner.random);
        let (client, token) = (&provider.client, &provider.token_endpoint);
        let endpoint = TokenEndpoint { egress, url: token, client, random };
        let asked_at = self.now()?;
        let code = endpoint.ask_for_code(url, &form, || self.inner.clock.now(), LIMIT).await;
        let code = match code {
            Ok(code) => code,
            Err(NoCode::Failed(problem)) => {
                return Err(Unable::Provider(Trouble::Unreachable, problem));
            }
            Err(NoCode::Refused(refused)) => {
                if let Some(client) =
                    provider.registered.as_ref().filter(|_| refused.is_unknown_client())
                {
                    let secret = &usable.secret;
                    self.forget_client(&secret.account, &secret.id, client).await?;
                }
                let reason = refused.to_string();
                return Err(Unable::Provider(Trouble::Refused(refused.code), reason));
            }
        };
        let device = device(&code, asked_at);
        let poll_at = self.now()?.plus(device.interval());
        if device.is_over(poll_at) {
            let reason = "the provider's code ends before the provider may be asked about it";
            return Err(Unable::Provider(Trouble::Unreachable, reason.into()));
        }
        let mut request = Request::new(provider, code.device_code, usable.config.terms());
        request.device = Some(device);
        let state = Ticket::generate(&*self.inner.random).hash();
        self.keep_request(visit, &state, request, Some(poll_at)).await?;
        tokio::spawn(self.clone().keep_polling(visit.clone(), poll_at));
        Ok(())
    }

    /// Polls until it is over.
    async fn keep_polling(self, visit: Visit, mut at: Timestamp) {
        let end = at.plus(USABLE_FOR);
        while at < end {
            self.inner.clock.wait_until(at).await;
            let (broker, visit) = (self.clone(), visit.clone());
            // A stop waits for the answer, which may have tokens. It has seen this task, or is seen by it.
            let polled = self.spawn(async move {
                if broker.is_stopping() { Ok(None) } else { broker.poll(&visit).await }
            });
            match polled.await.unwrap_or_else(|error| Err(Error::internal(error))) {
                Ok(Some(next)) => at = next,
                Ok(None) => return,
                Err(error) => {
                    error.log("device");
                    at = self.inner.clock.now().plus(PAUSE);
                }
            }
        }
    }

    /// Polls, if it is time; whoever looks at the page does not wait long for it, and does not end it.
    pub(super) async fn poll_for_page(&self, visit: &Visit) {
        let (broker, visit) = (self.clone(), visit.clone());
        let polled = self.spawn(async move {
            if let Err(error) = broker.poll(&visit).await {
                error.log("device");
            }
        });
        if tokio::time::timeout(PATIENCE, polled).await.is_err() {
            tracing::debug!("a provider has not said yet whether a device was let in");
        }
    }

    /// Asks the provider whether the person has agreed, if it is time; when to ask again, if at all.
    async fn poll(&self, visit: &Visit) -> Result<Option<Timestamp>, Error> {
        let turn = match self.take_turn(visit).await? {
            Look::Over => return Ok(None),
            Look::Later(at) => return Ok(Some(at)),
            Look::Turn(turn) => *turn,
        };
        let client = match turn.request.client(&turn.config) {
            Ok(client) => client,
            Err(Incomplete(reason)) => {
                self.settle_refused(visit, &turn, reason).await?;
                return Ok(None);
            }
        };
        let mut form = Form::new();
        form.set("grant_type", DEVICE_CODE);
        form.set("device_code", turn.request.proof.expose_secret());
        if let Some(resource) = &turn.request.resource {
            form.set("resource", resource.as_str());
        }
        let answer = match self.ask_for(&turn.request, &client, &form).await {
            Answer::Tokens(tokens) => TokenAnswer::Tokens(tokens),
            Answer::Refused(refused) => TokenAnswer::Refused(refused),
            Answer::Failed(failure) => {
                let interval = slower(turn.device.interval());
                let after = failure.retry_after.unwrap_or_default().min(LONGEST).max(interval);
                return self.put_off(visit, &turn, after).await.map(Some);
            }
        };
        self.settle_poll(visit, turn, Poll::from(answer)).await
    }

    async fn take_turn(&self, visit: &Visit) -> Result<Look, Error> {
        let (now, broker, visit) = (self.now()?, self.clone(), visit.clone());
        self.write(move |tx| {
            let open = match broker.open_link(tx, &visit, now) {
                Ok(open) => open,
                Err(Error::Link(_)) => return Ok(tx.commit_unaudited(Look::Over)),
                Err(error) => return Err(error),
            };
            let Some(asked) = authentication::find_asked_at(tx, &visit.state)? else {
                return Ok(tx.commit_unaudited(Look::Over));
            };
            let Some((request, device, poll_at)) = broker.open_device(tx, &asked)? else {
                return Ok(tx.commit_unaudited(Look::Over));
            };
            if device.is_over(now) {
                authentication::take(tx, &asked.request_state)?;
                let mut event = open.event(now);
                event.result = "failed";
                event.reason = Some("nobody entered the provider's code in time".into());
                return Ok(tx.commit(event, Look::Over));
            }
            if poll_at > now {
                return Ok(tx.commit_unaudited(Look::Later(poll_at)));
            }
            let until = now.plus(TURN);
            if !authentication::poll(tx, &visit.state, poll_at, until)? {
                return Ok(tx.commit_unaudited(Look::Later(until)));
            }
            let Usable { secret, config, .. } = open.usable;
            let turn = Turn { request, device, secret, config, state: asked.request_state, until };
            Ok(tx.commit_unaudited(Look::Turn(Box::new(turn))))
        })
        .await
    }

    async fn settle_poll(
        &self,
        visit: &Visit,
        turn: Turn,
        poll: Poll,
    ) -> Result<Option<Timestamp>, Error> {
        match poll {
            Poll::Tokens(tokens) => self.settle_agreed(visit, turn, tokens).await?,
            Poll::Pending => {
                return self.put_off(visit, &turn, turn.device.interval()).await.map(Some);
            }
            Poll::Unclear(_) => {
                let interval = slower(turn.device.interval());
                return self.put_off(visit, &turn, interval).await.map(Some);
            }
            Poll::SlowDown => return self.slow_down(visit, turn).await.map(Some),
            Poll::Denied => self.settle_denied(visit).await?,
            Poll::Expired => {
                let reason = "the provider's code has ended, or was used";
                self.settle_refused(visit, &turn, reason.into()).await?;
            }
            Poll::Refused(refused) => {
                if refused.is_unknown_client() {
                    self.forget_client_of(visit, &turn.request).await?;
                }
                self.settle_refused(visit, &turn, refused.to_string()).await?;
            }
        }
        Ok(None)
    }

    /// Gives the turn to whoever comes after `pause`.
    async fn put_off(
        &self,
        visit: &Visit,
        turn: &Turn,
        pause: Duration,
    ) -> Result<Timestamp, Error> {
        let (state, until, next) = (visit.state, turn.until, self.now()?.plus(pause));
        self.write(move |tx| {
            // If it is another one's turn by now, that one says when the next is.
            authentication::poll(tx, &state, until, next)?;
            Ok(tx.commit_unaudited(()))
        })
        .await?;
        Ok(next)
    }

    async fn slow_down(&self, visit: &Visit, turn: Turn) -> Result<Timestamp, Error> {
        let Turn { mut request, mut device, state, until, .. } = turn;
        device.slow_down();
        let next = self.now()?.plus(device.interval());
        request.device = Some(device);
        let (broker, link) = (self.clone(), visit.state);
        self.write(move |tx| {
            // Where another code was asked for meanwhile, it is not about that one.
            if let Some(link) = authentication::find(tx, &link)? {
                let request = broker.seal_request(tx, &link, &request)?;
                authentication::slow_down(tx, &state, &request, until, next)?;
            }
            Ok(tx.commit_unaudited(()))
        })
        .await?;
        Ok(next)
    }

    async fn settle_agreed(&self, visit: &Visit, turn: Turn, tokens: Tokens) -> Result<(), Error> {
        let assumed = provider::assumed_lifetime(&turn.config);
        let grant = turn.request.mark(Grant::obtained(tokens, self.now()?, assumed));
        // In one unit, which is run until the database takes it: the code is used up.
        let obtained = Obtained { asked_for: turn.secret, grant, terms: turn.request.terms };
        self.store_at_return(visit.clone(), obtained, Some(turn.state)).await.map(drop)
    }

    async fn settle_denied(&self, visit: &Visit) -> Result<(), Error> {
        let (now, broker, visit) = (self.now()?, self.clone(), visit.clone());
        self.write(move |tx| {
            let browser = visit.browser.as_ref().ok_or(LinkProblem::OtherBrowser)?.hash();
            let open = broker.hold_link(tx, &visit, &browser, now)?;
            let mut event = open.event(now);
            event.result = "declined";
            link::end(tx, &visit, &open, Outcome::Declined, now)?;
            Ok(tx.commit(event, ()))
        })
        .await
    }

    /// Nothing comes of this code. Another one can be asked for at the same link.
    async fn settle_refused(
        &self,
        visit: &Visit,
        turn: &Turn,
        reason: String,
    ) -> Result<(), Error> {
        let (now, broker, visit, state) = (self.now()?, self.clone(), visit.clone(), turn.state);
        self.write(move |tx| {
            let open = broker.open_link(tx, &visit, now)?;
            authentication::take(tx, &state)?;
            let mut event = open.event(now);
            event.result = "failed";
            event.reason = Some(reason.clone());
            Ok(tx.commit(event, ()))
        })
        .await
    }
}

/// What is kept of a code.
fn device(code: &DeviceAuthorization, asked_at: Timestamp) -> Device {
    Device::new(code, asked_at.plus(code.expires_in), code.interval.max(SHORTEST))
}
