//! The wire types of Keyfob: what the server, the SDK and the command line say to each other.
//!
//! Fields have the names of the wire. Times are unix seconds in `/api/v2` and unix milliseconds in
//! `/api/v1`, as each API has it, unless a field says otherwise. What only Keyfob says is read as an empty text or 0 where
//! another server leaves it out.

pub mod account;
pub mod connection;
pub mod contact;
pub mod error;
pub mod event;
mod expose;
pub mod key;
mod lenient;
pub mod list;
pub mod proxy;
pub mod revocation;
pub mod secret;
pub mod template;
pub mod totp;
#[cfg(feature = "openapi")]
pub mod words;
