//! Answers: what of them comes back, and what is told of them.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Response, StatusCode,
    ext::ReasonPhrase,
    header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue, UPGRADE},
};
use keyfob_core::{
    leak::{Needles, redact},
    proxy::{Method, returnable},
};

use super::send::Sending;
use crate::{
    egress::Arriving,
    error::Error,
    leak::{Caps, Decoding, End, GuardedBody, Outcome, redact_headers},
};

/// The body of an answer, as it arrives, without what would be the credential; none where there is none.
pub type Relayed = http_body_util::Either<GuardedBody<Arriving>, Empty<Bytes>>;

/// What an answer may take: a model may speak for long, and a file be large.
const CAPS: Caps = Caps {
    largest: Some(1024 * 1024 * 1024),
    longest: Some(Duration::from_hours(1)),
    // The way out sees to that.
    quiet: None,
};
/// The longest that a body is waited for which has to be there as a whole.
const WITHIN: Duration = Duration::from_secs(20);
/// Keyfob's own is sent in its place, as with every answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");
/// Says that an answer is the server's, which cannot say it itself: an error that looks like Keyfob's own would have
/// callers send people to whatever link it holds.
const ANSWER_OF: HeaderName = HeaderName::from_static("x-keyfob-answer");

/// An answer on its way to the caller. Redirects too, where it can be led: where to is its to decide, and the
/// credential is not sent there.
pub(super) fn relay(
    sending: &Arc<Sending>,
    response: Response<Arriving>,
    needles: Arc<Needles>,
) -> Result<Response<Relayed>, Error> {
    let (mut parts, body) = response.into_parts();
    let status = parts.status;
    sending.lead_nowhere(&parts.headers, status, &needles)?;
    let decoding = Decoding::of(&parts.headers).map_err(|unknown| {
        sending.ended("failed", &unknown.to_string());
        Error::Upstream { code: "upstream_encoding", may_have_it: true }
    })?;
    let (decoders, account) =
        (&sending.broker.inner.decoders, sending.asked.wanted.caller.account());
    let share = decoders.take(account, decoding.memory()).ok_or_else(|| {
        sending.ended("failed", "too many compressed answers are under way to decode another one");
        Error::Upstream { code: "upstream_encoding", may_have_it: true }
    })?;
    let (headers, mut redacted) = shown(sending, &parts.headers, &needles);
    parts.headers = headers;
    if let Some(phrase) = parts.extensions.remove::<ReasonPhrase>() {
        match redact(&needles, phrase.as_bytes()) {
            Some(_) => redacted += 1,
            None => drop(parts.extensions.insert(phrase)),
        }
    }
    let teller = Arc::clone(sending);
    let tell = move |outcome: Outcome| {
        let Outcome { bytes, redacted: in_body, end } = outcome;
        tell(&teller, status, bytes, redacted + in_body, end);
        drop(share);
    };
    let body = GuardedBody::new(body, &decoding, needles, CAPS, tell).map_err(|error| {
        sending.ended("failed", "there was no memory to look into the answer");
        Error::internal(error)
    })?;
    Ok(Response::from_parts(parts, Relayed::Left(body)))
}

/// The answer that says that the connection speaks another protocol from now on.
pub(super) fn switched<T>(
    sending: &Sending,
    response: &Response<T>,
    protocol: HeaderValue,
    needles: &Needles,
) -> Response<Relayed> {
    let (mut headers, _) = shown(sending, response.headers(), needles);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
    let mut switched = Response::new(Relayed::Right(Empty::new()));
    *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *switched.headers_mut() = headers;
    switched
}

/// The headers that come back, and from how many of them a credential was taken out.
fn shown(sending: &Sending, headers: &HeaderMap, needles: &Needles) -> (HeaderMap, u64) {
    let mut shown = returnable(headers);
    sending.lead_back(&mut shown);
    if let Some(id) = shown.remove(REQUEST_ID) {
        shown.insert(UPSTREAM_REQUEST_ID, id);
    }
    let redacted = redact_headers(needles, &mut shown);
    if let Some(length) = sending.length(headers, needles) {
        shown.insert(CONTENT_LENGTH, length);
    }
    shown.insert(ANSWER_OF, HeaderValue::from_static("upstream"));
    (shown, redacted)
}

impl Sending {
    /// What the answer to a HEAD of the caller's own says of how long it would be. Any other body may be longer or
    /// shorter once it was looked into.
    fn length(&self, headers: &HeaderMap, needles: &Needles) -> Option<HeaderValue> {
        let is_head = self.asked.to.method() == Method::Head && self.asked.through.is_some();
        let is_as_it_is = is_head && !headers.contains_key(CONTENT_ENCODING);
        let length = headers.get(CONTENT_LENGTH).filter(|_| is_as_it_is)?;
        let is_number = length.to_str().is_ok_and(|text| text.parse::<u64>().is_ok());
        (is_number && redact(needles, length.as_bytes()).is_none()).then(|| length.clone())
    }
}

fn tell(sending: &Sending, status: StatusCode, bytes: u64, redacted: u64, end: End) {
    let result = match (end, redacted) {
        (_, 1..) => "redacted",
        (End::Complete, 0) => "answered",
        _ => "broke_off",
    };
    let mut how = vec![status.as_u16().to_string(), format!("{bytes} bytes")];
    if end != End::Complete {
        how.push(end.as_str().to_owned());
    }
    if redacted > 0 {
        let places = if redacted == 1 { "place" } else { "places" };
        how.push(format!("the credential was taken out in {redacted} {places}"));
    }
    sending.ended(result, &how.join(", "));
}

/// A body that has to be there as a whole.
pub(super) async fn collect(body: Body, most: usize) -> Result<Bytes, Error> {
    let collected = tokio::time::timeout(WITHIN, Limited::new(body, most).collect());
    match collected.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Error::TooLarge { most }),
        Ok(Err(_)) => Err(Error::invalid("bad_request", "the body broke off")),
        Err(_) => Err(Error::Timeout),
    }
}
