//! JSON Web Tokens that are made for each use (RFC 7519), signed with a stored key (RFC 7515, RFC 8037).

use std::time::Duration;

use jsonwebtoken::{Algorithm as Jws, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::time::Timestamp;

/// How a token is signed (contract/contacts-and-secrets, section 3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, with a PKCS#1 or PKCS#8 key.
    #[default]
    Rs256,
    /// ECDSA on P-256 with SHA-256, with a PKCS#8 key.
    Es256,
    /// Ed25519, with a PKCS#8 key.
    EdDsa,
    /// HMAC with SHA-256; the key is the text itself.
    Hs256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Es256, Self::EdDsa, Self::Hs256];

    /// The algorithm's name in a token's header (RFC 7518 section 3.1).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }

    /// The algorithm of this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    const fn jws(self) -> Jws {
        match self {
            Self::Rs256 => Jws::RS256,
            Self::Es256 => Jws::ES256,
            Self::EdDsa => Jws::EdDSA,
            Self::Hs256 => Jws::HS256,
        }
    }
}

/// The stored key does not sign with the algorithm that it is stored for. Says nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key does not sign with {}: it must be {}", .0.as_str(), match .0 {
    Algorithm::Rs256 => "an RSA private key in PEM (PKCS#1 or PKCS#8) of 2048 bits or more",
    Algorithm::Es256 => "a P-256 private key in PEM (PKCS#8)",
    Algorithm::EdDsa => "an Ed25519 private key in PEM (PKCS#8)",
    Algorithm::Hs256 => "a text of 32 bytes or more",
})]
pub struct WrongKey(pub Algorithm);

/// A token, and when it ends.
#[derive(Debug)]
pub struct Signed {
    /// The token in its compact form.
    pub token: SecretString,
    /// When it ends: its `exp`.
    pub expires_at: Timestamp,
}

/// The shortest key of HS256, in bytes (RFC 7518 section 3.2).
const SHORTEST_HMAC_KEY: usize = 32;

/// Signs `claims` with `iat` and `exp`, whatever they say of these themselves.
pub fn sign(
    algorithm: Algorithm,
    key: &SecretString,
    claims: &Map<String, Value>,
    now: Timestamp,
    lifetime: Duration,
) -> Result<Signed, WrongKey> {
    sign_as(algorithm, key, None, claims, now, lifetime)
}

/// The same, with the name of the key in the header (`kid`, RFC 7515 section 4.1.4).
pub fn sign_as(
    algorithm: Algorithm,
    key: &SecretString,
    key_id: Option<&str>,
    claims: &Map<String, Value>,
    now: Timestamp,
    lifetime: Duration,
) -> Result<Signed, WrongKey> {
    let wrong = |_| WrongKey(algorithm);
    let key = encoding_key(algorithm, key.expose_secret())?;
    // Whole seconds, so that what is reported is what the token says.
    let issued_at = now.as_seconds();
    let expires_at = Timestamp::from_seconds(issued_at).plus(lifetime);
    let mut claims = claims.clone();
    claims.insert("iat".into(), issued_at.into());
    claims.insert("exp".into(), expires_at.as_seconds().into());
    let mut header = Header::new(algorithm.jws());
    header.kid = key_id.map(str::to_owned);
    let token = jsonwebtoken::encode(&header, &claims, &key);
    Ok(Signed { token: token.map_err(wrong)?.into(), expires_at })
}

fn encoding_key(algorithm: Algorithm, key: &str) -> Result<EncodingKey, WrongKey> {
    let wrong = |_| WrongKey(algorithm);
    match algorithm {
        Algorithm::Rs256 => EncodingKey::from_rsa_pem(key.as_bytes()).map_err(wrong),
        Algorithm::Es256 => EncodingKey::from_ec_pem(key.as_bytes()).map_err(wrong),
        Algorithm::EdDsa => EncodingKey::from_ed_pem(key.as_bytes()).map_err(wrong),
        Algorithm::Hs256 if key.len() < SHORTEST_HMAC_KEY => Err(WrongKey(algorithm)),
        Algorithm::Hs256 => Ok(EncodingKey::from_secret(key.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    //! Signatures are checked with AWS-LC itself, not with the library that made them.

    use aws_lc_rs::{
        encoding::{AsDer, Pkcs8V1Der},
        rand::SystemRandom,
        rsa::KeySize,
        signature::{
            ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
            Ed25519KeyPair, KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair,
        },
    };
    use data_encoding::{BASE64, BASE64URL_NOPAD};
    use hmac::{Hmac, KeyInit, Mac};
    use serde_json::json;

    use super::*;

    fn pem(label: &str, der: &[u8]) -> SecretString {
        let body = BASE64.encode(der);
        let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into()
    }

    /// The parts of a token: header, claims, what was signed, and the signature.
    fn parts(signed: &Signed) -> (Value, Value, String, Vec<u8>) {
        let token = signed.token.expose_secret();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        let json = |text| serde_json::from_slice(&decode(text)).unwrap();
        (json(header), json(claims), signed.to_owned(), decode(signature))
    }

    fn claims() -> Map<String, Value> {
        json!({"sub": "Zoë", "exp": 1, "iat": "never"}).as_object().unwrap().clone()
    }

    const NOW: Timestamp = Timestamp::from_millis(1_775_390_400_999);

    fn signed(algorithm: Algorithm, key: &SecretString) -> Signed {
        sign(algorithm, key, &claims(), NOW, Duration::from_mins(10)).unwrap()
    }

    #[test]
    fn a_token_has_the_claims_with_our_times_and_its_end_is_reported() {
        let key = "k".repeat(32).into();
        let signed = signed(Algorithm::Hs256, &key);
        let (header, claims, ..) = parts(&signed);
        assert_eq!(header, json!({"typ": "JWT", "alg": "HS256"}));
        let (iat, exp) = (1_775_390_400, 1_775_391_000);
        assert_eq!(claims, json!({"sub": "Zoë", "iat": iat, "exp": exp}));
        assert_eq!(signed.expires_at, Timestamp::from_seconds(exp));
    }

    #[test]
    fn hs256_is_an_hmac_of_the_text() {
        let key = "a secret of thirty-two bytes, or more";
        let (_, _, text, signature) = parts(&signed(Algorithm::Hs256, &key.into()));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        mac.verify_slice(&signature).unwrap();
    }

    #[test]
    fn es256_verifies_with_the_public_key() {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let document = document.unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
        let key = pem("PRIVATE KEY", document.as_ref());
        let (header, _, text, signature) = parts(&signed(Algorithm::Es256, &key));
        assert_eq!(header["alg"], "ES256");
        let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key()).unwrap();
        public.verify_sig(text.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn eddsa_verifies_with_the_public_key() {
        let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(document.as_ref()).unwrap();
        let key = pem("PRIVATE KEY", document.as_ref());
        let (header, _, text, signature) = parts(&signed(Algorithm::EdDsa, &key));
        assert_eq!(header["alg"], "EdDSA");
        let public = ParsedPublicKey::new(&ED25519, pair.public_key()).unwrap();
        public.verify_sig(text.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn rs256_verifies_with_the_public_key() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let document = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let key = pem("PRIVATE KEY", document.as_ref());
        let (header, _, text, signature) = parts(&signed(Algorithm::Rs256, &key));
        assert_eq!(header["alg"], "RS256");
        let public = pair.public_key();
        let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).unwrap();
        public.verify_sig(text.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn a_key_of_another_kind_is_refused_without_a_word_about_it() {
        let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        let ed25519 = pem("PRIVATE KEY", document.as_ref());
        let short: SecretString = "CANARY234567".into();
        for algorithm in Algorithm::ALL {
            for key in [&ed25519, &short] {
                if (algorithm, key.expose_secret()) == (Algorithm::EdDsa, ed25519.expose_secret())
                    || (algorithm == Algorithm::Hs256 && key.expose_secret().len() >= 32)
                {
                    continue;
                }
                let refused = sign(algorithm, key, &claims(), NOW, Duration::from_secs(1));
                let text = refused.unwrap_err().to_string();
                assert!(text.contains(algorithm.as_str()), "{text}");
                assert!(!text.contains("CANARY"), "{text}");
            }
        }
    }
}
