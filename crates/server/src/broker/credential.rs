//! Credentials: what a person hands over for each type of secret, and whether what is stored can be used
//! (contract/contacts-and-secrets, section 3.3).

use std::time::Duration;

use keyfob_core::{
    jwt,
    oauth::{Grant, Tokens},
    proxy::Credential,
    secret::SecretType,
    time::Timestamp,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Config, config::Signs, provider, usable::Usable};
use crate::error::Error;

/// The longest value that is handed over, in bytes.
const LONGEST: usize = 32 * 1024;
/// No access token is said to live longer.
const LONGEST_LIFE: Duration = Duration::from_hours(10 * 365 * 24);

/// What a person hands over.
#[derive(Debug)]
pub enum Handed {
    /// One value: a key, a token, a private key.
    Value(SecretString),
    /// A user name and a password.
    Pair {
        /// The user name.
        username: SecretString,
        /// The password.
        password: SecretString,
    },
    /// A grant that a provider has given already.
    Grant(Imported),
}

/// A grant from elsewhere.
#[derive(Debug)]
pub struct Imported {
    /// The access token.
    pub access_token: SecretString,
    /// What renews it.
    pub refresh_token: Option<SecretString>,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// What it allows, separated by blanks.
    pub scopes: Option<String>,
}

/// Whether a person can hand over a credential of this type by typing it.
pub(super) fn is_typed(secret_type: SecretType) -> bool {
    matches!(
        secret_type,
        SecretType::Plain | SecretType::Basic | SecretType::Bearer | SecretType::Jwt
    )
}

/// Whether a person can connect the secret at a link: by typing, or at its provider.
pub(super) fn is_connected(usable: &Usable) -> bool {
    expect_connected(usable).is_ok()
}

/// Refuses a secret that nobody can connect at a link, and says what is missing.
pub(super) fn expect_connected(usable: &Usable) -> Result<(), Error> {
    match usable.secret_type {
        secret_type if is_typed(secret_type) => Ok(()),
        SecretType::OAuth => provider::check_connectable(&usable.config).map_err(|incomplete| {
            not_connectable(format!("the secret cannot be connected: {incomplete}"))
        }),
        other => {
            let text = format!("a secret of type {} cannot be connected", other.as_str());
            Err(not_connectable(text))
        }
    }
}

fn not_connectable(text: String) -> Error {
    Error::Conflict { code: "not_connectable", message: text.into() }
}

/// What is stored of what was handed over, exactly as it was typed; a pair as JSON. An error says what
/// this type needs, and repeats nothing.
pub(super) fn stored(
    handed: &Handed,
    secret_type: SecretType,
    config: &Config,
    now: Timestamp,
) -> Result<SecretString, Error> {
    let text = match (handed, secret_type) {
        (Handed::Pair { username, password }, SecretType::Basic) => pair(username, password)?,
        (Handed::Value(_) | Handed::Grant(_), SecretType::Basic) => {
            return Err(wrong("\"username\" and \"password\" are required"));
        }
        (Handed::Value(value), _) => value.clone(),
        (Handed::Pair { .. } | Handed::Grant(_), _) => return Err(wrong("\"value\" is required")),
    };
    check_length(&text)?;
    check(&text, secret_type, config, now).map_err(|why| wrong(&why.0))?;
    Ok(text)
}

/// Refuses a value that is too long for any use.
pub(super) fn check_length(value: &SecretString) -> Result<(), Error> {
    if value.expose_secret().len() > LONGEST {
        return Err(wrong("the value must have at most 32768 bytes"));
    }
    Ok(())
}

fn wrong(text: &str) -> Error {
    Error::invalid("bad_request", text.to_owned())
}

/// The grant that was handed over for a secret of type oauth.
pub(super) fn grant(handed: &Handed, config: &Config, now: Timestamp) -> Result<Grant, Error> {
    let Handed::Grant(Imported { access_token, refresh_token, expires_at, scopes }) = handed else {
        return Err(wrong("\"accessToken\" is required"));
    };
    for token in [Some(access_token), refresh_token.as_ref()].into_iter().flatten() {
        check_length(token)?;
        check(token, SecretType::Bearer, config, now).map_err(|why| wrong(&why.0))?;
    }
    if expires_at.is_some_and(|end| end > now.plus(LONGEST_LIFE)) {
        return Err(wrong("\"expiresAt\" must be within the next ten years"));
    }
    let tokens = Tokens {
        access_token: access_token.clone(),
        refresh_token: refresh_token.clone(),
        expires_in: expires_at.map(|end| end.since(now)),
        refresh_token_expires_in: None,
        scope: scopes.clone(),
    };
    let grant = Grant::obtained(tokens, now, provider::assumed_lifetime(config)).imported();
    // It is renewed and revoked at the hosts that it is imported for, and at no other.
    let text = |name| config.text(name).map(str::to_owned);
    Ok(Grant { token_url: text("tokenUrl"), revoke_url: text("revokeUrl"), ..grant })
}

/// The grant in a value that was given to a shared secret: JSON with an `accessToken`, or that token alone.
pub(super) fn grant_in(
    value: &SecretString,
    config: &Config,
    now: Timestamp,
) -> Result<Grant, Error> {
    let Some(given) = Grant::parse(value.expose_secret().as_bytes()) else {
        return token_alone(value.expose_secret(), now);
    };
    let end = given.refresh_token_expires_at;
    if end.is_some_and(|end| end > now.plus(LONGEST_LIFE)) {
        return Err(wrong("\"refreshTokenExpiresAt\" must be within the next ten years"));
    }
    let imported = Imported {
        access_token: given.access_token,
        refresh_token: given.refresh_token,
        expires_at: given.access_token_expires_at,
        scopes: given.scope,
    };
    let grant = grant(&Handed::Grant(imported), config, now)?;
    Ok(Grant { refresh_token_expires_at: end, ..grant })
}

/// A grant that is given again. What it was renewed to stays.
pub(super) enum Again {
    /// For the same place.
    Same,
    /// For another place now: what is to be stored.
    Moved(Box<Grant>),
}

/// What `given` is to `there`, if it is what that was imported as.
pub(super) fn again(there: Grant, given: &Grant) -> Option<Again> {
    if given.imported.is_none() || there.imported != given.imported {
        return None;
    }
    let (token_url, revoke_url) = (given.token_url.clone(), given.revoke_url.clone());
    let is_same = there.token_url == token_url && there.revoke_url == revoke_url;
    Some(if is_same {
        Again::Same
    } else {
        Again::Moved(Box::new(Grant { token_url, revoke_url, ..there }))
    })
}

/// A token of which nothing is known but what it says itself.
pub(super) fn token_alone(token: &str, now: Timestamp) -> Result<Grant, Error> {
    let token = token.into();
    check(&token, SecretType::Bearer, &Config::default(), now).map_err(|why| wrong(&why.0))?;
    let imported =
        Imported { access_token: token, refresh_token: None, expires_at: None, scopes: None };
    grant(&Handed::Grant(imported), &Config::default(), now)
}

/// Why a stored value cannot be used, in words that tell nothing of it.
#[derive(Debug)]
pub(super) struct Unusable(String);

impl Unusable {
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// Checks that a value can be used as this type is used: for a JWT by signing one.
pub(super) fn check(
    value: &SecretString,
    secret_type: SecretType,
    config: &Config,
    now: Timestamp,
) -> Result<(), Unusable> {
    ready(value, secret_type, config, now).map(drop)
}

/// What goes into a request of a stored value, or of the access token of a grant (contract/contacts-and-secrets,
/// section 3.3).
pub(super) fn ready(
    value: &SecretString,
    secret_type: SecretType,
    config: &Config,
    now: Timestamp,
) -> Result<Credential, Unusable> {
    let text = value.expose_secret();
    if text.is_empty() {
        return Err(Unusable("the value must not be empty".into()));
    }
    let scheme = config.text("schema").unwrap_or("Bearer").to_owned();
    match secret_type {
        SecretType::Basic => {
            let Pair { username, password } = Pair::parse(text)?;
            Ok(Credential::Pair { username, password })
        }
        SecretType::Bearer if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Unusable("a token must consist of visible ASCII characters, without blanks".into()))
        }
        SecretType::Bearer => Ok(Credential::Token { scheme, token: value.clone() }),
        SecretType::OAuth => {
            Ok(Credential::Token { scheme: "Bearer".to_owned(), token: value.clone() })
        }
        SecretType::Jwt => {
            let token = sign(value, config, now)?.token;
            Ok(Credential::Token { scheme, token })
        }
        SecretType::Plain | SecretType::Template | SecretType::Reference => {
            Ok(Credential::Text(value.clone()))
        }
    }
}

/// What is put into a request of a credential of this type (contract/contacts-and-secrets, section 3.3).
pub(super) fn used(
    text: &SecretString,
    secret_type: SecretType,
    scheme: Option<&str>,
) -> Result<Credential, Unusable> {
    Ok(match secret_type {
        SecretType::Basic => {
            let Pair { username, password } = Pair::parse(text.expose_secret())?;
            Credential::Pair { username, password }
        }
        SecretType::Bearer | SecretType::Jwt => {
            let scheme = scheme.unwrap_or("Bearer").to_owned();
            Credential::Token { scheme, token: text.clone() }
        }
        SecretType::OAuth => Credential::Token { scheme: "Bearer".into(), token: text.clone() },
        _ => Credential::Text(text.clone()),
    })
}

/// A JWT signed with the stored key, as the config says.
pub(super) fn sign(
    key: &SecretString,
    config: &Config,
    now: Timestamp,
) -> Result<jwt::Signed, Unusable> {
    let signs = config.signs(SecretType::Jwt);
    let Signs { algorithm, lifetime, claims } =
        signs.ok_or_else(|| Unusable("no such algorithm".into()))?;
    let signed = jwt::sign(algorithm, key, &claims, now, lifetime);
    signed.map_err(|error| Unusable(error.to_string()))
}

/// A user name and a password, as they are stored: in JSON, or as `user:pass` (RFC 7617).
#[derive(Deserialize)]
struct Pair {
    #[serde(alias = "user")]
    username: SecretString,
    #[serde(alias = "pass")]
    password: SecretString,
}

impl Pair {
    fn parse(text: &str) -> Result<Self, Unusable> {
        let parsed = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).ok()
        } else {
            text.split_once(':').map(|(username, password)| Self {
                username: username.into(),
                password: password.into(),
            })
        };
        let pair: Self = parsed.ok_or_else(|| {
            let text = "a value of type basic must be user:password, or JSON with \"username\" and \"password\"";
            Unusable(text.into())
        })?;
        pair.check()?;
        Ok(pair)
    }

    fn check(&self) -> Result<(), Unusable> {
        let parts = [("user name", &self.username), ("password", &self.password)];
        for (what, part) in parts {
            let part = part.expose_secret();
            if part.is_empty() {
                return Err(Unusable(format!("the {what} must not be empty")));
            }
            // RFC 7617, section 2: neither part holds control characters.
            if part.chars().any(char::is_control) {
                return Err(Unusable(format!("the {what} must not contain control characters")));
            }
        }
        if self.username.expose_secret().contains(':') {
            return Err(Unusable("the user name must not contain a colon".into()));
        }
        Ok(())
    }
}

/// A pair as it is stored.
#[derive(Serialize)]
struct PairText<'a> {
    username: &'a str,
    password: &'a str,
}

fn pair(username: &SecretString, password: &SecretString) -> Result<SecretString, Error> {
    let pair = Pair { username: username.clone(), password: password.clone() };
    pair.check().map_err(|why| wrong(&why.0))?;
    let text = PairText { username: username.expose_secret(), password: password.expose_secret() };
    // All the room at once, since a vector that grows leaves old copies behind: an escaped byte has six.
    let most = 6 * (text.username.len() + text.password.len()) + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    serde_json::to_writer(&mut *bytes, &text).map_err(Error::internal)?;
    Ok(std::str::from_utf8(&bytes).map_err(Error::internal)?.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(secret_type: SecretType, config: Value, value: &str) -> String {
        let Value::Object(config) = config else { panic!("{config} is no object") };
        let now = Timestamp::from_seconds(1_440_938_160);
        match ready(&value.into(), secret_type, &Config::new(config), now) {
            Ok(Credential::Text(text)) => text.expose_secret().to_owned(),
            Ok(Credential::Token { scheme, token }) => {
                format!("{scheme} {}", token.expose_secret())
            }
            Ok(Credential::Pair { username, password }) => {
                format!("{} / {}", username.expose_secret(), password.expose_secret())
            }
            Err(why) => why.into_text(),
        }
    }

    #[test]
    fn a_value_is_used_in_the_way_of_its_type() {
        use SecretType as T;
        for (secret_type, config, value, expected) in [
            (T::Plain, json!({"schema": "Token"}), "Key abc", "Key abc"),
            (T::Bearer, json!({}), "abc", "Bearer abc"),
            (T::Bearer, json!({"schema": "Token"}), "abc", "Token abc"),
            (T::OAuth, json!({"schema": "Token"}), "abc", "Bearer abc"),
            (T::Basic, json!({}), "a:b:c", "a / b:c"),
            (T::Basic, json!({}), r#"{"user": "a", "pass": "b"}"#, "a / b"),
            (T::Basic, json!({}), ":b", "the user name must not be empty"),
            (T::Plain, json!({}), "", "the value must not be empty"),
        ] {
            assert_eq!(said(secret_type, config, value), expected);
        }
        let key = "k".repeat(32);
        let signed = said(T::Jwt, json!({"algorithm": "HS256", "schema": "JWT"}), &key);
        assert!(signed.starts_with("JWT ey") && !signed.contains(&key), "{signed}");
    }
}
