//! Reading a request's body: bounded, in time, and field by field, so that a wrong field is named.

use std::time::Duration;

use axum::{
    body::{Body, HttpBody},
    extract::{FromRequest, Request},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    broker::{Broker, Caller},
    error::Error,
};

/// The largest body, in bytes.
const LARGEST: usize = 64 * 1024;
/// The largest body that holds a request to somebody else, in bytes: what is larger can be streamed.
const LARGEST_PROXIED: usize = 1024 * 1024;
/// So many characters of an unknown field's name are repeated.
const LONGEST_NAME: usize = 64;
/// How long a body may take to come.
const WITHIN: Duration = Duration::from_secs(20);
/// A body that took longer may come from a key that has ended, or was changed, since it began.
const AT_ONCE: Duration = Duration::from_millis(500);

/// A request's body, overwritten when it is dropped: it may hold a secret.
pub(crate) struct Bytes(Zeroizing<Vec<u8>>);

impl FromRequest<Broker> for Bytes {
    type Rejection = Error;

    async fn from_request(request: Request, broker: &Broker) -> Result<Self, Error> {
        read(request, broker, LARGEST).await.map(Self)
    }
}

/// A body that holds a request to somebody else.
pub(crate) struct Proxied(pub(crate) Bytes);

impl FromRequest<Broker> for Proxied {
    type Rejection = Error;

    async fn from_request(request: Request, broker: &Broker) -> Result<Self, Error> {
        read(request, broker, LARGEST_PROXIED).await.map(|bytes| Self(Bytes(bytes)))
    }
}

/// A body that is passed on, as a whole. It is no larger than others are.
pub(super) async fn whole(
    body: Body,
    broker: &Broker,
    caller: &Caller,
) -> Result<bytes::Bytes, Error> {
    let whole = collect_for(Some(caller), broker, body, LARGEST).await?;
    Ok(bytes::Bytes::from_owner(whole))
}

/// A body that may hold a request to somebody else, overwritten when its last reader is done.
pub(crate) async fn message(
    body: Body,
    broker: &Broker,
    caller: &Caller,
) -> Result<bytes::Bytes, Error> {
    if body.size_hint().lower() > LARGEST_PROXIED as u64 {
        return Err(Error::TooLarge { most: LARGEST_PROXIED });
    }
    let whole = collect_for(Some(caller), broker, body, LARGEST_PROXIED).await?;
    Ok(bytes::Bytes::from_owner(whole))
}

async fn read(request: Request, broker: &Broker, most: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Before a byte is read: to begin would be to tell a caller who asks first
    // (`Expect: 100-continue`) to send it all.
    if request.body().size_hint().lower() > most as u64 {
        return Err(Error::TooLarge { most });
    }
    // Nobody was recognised where a link is the key.
    let caller = request.extensions().get::<Caller>().cloned();
    collect_for(caller.as_ref(), broker, request.into_body(), most).await
}

/// The whole body, if whoever sends it may still do, when it has come, what it might when it began: otherwise a
/// request that is held open outlives the revocation of its key.
async fn collect_for(
    caller: Option<&Caller>,
    broker: &Broker,
    body: Body,
    most: usize,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let began = broker.now()?;
    let collected = tokio::time::timeout(WITHIN, collect(body, most)).await;
    let bytes = collected.unwrap_or(Err(Error::Timeout))?;
    let is_at_once = (began..=began.plus(AT_ONCE)).contains(&broker.now()?);
    if let Some(caller) = caller.filter(|_| !is_at_once) {
        broker.expect_unchanged(caller).await?;
    }
    Ok(bytes)
}

async fn collect(body: Body, most: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut body = std::pin::pin!(Limited::new(body, most));
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => Error::TooLarge { most },
            Err(_) => Error::invalid("bad_request", "the body broke off"),
        })?;
        if let Ok(data) = frame.into_data() {
            // Growing a `Vec` leaves the old copy behind: make room ahead, in a new one.
            if bytes.capacity() - bytes.len() < data.len() {
                let room = LARGEST.max(2 * (bytes.len() + data.len()));
                let mut larger = Vec::with_capacity(room);
                larger.extend_from_slice(&bytes);
                bytes = Zeroizing::new(larger);
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

impl Bytes {
    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.trim_ascii().is_empty()
    }

    /// The fields of an HTML form, as they were typed (WHATWG URL, `application/x-www-form-urlencoded`).
    pub(crate) fn form(&self) -> impl Iterator<Item = (String, SecretString)> + '_ {
        form_urlencoded::parse(&self.0)
            .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
    }

    /// The body as a JSON object of this shape. The error says what is wrong, and repeats no value.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(self.braced()?).map_err(|error| {
            let text = match error.classify() {
                serde_json::error::Category::Data => without_value(&error.to_string()),
                _ => "the body is not JSON".into(),
            };
            Error::invalid("bad_request", text)
        })
    }

    /// The body, if it can be an object: serde would also take a list of an object's values.
    fn braced(&self) -> Result<&[u8], Error> {
        let bytes = self.0.trim_ascii_start();
        bytes.starts_with(b"{").then_some(bytes).ok_or_else(not_an_object)
    }
}

fn not_an_object() -> Error {
    Error::invalid("bad_request", "the body is not a JSON object")
}

/// A name that a caller chose, or the beginning of a long one.
fn beginning(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// What serde says of a wrong field, without the value it found there.
fn without_value(text: &str) -> String {
    if let Some(field) = text.strip_prefix("duplicate field ") {
        let (name, _) = field.split_once(" at line ").unwrap_or((field, ""));
        return format!("{name} is in the body more than once; send it once");
    }
    if let Some(unknown) = text.strip_prefix("unknown field `") {
        // The name is the caller's, and may hold anything; what comes after it is serde's.
        let (name, expected) = unknown.rsplit_once("`, expected ").unwrap_or((unknown, "none"));
        return format!("unknown field `{}`, expected {expected}", beginning(name));
    }
    if text.starts_with("missing field") {
        return text.to_owned();
    }
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("a field is not as it must be: expected {expected}"),
        None => "a field is not as it must be".to_owned(),
    }
}
