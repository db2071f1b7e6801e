//! Creates that may have been sent before.

use axum::http::HeaderMap;

use crate::{broker::Repeat, error::Error};

/// How this create says that it may have been sent before.
pub(crate) fn repeat(headers: &HeaderMap) -> Result<Repeat, Error> {
    if let Some(key) = headers.get("idempotency-key") {
        let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
        let key = key.ok_or_else(|| {
            let text = "Idempotency-Key must have 1 to 255 visible ASCII characters";
            Error::invalid("invalid_idempotency_key", text)
        })?;
        return Ok(Repeat::Key(key.to_owned()));
    }
    let count = headers.get("x-stainless-retry-count").and_then(|count| count.to_str().ok());
    let count: u32 = count.and_then(|count| count.parse().ok()).unwrap_or(0);
    Ok(if count > 0 { Repeat::Retry } else { Repeat::No })
}
