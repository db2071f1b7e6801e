//! What would be sent, and whether it may be. Nothing is sent, renewed or noted.

use hyper::{
    HeaderMap, Request,
    header::{AUTHORIZATION, HeaderValue},
    http::request::Parts,
};
use keyfob_core::{
    id::{ContactId, SecretId},
    policy::Object,
    proxy::{Credential, Injected, Payload as SignedPayload, Place, Unfit},
    secret::SecretType,
};

use super::{
    super::{
        Broker, Caller, SecretRef,
        source::{Source, Wanted},
    },
    Outgoing, Payload, method,
    route::{Refusal, Route, proxyable},
    wanted,
};
use crate::error::Error;

/// In the place of a credential.
const SHOWN: &str = "[redacted]";

/// A decision, explained.
#[derive(Debug)]
pub struct Explained {
    /// The secret whose credential would be used.
    pub secret: SecretId,
    /// Whether the request would be sent.
    pub is_allowed: bool,
    /// Why not; or what would be done first.
    pub reason: Option<String>,
    /// The method.
    pub method: &'static str,
    /// The URL.
    pub url: String,
    /// The headers, without those that are the connection's own.
    pub headers: HeaderMap,
}

impl Broker {
    /// What [`Broker::proxy`] would do.
    pub async fn explain_proxy(
        &self,
        caller: &Caller,
        contact: Option<&ContactId>,
        at: &SecretRef,
        outgoing: Outgoing,
    ) -> Result<Explained, Error> {
        let wanted = wanted(caller, contact, at);
        caller.decide(wanted.action, Object::Account)?;
        let (route, standing) = self.stand(&wanted).await?;
        let (method, url) = (outgoing.destination.method().as_str(), outgoing.destination.url());
        let mut explained = Explained {
            secret: route.secret().clone(),
            is_allowed: false,
            reason: None,
            method,
            url: url.to_string(),
            headers: HeaderMap::new(),
        };
        if let Err(refusal) = route.allow(caller.grant(), &outgoing.destination) {
            explained.reason = Some(match refusal {
                Refusal::Denied(denial) => denial.to_string(),
                Refusal::Consent(why) => to_act(why),
            });
            return Ok(explained);
        }
        match self.show(&route, outgoing)? {
            Ok((url, headers)) => (explained.url, explained.headers) = (url, headers),
            Err(unfit) => {
                explained.reason = Some(unfit.to_string());
                return Ok(explained);
            }
        }
        (explained.is_allowed, explained.reason) = standing;
        Ok(explained)
    }

    /// How it stands with the credential: whether it can be used, and why not or what comes first.
    async fn stand(&self, wanted: &Wanted) -> Result<(Route, (bool, Option<String>)), Error> {
        let (now, broker, of) = (self.now()?, self.clone(), wanted.clone());
        self.read(move |tx| {
            let usable = proxyable(&broker, tx, &of)?;
            let standing = match broker.source(tx, &of, &usable, now)? {
                Source::Ready(_) => (true, None),
                Source::Due(..) => (true, Some("its token would be renewed first".into())),
                Source::Person { why, .. } => (false, Some(to_act(&why))),
                Source::Late => (false, Some("its provider has given no new token yet".into())),
            };
            Ok((Route::read(&broker, tx, &of, usable)?, standing))
        })
        .await
    }

    /// URL and headers as they would be sent, with something else in the place of the credential.
    fn show(
        &self,
        route: &Route,
        outgoing: Outgoing,
    ) -> Result<Result<(String, HeaderMap), Unfit>, Error> {
        let Outgoing { destination, headers, payload, .. } = outgoing;
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.method, parts.uri) = (method(&destination), destination.uri().clone());
        parts.headers = headers;
        let payload = match &payload {
            Payload::Whole(bytes) => SignedPayload::Whole(bytes),
            Payload::Stream(_) => SignedPayload::Streamed,
        };
        let credential = stand_in(route.secret_type());
        let injected =
            Injected { credential: &credential, name: route.name(), payload, now: self.now()? };
        let places = match route.injection.apply(&mut parts, &injected) {
            Ok(places) => places,
            Err(unfit) => return Ok(Err(unfit)),
        };
        Ok(Ok(hidden(parts, &places)))
    }
}

fn to_act(why: &str) -> String {
    format!("a person has to act: {why}")
}

/// Something of the same kind that is nobody's.
fn stand_in(secret_type: SecretType) -> Credential {
    match secret_type {
        SecretType::Basic => Credential::Pair { username: "user".into(), password: SHOWN.into() },
        SecretType::Plain => Credential::Text(SHOWN.into()),
        _ => Credential::Token { scheme: "Bearer".into(), token: SHOWN.into() },
    }
}

fn hidden(mut parts: Parts, places: &[Place]) -> (String, HeaderMap) {
    for place in places {
        let name = match place {
            Place::Header(name) => name.clone(),
            Place::Signature => AUTHORIZATION,
            // The URL has it already, encoded.
            Place::Query(_) => continue,
        };
        parts.headers.insert(name, HeaderValue::from_static(SHOWN));
    }
    (parts.uri.to_string().replace("%5Bredacted%5D", SHOWN), parts.headers)
}
