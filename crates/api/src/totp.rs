//! `/api/v2/totp`: one-time passwords (contract/totp).

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{expose::expose, lenient::or_default};

/// What `POST /api/v2/totp/secrets` takes: `uri`, or `label` and what else is not the default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateTotp {
    /// What people call it. Required without `uri`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub label: Option<String>,
    /// An `otpauth://totp/…` URI; overrides all other fields.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub uri: Option<SecretString>,
    /// The secret in base32. Made by the server if absent: 160 random bits.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password, max_length = 1024))]
    pub secret: Option<SecretString>,
    /// The service it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub issuer: Option<String>,
    /// `SHA1` (default), `SHA256` or `SHA512`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::Algorithm>))]
    pub algorithm: Option<String>,
    /// 6 (default) or 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 6, maximum = 8, multiple_of = 2))]
    pub digits: Option<u32>,
    /// Seconds a code is valid, 1 to 3600; 30 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3600))]
    pub period: Option<u32>,
    /// The contact it belongs to: it goes when the contact is deleted, and keys of this contact see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<String>,
}

/// A stored entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Totp {
    /// A UUID.
    pub id: String,
    /// `SHA1`, `SHA256` or `SHA512`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::Algorithm))]
    pub algorithm: String,
    /// The contact it belongs to; absent if it belongs to none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub contact_id: Option<String>,
    /// When it was stored, RFC 3339 in UTC.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub created_at: String,
    /// How many characters a code has.
    pub digits: u8,
    /// The service it belongs to.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub issuer: Option<String>,
    /// What people call it.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub label: String,
    /// Seconds a code is valid.
    pub period: u32,
    /// `totp` or `steam`.
    #[serde(default, deserialize_with = "or_default")]
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = crate::words::TotpType))]
    pub kind: String,
    /// When its label, issuer or policy last changed, RFC 3339 in UTC.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub updated_at: String,
    /// What holds for its codes when a caller does not say.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub policy: Policy,
    /// The secret in base32, in the answer to its create only.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose", default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password, nullable = false))]
    pub secret: Option<SecretString>,
    /// What the caller should know, in the answer to its create only: `weak_secret` for a secret of
    /// fewer than 128 bits (RFC 4226 section 4, R6).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
}

/// What holds for an entry's codes when a caller does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Policy {
    /// A time step is handed out at most once.
    pub unique: bool,
    /// Seconds that a code must still be valid when it is handed out.
    pub min_validity: u32,
}

/// What `PATCH /api/v2/totp/secrets/{id}` takes. What is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateTotp {
    /// The contact it belongs to; an empty text is none.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "null_as_empty")]
    pub contact_id: Option<String>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub label: Option<String>,
    /// The service it belongs to; an empty text is none.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "null_as_empty")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub issuer: Option<String>,
    /// What holds for its codes when a caller does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<UpdatePolicy>,
}

/// What changes of a policy.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdatePolicy {
    /// A time step is handed out at most once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<bool>,
    /// Seconds that a code must still be valid when it is handed out, not more than its period.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(maximum = 3600))]
    pub min_validity: Option<u32>,
    /// Hands out time steps again that count as handed out although they are far ahead, as after a clock that was
    /// wrong.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forget_steps_ahead: bool,
}

/// `null` takes something away, which absent does not.
fn null_as_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer).map(|text: Option<String>| Some(text.unwrap_or_default()))
}

/// The answer to a create, a fetch or an update.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TotpAnswer {
    /// `OK`.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = crate::words::Ok))]
    pub status: String,
    /// The entry.
    pub totp_secret: Totp,
}

/// The answer to a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TotpList {
    /// `OK`.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = crate::words::Ok))]
    pub status: String,
    /// The account's entries, oldest first.
    pub totp_secrets: Vec<Totp>,
    /// What the caller should know: that damaged entries are left out.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
}

/// The answer to a delete.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// `OK`.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = crate::words::Ok))]
    pub status: String,
}

/// A code and how long it is good for. Its `Debug` does not show it.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CodeAnswer {
    /// `OK`.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = crate::words::Ok))]
    pub status: String,
    /// The code.
    pub code: String,
    /// Seconds until another code is due, 1 to `period`.
    pub expires_in: u32,
    /// The server's clock, in unix seconds.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub server_time: i64,
    /// Since when the code is valid, in unix seconds.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub valid_from: i64,
    /// When the next code is due, in unix seconds.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub valid_until: i64,
    /// Seconds a code is valid.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub period: u32,
    /// How many characters a code has.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub digits: u8,
    /// The next code, with `include=next`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next_code: Option<String>,
    /// Since when the next code is valid, in unix seconds, with `include=next`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next_valid_from: Option<i64>,
}

impl std::fmt::Debug for CodeAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeAnswer").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}
