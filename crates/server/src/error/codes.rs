//! Every code that an error of the API can have, for a program to tell causes apart. What each means to a person is in
//! docs/api.md.

use super::Dialect;

/// A code, and with which status it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The status.
    pub status: u16,
    /// Lower case; `code` on the wire has it in upper case.
    pub name: &'static str,
    /// In which dialects it comes.
    pub dialects: Dialects,
}

/// In which dialects something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialects {
    /// In both.
    Both,
    /// On all paths but those of `/api/v2`.
    NotV2,
    /// On `/api/v2`.
    V2,
}

impl Dialects {
    /// Whether it is there in `/api/v2`, or elsewhere.
    #[must_use]
    pub const fn has(self, v2: bool) -> bool {
        match self {
            Self::Both => true,
            Self::NotV2 => !v2,
            Self::V2 => v2,
        }
    }
}

/// Whether an error may be as it is: what is not in the list is in no document.
pub(super) fn is_listed(status: u16, name: &str, dialect: Dialect) -> bool {
    let is_it = |code: &Code| {
        code.status == status && code.name == name && code.dialects.has(dialect == Dialect::V2)
    };
    CODES.iter().any(is_it)
}

const fn both(status: u16, name: &'static str) -> Code {
    Code { status, name, dialects: Dialects::Both }
}

const fn v1(status: u16, name: &'static str) -> Code {
    Code { status, name, dialects: Dialects::NotV2 }
}

const fn v2(status: u16, name: &'static str) -> Code {
    Code { status, name, dialects: Dialects::V2 }
}

/// All of them.
pub const CODES: &[Code] = &[
    both(400, "bad_request"),
    v1(400, "invalid_actions"),
    v2(400, "duplicate_parameter"),
    v2(400, "invalid_algorithm"),
    v2(400, "invalid_contact_id"),
    v1(400, "invalid_contacts"),
    v1(400, "invalid_destination"),
    v2(400, "invalid_digits"),
    v1(400, "invalid_email"),
    v1(400, "invalid_expires_at"),
    v1(400, "invalid_hosts"),
    both(400, "invalid_idempotency_key"),
    v2(400, "invalid_include"),
    v2(400, "invalid_issuer"),
    v2(400, "invalid_label"),
    v1(400, "invalid_methods"),
    v2(400, "invalid_min_validity"),
    v1(400, "invalid_name"),
    v1(400, "invalid_paths"),
    v2(400, "invalid_period"),
    v1(400, "invalid_quota"),
    v1(400, "invalid_rate"),
    v1(400, "invalid_return_url"),
    v1(400, "invalid_role"),
    v2(400, "invalid_secret"),
    v1(400, "invalid_secrets"),
    v1(400, "invalid_totp"),
    v2(400, "invalid_unique"),
    v2(400, "invalid_uri"),
    v2(400, "missing_label"),
    v2(400, "missing_secret"),
    v2(400, "unsupported_type"),
    v2(400, "use_import"),
    v2(401, "invalid_credentials"),
    v1(401, "not_authenticated"),
    v1(403, "forbidden_host"),
    v1(403, "forbidden_origin"),
    v1(403, "forbidden_secret_kind"),
    v1(403, "limits_too_wide"),
    v2(403, "missing_credentials"),
    both(403, "not_authorized"),
    v1(403, "not_mintable"),
    both(404, "not_found"),
    both(405, "method_not_allowed"),
    both(408, "timeout"),
    v1(409, "already_connected"),
    v1(409, "authorization_required"),
    v1(409, "conflict"),
    v1(409, "has_children"),
    both(409, "idempotency_key_reused"),
    v2(409, "limit_reached"),
    v1(409, "not_connectable"),
    v1(409, "not_mintable"),
    v1(409, "not_refreshable"),
    v1(409, "reference_broken"),
    v2(409, "steps_ahead"),
    v1(409, "template_broken"),
    both(409, "unreadable_key"),
    v1(409, "unusable_secret"),
    both(413, "too_large"),
    v2(429, "queue_full"),
    both(429, "quota_exceeded"),
    both(429, "rate_limited"),
    v1(429, "too_many_at_once"),
    v1(429, "too_many_links"),
    v2(429, "wait_too_long"),
    both(431, "headers_too_large"),
    both(500, "internal_server_error"),
    v1(501, "not_implemented"),
    v1(502, "redirect_blocked"),
    v1(502, "upstream_encoding"),
    v1(502, "upstream_failed"),
    v1(502, "upstream_unreachable"),
    v1(503, "provider_unavailable"),
    both(503, "service_unavailable"),
];
