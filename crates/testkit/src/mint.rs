//! Makes tokens.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, JwkSet},
};
use serde_json::{Value, json};

/// A token could not be made, which no test can go on after.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the token could not be made: the cryptography library failed, or its grant is gone")]
pub struct MintFailed;

/// The `kid` of the one key that signs access tokens.
const KEY_ID: &str = "testkit";

/// Text that nobody guesses: 24 random bytes.
pub(crate) fn random_text() -> Result<String, MintFailed> {
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| MintFailed)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// A code for people to type: eight consonants, `BCDF-GHJK` (RFC 8628 section 6.1).
pub(crate) fn user_code() -> Result<String, MintFailed> {
    const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| MintFailed)?;
    let letters = bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    let (left, right) = letters.split_at(4);
    Ok(left.iter().chain(&['-']).chain(right).collect())
}

/// Signs access tokens that are JWTs, with a key of its own.
#[derive(Clone)]
pub(crate) struct Signer {
    key: EncodingKey,
    jwk: Jwk,
}

impl Signer {
    pub(crate) fn new() -> Result<Self, MintFailed> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| MintFailed)?;
        let key = EncodingKey::from_ec_der(der.as_ref());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(|_| MintFailed)?;
        jwk.common.key_id = Some(KEY_ID.to_owned());
        Ok(Self { key, jwk })
    }

    /// A JWT access token (RFC 9068).
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, MintFailed> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(KEY_ID.to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| MintFailed)
    }

    /// What verifies them (RFC 7517).
    pub(crate) fn keys(&self) -> Value {
        json!(JwkSet { keys: vec![self.jwk.clone()] })
    }
}
