//! The key shared with the site.

use std::fmt;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{Invalid, SecretFault, base32};

/// The raw key that codes are made from, shared by a site and its user.
///
/// It has 1 to 640 bytes. Its memory is zeroed when it is dropped, and its `Debug` form hides it.
pub struct Seed {
    bytes: Zeroizing<Vec<u8>>,
    /// What the base32 text had after the last whole byte, so that it is given back as it came.
    spare: u8,
}

impl Seed {
    /// The longest key, in bytes: what 1024 base32 characters hold.
    pub const MAX_BYTES: usize = base32::MAX_SYMBOLS * 5 / 8;

    /// The least length, in bytes, that RFC 4226 section 4 (R6) asks for.
    const STRONG_BYTES: usize = 128 / 8;

    /// Takes a key as it is. Fails with [`Invalid::Secret`] if it is empty or too long; the bytes
    /// are zeroed then, too.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Invalid> {
        let bytes = Zeroizing::new(bytes);
        match bytes.len() {
            0 => Err(SecretFault::Empty.into()),
            1..=Self::MAX_BYTES => Ok(Self { bytes, spare: 0 }),
            _ => Err(SecretFault::TooLong.into()),
        }
    }

    /// Reads a key written in base32 (RFC 4648 section 6): either case, with or without `=` at the
    /// end, blanks and dashes anywhere. Fails with [`Invalid::Secret`].
    pub fn from_base32(text: &str) -> Result<Self, Invalid> {
        let base32::Decoded { bytes, spare } = base32::decode(text)?;
        Ok(Self { bytes, spare })
    }

    /// The key in base32: upper case, without blanks and padding, as apps show it.
    ///
    /// A seed from [`Seed::from_base32`] gives the characters it was read from, even where the last
    /// one has bits that are no part of the key. One from [`Seed::from_bytes`] has zeros there.
    #[must_use]
    pub fn to_base32(&self) -> SecretString {
        base32::encode(&self.bytes, self.spare).into()
    }

    /// The key itself, as the HMAC takes it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the key is shorter than the 128 bits RFC 4226 section 4 asks for.
    ///
    /// A warning, not an error: many sites give out 80 bits, and their users can't change it.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.bytes.len() < Self::STRONG_BYTES
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seed([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn the_debug_form_hides_the_key() {
        let seed = Seed::from_bytes(b"12345678901234567890".to_vec()).unwrap();
        assert_eq!(format!("{seed:?}"), "Seed([redacted])");
    }

    #[test]
    fn a_key_has_1_to_640_bytes() {
        assert!(Seed::from_bytes(vec![0]).is_ok());
        assert!(Seed::from_bytes(vec![0; 640]).is_ok());
        let empty = Seed::from_bytes(Vec::new()).unwrap_err();
        assert_eq!(empty, Invalid::Secret(SecretFault::Empty));
        let long = Seed::from_bytes(vec![0; 641]).unwrap_err();
        assert_eq!(long, Invalid::Secret(SecretFault::TooLong));
    }

    #[test]
    fn less_than_128_bits_is_weak_but_accepted() {
        assert!(Seed::from_base32("JBSWY3DPEHPK3PXP").unwrap().is_weak());
        assert!(Seed::from_bytes(vec![7; 15]).unwrap().is_weak());
        assert!(!Seed::from_bytes(vec![7; 16]).unwrap().is_weak());
    }

    #[test]
    fn bits_after_the_key_are_given_back_but_not_kept_with_its_bytes() {
        let seed = Seed::from_base32("j3ww iv3p tgjp qv5q aicm").unwrap();
        assert_eq!(seed.to_base32().expose_secret(), "J3WWIV3PTGJPQV5QAICM");
        let stored = Seed::from_bytes(seed.as_bytes().to_vec()).unwrap();
        assert_eq!(stored.to_base32().expose_secret(), "J3WWIV3PTGJPQV5QAICA");
    }

    proptest! {
        #[test]
        fn a_key_written_in_base32_is_read_back(key in prop::collection::vec(any::<u8>(), 1..=640)) {
            let seed = Seed::from_bytes(key.clone()).unwrap();
            let text = seed.to_base32();
            prop_assert!(text.expose_secret().bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7')));
            let again = Seed::from_base32(text.expose_secret()).unwrap();
            prop_assert_eq!(again.as_bytes(), key);
        }
    }
}
