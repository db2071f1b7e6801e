//! `/api/v1/secret`: the definitions of credentials (contract/contacts-and-secrets, sections 3 and 4.1).

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::expose::expose;

/// What `create` and `update` take. What is left out stays as it is; an empty text is none.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretFields {
    /// What the account calls it by in paths, as `@alias`: up to 128 of `a-z 0-9 - _`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// More about it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The blueprint it belongs to, in the account's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint_id: Option<String>,
    /// Whose value it has: `shared`, which a new one is, or `personal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::SecretKind>))]
    pub kind: Option<String>,
    /// What its value is: `plain`, which a new one is, `basic`, `bearer`, `jwt`, `oauth`, `template` or
    /// `reference`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::SecretType>))]
    pub secret_type: Option<String>,
    /// The value of a shared secret; an empty one takes it away.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub value: Option<SecretString>,
    /// How it is used, all of it. A `"********"` keeps what is stored in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    /// Who may use it: `private`, which a new one is, `protected` or `public`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::Visibility>))]
    pub visibility: Option<String>,
    /// A JSON object of the account's own; in an update `{"$update": {…}}` changes single keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Map<String, Value>>,
}

impl SecretFields {
    /// Whether nothing is said of any field.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        // Without `..`, so that a new field is not forgotten.
        matches!(
            self,
            Self {
                alias: None,
                name: None,
                description: None,
                blueprint_id: None,
                kind: None,
                secret_type: None,
                value: None,
                config: None,
                visibility: None,
                meta: None,
            }
        )
    }
}

/// How a secret is used, as it is sent. It may hold secrets itself: its `Debug` shows nothing.
#[derive(Clone, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Config(pub Map<String, Value>);

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config([redacted])")
    }
}

/// A secret as `fetch` and `list` show it: everything but its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Its id.
    pub id: String,
    /// What the account calls it by in paths, as `@alias`.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub alias: Option<String>,
    /// What people call it.
    pub name: String,
    /// More about it, for people.
    pub description: String,
    /// The blueprint it belongs to, in the account's own words.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub blueprint_id: Option<String>,
    /// Whose value it has: `shared` or `personal`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::SecretKind))]
    pub kind: String,
    /// What its value is: `plain`, `basic`, `bearer`, `jwt`, `oauth`, `template` or `reference`.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::SecretType))]
    pub secret_type: String,
    /// How it is used. What is sensitive is `"********"`.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub config: Option<Map<String, Value>>,
    /// Who may use it: `private`, `protected` or `public`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::Visibility))]
    pub visibility: String,
    /// A JSON object of the account's own.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub meta: Option<Map<String, Value>>,
    /// When it was made, in unix milliseconds.
    pub created_at: i64,
    /// When it last changed, in unix milliseconds.
    pub updated_at: i64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_sent_as_they_are_and_shown_without_value_and_config() {
        let config = json!({"clientSecret": "hidden"}).as_object().cloned();
        let fields = SecretFields {
            secret_type: Some("oauth".into()),
            value: Some("hidden".into()),
            config: config.map(Config),
            ..SecretFields::default()
        };
        let sent =
            json!({"type": "oauth", "value": "hidden", "config": {"clientSecret": "hidden"}});
        assert_eq!(json!(fields), sent);
        assert!(!format!("{fields:?}").contains("hidden"));
    }
}
