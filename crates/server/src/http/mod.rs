//! HTTP: parse the request, call the broker, shape the answer. No rules.

pub(crate) mod account;
pub(crate) mod body;
mod draft;
pub(crate) mod health;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod totp;
mod wish;

use keyfob_core::time::Timestamp;

/// A moment in RFC 3339, in UTC.
fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map(|at| at.to_string()).unwrap_or_default()
}
