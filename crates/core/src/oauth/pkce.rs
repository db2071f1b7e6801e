//! Proof Key for Code Exchange (RFC 7636): a code is of use only to who asked for it. Always with S256.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::random::{self, Random};

/// The text is not a verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed code verifier")]
pub struct MalformedVerifier;

/// A code verifier: kept sealed until the code comes back.
#[derive(Clone)]
pub struct Verifier(SecretString);

impl Verifier {
    /// A new verifier of 256 random bits, as section 4.1 recommends.
    pub fn generate(random: &dyn Random) -> Self {
        let bytes = Zeroizing::new(random::bytes::<32>(random));
        Self(BASE64URL_NOPAD.encode(&*bytes).into())
    }

    /// Reads a verifier that was kept: 43 to 128 unreserved characters (section 4.1).
    pub fn parse(text: &str) -> Result<Self, MalformedVerifier> {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_one = (43..=128).contains(&text.len()) && text.bytes().all(is_unreserved);
        is_one.then(|| Self(text.into())).ok_or(MalformedVerifier)
    }

    /// The verifier, to seal it or to send it with the code.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The S256 challenge, which goes with the authorization request (section 4.2).
    #[must_use]
    pub fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(self.expose()))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::tests::Counting;

    #[test]
    fn the_challenge_is_that_of_the_rfcs_appendix_b() {
        let verifier = Verifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_reads_back_is_drawn_anew_and_shows_nothing() {
        let random = Counting::default();
        let [one, two] = [(); 2].map(|()| Verifier::generate(&random));
        assert_ne!(one.expose(), two.expose());
        assert_eq!(Verifier::parse(one.expose()).unwrap().challenge(), one.challenge());
        assert_eq!(format!("{one:?}"), "Verifier([redacted])");
    }

    #[test]
    fn what_is_no_verifier_is_refused() {
        for text in ["", &"a".repeat(42), &"a".repeat(129), &"+".repeat(43), &"é".repeat(30)] {
            assert_eq!(Verifier::parse(text).err(), Some(MalformedVerifier), "{text}");
        }
    }
}
