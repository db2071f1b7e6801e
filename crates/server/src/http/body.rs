//! Reading a request's body: bounded, in time, and field by field, so that a wrong field is named.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::Error;

/// The largest body, in bytes.
const LARGEST: usize = 64 * 1024;
/// How long a body may take to come.
const WITHIN: Duration = Duration::from_secs(20);

/// A request's body, overwritten when it is dropped: it may hold a secret.
pub(crate) struct Bytes(Zeroizing<Vec<u8>>);

impl<S: Sync> FromRequest<S> for Bytes {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        match tokio::time::timeout(WITHIN, collect(request.into_body())).await {
            Ok(bytes) => bytes.map(Self),
            Err(_) => Err(Error::Timeout),
        }
    }
}

async fn collect(body: Body) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut body = std::pin::pin!(Limited::new(body, LARGEST));
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST.min(1024)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => Error::TooLarge,
            Err(_) => Error::invalid("bad_request", "the body broke off"),
        })?;
        if let Ok(data) = frame.into_data() {
            // Growing a `Vec` leaves the old copy behind: make room ahead, in a new one.
            if bytes.capacity() - bytes.len() < data.len() {
                let mut larger = Vec::with_capacity(LARGEST);
                larger.extend_from_slice(&bytes);
                bytes = Zeroizing::new(larger);
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

impl Bytes {
    /// The body as JSON of this shape. The error names the first wrong field, and repeats no value.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.0).map_err(|error| {
            let text = match error.classify() {
                serde_json::error::Category::Data => error.to_string(),
                _ => "the body is not JSON".into(),
            };
            Error::invalid("bad_request", text)
        })
    }

    /// The body as a JSON object whose fields are read one by one.
    pub(crate) fn object<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.0)
            .map_err(|_| Error::invalid("bad_request", "the body is not a JSON object"))
    }
}
