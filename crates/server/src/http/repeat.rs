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
    Ok(if count.is_some_and(is_above_zero) { Repeat::Retry } else { Repeat::No })
}

/// Whether a text is a whole number above zero, however large.
fn is_above_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.bytes().any(|byte| byte != b'0')
}
