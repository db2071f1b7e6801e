//! How a secret is written where it is handed over.

use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;

/// Writes a secret out: into the call that stores it, and into the answer that shows it once.
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(crate) fn expose<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => expose_always(secret, serializer),
        None => serializer.serialize_none(),
    }
}

/// The same for one that is always there.
pub(crate) fn expose_always<S: Serializer>(
    secret: &SecretString,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
