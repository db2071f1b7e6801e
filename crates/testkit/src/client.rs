//! The clients that a provider knows.

use jsonwebtoken::{Algorithm, DecodingKey, jwk::Jwk};
use serde::{Deserialize, Serialize};

/// How a client says who it is at the token endpoint (RFC 7591 section 2, `OpenID` Connect Core 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// `client_id` and `client_secret` in the body.
    ClientSecretPost,
    /// `Authorization: Basic`, both parts form-encoded (RFC 6749 section 2.3.1).
    ClientSecretBasic,
    /// `client_id` in the body and nothing else: a public client.
    None,
    /// `client_assertion`, a JWT that the client signs (RFC 7523).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// Every method.
    pub const ALL: [Self; 4] =
        [Self::ClientSecretPost, Self::ClientSecretBasic, Self::None, Self::PrivateKeyJwt];
}

/// A public key with which a client's assertions are verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PublicKey {
    /// A key in PEM (SPKI).
    Pem {
        /// RS256, ES256 or `EdDSA`.
        algorithm: Algorithm,
        /// The key.
        pem: String,
        /// Its `kid`; an assertion that names another one is not tried with this key.
        #[serde(default)]
        kid: Option<String>,
    },
    /// A key as clients register it (RFC 7517).
    Jwk(Box<Jwk>),
}

impl PublicKey {
    /// Whether an assertion that names `kid` may be signed with this key.
    pub(crate) fn may_be(&self, kid: Option<&str>) -> bool {
        let own = match self {
            Self::Pem { kid, .. } => kid.as_deref(),
            Self::Jwk(jwk) => jwk.common.key_id.as_deref(),
        };
        kid.is_none() || own.is_none() || own == kid
    }

    /// The key, if it verifies signatures of `algorithm`.
    pub(crate) fn verifies(&self, algorithm: Algorithm) -> Option<DecodingKey> {
        match self {
            Self::Jwk(jwk) => DecodingKey::from_jwk(jwk).ok(),
            Self::Pem { algorithm: own, .. } if *own != algorithm => None,
            Self::Pem { pem, .. } => match algorithm {
                Algorithm::RS256 => DecodingKey::from_rsa_pem(pem.as_bytes()).ok(),
                Algorithm::ES256 => DecodingKey::from_ec_pem(pem.as_bytes()).ok(),
                Algorithm::EdDSA => DecodingKey::from_ed_pem(pem.as_bytes()).ok(),
                _ => None,
            },
        }
    }
}

/// A client: its id, and what proves that a request comes from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// Secrets that are valid now; a client whose secret is being changed has two.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Keys that verify its assertions.
    #[serde(default)]
    pub public_keys: Vec<PublicKey>,
    /// Where people may be sent back to, compared as text. An empty list takes any address.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// The one method that it may use; nothing means each one that the provider supports.
    #[serde(default)]
    pub auth_method: Option<AuthMethod>,
}

impl Client {
    /// A client with one secret, which uses any method that suits it.
    #[must_use]
    pub fn confidential(id: &str, secret: &str) -> Self {
        Self { secrets: vec![secret.to_owned()], ..Self::public(id) }.with_any_method()
    }

    /// A client without a secret.
    #[must_use]
    pub fn public(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            secrets: Vec::new(),
            public_keys: Vec::new(),
            redirect_uris: Vec::new(),
            auth_method: Some(AuthMethod::None),
        }
    }

    /// A client that signs assertions, verified with this key in PEM.
    #[must_use]
    pub fn signing(id: &str, algorithm: Algorithm, pem: &str) -> Self {
        let key = PublicKey::Pem { algorithm, pem: pem.to_owned(), kid: None };
        Self {
            public_keys: vec![key],
            auth_method: Some(AuthMethod::PrivateKeyJwt),
            ..Self::public(id)
        }
    }

    /// The client, sending people back to this address, and to others so added, only.
    #[must_use]
    pub fn redirecting_to(mut self, uri: &str) -> Self {
        self.redirect_uris.push(uri.to_owned());
        self
    }

    fn with_any_method(self) -> Self {
        Self { auth_method: None, ..self }
    }

    /// Whether a client without anything to prove itself with is meant.
    pub(crate) fn is_public(&self) -> bool {
        self.secrets.is_empty() && self.public_keys.is_empty()
    }
}
