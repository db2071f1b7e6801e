//! The body of every error.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::expose::expose;

/// The body of an error of `/api/v1`; `/api/v2` adds three fields of its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// `ERROR`, on `/api/v2` only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub status: Option<String>,
    /// What went wrong and what to do, for a person.
    pub message: String,
    /// What went wrong, for a program: upper case, distinct for each cause.
    pub code: String,
    /// The same in lower case.
    pub error: String,
    /// `message` again, on `/api/v2` only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub error_message: Option<String>,
    /// `error` again, on `/api/v2` only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub error_code: Option<String>,
    /// Names this request in the server's log.
    pub request_id: String,
    /// Where a person can do something about it, if they can. Who has it can use it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose", default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password, nullable = false))]
    pub url: Option<SecretString>,
    /// Where an upstream's redirect leads, if it said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub location: Option<String>,
}
