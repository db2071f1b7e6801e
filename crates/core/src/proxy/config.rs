//! How a secret's `config.inject` says where its credential goes.

use http::HeaderName;
use serde_json::{Map, Value};
use thiserror::Error;

use super::Injection;

/// The longest name, prefix or user name, in bytes.
const LONGEST: usize = 128;
/// Headers that are about the connection, the framing or the coding of a message, or that the client sets.
const NOT_INJECTED: [&str; 15] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What the last word of a name ends in that is for a credential: `X-Api-Key`, `apikey`, `PRIVATE-TOKEN`, `X-Auth`.
const OF_CREDENTIALS: [&str; 10] = [
    "key",
    "token",
    "auth",
    "authorization",
    "authentication",
    "secret",
    "password",
    "credential",
    "credentials",
    "jwt",
];
/// What a name holds that servers keep and hand out again, to whoever asks by another secret too; that they send on
/// to where the caller says, or name another object by; or that they give back as it came, for a client to know its
/// request by.
const OF_SOMETHING_ELSE: [&str; 19] = [
    "meta",
    "copy",
    "source",
    "destination",
    "cookie",
    "host",
    "idempoten",
    "dedup",
    "surrogate",
    "cache",
    "partition",
    "encryption",
    "forward",
    "callback",
    "redirect",
    "object",
    "upload",
    "routing",
    "continuation",
];
/// Words of names that servers work with before they look at a credential, and repeat in words of their own where
/// they cannot. A caller could choose the form that it comes back in.
const OF_THE_MESSAGE: [&str; 7] = ["accept", "content", "control", "if", "message", "proxy", "sec"];

/// Whether a placeholder may stand in a header, wherever `config.inject` puts the credential: its name has to say
/// that it is for a credential, and for nothing else.
pub(super) fn may_be_filled(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    let last = name.rsplit('-').next().unwrap_or_default();
    OF_CREDENTIALS.iter().any(|end| last.ends_with(end))
        && !OF_SOMETHING_ELSE.iter().any(|part| name.contains(part))
        && !name.split('-').any(|word| OF_THE_MESSAGE.contains(&word))
}

/// What is wrong with an `inject`, behind its name. Repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidInjection {
    /// It is none of the forms.
    #[error(
        "must be {{\"header\": \"X-Api-Key\"}}, perhaps with a \"prefix\", {{\"query\": \"key\"}}, {{\"basic\": \"username\"}}, or {{\"basic\": \"password\", \"username\": \"…\"}}, and hold nothing else"
    )]
    Form,
    /// Its `header` cannot hold a credential.
    #[error("must have as \"header\" the name of a header that can hold a credential")]
    Header,
    /// Its `prefix` cannot stand in a header.
    #[error("must have as \"prefix\" up to 128 visible ASCII characters and blanks")]
    Prefix,
    /// Its `query` is no name.
    #[error(
        "must have as \"query\" the name of a parameter: 1 to 128 bytes without control characters"
    )]
    Query,
    /// Its `username` is no user name.
    #[error(
        "must have as \"username\" 1 to 128 bytes without a colon and without control characters"
    )]
    Username,
}

impl TryFrom<&Value> for Injection {
    type Error = InvalidInjection;

    fn try_from(value: &Value) -> Result<Self, InvalidInjection> {
        use InvalidInjection as E;
        let map = value.as_object().ok_or(E::Form)?;
        let has_only = |names: &[&str]| map.keys().all(|name| names.contains(&name.as_str()));
        if map.contains_key("header") && has_only(&["header", "prefix"]) {
            let name = text(map, "header").and_then(header).ok_or(E::Header)?;
            return Ok(Self::Header { name, prefix: prefix(map)? });
        }
        if map.contains_key("query") && has_only(&["query"]) {
            let name = text(map, "query").filter(|name| is_name(name)).ok_or(E::Query)?;
            return Ok(Self::Query { name: name.to_owned() });
        }
        match text(map, "basic") {
            Some("username") if has_only(&["basic"]) => Ok(Self::BasicUsername),
            Some("password") if has_only(&["basic", "username"]) => {
                let username = text(map, "username");
                let username = username.filter(|name| is_name(name) && !name.contains(':'));
                Ok(Self::BasicPassword { username: username.ok_or(E::Username)?.to_owned() })
            }
            _ => Err(E::Form),
        }
    }
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name).and_then(Value::as_str)
}

fn header(name: &str) -> Option<HeaderName> {
    let name: HeaderName = name.parse().ok().filter(|_| name.len() <= LONGEST)?;
    (!NOT_INJECTED.contains(&name.as_str())).then_some(name)
}

fn prefix(map: &Map<String, Value>) -> Result<Option<String>, InvalidInjection> {
    let Some(value) = map.get("prefix").filter(|value| !value.is_null()) else { return Ok(None) };
    let is_char = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    let is_prefix = |text: &&str| text.len() <= LONGEST && text.bytes().all(is_char);
    let text = value.as_str().filter(is_prefix).ok_or(InvalidInjection::Prefix)?;
    Ok(Some(text.to_owned()))
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_form_says_where_the_credential_goes() {
        let header = |name: &'static str, prefix: Option<&str>| Injection::Header {
            name: HeaderName::from_static(name),
            prefix: prefix.map(str::to_owned),
        };
        for (value, expected) in [
            (json!({"header": "X-Api-Key"}), header("x-api-key", None)),
            (json!({"header": "X-Api-Key", "prefix": null}), header("x-api-key", None)),
            (
                json!({"header": "Authorization", "prefix": "Token token="}),
                header("authorization", Some("Token token=")),
            ),
            (json!({"query": "api_key"}), Injection::Query { name: "api_key".into() }),
            (json!({"basic": "username"}), Injection::BasicUsername),
            (
                json!({"basic": "password", "username": "x-access-token"}),
                Injection::BasicPassword { username: "x-access-token".into() },
            ),
        ] {
            assert_eq!(Injection::try_from(&value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn a_placeholder_stands_where_credentials_do() {
        let may = |name: &str| may_be_filled(&name.parse().unwrap());
        for name in "Authorization X-Authorization X-Api-Key X-Key api-key apikey xi-api-key \
             x-goog-api-key X_API_KEY X-CMC_PRO_API_KEY X-Auth X-Auth-Token X-Auth-Key \
             PRIVATE-TOKEN JOB-TOKEN DD-API-KEY DD-APPLICATION-KEY AccessKey X-TrackerToken \
             Ocp-Apim-Subscription-Key X-Shopify-Access-Token X-Vault-Token X-RapidAPI-Key \
             X-Parse-REST-API-Key Fastly-Key x-functions-key x-amz-security-token X-Api-Secret \
             X-Password X-JWT"
            .split_whitespace()
        {
            assert!(may(name), "{name}");
        }
        for name in "Accept Accept-Language Content-Type content_type Content-MD5 Range If-Match \
             User-Agent Origin Referer Expect From Date Cache-Control Pragma TE Trailer Via Warning \
             X-Forwarded-For X_Forwarded_Host Sec-WebSocket-Protocol Host Set-Cookie X-Accept X \
             x-goog-meta-leak x-goog-meta-key x-amz-meta-token x_ms_meta_token X-Object-Meta-Key \
             Upload-Metadata x-oss-callback x-ms-copy-source x-ms-copy-source-authorization \
             x-amz-server-side-encryption-customer-key x-ms-encryption-key Cookie-Token \
             Idempotency-Key X-Idempotency_Key idempotencykey Surrogate-Key x-cache-key \
             ce-partitionkey x-ms-continuation-token X-Dedup-Key Destination-Token \
             Upstash-Forward-Authorization X-Redirect-Token Proxy-Authorization X-Message-Key \
             Sec-WebSocket-Key Sec-Token Content-Key If-Token Accept-Token X-Api-Key-Id X-Auth-Email \
             Slug Title X-Request-Id Monkeys"
            .split_whitespace()
        {
            assert!(!may(name), "{name}");
        }
    }

    #[test]
    fn what_says_too_little_too_much_or_something_wrong_is_refused() {
        use InvalidInjection as E;
        for (value, expected) in [
            (json!(null), E::Form),
            (json!("X-Api-Key"), E::Form),
            (json!([]), E::Form),
            (json!({}), E::Form),
            (json!({"header": "X-A", "query": "a"}), E::Form),
            (json!({"header": "X-A", "Prefix": "a"}), E::Form),
            (json!({"query": "a", "prefix": "a"}), E::Form),
            (json!({"prefix": "a"}), E::Form),
            (json!({"basic": "user"}), E::Form),
            (json!({"basic": true}), E::Form),
            (json!({"basic": "username", "username": "a"}), E::Form),
            (json!({"username": "a"}), E::Form),
            (json!({"header": ""}), E::Header),
            (json!({"header": 1}), E::Header),
            (json!({"header": "X A"}), E::Header),
            (json!({"header": "X-A\r\nHost"}), E::Header),
            (json!({"header": "x".repeat(129)}), E::Header),
            (json!({"header": "Host"}), E::Header),
            (json!({"header": "Content-LENGTH"}), E::Header),
            (json!({"header": "Transfer-Encoding"}), E::Header),
            (json!({"header": "X-A", "prefix": "é"}), E::Prefix),
            (json!({"header": "X-A", "prefix": "a\r\nb"}), E::Prefix),
            (json!({"header": "X-A", "prefix": 1}), E::Prefix),
            (json!({"query": ""}), E::Query),
            (json!({"query": "a\n"}), E::Query),
            (json!({"query": "x".repeat(129)}), E::Query),
            (json!({"basic": "password"}), E::Username),
            (json!({"basic": "password", "username": "a:b"}), E::Username),
            (json!({"basic": "password", "username": ""}), E::Username),
        ] {
            assert_eq!(Injection::try_from(&value), Err(expected), "{value}");
        }
    }
}
