//! Sending: what of a caller's request is passed on, and with what.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    header::{CONNECTION, HeaderValue, UPGRADE},
    http::request::Parts,
};
use keyfob_core::{
    leak::Needles,
    proxy::{Credential, Injected, Payload as SignedPayload},
};
use keyfob_store::Event;
use secrecy::SecretString;

use super::{
    super::{Broker, source::Ready},
    Asked, LIMITS, Payload, Relayed, Upgrade, answer, method,
    route::Route,
    too_many, upgrade,
};
use crate::{
    config::LeakGuard,
    egress::{Arriving, SendError, StreamBody},
    error::Error,
};

/// The largest body that is signed, in bytes: it has to be there as a whole.
pub(super) const LARGEST_SIGNED: usize = 1024 * 1024;

/// A request on its way, of which the audit trail knows. It is told how it ended, whatever becomes of it.
pub(super) struct Sending {
    pub(super) broker: Broker,
    pub(super) asked: Asked,
    pub(super) route: Arc<Route>,
    has_ended: AtomicBool,
}

/// What is sent of a request beside its first line.
pub(super) struct Content {
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    pub(super) upgrade: Option<Upgrade>,
    /// What must not come back either: a token that it was sent with before.
    pub(super) before: Vec<SecretString>,
}

/// What came back, and what must not be in it.
type Came = (Response<Arriving>, Arc<Needles>, Option<Upgrade>);

impl Sending {
    /// A request that the audit trail was told of.
    pub(super) fn begun(broker: Broker, asked: Asked, route: Arc<Route>) -> Arc<Self> {
        Arc::new(Self { broker, asked, route, has_ended: AtomicBool::new(false) })
    }

    /// Sends it; once more with a renewed token if it has to be.
    pub(super) async fn send(
        self: Arc<Self>,
        ready: Ready,
        content: Content,
    ) -> Result<Response<Relayed>, Error> {
        let Content { headers, payload, upgrade, before } = content;
        let mut again = match &payload {
            Payload::Whole(bytes) if upgrade.is_none() && self.has_token() => {
                Some((bytes.clone(), headers.clone()))
            }
            _ => None,
        };
        let came = self.once(&ready, Content { headers, payload, upgrade, before }).await?;
        if came.0.status() == StatusCode::UNAUTHORIZED
            && let Some((bytes, headers)) = again.take()
            && let Some((sending, fresh)) = self.renewed_or_told(&ready).await?
        {
            self.ended("answered", "401, so it is sent once more with a renewed token");
            drop(came);
            // A token is looked for wherever it was put.
            let (anywhere, ()) = Request::new(()).into_parts();
            let before = self.texts(&self.route.credential(&ready)?, &anywhere);
            let payload = Payload::Whole(bytes);
            let again = Content { headers, payload, upgrade: None, before };
            let came = sending.once(&fresh, again).await?;
            return sending.answered(came);
        }
        self.answered(came)
    }

    /// What [`Sending::renewed`] answers; where that fails, how this one ended is told first.
    async fn renewed_or_told(&self, refused: &Ready) -> Result<Option<(Arc<Self>, Ready)>, Error> {
        let renewed = self.renewed(refused).await;
        renewed.inspect_err(|error| {
            let how = format!(
                "401, and it is not sent once more, since its token could not be renewed: {error}"
            );
            self.ended("answered", &how);
        })
    }

    /// Sends it once.
    async fn once(&self, ready: &Ready, content: Content) -> Result<Came, Error> {
        let Content { headers, payload, upgrade, mut before } = content;
        let (mut parts, needles) = match self.filled(ready, headers, &payload) {
            Ok((parts, texts)) => {
                before.extend(texts);
                (parts, self.route.needles(&before))
            }
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
        match self
            .broker
            .egress_of(self.asked.wanted.caller.account())
            .stream(request, LIMITS)
            .await
        {
            Ok(response) => Ok((response, needles, upgrade)),
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
        headers: HeaderMap,
        payload: &Payload,
    ) -> Result<(Parts, Vec<SecretString>), Error> {
        let route = &self.route;
        let credential = route.credential(ready)?;
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = method(&self.asked.to);
        parts.uri = self.asked.to.uri().clone();
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
        let texts = self.texts(&credential, &parts);
        Ok((parts, texts))
    }

    /// The texts that must not come back to a request that was sent like this with a credential.
    fn texts(&self, credential: &Credential, sent: &Parts) -> Vec<SecretString> {
        match self.broker.inner.leak_guard {
            LeakGuard::On => self.route.injection.needles(credential, sent),
            LeakGuard::Off => Vec::new(),
        }
    }

    fn answered(
        self: &Arc<Self>,
        (mut response, needles, upgrade): Came,
    ) -> Result<Response<Relayed>, Error> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return answer::relay(self, response, needles);
        }
        let Some(Upgrade { protocol, caller }) = upgrade else {
            self.ended("failed", "the server changed the protocol, which nobody asked for");
            return Err(Error::Upstream { code: "upstream_failed", may_have_it: true });
        };
        if let Some(why) = upgrade::refuse(&response) {
            self.ended("failed", why);
            return Err(Error::Upstream { code: "upstream_failed", may_have_it: true });
        }
        upgrade::tie(
            Arc::clone(self),
            caller,
            hyper::upgrade::on(&mut response),
            Arc::clone(&needles),
        );
        Ok(answer::switched(self, &response, protocol, &needles))
    }

    /// Tells the audit trail how it ended. Nobody waits for that, and nothing fails if it cannot be told now.
    pub(super) fn ended(&self, result: &'static str, how: &str) {
        self.has_ended.store(true, Ordering::Relaxed);
        let told = self.broker.now().and_then(|now| {
            let reason = Some(format!("{}: {how}", self.asked.told));
            let event = Event { result, reason, ..self.asked.event(&self.route, now) };
            self.broker.tell_later(event)
        });
        if let Err(error) = told {
            error.log(self.asked.wanted.caller.request_id());
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !*self.has_ended.get_mut() {
            self.ended("broke_off", "the caller was gone before there was an answer");
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
        SendError::Busy => too_many("too many names are being looked up that do not answer"),
        SendError::NotSent(_) => {
            Error::Upstream { code: "upstream_unreachable", may_have_it: false }
        }
        SendError::NoAnswer(_) | SendError::TooLarge => {
            Error::Upstream { code: "upstream_failed", may_have_it: true }
        }
    }
}
