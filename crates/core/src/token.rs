//! API keys as text: what a caller holds, and what the vault remembers of it.
//!
//! A key has an id and a secret of 256 random bits. Callers send either both (`sb-api-key-id`,
//! `sb-api-secret-key`) or one token that holds both (`Authorization: Bearer`). Prefixes let secret
//! scanners find a leaked key, and a CRC-32 lets a mistyped one be refused without a look-up. The
//! vault stores only the SHA-256 of the secret: with 256 random bits a slow hash would add nothing.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    id::{BASE32, BODY, KeyId},
    random::{self, Random},
};

const SECRET_PREFIX: &str = "kfs_";
const TOKEN_PREFIX: &str = "kft_";
/// 256 random bits and their CRC-32.
const SECRET_BYTES: usize = 36;
/// Length of `SECRET_BYTES` in base32.
const SECRET_BODY: usize = 58;

/// The text is not a key secret or token. One variant: an oracle would need two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed key")]
pub struct MalformedKey;

/// The secret part of an API key. Never stored; shown once, when the key is made.
pub struct KeySecret(SecretString);

impl KeySecret {
    /// A new secret of 256 random bits.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        bytes[..32].copy_from_slice(&*Zeroizing::new(random::bytes::<32>(random)));
        let checksum = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&checksum.to_be_bytes());
        Self(BASE32.encode(&*bytes).into())
    }

    /// Reads the secret of a key pair, `kfs_…`.
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        Self::parse_body(text.strip_prefix(SECRET_PREFIX).ok_or(MalformedKey)?)
    }

    fn parse_body(body: &str) -> Result<Self, MalformedKey> {
        if body.len() != SECRET_BODY {
            return Err(MalformedKey);
        }
        let bytes = Zeroizing::new(BASE32.decode(body.as_bytes()).map_err(|_| MalformedKey)?);
        let (bits, checksum) = bytes.split_at(32);
        if crc32fast::hash(bits).to_be_bytes() != checksum {
            return Err(MalformedKey);
        }
        Ok(Self(body.into()))
    }

    /// What the vault remembers of this secret.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.0.expose_secret()).into())
    }

    /// The secret as its holder sends it in `sb-api-secret-key`.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        format!("{SECRET_PREFIX}{}", self.0.expose_secret()).into()
    }

    /// Id and secret as one token, as its holder sends it in `Authorization: Bearer`.
    #[must_use]
    pub fn to_token(&self, id: &KeyId) -> SecretString {
        let id = id.as_str().strip_prefix(KeyId::PREFIX).unwrap_or_default();
        format!("{TOKEN_PREFIX}{id}_{}", self.0.expose_secret()).into()
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret([redacted])")
    }
}

/// Reads a token into the id and the secret it holds.
pub fn parse_token(text: &str) -> Result<(KeyId, KeySecret), MalformedKey> {
    let body = text.strip_prefix(TOKEN_PREFIX).ok_or(MalformedKey)?;
    let (id, secret) = body.split_once('_').ok_or(MalformedKey)?;
    if id.len() != BODY {
        return Err(MalformedKey);
    }
    let id = KeyId::parse(&format!("{}{id}", KeyId::PREFIX)).map_err(|_| MalformedKey)?;
    Ok((id, KeySecret::parse_body(secret)?))
}

/// The SHA-256 of a key's secret: all that the vault stores of it.
#[derive(Clone, Copy)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// A hash that the store holds; `None` if it is not 32 bytes.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The hash as it is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `secret` is the one this hash was made of. Takes the same time either way.
    #[must_use]
    pub fn matches(&self, secret: &KeySecret) -> bool {
        self.0.ct_eq(&secret.hash().0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{random::tests::Counting, time::Timestamp};

    fn key() -> (KeyId, KeySecret) {
        let random = Counting::default();
        (KeyId::generate(Timestamp::from_millis(1), &random), KeySecret::generate(&random))
    }

    #[test]
    fn the_pair_and_the_token_hold_the_same_key() {
        let (id, secret) = key();
        let pair = KeySecret::parse(secret.to_text().expose_secret()).unwrap();
        let (token_id, token_secret) = parse_token(secret.to_token(&id).expose_secret()).unwrap();
        assert_eq!(token_id, id);
        assert!(secret.hash().matches(&pair));
        assert!(secret.hash().matches(&token_secret));
    }

    #[test]
    fn any_mistyped_character_is_refused_without_a_look_up() {
        let (id, secret) = key();
        let token = secret.to_token(&id);
        let token = token.expose_secret();
        for at in TOKEN_PREFIX.len() + BODY + 1..token.len() {
            let mut typo = token.to_owned();
            typo.replace_range(at..=at, if token.as_bytes()[at] == b'0' { "1" } else { "0" });
            assert_eq!(parse_token(&typo).err(), Some(MalformedKey), "character {at}");
        }
        assert!(KeySecret::parse(&token[..20]).is_err());
        assert!(parse_token("").is_err());
    }

    #[test]
    fn another_secret_does_not_match() {
        let (_, secret) = key();
        let other = KeySecret::generate(&Counting::default());
        assert!(!secret.hash().matches(&other));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", key().1), "KeySecret([redacted])");
    }
}
