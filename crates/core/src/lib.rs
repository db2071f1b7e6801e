//! The pure domain of Keyfob: one-time passwords, sealing, tokens and policy.
//!
//! Nothing here does I/O, reads a clock or draws randomness: time and randomness are passed in, so
//! every rule can be tested with the values of its RFC. Nothing here knows SQL, and of HTTP only its words: no
//! connection, no body.

pub mod audit;
pub mod crypto;
pub mod id;
pub mod jwt;
pub mod leak;
pub mod oauth;
pub mod policy;
pub mod proxy;
pub mod random;
pub mod secret;
pub mod ticket;
pub mod time;
pub mod token;
pub mod totp;
