//! Registering a client with an authorization server (RFC 7591).

use secrecy::SecretString;
use serde_json::json;
use url::Url;

use super::{AuthMethod, Refused, document::Document, metadata::ServerMetadata};
use crate::time::Timestamp;

/// The grant of devices (RFC 8628 section 3.4).
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// What is taken of what a server supports, in this order: a public client has no secret that could leak
/// or end. None that is registered here has a key.
const PREFERRED: [AuthMethod; 3] = [AuthMethod::None, AuthMethod::Basic, AuthMethod::Post];

/// How a client of this server is to authenticate; `client_secret_basic` where it does not say (RFC 8414
/// section 2).
#[must_use]
pub fn method(server: &ServerMetadata) -> AuthMethod {
    let listed = server.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
    let best = PREFERRED.into_iter().find(|method| listed.contains(method));
    best.unwrap_or(AuthMethod::Basic)
}

/// The body of a registration: JSON.
#[must_use]
pub fn request(redirect_uri: &Url, method: AuthMethod, for_devices: bool) -> Vec<u8> {
    let mut grants = vec!["authorization_code", "refresh_token"];
    if for_devices {
        grants.push(DEVICE_GRANT);
    }
    let request = json!({
        "client_name": "Keyfob",
        "redirect_uris": [redirect_uri.as_str()],
        "grant_types": grants,
        "response_types": ["code"],
        "token_endpoint_auth_method": method.as_str(),
    });
    request.to_string().into_bytes()
}

/// A client as it was registered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its `client_id`.
    pub client_id: String,
    /// Its `client_secret`, if it has one.
    pub client_secret: Option<SecretString>,
    /// When the secret ends; `None` if it does not.
    pub client_secret_expires_at: Option<Timestamp>,
    /// How it authenticates.
    pub method: AuthMethod,
}

/// Why no client was registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRegistered {
    /// The server refuses.
    #[error(transparent)]
    Refused(Refused),
    /// The answer means nothing, and why.
    #[error("{0}")]
    Unclear(&'static str),
}

impl Registered {
    /// Reads the answer of a registration endpoint to a request for a client that uses `requested`.
    pub fn parse(status: u16, body: &[u8], requested: AuthMethod) -> Result<Self, NotRegistered> {
        let unclear = |why| NotRegistered::Unclear(why);
        let is_failure = (400..=499).contains(&status) && status != 429;
        if !is_failure && !(200..=299).contains(&status) {
            return Err(unclear("the provider has a fault, or wants fewer requests"));
        }
        let answer =
            Document::json(body).ok_or(unclear("the provider's answer is not a JSON object"))?;
        let answer = answer.fields();
        if let Some(refused) = Refused::read(answer, is_failure) {
            return Err(NotRegistered::Refused(refused));
        }
        let client_id = answer.text("client_id").filter(|_| !is_failure);
        let client_secret = answer.secret("client_secret");
        // A server may choose otherwise, and has to say so; one that gives a secret unasked wants it.
        let method = match answer.text("token_endpoint_auth_method").map(AuthMethod::parse) {
            Some(method) => method.filter(|method| PREFERRED.contains(method)),
            None if client_secret.is_some() && requested == AuthMethod::None => {
                Some(AuthMethod::Basic)
            }
            None => Some(requested),
        };
        let method = method
            .ok_or(unclear("the provider chose a client authentication that is not known"))?;
        if method != AuthMethod::None && client_secret.is_none() {
            return Err(unclear("the provider registered a client without the secret it needs"));
        }
        Ok(Self {
            client_id: client_id
                .ok_or(unclear("the provider's answer has no \"client_id\""))?
                .to_owned(),
            client_secret_expires_at: answer.seconds("client_secret_expires_at"),
            client_secret,
            method,
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::Value;

    use super::*;

    fn server(methods: &Value) -> ServerMetadata {
        let document = json!({"issuer": "https://a.example", "token_endpoint": "https://a.example/t",
            "token_endpoint_auth_methods_supported": methods});
        let issuer = "https://a.example".parse().unwrap();
        ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap()
    }

    fn parse(answer: &Value, requested: AuthMethod) -> Result<Registered, NotRegistered> {
        Registered::parse(201, answer.to_string().as_bytes(), requested)
    }

    #[test]
    fn a_public_client_is_preferred_and_basic_is_the_default() {
        for (listed, expected) in [
            (json!(["client_secret_post", "client_secret_basic", "none"]), AuthMethod::None),
            (json!(["client_secret_post", "client_secret_basic"]), AuthMethod::Basic),
            (json!(["private_key_jwt", "client_secret_post"]), AuthMethod::Post),
            (json!(["private_key_jwt"]), AuthMethod::Basic),
            (json!(null), AuthMethod::Basic),
        ] {
            assert_eq!(method(&server(&listed)), expected, "{listed}");
        }
    }

    #[test]
    fn a_request_says_what_the_client_will_do() {
        let redirect_uri = "https://keyfob.example/secrets/oauth/callback".parse().unwrap();
        let read = |for_devices| -> Value {
            serde_json::from_slice(&request(&redirect_uri, AuthMethod::None, for_devices)).unwrap()
        };
        let expected = json!({
            "client_name": "Keyfob",
            "redirect_uris": ["https://keyfob.example/secrets/oauth/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        assert_eq!(read(false), expected);
        assert_eq!(read(true)["grant_types"][2], DEVICE_GRANT);
    }

    #[test]
    fn a_registered_client_is_read_with_the_end_of_its_secret() {
        let answer = |expires_at: i64| {
            json!({"client_id": "id", "client_secret": "CANARY",
                "client_secret_expires_at": expires_at, "token_endpoint_auth_method": "client_secret_post"})
        };
        let read = parse(&answer(1_775_390_400), AuthMethod::None).unwrap();
        assert_eq!((read.client_id.as_str(), read.method), ("id", AuthMethod::Post));
        assert_eq!(read.client_secret_expires_at, Some(Timestamp::from_seconds(1_775_390_400)));
        assert!(!format!("{read:?}").contains("CANARY"));
        assert_eq!(read.client_secret.unwrap().expose_secret(), "CANARY");
        let endless = parse(&answer(0), AuthMethod::None).unwrap();
        assert_eq!(endless.client_secret_expires_at, None);
    }

    #[test]
    fn a_server_that_does_not_say_how_means_as_asked_or_with_the_secret_it_gave() {
        let [public, secret] =
            [json!({"client_id": "a"}), json!({"client_id": "a", "client_secret": "b"})];
        for (answer, requested, expected) in [
            (&public, AuthMethod::None, AuthMethod::None),
            (&secret, AuthMethod::None, AuthMethod::Basic),
            (&secret, AuthMethod::Post, AuthMethod::Post),
        ] {
            assert_eq!(parse(answer, requested).unwrap().method, expected, "{answer}");
        }
    }

    #[test]
    fn what_is_no_usable_client_is_refused_with_the_reason() {
        for answer in [
            json!({}),
            json!({"client_id": ""}),
            json!({"client_id": "a", "token_endpoint_auth_method": "client_secret_basic"}),
            json!({"client_id": "a", "token_endpoint_auth_method": "private_key_jwt"}),
            json!([]),
        ] {
            let read = parse(&answer, AuthMethod::None);
            assert!(matches!(read, Err(NotRegistered::Unclear(_))), "{answer}");
        }
        let body = br#"{"error":"invalid_redirect_uri","error_description":"not allowed"}"#;
        let refused = Registered::parse(400, body, AuthMethod::None);
        let Err(NotRegistered::Refused(refused)) = refused else {
            panic!("{refused:?} is no refusal");
        };
        assert_eq!(refused.code, "invalid_redirect_uri");
        for status in [302, 429, 500, 503] {
            let answer = Registered::parse(status, body, AuthMethod::None);
            assert!(matches!(answer, Err(NotRegistered::Unclear(_))), "{status}");
        }
    }
}
