//! The messages of OAuth 2.0, as they are written and read. Nothing here sends one.
//!
//! What comes from a provider is not trusted: texts are kept short and printable, and whatever in them
//! looks like a token is taken out; times are bounded; what cannot be read is never taken for a refusal.

mod document;
mod grant;
mod refused;
mod tokens;

pub use grant::{Grant, GrantClient};
pub use refused::Refused;
pub use tokens::{TokenAnswer, Tokens};
