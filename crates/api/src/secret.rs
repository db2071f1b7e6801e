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
    #[cfg_attr(feature = "openapi", schema(max_length = 128, pattern = r"^[a-z0-9_-]*$"))]
    pub alias: Option<String>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub name: Option<String>,
    /// More about it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 10_000, pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")
    )]
    pub description: Option<String>,
    /// The blueprint it belongs to, in the account's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub blueprint_id: Option<String>,
    /// Whose value it has: `shared`, which a new one is, or `personal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::SecretKind>, nullable = false))]
    pub kind: Option<String>,
    /// What its value is: `plain`, which a new one is, `basic`, `bearer`, `jwt`, `oauth`, `template` or
    /// `reference`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::SecretType>, nullable = false))]
    pub secret_type: Option<String>,
    /// The value of a shared secret; an empty one takes it away.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password, max_length = 32_768))]
    pub value: Option<SecretString>,
    /// How it is used, all of it. A `"********"` keeps what is stored in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<ConfigFields>))]
    pub config: Option<Config>,
    /// Who may use it: `private`, which a new one is, `protected` or `public`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::Visibility>, nullable = false))]
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

/// What a config says, whatever the type of the secret: what a type does not read is kept as it is, if it is a text, a
/// number, true, false, null, or an object of those. `null` is nothing.
#[cfg(feature = "openapi")]
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ConfigFields {
    /// Where the credential may go: `api.example.com`, or `*.example.com` for all below one, with a port where it is
    /// not 443. Without any it goes nowhere.
    pub hosts: Option<Vec<String>>,
    /// The methods that requests with it may have; all if absent.
    #[schema(value_type = Option<Vec<crate::words::Method>>)]
    pub methods: Option<Vec<String>>,
    /// Beginnings of the paths that it may go to: `/v1/` for all below it; all if absent.
    pub paths: Option<Vec<String>>,
    /// Where in a request it goes, if not into `Authorization`.
    pub inject: Option<Map<String, Value>>,
    /// `sigv4`: a pair of type `basic` is an access key and its secret, which sign requests to AWS.
    pub signing: Option<String>,
    /// The region that is signed for.
    pub region: Option<String>,
    /// The service that is signed for.
    pub service: Option<String>,
    /// The word in front of the credential in `Authorization`; `Bearer` if absent. Types `bearer` and `jwt`.
    pub schema: Option<String>,
    /// How tokens of type `jwt` are signed: `RS256`, which is so if absent, `ES256`, `EdDSA` or `HS256`.
    pub algorithm: Option<String>,
    /// How long a token lives: of type `jwt` one that is signed, of type `oauth` one of which the provider does not say.
    pub expires_in_seconds: Option<u32>,
    /// What tokens of type `jwt` say.
    pub claims: Option<Map<String, Value>>,
    /// The client at the provider. Type `oauth`, as all that follow until `template`.
    pub client_id: Option<String>,
    /// The client's secret.
    #[schema(format = Password)]
    pub client_secret: Option<String>,
    /// Several of them, the newest first.
    #[schema(min_items = 1, max_items = 10)]
    pub client_secrets: Option<Vec<String>>,
    /// A private key in PEM, with which the client shows who it is.
    #[schema(format = Password)]
    pub client_key: Option<String>,
    /// The key's id.
    pub client_key_id: Option<String>,
    /// What it signs with: `RS256`, `ES256` or `EdDSA`.
    pub client_key_algorithm: Option<String>,
    /// How the client shows who it is: `client_secret_post`, `client_secret_basic`, `private_key_jwt` or `none`.
    pub token_endpoint_auth_method: Option<String>,
    /// What is asked for, separated by blanks.
    pub scope: Option<String>,
    /// What is asked for of the person, where a provider tells that apart.
    pub user_scope: Option<String>,
    /// Where people authorize.
    pub authorization_url: Option<String>,
    /// Where tokens come from.
    pub token_url: Option<String>,
    /// Where they are revoked.
    pub revoke_url: Option<String>,
    /// Where a token is tried.
    pub validate_url: Option<String>,
    /// Where a device asks for a code that a person enters.
    pub device_authorization_url: Option<String>,
    /// The authorization server, which says all of that itself.
    pub issuer: Option<String>,
    /// What tokens are for, which says who its authorization server is.
    pub resource_url: Option<String>,
    /// `authorization_code`, which is so if absent, or `client_credentials`.
    pub grant_type: Option<String>,
    /// The name of a template. Type `template`.
    pub template: Option<String>,
    /// What is filled into the template, or into what a reference stands for.
    pub parameters: Option<Map<String, Value>>,
    /// What a reference stands for: a secret's id or name. Type `reference`.
    pub reference: Option<String>,
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
