//! The leak guard: a credential that was put into a request does not come back in the answer.
//!
//! [`Needles`] are what must not come back, [`Redactor`] takes a body piece by piece and puts [`REDACTED`]
//! in the place of each occurrence, [`redact`] does so with a status line or the value of a header.
//!
//! An occurrence is the credential as it is, with its letters in any case, in UTF-16, in base64 or in
//! hexadecimal, and each of these with any of its characters escaped as in URLs, JSON or HTML, also more
//! than once. What else an upstream could do with a
//! credential cannot be known: docs/leak-guard.md says what is not found.

#[cfg(test)]
mod properties;
mod redactor;
mod search;
mod set;
mod sieve;
mod tail;
#[cfg(test)]
mod tests;
mod text;
mod unit;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

pub use self::redactor::{Passed, REDACTED, Redactor, redact};
use self::{set::ByteSet, sieve::Sieve, tail::Tail, text::Text};

/// A credential that is shorter is not looked for at all, in bytes: it would be found by chance all over an
/// answer, and which of a few guesses is redacted would tell it.
pub const SHORTEST: usize = 6;
/// A credential that is shorter is not looked for in base64 and hexadecimal, in bytes.
pub const SHORTEST_ENCODED: usize = 8;
/// A credential that is longer is looked for in pieces of as many bytes, each by itself. It bounds what a
/// [`Redactor`] keeps back.
pub const LONGEST: usize = 4096;

/// What must not come back. Shows nothing of what it holds. To make it costs about as much as to look through a
/// short answer, so requests with the same credential share it while they are under way.
pub struct Needles {
    credentials: Vec<SecretString>,
    texts: Vec<Text>,
    sieve: Sieve,
    /// Which bytes an occurrence can begin with, those that begin an escape included.
    begins: ByteSet,
    /// No occurrence is shorter, in bytes: whatever is escaped takes more of them.
    shortest: usize,
    /// What is kept back of a body that goes on.
    tail: Tail,
}

impl Needles {
    /// All the texts that must not come back: the credential itself, and the header value that was made of
    /// it, if it was made by more than a prefix. Those shorter than [`SHORTEST`] are left out.
    #[must_use]
    pub fn new<'a>(credentials: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let credentials: Vec<_> = credentials.into_iter().cloned().collect();
        let mut texts = Vec::new();
        for credential in &credentials {
            let credential = credential.expose_secret();
            for piece in pieces(credential.as_bytes()) {
                add(&mut texts, piece);
            }
            if credential.len() >= SHORTEST {
                add_utf16(&mut texts, credential);
            }
        }
        let mut begins = unit::WITH_READINGS;
        begins.add(texts.iter().flat_map(Text::beginnings));
        let shortest = texts.iter().map(Text::len).min().unwrap_or(usize::MAX);
        Self {
            sieve: Sieve::new(&texts),
            tail: Tail::new(&texts),
            credentials,
            texts,
            begins,
            shortest,
        }
    }

    /// Whether it was made of these.
    #[must_use]
    pub fn are_of(&self, credentials: &[SecretString]) -> bool {
        let mut both = self.credentials.iter().zip(credentials);
        self.credentials.len() == credentials.len()
            && both.all(|(one, other)| one.expose_secret() == other.expose_secret())
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

/// Adds what the credential is in UTF-16, in either order of bytes. The zeros at its ends are left out: most
/// credentials are then the same in both orders.
fn add_utf16(texts: &mut Vec<Text>, credential: &str) {
    let [little, big] = [u16::to_le_bytes, u16::to_be_bytes].map(|order| {
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * credential.len()));
        bytes.extend(credential.encode_utf16().flat_map(order));
        bytes
    });
    let (little, big) = (without_zeros(&little), without_zeros(&big));
    let orders = [little, big];
    for order in &orders[..if little == big { 1 } else { 2 }] {
        let pieces = pieces(order).map(without_zeros).filter(|piece| piece.len() >= SHORTEST);
        texts.extend(pieces.map(Text::bytes));
    }
}

fn without_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] | [rest @ .., 0] = bytes {
        bytes = rest;
    }
    bytes
}
