//! The messages of OAuth 2.0, as they are written and read. Nothing here sends one.
//!
//! What comes from a provider is not trusted: texts are kept short and printable, and whatever in them
//! looks like a token is taken out; times are bounded; what cannot be read is never taken for a refusal.

pub mod authorization;
mod client;
pub mod device;
mod document;
mod endpoint;
mod form;
mod grant;
pub mod metadata;
mod pkce;
mod refused;
pub mod registration;
pub mod revocation;
mod tokens;

pub use client::{AuthMethod, Client, ClientKey, NoProof};
pub use form::Form;
pub use grant::{Grant, GrantClient};
pub use pkce::{MalformedVerifier, Verifier};
pub use refused::Refused;
pub use tokens::{TokenAnswer, Tokens};
