//! The provider's endpoints.

use serde::{Deserialize, Serialize};

/// An endpoint, as scripts and the ledger name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Endpoint {
    /// `/authorize` (RFC 6749 section 3.1).
    Authorize,
    /// `/token` (RFC 6749 section 3.2).
    Token,
    /// `/device_authorization` (RFC 8628 section 3.1).
    DeviceAuthorization,
    /// `/device`, the page at which people approve a device.
    Device,
    /// `/revoke` (RFC 7009).
    Revoke,
    /// `/introspect` (RFC 7662).
    Introspect,
    /// `/userinfo` (`OpenID` Connect Core 5.3).
    Userinfo,
    /// `/resource`, which takes access tokens (RFC 6750).
    Resource,
    /// `/register` (RFC 7591).
    Register,
    /// `/.well-known/…` (RFC 8414, `OpenID` Connect Discovery, RFC 9728) and `/jwks`.
    Metadata,
    /// Any other path.
    Other,
}

impl Endpoint {
    /// The endpoint at this path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        match path {
            "/authorize" => Self::Authorize,
            "/token" => Self::Token,
            "/device_authorization" => Self::DeviceAuthorization,
            "/device" => Self::Device,
            "/revoke" => Self::Revoke,
            "/introspect" => Self::Introspect,
            "/userinfo" => Self::Userinfo,
            "/resource" => Self::Resource,
            "/register" => Self::Register,
            "/jwks" => Self::Metadata,
            _ if path.starts_with("/.well-known/") => Self::Metadata,
            _ => Self::Other,
        }
    }
}
