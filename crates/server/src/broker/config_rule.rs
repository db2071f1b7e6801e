//! What a config may say, for each type of secret (contract/contacts-and-secrets, sections 3.3 and 9,
//! W18). The keys that a type reads are checked each by its rule; others are kept as they are.

use keyfob_core::secret::SecretType;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::config::short;
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
    /// A whole number of seconds, up to a day.
    Seconds,
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
}

type Rules = &'static [(&'static str, Rule)];

/// Where a secret of any type may go.
const ALL_TYPES: Rules =
    &[("hosts", Rule::Hosts), ("methods", Rule::Methods), ("paths", Rule::Paths)];
const BASIC: Rules = &[
    ("username", Rule::Text),
    ("password", Rule::Text),
    ("user", Rule::Text),
    ("pass", Rule::Text),
];
const BEARER: Rules = &[("schema", Rule::Scheme)];
const JWT: Rules = &[
    ("algorithm", Rule::OneOf(&["RS256", "ES256", "EdDSA", "HS256"])),
    ("expiresInSeconds", Rule::Seconds),
    ("claims", Rule::Object),
    ("schema", Rule::Scheme),
];
const OAUTH: Rules = &[
    ("clientId", Rule::Text),
    ("clientSecret", Rule::Text),
    ("authorizationUrl", Rule::Url),
    ("tokenUrl", Rule::Url),
    ("revokeUrl", Rule::Url),
    ("validateUrl", Rule::ValidateUrl),
    ("resourceUrl", Rule::Url),
    ("scope", Rule::Text),
    ("grantType", Rule::OneOf(&["authorization_code", "client_credentials"])),
];
/// What a template or a reference may say otherwise than what it stands for.
const OVERRIDES: Rules =
    &[("clientId", Rule::Text), ("clientSecret", Rule::Text), ("scope", Rule::Text)];
const TEMPLATE: Rules = &[("template", Rule::Text), ("parameters", Rule::Scalars)];
const REFERENCE: Rules = &[
    ("reference", Rule::Text),
    ("secretId", Rule::Text),
    ("id", Rule::Text),
    ("parameters", Rule::Scalars),
    ("params", Rule::Scalars),
];

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const VALIDATE_URLS: [&str; 2] =
    ["slack://auth.test", "atlassian://oauth/token/accessible-resources"];
/// The most seconds that a token lives.
const DAY: u64 = 86_400;

fn rules(secret_type: SecretType) -> [Rules; 3] {
    match secret_type {
        SecretType::Plain => [&[]; 3],
        SecretType::Basic => [BASIC, &[], &[]],
        SecretType::Bearer => [BEARER, &[], &[]],
        SecretType::Jwt => [JWT, &[], &[]],
        SecretType::OAuth => [OAUTH, &[], &[]],
        SecretType::Template => [TEMPLATE, OVERRIDES, BASIC],
        SecretType::Reference => [REFERENCE, OVERRIDES, BASIC],
    }
}

/// Refuses a config that a secret of this type cannot use. The error names the key, and repeats no value.
pub(super) fn check(config: &Map<String, Value>, secret_type: SecretType) -> Result<(), Error> {
    let rules = rules(secret_type);
    for (name, value) in config {
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
    check_target(config, secret_type)
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
            Self::Seconds => (
                value.as_u64().is_some_and(|seconds| (1..=DAY).contains(&seconds)),
                "must be a whole number from 1 to 86400",
            ),
            Self::Object => (value.is_object(), "must be an object"),
            Self::Scalars => {
                (is_scalars(value), "must be an object of strings, numbers, true, false and null")
            }
            Self::Hosts => (
                is_list(value, |host| {
                    is_host(
                        host.strip_prefix("*.").filter(|rest| rest.contains('.')).unwrap_or(host),
                    )
                }),
                "must be a list of host names, such as api.example.com or *.example.com",
            ),
            Self::Methods if is_list(value, |method| METHODS.contains(&method)) => return Ok(()),
            Self::Methods => {
                return Err(format!("must be a list of methods, each {}", one_of(&METHODS)));
            }
            Self::Paths => (
                is_list(value, |path| path.starts_with('/') && is_text(path)),
                "must be a list of paths that begin with /",
            ),
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

fn is_text(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_char = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !text.is_empty() && text.bytes().all(is_char)
}

/// A host name as DNS has it (RFC 1123, section 2.1), or an IPv4 address.
fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_url_or_none(text: &str) -> bool {
    text.is_empty() || is_url(text)
}

fn is_url(text: &str) -> bool {
    // The parser would skip these, and what is stored is not what it read.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return false;
    }
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let is_open = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) if is_host(name) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => return false,
    };
    is_open && (url.scheme() == "https" || url.scheme() == "http" && is_loopback)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(secret_type: SecretType, config: &Value) -> Option<String> {
        check(config.as_object().unwrap(), secret_type).err().map(|error| error.to_string())
    }

    #[test]
    fn a_url_is_of_https_or_of_this_machine() {
        for url in [
            "https://example.com/authorize?prompt=consent&access_type=offline",
            "https://例え.jp:8443/",
            "https://192.0.2.1/t",
            "https://[2001:db8::1]/t",
            "http://localhost:8080/t",
            "http://127.0.0.1/t",
            "http://[::1]:1/t",
            "",
        ] {
            assert_eq!(said(SecretType::OAuth, &json!({"tokenUrl": url})), None, "{url}");
        }
        for url in [
            "http://example.com/t",
            "http://localhost.example.com/t",
            "http://10.0.0.1/t",
            "https://user@example.com/t",
            "https://user:pass@example.com/t",
            "https://example.com/t#fragment",
            "https://((domain)).example.com/t",
            "https://exam ple.com/",
            "https://example.com/\n",
            "ftp://example.com/",
            "javascript:alert(1)",
            "/token",
            "example.com",
            "https://",
        ] {
            let said = said(SecretType::OAuth, &json!({"tokenUrl": url}));
            assert_eq!(said, Some(format!("\"config.tokenUrl\" {URL}")), "{url}");
        }
    }

    #[test]
    fn hosts_are_exact_names_or_all_below_one() {
        for host in ["api.example.com", "*.example.com", "localhost", "192.0.2.1", "xn--r8jz45g.jp"]
        {
            assert_eq!(said(SecretType::Plain, &json!({"hosts": [host]})), None, "{host}");
        }
        for host in
            ["", "*", "*.com", "a.*.com", "https://a.b", "a.b:443", "a/b", "-a.b", "a..b", "ä.b"]
        {
            assert!(
                said(SecretType::Plain, &json!({"hosts": ["ok.example", host]})).is_some(),
                "{host}"
            );
        }
    }

    #[test]
    fn a_type_refuses_what_it_cannot_use_and_keeps_what_it_does_not_know() {
        use SecretType as T;
        for (secret_type, good) in [
            (T::Plain, json!({"tokenUrl": "x", "anything": {"a": 1, "b": null}, "paths": ["/v1"]})),
            (T::Basic, json!({"username": "u", "password": null})),
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
