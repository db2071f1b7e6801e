//! The leak guard on its way from an upstream to the caller: decodes what is compressed, and lets a
//! [`Redactor`](keyfob_core::leak::Redactor) put something else in the place of a credential.
//!
//! Nothing is collected: a body goes through piece by piece, as fast as the caller takes it.

mod body;
mod coding;
mod decoder;
#[cfg(test)]
mod ends;
mod header;
mod limit;
#[cfg(test)]
mod tests;

pub use body::{End, GuardedBody, Outcome};
pub use coding::{Decoding, UnknownCoding};
pub use header::redact_headers;
pub use limit::{Caps, Cut};
