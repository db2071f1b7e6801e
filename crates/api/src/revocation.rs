//! `/api/v1/revocation`: how grants are revoked at their providers, after what held them is gone.

use serde::{Deserialize, Serialize};

/// The revocation of one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// The id of the connection that it was.
    pub id: String,
    /// The contact's id; null for the one value of a shared secret.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub contact_id: Option<String>,
    /// The secret's id.
    pub secret_id: String,
    /// `pending`, `revoked`, `unsupported` or `failed`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::RevocationStatus))]
    pub status: String,
    /// How often the provider was asked in vain.
    pub attempts: u32,
    /// What went wrong the last time, for people.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub problem: Option<String>,
    /// When it was queued, in unix milliseconds.
    pub created_at: i64,
    /// When it is tried next, in unix milliseconds; null once it is over.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_attempt_at: Option<i64>,
    /// When it was over, in unix milliseconds; null while it is pending.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub ended_at: Option<i64>,
}
