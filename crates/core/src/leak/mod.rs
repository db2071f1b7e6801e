//! The leak guard: a credential that was put into a request does not come back in the answer.
//!
//! [`Needles`] are what must not come back, [`Redactor`] takes a body piece by piece and puts [`REDACTED`]
//! in the place of each occurrence, [`redact`] does so with a status line or the value of a header.
//!
//! An occurrence is the credential as it is, in base64 or in hexadecimal, and each of these with any of its
//! characters escaped as in URLs, JSON or HTML, also more than once. What else an upstream could do with a
//! credential cannot be known: docs/leak-guard.md says what is not found.

mod redactor;
mod search;
mod sieve;
#[cfg(test)]
mod tests;
mod text;
mod unit;

use secrecy::{ExposeSecret, SecretString};

pub use self::redactor::{Passed, REDACTED, Redactor, redact};
use self::{sieve::Sieve, text::Text};

/// A credential that is shorter is not looked for at all, in bytes: it would be found by chance all over an
/// answer, and which of a few guesses is redacted would tell it.
pub const SHORTEST: usize = 6;
/// A credential that is shorter is not looked for in base64 and hexadecimal, in bytes.
pub const SHORTEST_ENCODED: usize = 8;
/// A credential that is longer is looked for in pieces of as many bytes, each by itself. It bounds what a
/// [`Redactor`] keeps back.
pub const LONGEST: usize = 4096;

/// What must not come back. Made once for each request; shows nothing of what it holds.
pub struct Needles {
    texts: Vec<Text>,
    sieve: Sieve,
    /// Which bytes an occurrence can begin with, those that begin an escape included.
    begins: Box<[bool; 256]>,
}

impl Needles {
    /// All the texts that must not come back: the credential itself, and the header value that was made of
    /// it, if it was made by more than a prefix. Those shorter than [`SHORTEST`] are left out.
    #[must_use]
    pub fn new<'a>(credentials: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut texts = Vec::new();
        for credential in credentials {
            for piece in pieces(credential.expose_secret().as_bytes()) {
                add(&mut texts, piece);
            }
        }
        let mut begins = Box::new([false; 256]);
        for byte in 0..=u8::MAX {
            begins[usize::from(byte)] = unit::has_readings(byte);
        }
        for byte in texts.iter().flat_map(Text::beginnings) {
            begins[usize::from(byte)] = true;
        }
        Self { sieve: Sieve::new(&texts), texts, begins }
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Needles")
    }
}

/// A credential in pieces that cover it; the last one begins early enough to be as long as the others.
fn pieces(credential: &[u8]) -> impl Iterator<Item = &[u8]> {
    let last = credential.len().saturating_sub(LONGEST);
    let starts = (0..last).step_by(LONGEST).chain([last]);
    starts.map(|start| &credential[start..credential.len().min(start + LONGEST)])
}

fn add(texts: &mut Vec<Text>, credential: &[u8]) {
    if credential.len() >= SHORTEST {
        texts.push(Text::bytes(credential));
    }
    if credential.len() >= SHORTEST_ENCODED {
        texts.push(Text::hex(credential));
        texts.extend((0..3).map(|before| Text::base64(credential, before)));
    }
}
