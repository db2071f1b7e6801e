//! How a client proves to a provider who it is (RFC 6749 section 2.3, RFC 7523 section 2.2).

use std::time::Duration;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::Form;
use crate::{
    jwt::{self, Algorithm, WrongKey},
    random::{self, Random},
    time::Timestamp,
};

/// How long an assertion can be used: it is made for one request.
const ASSERTION_LIFE: Duration = Duration::from_mins(1);
/// What a client assertion is (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a client authenticates at a token endpoint (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// Id and secret in the form.
    Post,
    /// Id and secret in the `Authorization` header.
    Basic,
    /// The id only: a public client.
    None,
    /// A token signed with the client's key.
    PrivateKeyJwt,
}

impl AuthMethod {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Post, Self::Basic, Self::None, Self::PrivateKeyJwt];

    /// The method's word (RFC 7591 section 2, `OpenID` Connect Core section 9).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "client_secret_post",
            Self::Basic => "client_secret_basic",
            Self::None => "none",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// The method of this word, if it is one of ours.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }
}

/// The key of a client that signs.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// The private key.
    pub pem: SecretString,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// How the provider calls it (`kid`).
    pub key_id: Option<String>,
}

/// A client as its provider knows it.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// How it authenticates.
    pub method: AuthMethod,
    /// Its secrets, in the order in which they are tried: while one is replaced, both hold.
    pub secrets: Vec<SecretString>,
    /// Its key, for `private_key_jwt`.
    pub key: Option<ClientKey>,
}

/// The client lacks what its method needs. Says nothing of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// There is no secret, or not this many.
    #[error(
        "the client has no secret: set \"clientSecret\", or \"tokenEndpointAuthMethod\" to \"none\""
    )]
    Secret,
    /// There is no key.
    #[error("the client has no key: set \"clientKey\" to the private key that signs for it")]
    Key,
    /// The key does not sign.
    #[error(transparent)]
    WrongKey(#[from] WrongKey),
}

impl Client {
    /// How many proofs there are to try: one for each secret, where it is secrets that prove.
    #[must_use]
    pub fn attempts(&self) -> usize {
        match self.method {
            AuthMethod::Post | AuthMethod::Basic => self.secrets.len().max(1),
            AuthMethod::None | AuthMethod::PrivateKeyJwt => 1,
        }
    }

    /// Adds the proof to a request, and gives the `Authorization` header if that is where it stands.
    /// `attempt`: which proof, from 0. `audience`: the URL of the token endpoint.
    pub fn authenticate(
        &self,
        attempt: usize,
        audience: &str,
        form: &mut Form,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Option<SecretString>, NoProof> {
        let secret = || self.secrets.get(attempt).ok_or(NoProof::Secret);
        match self.method {
            AuthMethod::Basic => return secret().map(|secret| Some(self.basic(secret))),
            AuthMethod::Post => form.set("client_secret", secret()?.clone()),
            AuthMethod::None => {}
            AuthMethod::PrivateKeyJwt => {
                let assertion = self.assertion(audience, now, random)?;
                form.set("client_assertion_type", ASSERTION_TYPE);
                form.set("client_assertion", assertion);
            }
        }
        form.set("client_id", self.id.as_str());
        Ok(None)
    }

    /// RFC 6749 section 2.3.1: both are encoded as in a form first, so that neither has a colon.
    fn basic(&self, secret: &SecretString) -> SecretString {
        let encode = |text: &str| -> Zeroizing<String> {
            // Room for every byte encoded: a text that grows leaves old copies behind.
            let mut encoded = Zeroizing::new(String::with_capacity(text.len() * 3));
            encoded.extend(form_urlencoded::byte_serialize(text.as_bytes()));
            encoded
        };
        let (id, secret) = (encode(&self.id), encode(secret.expose_secret()));
        let pair = Zeroizing::new([&**id, ":", &**secret].concat());
        let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
        ["Basic ", encoded.as_str()].concat().into()
    }

    /// RFC 7523 section 3.
    fn assertion(
        &self,
        audience: &str,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<SecretString, NoProof> {
        let key = self.key.as_ref().ok_or(NoProof::Key)?;
        let id = BASE64URL_NOPAD.encode(&random::bytes::<16>(random));
        let claims = [("iss", &*self.id), ("sub", &self.id), ("aud", audience), ("jti", &id)];
        let claims = claims.map(|(name, value)| (name.to_owned(), Value::from(value)));
        let claims = Map::from_iter(claims);
        let key_id = key.key_id.as_deref();
        let signed = jwt::sign_as(key.algorithm, &key.pem, key_id, &claims, now, ASSERTION_LIFE);
        Ok(signed?.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::tests::Counting;

    const NOW: Timestamp = Timestamp::from_millis(1_775_390_400_999);
    const TOKEN_URL: &str = "https://example.com/token";

    fn client(method: AuthMethod, secrets: &[&str]) -> Client {
        let secrets = secrets.iter().map(|secret| (*secret).into()).collect();
        Client { id: "my app:1".into(), method, secrets, key: None }
    }

    fn body(client: &Client, attempt: usize) -> (String, Option<SecretString>) {
        let mut form = Form::new().with("grant_type", "refresh_token");
        let random = Counting::default();
        let header = client.authenticate(attempt, TOKEN_URL, &mut form, NOW, &random).unwrap();
        (String::from_utf8(form.encode().to_vec()).unwrap(), header)
    }

    #[test]
    fn methods_read_back() {
        for method in AuthMethod::ALL {
            assert_eq!(AuthMethod::parse(method.as_str()), Some(method));
        }
        assert_eq!(AuthMethod::parse("client_secret_jwt"), None);
    }

    #[test]
    fn secrets_are_tried_in_order_in_the_form() {
        let client = client(AuthMethod::Post, &["new", "o&d"]);
        assert_eq!(client.attempts(), 2);
        let start = "grant_type=refresh_token&client_secret=";
        assert_eq!(body(&client, 0).0, format!("{start}new&client_id=my+app%3A1"));
        assert_eq!(body(&client, 1).0, format!("{start}o%26d&client_id=my+app%3A1"));
        assert!(body(&client, 0).1.is_none());
    }

    #[test]
    fn basic_encodes_id_and_secret_before_it_joins_them() {
        let (body, header) = body(&client(AuthMethod::Basic, &["p:s w+é"]), 0);
        let header = header.unwrap();
        let pair = header.expose_secret().strip_prefix("Basic ").unwrap();
        assert_eq!(BASE64.decode(pair.as_bytes()).unwrap(), b"my+app%3A1:p%3As+w%2B%C3%A9");
        assert_eq!(body, "grant_type=refresh_token");
    }

    #[test]
    fn a_public_client_says_who_it_is() {
        let client = client(AuthMethod::None, &["unused", "unused"]);
        assert_eq!(client.attempts(), 1);
        assert_eq!(body(&client, 0).0, "grant_type=refresh_token&client_id=my+app%3A1");
    }

    #[test]
    fn a_signed_assertion_is_for_this_endpoint_and_one_minute() {
        let key = ClientKey {
            pem: "k".repeat(32).into(),
            algorithm: Algorithm::Hs256,
            key_id: Some("key 1".into()),
        };
        let client = Client { key: Some(key), ..client(AuthMethod::PrivateKeyJwt, &[]) };
        let mut form = Form::new();
        let random = Counting::default();
        let mut assertion = || {
            client.authenticate(0, TOKEN_URL, &mut form, NOW, &random).unwrap();
            assert_eq!(form.get("client_assertion_type").unwrap().expose_secret(), ASSERTION_TYPE);
            let assertion = form.get("client_assertion").unwrap().expose_secret();
            let parts: Vec<_> = assertion.split('.').take(2).collect();
            let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap();
            [0, 1].map(|at| serde_json::from_slice::<Value>(&decode(parts[at])).unwrap())
        };
        let [header, claims] = assertion();
        assert_eq!(header["kid"], "key 1");
        for (name, expected) in [("iss", "my app:1"), ("sub", "my app:1"), ("aud", TOKEN_URL)] {
            assert_eq!(claims[name], expected);
        }
        let exp = claims["iat"].as_i64().unwrap() + 60;
        assert_eq!(claims["exp"].as_i64(), Some(exp));
        assert_ne!(assertion()[1]["jti"], claims["jti"]);
    }

    #[test]
    fn a_missing_proof_is_named_and_nothing_is_added() {
        for (method, expected) in [
            (AuthMethod::Post, NoProof::Secret),
            (AuthMethod::Basic, NoProof::Secret),
            (AuthMethod::PrivateKeyJwt, NoProof::Key),
        ] {
            let (client, mut form) = (client(method, &[]), Form::new());
            let random = Counting::default();
            let proof = client.authenticate(0, TOKEN_URL, &mut form, NOW, &random);
            assert_eq!(proof.err(), Some(expected));
            assert!(form.encode().is_empty());
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", client(AuthMethod::Post, &["CANARY"]));
        assert!(!text.contains("CANARY"), "{text}");
    }
}
