//! How a config has its credential sent: where in a request, behind which word, and what is signed with it.

use std::time::Duration;

use keyfob_core::{jwt::Algorithm, proxy::Injection, secret::SecretType};
use serde_json::{Map, Value};

use super::Config;
use crate::error::Error;

/// How long a token lives that nothing else is said of.
const TOKEN_LIFETIME: Duration = Duration::from_mins(10);
/// The word before a token of which nothing else is said.
const SCHEME: &str = "Bearer";

/// How a credential is sent.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::broker) struct Sent {
    /// Where in a request it goes.
    pub(in crate::broker) injection: Injection,
    /// The word before it in `Authorization`, where the config chooses one.
    pub(in crate::broker) scheme: Option<String>,
    /// What is signed with it and sent in its place, if it is a key.
    pub(in crate::broker) signs: Option<Signs>,
}

/// The tokens that are signed with a key (`jwt`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signs {
    pub(crate) algorithm: Algorithm,
    /// How long each of them lives.
    pub(crate) lifetime: Duration,
    /// What they say, beside when they were made and when they end.
    pub(crate) claims: Map<String, Value>,
}

impl Config {
    /// How the credential is sent, for a secret whose value is of this type.
    pub(in crate::broker) fn sent(&self, secret_type: SecretType) -> Result<Sent, Error> {
        let injection = self.injection(secret_type)?;
        // Nowhere else is there a word before it that the config says there.
        let is_behind_it = injection == Injection::Authorization;
        let scheme = self.scheme(secret_type).filter(|_| is_behind_it).map(str::to_owned);
        Ok(Sent { injection, scheme, signs: self.signs(secret_type) })
    }

    /// The word before a token of this type, if it is the config's to choose.
    fn scheme(&self, secret_type: SecretType) -> Option<&str> {
        let chooses = matches!(secret_type, SecretType::Bearer | SecretType::Jwt);
        chooses.then(|| self.text("schema").unwrap_or(SCHEME))
    }

    /// What is signed with a value of this type; `None` if nothing is, or there is no such algorithm.
    pub(in crate::broker) fn signs(&self, secret_type: SecretType) -> Option<Signs> {
        if secret_type != SecretType::Jwt {
            return None;
        }
        let algorithm = self.text("algorithm").map_or(Some(Algorithm::default()), Algorithm::parse);
        let mut claims = self.object("claims").cloned().unwrap_or_default();
        // They are said of each token anew.
        claims.retain(|name, _| !matches!(name.as_str(), "iat" | "exp"));
        Some(Signs {
            algorithm: algorithm?,
            lifetime: self.number("expiresInSeconds").map_or(TOKEN_LIFETIME, Duration::from_secs),
            claims,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::config, *};

    fn sent(secret_type: SecretType, said: Value) -> Sent {
        config(said).sent(secret_type).unwrap()
    }

    #[test]
    fn what_is_not_said_is_what_is_done_without_it() {
        let said = json!({
            "schema": "Bearer", "algorithm": "RS256", "expiresInSeconds": 600,
            "claims": {"iat": 1, "exp": 2},
        });
        assert_eq!(sent(SecretType::Jwt, json!({})), sent(SecretType::Jwt, said));
    }

    #[test]
    fn whatever_changes_what_is_sent_is_told_apart() {
        use SecretType as T;
        for (secret_type, changed) in [
            (T::Jwt, json!({"claims": {"role": "admin"}})),
            (T::Jwt, json!({"expiresInSeconds": 601})),
            (T::Jwt, json!({"algorithm": "EdDSA"})),
            (T::Jwt, json!({"schema": "JWT"})),
            (T::Bearer, json!({"schema": "Token"})),
            (T::Plain, json!({"inject": {"query": "key"}})),
        ] {
            assert_ne!(
                sent(secret_type, changed.clone()),
                sent(secret_type, json!({})),
                "{changed}"
            );
        }
        for (secret_type, same) in [
            (T::Bearer, json!({"claims": {"role": "admin"}, "expiresInSeconds": 1, "scope": "x"})),
            (T::OAuth, json!({"schema": "Token", "expiresInSeconds": 1})),
            (T::Plain, json!({"schema": "Token", "algorithm": "EdDSA"})),
        ] {
            assert_eq!(sent(secret_type, same.clone()), sent(secret_type, json!({})), "{same}");
        }
        // A header that is named has no word of the config's before it.
        let header = |schema: &str| json!({"inject": {"header": "X-Key"}, "schema": schema});
        assert_eq!(sent(T::Bearer, header("Token")), sent(T::Bearer, header("Bearer")));
    }
}
