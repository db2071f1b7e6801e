//! Time-based one-time passwords: HOTP (RFC 4226), TOTP (RFC 6238) and Steam Guard's own shape.
//!
//! A [`Seed`] and [`Parameters`] come from a person or a [`uri`]. A time gives a [`Step`], and the
//! three together give a [`Code`]. The clock is never read here: times are passed in, as seconds
//! since 1970-01-01T00:00:00Z without leap seconds.

mod base32;
mod code;
mod invalid;
mod parameters;
mod seed;
mod steam;
pub mod uri;
#[cfg(test)]
mod vectors;

pub use code::Code;
pub use invalid::{Invalid, SecretFault, TimeBeforeEpoch, UriFault};
pub use parameters::{Algorithm, Kind, Parameters, Step};
pub use seed::Seed;
