//! HTTP: parse the request, call the broker, shape the answer. No rules.

pub(crate) mod account;
pub(crate) mod body;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod connection_list;
pub(crate) mod contact;
pub(crate) mod docs;
mod draft;
pub(crate) mod event;
pub(crate) mod fields;
pub(crate) mod health;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod proxy;
pub(crate) mod proxy_stream;
pub(crate) mod repeat;
pub(crate) mod revocation;
pub(crate) mod secret;
mod stream;
pub(crate) mod template;
pub(crate) mod totp;
mod wish;
