//! Sealing: how a value is stored so that only this vault can read it.
//!
//! ```text
//! master key ──wraps──► data key, one per account ──seals──► values
//! ```
//!
//! Everything is AES-256-GCM with a random 96-bit nonce. The additional data names the exact place
//! a value is stored at, so a ciphertext copied to another account, row or column does not open.
//! There is no mode without encryption, and failure to open has one variant: an oracle needs two.

mod key;
mod sealed;

pub use key::{DataKey, MasterKey, MasterKeyId, MasterKeyText};
pub use sealed::{Place, Sealed};

/// A sealed value did not open: another key, another place, or damage. Deliberately says no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open")]
pub struct OpenError;

/// The text is not a master key: 32 bytes in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 32 random bytes in base64, 44 characters, and this is not")]
pub struct MalformedMasterKey;
