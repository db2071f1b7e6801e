//! `/api/v1/contact`: contacts (contract/contacts-and-secrets, section 2).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lenient::or_default;

/// What `create`, `ensure` and `update` take. What is left out stays as it is; an empty text is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContactFields {
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
    /// What the account itself calls it by, at least 16 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub fingerprint: Option<String>,
    /// An e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 255))]
    pub email: Option<String>,
    /// A phone number; one without a country code is taken to be of the United States.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// A nickname.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub nick: Option<String>,
    /// What it prefers, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 10_000, pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")
    )]
    pub preferences: Option<String>,
    /// Since when the account vouches for it, in unix milliseconds; null (`Some(None)`) is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::Moment>))]
    pub verified_at: Option<Option<i64>>,
    /// A JSON object of the account's own; in an update `{"$update": {…}}` changes single keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Map<String, Value>>,
}

/// A contact as `fetch`, `list` and `export` show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Its id.
    pub id: String,
    /// What people call it.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub name: String,
    /// More about it, for people.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub description: String,
    /// What the account itself calls it by.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub fingerprint: String,
    /// An e-mail address.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub email: Option<String>,
    /// A phone number, E.164.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub phone: Option<String>,
    /// A nickname.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub nick: Option<String>,
    /// What it prefers, in its own words.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub preferences: Option<String>,
    /// Since when the account vouches for it, in unix milliseconds.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub verified_at: Option<i64>,
    /// A JSON object of the account's own.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub meta: Option<Map<String, Value>>,
    /// When it was made, in unix milliseconds.
    pub created_at: i64,
    /// When it last changed, in unix milliseconds.
    pub updated_at: i64,
}
