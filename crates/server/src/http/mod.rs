//! HTTP: parse the request, call the broker, shape the answer. No rules.

pub(crate) mod account;
pub(crate) mod body;
mod draft;
pub(crate) mod health;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod totp;
mod wish;
