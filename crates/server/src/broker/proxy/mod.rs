//! Requests that are sent with a credential, which their sender never sees (contract/keyfob, "Mint and proxy";
//! contract/contacts-and-secrets, section 6.2).
//!
//! What happens, in this order: the secret's and the key's rules are looked at; the credential is made ready, a
//! token renewed if it is due; an event tells what is about to be sent, and in `durable` mode is on stable
//! storage; then the request is sent, with what of it may be passed on and with the credential in its place. The
//! answer comes back as it arrives, without whatever would be the credential, and a second event tells how it
//! ended.

mod anew;
mod answer;
mod budget;
mod dry_run;
mod end;
mod frames;
mod links;
mod messages;
mod replay;
mod route;
mod send;
mod upgrade;

use std::{fmt::Display, mem, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use hyper::{HeaderMap, Method, Response, header::HeaderValue, upgrade::OnUpgrade};
use keyfob_core::{
    id::ContactId,
    policy::{Action, Object},
    proxy::{Destination, has_own},
    time::Timestamp,
};
use keyfob_store::{Event, WriteTx};

pub use self::{answer::Relayed, dry_run::Explained, links::Through};
pub(super) use self::{budget::Budget, route::Routes};
use self::{
    budget::Share,
    route::{Key, Refusal, Route, proxyable},
    send::{Content, LARGEST_SIGNED, Sending},
};
use super::{
    Broker, Caller, SecretRef,
    connection::told,
    secret::SECRET,
    source::{Ready, Wanted},
};
use crate::{config::Audit, egress::StreamLimits, error::Error};

/// How long a server is waited for. A model may think for minutes before it says a word.
const LIMITS: StreamLimits = StreamLimits {
    connect: Duration::from_secs(10),
    headers: Duration::from_mins(5),
    idle: Duration::from_mins(5),
};
/// So much of a path is in an event, in characters.
const LONGEST_PATH: usize = 200;

/// A request that is to be sent with a credential.
pub struct Outgoing {
    /// The method, and where it goes.
    pub destination: Destination,
    /// Its headers, as the caller sent them.
    pub headers: HeaderMap,
    /// Its body.
    pub payload: Payload,
    /// What the connection is to become, if the caller asks for that.
    pub upgrade: Option<Upgrade>,
    /// How the caller comes back to Keyfob from where an answer leads; redirects are blocked if it cannot.
    pub through: Option<Through>,
}

/// The body of a request.
pub enum Payload {
    /// All of it is here, so it can be sent again.
    Whole(Bytes),
    /// It is still coming.
    Stream(Body),
}

/// A connection that is to speak another protocol from now on (RFC 9110, section 7.8).
pub struct Upgrade {
    /// That protocol.
    pub protocol: HeaderValue,
    /// The caller's connection, once it does.
    pub caller: OnUpgrade,
}

/// A request as it was asked for.
#[derive(Clone)]
struct Asked {
    /// Whose credential it is to be sent with.
    wanted: Wanted,
    to: Destination,
    through: Option<Through>,
    /// Whether the caller has an `Authorization` of its own.
    has_own: bool,
    /// What events tell of it.
    told: Arc<str>,
    /// Its place, until it has ended.
    _place: Arc<Share>,
}

impl Broker {
    /// Sends a request with a contact's credential, or with the one value of a shared secret; the answer, whose
    /// body is still arriving.
    pub async fn proxy(
        &self,
        caller: &Caller,
        contact: Option<&ContactId>,
        at: &SecretRef,
        outgoing: Outgoing,
    ) -> Result<Response<Relayed>, Error> {
        let wanted = wanted(caller, contact, at);
        caller.decide(wanted.action, Object::Account)?;
        let Outgoing { destination: to, headers, mut payload, upgrade, through } = outgoing;
        let (told, has_own) = (described(&to).into(), has_own(&headers));
        let place =
            self.inner.places.take(caller.account(), 1).ok_or_else(|| too_many(TOO_MANY))?;
        let mut asked = Asked { wanted, to, through, has_own, told, _place: Arc::new(place) };
        let mut found = self.find_route(&asked).await?;
        // As long as the body takes nothing is opened, and all that was decided is decided anew when it is there.
        if let (Payload::Stream(body), true) = (&mut payload, found.0.injection.needs_body()) {
            let collected = answer::collect(mem::take(body), LARGEST_SIGNED).await;
            if let Err(error) = &collected {
                self.tell(asked.refused(&found.0, error, self.now()?)).await?;
            }
            payload = Payload::Whole(collected?);
            asked.wanted.caller = self.reauthenticate(&asked.wanted.caller).await?;
            found = self.find_route(&asked).await?;
        }
        let (sending, ready) = self.clear(asked, found).await?;
        sending.send(ready, Content { headers, payload, upgrade, before: Vec::new() }).await
    }

    /// How it would be sent, if it may be; with the credential, if that was used lately. This is decided before
    /// anything is renewed or asked of a person for it.
    async fn find_route(&self, asked: &Asked) -> Result<(Arc<Route>, Option<Ready>), Error> {
        if let Some((route, ready)) = self.recent_route(&asked.wanted, self.now()?)? {
            self.decide_request(asked, &route).await?;
            return Ok((route, Some(ready)));
        }
        let (broker, of) = (self.clone(), asked.wanted.clone());
        let route = self.read(move |tx| {
            let usable = proxyable(&broker, tx, &of)?;
            Route::read(&broker, tx, &of, usable)
        });
        let route = Arc::new(route.await?);
        self.decide_request(asked, &route).await?;
        Ok((route, None))
    }

    /// What is sent, and its credential, once the audit trail says that it is about to be.
    async fn clear(
        &self,
        asked: Asked,
        (route, ready): (Arc<Route>, Option<Ready>),
    ) -> Result<(Arc<Sending>, Ready), Error> {
        let Some(ready) = ready else { return self.clear_anew(&asked).await };
        self.tell(asked.sending(&route, self.now()?)).await?;
        Ok((Sending::begun(self.clone(), asked, route), ready))
    }

    /// The same for a credential that was not used lately, or has to be renewed first.
    async fn clear_anew(&self, asked: &Asked) -> Result<(Arc<Sending>, Ready), Error> {
        let reading = self.inner.routes.begin(self.now()?);
        let (broker, of) = (self.clone(), asked.clone());
        let cleared =
            self.acquire(&asked.wanted, proxyable, move |tx, wanted, usable, ready, now| {
                let route = Arc::new(Route::read(&broker, tx, wanted, usable)?);
                // Either may have changed while a token was renewed.
                let asked = Asked { wanted: wanted.clone(), ..of.clone() };
                asked.decide(&route)?;
                Ok(tx.commit(asked.sending(&route, now), (asked, route, ready)))
            });
        let (asked, route, ready) = cleared.await?;
        self.inner.routes.keep(Key::of(&asked.wanted), Arc::clone(&route), reading);
        Ok((Sending::begun(self.clone(), asked, route), ready))
    }

    async fn decide_request(&self, asked: &Asked, route: &Route) -> Result<(), Error> {
        let Err(refusal) = asked.decide(route) else { return Ok(()) };
        self.tell(asked.refused(route, &refusal, self.now()?)).await?;
        Err(match refusal {
            Refusal::Denied(denial) => denial.into(),
            Refusal::Consent(why) => {
                let (wanted, secret) = (&asked.wanted, route.secret().clone());
                self.ask_person(wanted, secret, why.into(), route.can_connect()).await?
            }
        })
    }

    /// Tells the audit trail, and waits until it has it if callers wait for that.
    async fn tell(&self, event: Event) -> Result<(), Error> {
        if self.inner.audit == Audit::Buffered && !self.inner.store.is_behind() {
            return self.tell_later(event);
        }
        let event = Arc::new(event);
        self.write(move |tx| Ok(tx.commit(Arc::clone(&event), ()))).await
    }

    fn tell_later(&self, event: Event) -> Result<(), Error> {
        let event = Arc::new(event);
        let tell = move |tx: &mut WriteTx<'_>| Ok(tx.commit(Arc::clone(&event), ()));
        Ok(self.inner.store.write_later::<Error, _>(tell)?)
    }
}

impl Asked {
    /// Whether key, secret and contact let it go where it is to go.
    fn decide(&self, route: &Route) -> Result<(), Refusal> {
        route.allow(self.wanted.caller.grant(), &self.to)
    }

    /// Whether it is sent without the credential, with what the caller has in its place.
    fn is_without(&self, route: &Route) -> bool {
        route.injection.gives_way(self.has_own)
    }

    fn event(&self, route: &Route, now: Timestamp) -> Event {
        let (Wanted { caller, contact, action, .. }, secret) = (&self.wanted, route.secret());
        match contact {
            Some(contact) => told(caller, now, *action, contact, secret),
            None => caller.event(now, *action, SECRET, secret.to_shared()),
        }
    }

    fn refused(&self, route: &Route, why: &dyn Display, now: Timestamp) -> Event {
        let reason = Some(format!("{}: {why}", self.told));
        Event { result: "refused", reason, ..self.event(route, now) }
    }

    fn sending(&self, route: &Route, now: Timestamp) -> Event {
        let without = if self.is_without(route) { ", without the credential" } else { "" };
        let stands_for = route.usable().told().map_or_else(String::new, |told| format!("; {told}"));
        let reason = Some(format!("{}{without}{stands_for}", self.told));
        Event { result: "sending", reason, ..self.event(route, now) }
    }
}

const TOO_MANY: &str =
    "too many requests are under way with this account's credentials: wait until some have ended";

fn too_many(message: &'static str) -> Error {
    Error::WaitTooLong {
        code: "too_many_at_once",
        message: message.into(),
        after: Duration::from_secs(1),
    }
}

fn wanted(caller: &Caller, contact: Option<&ContactId>, at: &SecretRef) -> Wanted {
    let action = if contact.is_some() { Action::ConnectionProxy } else { Action::SecretProxy };
    Wanted { caller: caller.clone(), contact: contact.cloned(), at: at.clone(), action }
}

/// The method, as it is sent.
fn method(to: &Destination) -> Method {
    use keyfob_core::proxy::Method as M;
    match to.method() {
        M::Get => Method::GET,
        M::Post => Method::POST,
        M::Put => Method::PUT,
        M::Patch => Method::PATCH,
        M::Delete => Method::DELETE,
        M::Head => Method::HEAD,
        M::Options => Method::OPTIONS,
    }
}

/// What an event tells of a request: its query may hold anything.
fn described(to: &Destination) -> String {
    let path: String = to.path().chars().take(LONGEST_PATH).collect();
    format!("{} {}{path}", to.method().as_str(), to.origin())
}
