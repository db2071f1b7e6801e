//! What happens when a person at a link goes on to the provider: the link becomes this browser's, the provider
//! is found out about, and what is asked of it is kept until the answer comes.

use keyfob_core::{
    oauth::{
        Verifier,
        authorization::{AuthorizationRequest, request_url},
    },
    ticket::{Ticket, TicketHash},
    time::Timestamp,
};
use keyfob_store::authentication;
use url::Url;

use super::{
    Broker, Returned, Visit, Waiting,
    asked::Request,
    link::{expect_seen, proven},
    provider::{Provider, Unable},
    usable::Usable,
};
use crate::error::{Error, LinkProblem};

/// How it goes on for a person who wants to connect at a provider.
#[derive(Debug)]
pub enum Begun {
    /// They go to the provider's page.
    Onward(Url),
    /// They are shown a code to enter there.
    Waiting(Box<Waiting>),
    /// The provider cannot be asked. The link can still be used.
    Failed(Returned),
}

impl Broker {
    /// Binds a link to the browser, and asks the provider for what it is for. It goes on if the person goes
    /// away: a client may be registered by then.
    pub async fn begin_at_provider(&self, visit: &Visit, proof: &str) -> Result<Begun, Error> {
        let (broker, visit, proof) = (self.clone(), visit.clone(), proof.to_owned());
        let begun = self.spawn(async move { broker.begin(&visit, &proof).await });
        begun.await.map_err(Error::internal)?
    }

    async fn begin(&self, visit: &Visit, proof: &str) -> Result<Begun, Error> {
        let usable = self.start(visit, proof).await?;
        // Who goes back and presses the button again is shown the same code.
        if let Some(waiting) = self.waiting(visit).await? {
            return Ok(Begun::Waiting(Box::new(waiting)));
        }
        let asked = async {
            let provider = self.provider(&usable).await?;
            self.send_on(visit, &usable, &provider).await
        };
        match asked.await {
            Ok(begun) => Ok(begun),
            Err(Unable::Keyfob(error)) => Err(error),
            Err(Unable::Provider(trouble, reason)) => {
                self.note_trouble(visit, trouble, reason).await.map(Begun::Failed)
            }
        }
    }

    async fn start(&self, visit: &Visit, proof: &str) -> Result<Usable, Error> {
        let (now, (browser, seen)) = (self.now()?, proven(visit, proof)?);
        let (broker, at, seen) = (self.clone(), visit.clone(), seen.to_owned());
        self.write(move |tx| {
            let open = broker.hold_link(tx, &at, &browser, now)?;
            expect_seen(tx, &open, &seen)?;
            let mut event = open.event(now);
            event.result = "started";
            Ok(tx.commit(event, open.usable))
        })
        .await
    }

    /// Where the person goes now.
    async fn send_on(
        &self,
        visit: &Visit,
        usable: &Usable,
        provider: &Provider,
    ) -> Result<Begun, Unable> {
        if let (None, Some(url)) =
            (provider.authorization_endpoint().ok(), &provider.device_authorization_endpoint)
        {
            self.ask_for_code(visit, usable, provider, url).await?;
            let waiting = self.waiting(visit).await?.ok_or(Error::from(LinkProblem::Used))?;
            return Ok(Begun::Waiting(Box::new(waiting)));
        }
        let state = Ticket::generate(&*self.inner.random);
        let verifier = Verifier::generate(&*self.inner.random);
        let url = request_url(
            provider.authorization_endpoint()?,
            &AuthorizationRequest {
                client_id: &provider.client.id,
                redirect_uri: &self.redirect_uri(),
                scope: usable.config.text("scope"),
                user_scope: usable.config.text("userScope"),
                state: &state,
                challenge: &verifier.challenge(),
                resource: provider.resource.as_deref(),
            },
        );
        let request = Request::new(provider, verifier.expose().into(), usable.config.terms());
        self.keep_request(visit, &state.hash(), request, None).await?;
        Ok(Begun::Onward(url))
    }

    /// Keeps what the answer to a request needs. `poll_at`: when the provider may be asked for it.
    pub(super) async fn keep_request(
        &self,
        visit: &Visit,
        state: &TicketHash,
        request: Request,
        poll_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        let (broker, visit, state) = (self.clone(), visit.clone(), *state);
        self.write(move |tx| {
            let link = authentication::find(tx, &visit.state)?.ok_or(LinkProblem::Unknown)?;
            let request = broker.seal_request(tx, &link, &request)?;
            if !authentication::ask(tx, &visit.state, &state, &request, poll_at)? {
                return Err(LinkProblem::Used.into());
            }
            Ok(tx.commit_unaudited(()))
        })
        .await
    }
}
