//! `/api/v1/account`: accounts.

use serde::{Deserialize, Serialize};

use crate::key::CreatedKey;

/// What `POST /api/v1/account/create` takes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// What people call it. Empty if absent.
    #[serde(default)]
    pub name: String,
    /// The e-mail address it can be named by.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
}

/// A new child account and its first owner key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatedAccount {
    /// The account's id.
    pub id: String,
    /// Its owner key.
    pub key: CreatedKey,
}
