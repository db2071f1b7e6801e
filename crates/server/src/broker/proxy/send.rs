//! Sending: what of a caller's request is passed on, and with what.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    header::{CONNECTION, HeaderValue, UPGRADE},
    http::request::Parts,
};
use keyfob_core::{
    leak::Needles,
    proxy::{Destination, Injected, Payload as SignedPayload},
};
use keyfob_store::Event;

use super::{
    super::{
        Broker,
        source::{Ready, Wanted},
    },
    LIMITS, Outgoing, Payload, Relayed, Upgrade, answer, event, method,
    route::Route,
    upgrade,
};
use crate::{
    config::LeakGuard,
    egress::{Arriving, SendError, StreamBody},
    error::Error,
};

/// The largest body that is signed, in bytes: it has to be there as a whole.
const LARGEST_SIGNED: usize = 1024 * 1024;

/// A request on its way.
#[derive(Clone)]
pub(super) struct Sending {
    pub(super) broker: Broker,
    pub(super) wanted: Wanted,
    pub(super) route: Arc<Route>,
    /// What events tell of the request.
    pub(super) told: Arc<str>,
}

impl Sending {
    /// Sends it; once more with a renewed token if it has to be.
    pub(super) async fn send(
        self,
        ready: Ready,
        outgoing: Outgoing,
    ) -> Result<Response<Relayed>, Error> {
        let Outgoing { destination, headers, payload, upgrade } = outgoing;
        let payload = match payload {
            Payload::Stream(body) if self.route.injection.needs_body() => {
                Payload::Whole(answer::collect(body, LARGEST_SIGNED).await?)
            }
            payload => payload,
        };
        let again = match &payload {
            Payload::Whole(bytes) if upgrade.is_none() => Some(bytes.clone()),
            _ => None,
        };
        let first = (payload, upgrade);
        let answer = self.once(&ready, &destination, headers.clone(), first).await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(bytes) = again
            && let Some((sending, ready)) = self.renewed(&ready, &destination).await?
        {
            // What came of the first is nobody's business any more.
            drop(answer);
            let again = (Payload::Whole(bytes), None);
            return sending.once(&ready, &destination, headers, again).await;
        }
        Ok(answer)
    }

    /// Sends it once.
    async fn once(
        &self,
        ready: &Ready,
        to: &Destination,
        headers: HeaderMap,
        (payload, upgrade): (Payload, Option<Upgrade>),
    ) -> Result<Response<Relayed>, Error> {
        let (mut parts, needles) = match self.filled(ready, to, headers, &payload) {
            Ok(filled) => filled,
            Err(error) => {
                self.ended("refused", &error.to_string());
                return Err(error);
            }
        };
        if let Some(Upgrade { protocol, .. }) = &upgrade {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            parts.headers.insert(UPGRADE, protocol.clone());
        }
        let request = Request::from_parts(parts, body(payload));
        match self.broker.inner.egress.stream(request, LIMITS).await {
            Ok(response) => self.answered(response, needles, upgrade),
            Err(error) => {
                self.ended("failed", &error.to_string());
                Err(unsent(error))
            }
        }
    }

    /// The request with the credential in its place, and what must not come back.
    fn filled(
        &self,
        ready: &Ready,
        to: &Destination,
        headers: HeaderMap,
        payload: &Payload,
    ) -> Result<(Parts, Arc<Needles>), Error> {
        let route = &self.route;
        let credential = route.credential(ready)?;
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = method(to);
        parts.uri = to.uri().clone();
        parts.headers = headers;
        let payload = match payload {
            Payload::Whole(bytes) => SignedPayload::Whole(bytes),
            Payload::Stream(_) => SignedPayload::Streamed,
        };
        let now = self.broker.now()?;
        let injected = Injected { credential: &credential, name: route.name(), payload, now };
        route.injection.apply(&mut parts, &injected).map_err(|unfit| {
            let message = unfit.to_string();
            if unfit.is_of_the_request() {
                return Error::invalid("bad_request", message);
            }
            Error::Conflict { code: "unusable_secret", message: message.into() }
        })?;
        let needles = match self.broker.inner.leak_guard {
            LeakGuard::On => Needles::new(&route.injection.needles(&credential)),
            LeakGuard::Off => Needles::new([]),
        };
        Ok((parts, Arc::new(needles)))
    }

    fn answered(
        &self,
        mut response: Response<Arriving>,
        needles: Arc<Needles>,
        upgrade: Option<Upgrade>,
    ) -> Result<Response<Relayed>, Error> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return answer::relay(self, response, needles);
        }
        let Some(Upgrade { protocol, caller }) = upgrade else {
            self.ended("failed", "the server changed the protocol, which nobody asked for");
            return Err(Error::Upstream { code: "upstream_failed", may_have_it: true });
        };
        upgrade::tie(self.clone(), caller, hyper::upgrade::on(&mut response), Arc::clone(&needles));
        Ok(answer::switched(&response, protocol, &needles))
    }

    /// Tells the audit trail how it ended. Nobody waits for that, and nothing fails if it cannot be told now.
    pub(super) fn ended(&self, result: &'static str, how: &str) {
        let told = self.broker.now().and_then(|now| {
            let reason = Some(format!("{}: {how}", self.told));
            let event = Event { result, reason, ..event(&self.wanted, &self.route, now) };
            self.broker.tell_later(event)
        });
        if let Err(error) = told {
            error.log(self.wanted.caller.request_id());
        }
    }
}

fn body(payload: Payload) -> StreamBody {
    match payload {
        Payload::Whole(bytes) if bytes.is_empty() => StreamBody::empty(),
        Payload::Whole(bytes) => StreamBody::new(Full::<Bytes>::new(bytes)),
        Payload::Stream(body) => StreamBody::new(body),
    }
}

/// What a caller is told about a server that gave no answer.
fn unsent(error: SendError) -> Error {
    match error {
        SendError::Refused(refusal) => Error::invalid("invalid_destination", refusal.to_string()),
        SendError::NotSent(_) => {
            Error::Upstream { code: "upstream_unreachable", may_have_it: false }
        }
        SendError::NoAnswer(_) | SendError::TooLarge => {
            Error::Upstream { code: "upstream_failed", may_have_it: true }
        }
    }
}
