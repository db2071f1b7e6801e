//! `/api/v1/account`: accounts.

use serde::{Deserialize, Serialize};

use crate::key::CreatedKey;

/// What `POST /api/v1/account/create` takes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// What people call it. Empty if absent.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub name: String,
    /// The e-mail address it can be named by.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub email: Option<String>,
}

/// A new child account and its first owner key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedAccount {
    /// The account's id.
    pub id: String,
    /// Its owner key.
    pub key: CreatedKey,
}

/// What `POST /api/v1/account/update` takes. What is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateAccount {
    /// What people call it: its contacts see this where they hand over a credential.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub name: Option<String>,
    /// Where its contacts may be sent back to, as origins such as `https://app.example.com`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 50))]
    pub allowed_origins: Option<Vec<String>>,
}

/// An account as `fetch` and `update` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The e-mail address it can be named by.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub email: Option<String>,
    /// Where its contacts may be sent back to, as origins.
    pub allowed_origins: Vec<String>,
    /// When it was made, in unix milliseconds.
    pub created_at: i64,
}
