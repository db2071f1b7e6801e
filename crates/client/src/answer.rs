//! Answers, and refusals among them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, StatusCode, header};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, Items, Refusal, retry};

/// Answers of an upstream have it, and Keyfob's own have not.
const ANSWER_OF: &str = "x-keyfob-answer";
/// More of a refusal is not read.
const LARGEST_REFUSAL: usize = 1024 * 1024;

/// A whole answer as it came. Its `Debug` shows neither headers nor body: they may hold secrets.
#[derive(Clone)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    pub(crate) async fn read(response: reqwest::Response, most: usize) -> Result<Self, Error> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = whole(response, most).await?.ok_or(Error::TooLarge(most))?;
        Ok(Self { status, headers, body })
    }

    /// The answer, if its status is one of success: for answers that are there whatever their status, such as those of
    /// upstreams.
    ///
    /// # Errors
    /// [`Error::Refused`] otherwise, with what there is in it of what Keyfob's refusals say.
    pub fn accepted(self) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(Error::Refused(Box::new(refusal(self.status, &self.headers, Some(&self.body)))))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`Error::Foreign`], if it is none, or other JSON than `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let foreign = |_| {
            let is_json = is_json(&self.headers);
            let what = if is_json { "other JSON".into() } else { media_type(&self.headers) };
            Error::Foreign { status: self.status, what }
        };
        serde_json::from_slice(&self.body).map_err(foreign)
    }

    /// The body as text. What is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An answer whose body is still coming ([`Request::open`](crate::Request::open)), whatever its status.
#[non_exhaustive]
pub struct Opened {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, piece by piece.
    pub body: Items<Bytes>,
}

impl Opened {
    pub(crate) fn new(response: reqwest::Response, idle_timeout: Duration) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = stream::try_unfold(response, move |mut response| async move {
            let piece = tokio::time::timeout(idle_timeout, response.chunk()).await;
            let piece = piece.map_err(|_| Error::TimedOut(idle_timeout))?;
            let piece = piece.map_err(|error| Error::transport(error.into()))?;
            Ok(piece.map(|piece| (piece, response)))
        });
        Self { status, headers, body: Items::new(body) }
    }

    /// The same with all of its body.
    pub async fn whole(mut self) -> Result<Answer, Error> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.body.try_next().await? {
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status: self.status, headers: self.headers, body: body.freeze() })
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("status", &self.status).finish_non_exhaustive()
    }
}

/// What an answer is read as: JSON of any type, or an [`Answer`] as it came.
pub trait FromAnswer: Sized {
    /// Reads it.
    fn from_answer(answer: Answer) -> Result<Self, Error>;
}

impl<T: DeserializeOwned> FromAnswer for T {
    fn from_answer(answer: Answer) -> Result<Self, Error> {
        answer.json()
    }
}

impl FromAnswer for Answer {
    fn from_answer(answer: Self) -> Result<Self, Error> {
        Ok(answer)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Whether an answer is one of the server that a request was passed on to.
pub(crate) fn is_upstreams(response: &reqwest::Response) -> bool {
    response.headers().get(ANSWER_OF).is_some_and(|of| of == "upstream")
}

/// The answer, if it is not a refusal.
pub(crate) async fn accepted(response: reqwest::Response) -> Result<reqwest::Response, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status.is_redirection() && response.headers().contains_key(header::LOCATION) {
        return Err(Error::Redirected { status, location: location(&response) });
    }
    let headers = response.headers().clone();
    let body = beginning(response).await;
    Err(Error::Refused(Box::new(refusal(status, &headers, body.as_deref()))))
}

/// To which server it leads.
fn location(response: &reqwest::Response) -> Option<String> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let url = response.url().join(location).ok()?;
    Some(url.origin().ascii_serialization())
}

/// What a refusal says. The original services say less of it than Keyfob does.
#[derive(Default)]
struct Said {
    message: Option<String>,
    code: Option<String>,
    request_id: Option<String>,
    url: Option<SecretString>,
    location: Option<SecretString>,
}

impl Said {
    /// What there is of it: what is of another type is not said.
    fn read(body: &[u8]) -> Option<Self> {
        let mut fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let mut text = |name: &str| match fields.remove(name)? {
            Value::String(text) => Some(text),
            _ => None,
        };
        Some(Self {
            message: text("message"),
            code: text("code"),
            request_id: text("request_id"),
            url: text("url").map(Into::into),
            location: text("location").map(Into::into),
        })
    }
}

/// What a server said when it refused; `body` is `None` if there was none that could be read.
fn refusal(status: StatusCode, headers: &HeaderMap, body: Option<&[u8]>) -> Refusal {
    let said = body.and_then(Said::read);
    let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let (code, message) = unsaid(status, said.is_some());
    let said = said.unwrap_or_default();
    Refusal {
        status,
        code: said.code.unwrap_or(code),
        message: said.message.unwrap_or(message),
        request_id: said.request_id.or(request_id),
        url: said.url,
        location: said.location,
        retry_after: retry::retry_after(headers),
        should_retry: retry::should_retry(headers),
    }
}

/// Code and message of an answer that does not say them, as the published clients have them.
fn unsaid(status: StatusCode, is_json: bool) -> (String, String) {
    if is_json {
        let reason = status.canonical_reason().unwrap_or("unknown");
        return (format!("ERROR_{}", status.as_u16()), format!("HTTP Error: {reason}"));
    }
    let (code, message) = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("CONTENT_TOO_LARGE", "The request is too large for the server")
        }
        _ => ("GENERIC_ERROR", "The server refused, and did not say why"),
    };
    (code.into(), message.into())
}

/// What there is of a body, if it is no larger than any refusal.
async fn beginning(response: reqwest::Response) -> Option<Bytes> {
    whole(response, LARGEST_REFUSAL).await.ok().flatten()
}

/// All of a body; `None`, if it is larger than `most` bytes.
async fn whole(mut response: reqwest::Response, most: usize) -> Result<Option<Bytes>, Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| Error::transport(error.into()))?
    {
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes.freeze()))
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers) == "application/json"
}

/// What an answer says it is, in lower case and without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.and_then(|text| text.split(';').next()).map(str::trim);
    given.filter(|text| !text.is_empty()).unwrap_or("no media type").to_ascii_lowercase()
}
