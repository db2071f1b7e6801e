//! What a config may say, for each type of secret (contract/contacts-and-secrets, sections 3.3 and 9,
//! W18). The keys that a type reads are checked each by its rule; others are kept as they are.

use keyfob_core::secret::SecretType;
use serde_json::{Map, Value};

use super::{
    config::{self, BOUND, short},
    syntax::{is_private_key, is_text, is_token, is_url_or_none},
};
use crate::error::Error;

/// What a value must be. Null is the same as nothing.
#[derive(Clone, Copy)]
enum Rule {
    /// A text without control characters.
    Text,
    /// The name of an authentication scheme (RFC 9110, section 11.1).
    Scheme,
    /// Where an authorization server answers; an empty text is nothing.
    Url,
    /// Where a token is tried: a URL, or one of two providers' own ways.
    ValidateUrl,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A private key in PEM.
    PrivateKey,
    /// Texts, each a client's secret.
    Secrets,
    /// A whole number of seconds, up to so many.
    Seconds(u64),
    /// An object.
    Object,
    /// An object whose values are no lists and no objects.
    Scalars,
    /// Names of hosts, or of all hosts below one.
    Hosts,
    /// HTTP methods.
    Methods,
    /// Beginnings of paths.
    Paths,
    /// Where in a request the credential goes.
    Inject,
    /// Nothing: what it stands for says it.
    Nothing,
}

type Rules = &'static [(&'static str, Rule)];

/// Where a secret of any type may go.
const ALL_TYPES: Rules =
    &[("hosts", Rule::Hosts), ("methods", Rule::Methods), ("paths", Rule::Paths)];
/// Where in a request its credential goes.
const INJECT: Rules = &[("inject", Rule::Inject)];
/// A user name and a password can be an access key and its secret, which signs.
const SIGNING: Rules =
    &[("signing", Rule::OneOf(&["sigv4"])), ("region", Rule::Text), ("service", Rule::Text)];
const BASIC: Rules = &[
    ("username", Rule::Text),
    ("password", Rule::Text),
    ("user", Rule::Text),
    ("pass", Rule::Text),
];
const BEARER: Rules = &[("schema", Rule::Scheme)];
const JWT: Rules = &[
    ("algorithm", Rule::OneOf(&["RS256", "ES256", "EdDSA", "HS256"])),
    ("expiresInSeconds", Rule::Seconds(DAY)),
    ("claims", Rule::Object),
    ("schema", Rule::Scheme),
];
const OAUTH: Rules = &[
    ("tokenEndpointAuthMethod", Rule::OneOf(&AUTH_METHODS)),
    ("authorizationUrl", Rule::Url),
    ("tokenUrl", Rule::Url),
    ("revokeUrl", Rule::Url),
    ("validateUrl", Rule::ValidateUrl),
    ("deviceAuthorizationUrl", Rule::Url),
    ("issuer", Rule::Url),
    ("resourceUrl", Rule::Url),
    ("expiresInSeconds", Rule::Seconds(365 * DAY)),
    ("grantType", Rule::OneOf(&["authorization_code", "client_credentials"])),
];
/// Who asks an authorization server, and for what: what a template or a reference may say otherwise than
/// what it stands for, beside a user name and a password.
const CLIENT: Rules = &[
    ("clientId", Rule::Text),
    ("clientSecret", Rule::Text),
    ("clientSecrets", Rule::Secrets),
    ("clientKey", Rule::PrivateKey),
    ("clientKeyId", Rule::Text),
    ("clientKeyAlgorithm", Rule::OneOf(&["RS256", "ES256", "EdDSA"])),
    ("scope", Rule::Text),
    ("userScope", Rule::Text),
];
const TEMPLATE: Rules = &[
    ("template", Rule::Text),
    ("parameters", Rule::Scalars),
    ("inject", Rule::Nothing),
    ("signing", Rule::Nothing),
];
const REFERENCE: Rules = &[
    ("inject", Rule::Nothing),
    ("signing", Rule::Nothing),
    ("reference", Rule::Text),
    ("secretId", Rule::Text),
    ("id", Rule::Text),
    ("parameters", Rule::Scalars),
    ("params", Rule::Scalars),
];

const VALIDATE_URLS: [&str; 2] =
    ["slack://auth.test", "atlassian://oauth/token/accessible-resources"];
/// How a client shows who it is (RFC 7591, section 2; RFC 7523).
const AUTH_METHODS: [&str; 4] =
    ["client_secret_post", "client_secret_basic", "none", "private_key_jwt"];
/// The most secrets of a client.
const MOST_SECRETS: usize = 10;
/// In seconds. A token that Keyfob signs lives no longer.
const DAY: u64 = 86_400;

fn rules(secret_type: SecretType) -> [Rules; 3] {
    match secret_type {
        SecretType::Plain => [INJECT, &[], &[]],
        SecretType::Basic => [INJECT, BASIC, SIGNING],
        SecretType::Bearer => [INJECT, BEARER, &[]],
        SecretType::Jwt => [INJECT, JWT, &[]],
        SecretType::OAuth => [INJECT, OAUTH, CLIENT],
        SecretType::Template => [TEMPLATE, CLIENT, BASIC],
        SecretType::Reference => [REFERENCE, CLIENT, BASIC],
    }
}

/// Refuses a config that a secret of this type cannot use. The error names the key, and repeats no value.
pub(super) fn check(config: &Map<String, Value>, secret_type: SecretType) -> Result<(), Error> {
    let rules = rules(secret_type);
    for (name, value) in config.iter().filter(|(name, _)| *name != BOUND) {
        let mut known = ALL_TYPES.iter().chain(rules.iter().copied().flatten());
        let rule = known.find(|(known, _)| known == name).map(|(_, rule)| *rule);
        let wrong = match rule {
            Some(rule) if !value.is_null() => rule.check(value),
            None if !is_scalar(value) && !is_scalars(value) => {
                Err("must be a string, a number, true, false, null, or an object of those".into())
            }
            _ => Ok(()),
        };
        wrong.map_err(|what| refused(&short(name), &what))?;
    }
    check_client(config, secret_type)?;
    check_target(config, secret_type)
}

/// A client that shows nothing has nothing to show. What is still missing can come later.
fn check_client(config: &Map<String, Value>, secret_type: SecretType) -> Result<(), Error> {
    let method = config.get("tokenEndpointAuthMethod").and_then(Value::as_str);
    if secret_type != SecretType::OAuth || method != Some("none") {
        return Ok(());
    }
    let is_said = |name: &&str| {
        config.get(*name).is_some_and(|value| !value.is_null() && value.as_str() != Some(""))
    };
    match ["clientSecret", "clientSecrets", "clientKey"].into_iter().find(is_said) {
        Some(name) => {
            let why = "is never sent where \"config.tokenEndpointAuthMethod\" is none: leave one of them out";
            Err(refused(name, why))
        }
        None => Ok(()),
    }
}

fn refused(name: &str, what: &str) -> Error {
    Error::invalid("bad_request", format!("\"config.{name}\" {what}"))
}

/// A template or a reference says what it stands for.
fn check_target(config: &Map<String, Value>, secret_type: SecretType) -> Result<(), Error> {
    let is_there = |name: &&str| {
        config.get(*name).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    };
    match secret_type {
        SecretType::Template if !is_there(&"template") => {
            Err(refused("template", "is required: the name of a template"))
        }
        SecretType::Reference
            if ["reference", "secretId", "id"].iter().filter(|name| is_there(name)).count()
                != 1 =>
        {
            let text = "exactly one of \"config.reference\", \"config.secretId\" and \"config.id\" is required";
            Err(Error::invalid("bad_request", text))
        }
        _ => Ok(()),
    }
}

impl Rule {
    fn check(self, value: &Value) -> Result<(), String> {
        let text = value.as_str();
        let (holds, what) = match self {
            Self::Text => {
                (text.is_some_and(is_text), "must be a string without control characters")
            }
            Self::Scheme => (
                text.is_some_and(is_token),
                "must be the name of an authentication scheme, such as Bearer",
            ),
            Self::Url => (text.is_some_and(is_url_or_none), URL),
            Self::ValidateUrl => (
                text.is_some_and(|text| VALIDATE_URLS.contains(&text) || is_url_or_none(text)),
                URL,
            ),
            Self::OneOf(words) => {
                let holds = text.is_some_and(|text| words.contains(&text));
                return holds.then_some(()).ok_or_else(|| one_of(words));
            }
            Self::PrivateKey => (text.is_some_and(is_private_key), "must be a private key in PEM"),
            Self::Secrets => (
                is_list(value, |text| is_text(text) && !text.is_empty())
                    && value.as_array().is_some_and(|all| (1..=MOST_SECRETS).contains(&all.len())),
                "must be a list of 1 to 10 strings without control characters, none of them empty",
            ),
            Self::Seconds(most) => {
                let holds = value.as_u64().is_some_and(|seconds| (1..=most).contains(&seconds));
                let what = format!("must be a whole number from 1 to {most}");
                return holds.then_some(()).ok_or(what);
            }
            Self::Object => (value.is_object(), "must be an object"),
            Self::Scalars => {
                (is_scalars(value), "must be an object of strings, numbers, true, false and null")
            }
            Self::Hosts => return config::hosts(value).map(drop),
            Self::Methods => return config::methods(value).map(drop),
            Self::Paths => return config::paths(value).map(drop),
            Self::Inject => return config::injection(value).map(drop),
            Self::Nothing => (false, "is said by what the secret stands for: leave it out"),
        };
        if holds { Ok(()) } else { Err(what.to_owned()) }
    }
}

const URL: &str = "must be an https URL (http on a loopback address only) without a user name, a password and a fragment";

fn one_of(words: &[&str]) -> String {
    format!("must be one of [{}]", words.join(", "))
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

fn is_scalars(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.values().all(is_scalar))
}

fn is_list(value: &Value, is_item: impl Fn(&str) -> bool) -> bool {
    let is_item = |item: &Value| item.as_str().is_some_and(&is_item);
    value.as_array().is_some_and(|list| list.iter().all(is_item))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(secret_type: SecretType, config: &Value) -> Option<String> {
        check(config.as_object().unwrap(), secret_type).err().map(|error| error.to_string())
    }

    #[test]
    fn a_type_refuses_what_it_cannot_use_and_keeps_what_it_does_not_know() {
        use SecretType as T;
        for (secret_type, good) in [
            (T::Plain, json!({"tokenUrl": "x", "anything": {"a": 1, "b": null}, "paths": ["/v1"]})),
            (T::Plain, json!({"inject": {"header": "X-Api-Key"}, "signing": "kept as it is"})),
            (T::Basic, json!({"username": "u", "password": null})),
            (T::Basic, json!({"signing": "sigv4", "region": "us-east-1", "service": "s3"})),
            (T::Template, json!({"template": "gmail", "inject": null})),
            (T::Bearer, json!({"schema": "Token"})),
            (
                T::Jwt,
                json!({"algorithm": "EdDSA", "expiresInSeconds": 86_400, "claims": {"aud": ["x"]}}),
            ),
            (
                T::OAuth,
                json!({"validateUrl": "slack://auth.test", "grantType": "client_credentials"}),
            ),
            (
                T::OAuth,
                json!({
                    "clientSecrets": ["new", "old"], "expiresInSeconds": 31_536_000, "userScope": "a b",
                    "issuer": "https://example.com", "deviceAuthorizationUrl": "https://example.com/d",
                    "tokenEndpointAuthMethod": "client_secret_basic", "clientKeyAlgorithm": "ES256",
                }),
            ),
            (T::OAuth, json!({"tokenEndpointAuthMethod": "none", "clientSecret": ""})),
            (T::OAuth, json!({"tokenEndpointAuthMethod": "private_key_jwt"})),
            (
                T::Template,
                json!({"template": "gmail", "clientSecret": "x", "parameters": {"a": 1}}),
            ),
            (T::Reference, json!({"secretId": "@x", "params": {"a": "b"}, "id": null})),
        ] {
            assert_eq!(said(secret_type, &good), None, "{good}");
        }
        for (secret_type, bad, key) in [
            (T::Plain, json!({"anything": []}), "anything"),
            (T::Plain, json!({"anything": {"a": {}}}), "anything"),
            (T::Plain, json!({"methods": ["get"]}), "methods"),
            (T::Plain, json!({"paths": ["v1"]}), "paths"),
            (T::Plain, json!({"hosts": "example.com"}), "hosts"),
            (T::Plain, json!({"hosts": ["https://example.com"]}), "hosts"),
            (T::Plain, json!({"paths": ["/v1/../v2"]}), "paths"),
            (T::Plain, json!({"inject": "X-Api-Key"}), "inject"),
            (T::OAuth, json!({"inject": {"header": "Host"}}), "inject"),
            (T::Basic, json!({"signing": "sigv5"}), "signing"),
            (T::Template, json!({"template": "x", "inject": {"query": "key"}}), "inject"),
            (T::Reference, json!({"id": "x", "signing": "sigv4"}), "signing"),
            (T::Basic, json!({"username": 1}), "username"),
            (T::Bearer, json!({"schema": "Bearer x"}), "schema"),
            (T::Jwt, json!({"algorithm": "none"}), "algorithm"),
            (T::Jwt, json!({"expiresInSeconds": 0}), "expiresInSeconds"),
            (T::Jwt, json!({"expiresInSeconds": 86_401}), "expiresInSeconds"),
            (T::Jwt, json!({"expiresInSeconds": 1.5}), "expiresInSeconds"),
            (T::Jwt, json!({"claims": []}), "claims"),
            (T::OAuth, json!({"clientId": 7}), "clientId"),
            (T::OAuth, json!({"grantType": "password"}), "grantType"),
            (T::OAuth, json!({"resourceUrl": "slack://auth.test"}), "resourceUrl"),
            (T::OAuth, json!({"issuer": "http://example.com"}), "issuer"),
            (T::OAuth, json!({"clientSecrets": []}), "clientSecrets"),
            (T::OAuth, json!({"clientSecrets": ["a", ""]}), "clientSecrets"),
            (T::OAuth, json!({"clientSecrets": vec!["a"; 11]}), "clientSecrets"),
            (T::OAuth, json!({"clientKey": "MC4="}), "clientKey"),
            (T::OAuth, json!({"clientKeyAlgorithm": "HS256"}), "clientKeyAlgorithm"),
            (T::OAuth, json!({"tokenEndpointAuthMethod": "basic"}), "tokenEndpointAuthMethod"),
            (T::OAuth, json!({"expiresInSeconds": 31_536_001}), "expiresInSeconds"),
            (
                T::OAuth,
                json!({"tokenEndpointAuthMethod": "none", "clientSecret": "a"}),
                "clientSecret",
            ),
            (
                T::OAuth,
                json!({"tokenEndpointAuthMethod": "none", "clientSecrets": ["a"]}),
                "clientSecrets",
            ),
            (T::Reference, json!({"id": "a", "clientSecrets": "b"}), "clientSecrets"),
            (T::Template, json!({}), "template"),
            (T::Template, json!({"template": "x", "parameters": {"a": []}}), "parameters"),
            (T::Reference, json!({}), "reference"),
            (T::Reference, json!({"id": "a", "secretId": "b"}), "reference"),
        ] {
            let said = said(secret_type, &bad).unwrap_or_default();
            assert!(said.contains(&format!("\"config.{key}\"")), "{bad}: {said}");
        }
    }
}
