//! The SDK against a server that is scripted byte by byte: what it sends, what it makes of each answer, and of each
//! fault in each call.

#![expect(clippy::unwrap_used, reason = "in a test, what must not be is a failure")]

mod cached;
mod calls;
mod credentials;
mod fault;
mod fetch;
mod hidden;
mod list;
mod original;
mod retry;
mod server;
mod stream;
