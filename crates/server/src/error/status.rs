//! What an error is on the wire: the one place where an HTTP status is chosen.

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use keyfob_api::error::ErrorBody;

use super::{Error, LinkProblem, codes};
use crate::{broker::Trouble, page};

/// What an error is on the wire, whatever the dialect.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) status: StatusCode,
    /// Lower case; the upper-case form is made of it.
    pub(crate) code: &'static str,
    pub(crate) message: Cow<'static, str>,
    retry_after: Option<Duration>,
    /// The status is one that stock clients retry, in vain.
    permanent: bool,
}

/// Some clients refuse to wait longer, and give up.
const LONGEST_RETRY_AFTER: u64 = 60;

/// Which API a path belongs to. Each has its own words for a caller it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `/api/v1`.
    V1,
    /// `/api/v2`.
    V2,
    /// `/connect` and where providers send people back to: pages, for people.
    Page,
    /// Everything else, in the words of `/api/v1`.
    Other,
}

impl Dialect {
    pub(crate) fn of(path: &str) -> Self {
        let is_under = |prefix| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if is_under("/api/v1") {
            Self::V1
        } else if is_under("/api/v2") {
            Self::V2
        } else if is_under("/connect") || is_under("/secrets/oauth") {
            Self::Page
        } else {
            Self::Other
        }
    }
}

impl Error {
    pub(crate) fn parts(&self, dialect: Dialect) -> Parts {
        use StatusCode as S;
        let (status, code, message) = match self {
            Self::Invalid { code, message } => (S::BAD_REQUEST, *code, message.clone()),
            Self::NoCredentials if dialect == Dialect::V2 => {
                (S::FORBIDDEN, "missing_credentials", "Did not get inputs for authorization".into())
            }
            Self::InvalidCredentials if dialect == Dialect::V2 => {
                (S::UNAUTHORIZED, "invalid_credentials", "Invalid Credentials".into())
            }
            Self::NoCredentials | Self::InvalidCredentials => {
                (S::UNAUTHORIZED, "not_authenticated", "Not authenticated".into())
            }
            Self::KeyChanged => (
                S::UNAUTHORIZED,
                if dialect == Dialect::V2 { "invalid_credentials" } else { "not_authenticated" },
                "This key was changed while the request came: send it again".into(),
            ),
            Self::Forbidden => {
                (S::FORBIDDEN, "not_authorized", "Not authorized: this key may not do that".into())
            }
            Self::Denied { code, message } => (S::FORBIDDEN, *code, message.clone()),
            Self::AuthorizationRequired { message, .. } => {
                let text = format!("Authorization required: {message}");
                (S::CONFLICT, "authorization_required", text.into())
            }
            Self::ProviderLate => (
                S::SERVICE_UNAVAILABLE,
                "provider_unavailable",
                "The provider has not given a new token yet; try again in a moment".into(),
            ),
            Self::Upstream { code, may_have_it } => {
                let text = if *may_have_it {
                    "The server may have had the request, but gave no answer that can be passed back"
                } else {
                    "The server could not be reached: the request was not sent"
                };
                (S::BAD_GATEWAY, *code, text.into())
            }
            Self::RedirectBlocked { .. } => (
                S::BAD_GATEWAY,
                "redirect_blocked",
                "The server answered with a redirect, which is not followed: it leads to \"location\". Send another request for that, if it is where the credential may go".into(),
            ),
            Self::TransferCoding => (
                S::NOT_IMPLEMENTED,
                "not_implemented",
                "The body has a Transfer-Encoding other than chunked: send it without, or with a Content-Encoding".into(),
            ),
            Self::NotFound => (S::NOT_FOUND, "not_found", "Not found".into()),
            Self::MethodNotAllowed => {
                (S::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed".into())
            }
            Self::TooLarge { most } => {
                let text = format!("The body is larger than {} KiB", most / 1024);
                (S::PAYLOAD_TOO_LARGE, "too_large", text.into())
            }
            Self::HeadersTooLarge => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers_too_large",
                "The request line and headers are larger than 16 KiB; send shorter ones".into(),
            ),
            Self::Timeout => {
                (S::REQUEST_TIMEOUT, "timeout", "The request's body did not come in time".into())
            }
            Self::Conflict { code, message } => (S::CONFLICT, *code, message.clone()),
            Self::WaitTooLong { code, message, .. } => {
                (S::TOO_MANY_REQUESTS, *code, message.clone())
            }
            Self::Link(problem) => {
                let (status, code) = problem.parts();
                (status, code, problem.to_string().into())
            }
            Self::Unavailable(_) => (
                S::SERVICE_UNAVAILABLE,
                "service_unavailable",
                "Service unavailable; try again in a moment".into(),
            ),
            Self::Internal(_) => {
                (S::INTERNAL_SERVER_ERROR, "internal_server_error", "Internal server error".into())
            }
        };
        let retry_after = match self {
            Self::WaitTooLong { after, .. } => Some(*after),
            Self::Unavailable(_) | Self::ProviderLate => Some(Duration::from_secs(1)),
            _ => None,
        };
        let permanent = matches!(
            self,
            Self::Conflict { .. }
                | Self::AuthorizationRequired { .. }
                | Self::Upstream { may_have_it: true, .. }
                | Self::RedirectBlocked { .. }
                | Self::TransferCoding
        );
        Parts { status, code, message, retry_after, permanent }
    }
}

impl LinkProblem {
    const fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::Unknown => (StatusCode::NOT_FOUND, "link_unknown"),
            Self::Used => (StatusCode::GONE, "link_used"),
            Self::Declined => (StatusCode::GONE, "link_declined"),
            Self::Expired => (StatusCode::GONE, "link_expired"),
            Self::Withdrawn => (StatusCode::GONE, "link_withdrawn"),
            Self::OtherBrowser => (StatusCode::FORBIDDEN, "link_in_other_browser"),
            Self::NotFromPage => (StatusCode::FORBIDDEN, "form_not_from_page"),
            Self::Answered => (StatusCode::GONE, "provider_answer_used"),
        }
    }
}

/// The status of the page of a provider that gave nothing, its code, and what happened.
pub(crate) fn trouble_parts(trouble: &Trouble, provider: &str) -> (StatusCode, String, String) {
    match trouble {
        Trouble::Refused(code) => {
            let what = format!("{provider} refused: {code}.");
            (StatusCode::BAD_REQUEST, code.clone(), what)
        }
        Trouble::Unreachable => {
            let what = format!("{provider} did not answer as it should.");
            (StatusCode::BAD_GATEWAY, "temporarily_unavailable".into(), what)
        }
        Trouble::OtherIssuer => {
            let what = format!("The answer did not come from {provider}.");
            (StatusCode::BAD_REQUEST, "invalid_issuer".into(), what)
        }
        Trouble::Unusable => {
            let what = format!("{provider} does not describe itself as it should.");
            (StatusCode::BAD_GATEWAY, "server_error".into(), what)
        }
        Trouble::Incomplete => {
            let what = format!("Whoever asks has not set up all that is needed to ask {provider}.");
            (StatusCode::CONFLICT, "not_connectable".into(), what)
        }
    }
}

impl Parts {
    /// The seconds after which it is worth trying again.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        let seconds = self.retry_after?.as_millis().div_ceil(1000);
        u64::try_from(seconds.clamp(1, LONGEST_RETRY_AFTER.into())).ok()
    }

    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.permanent {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
    }
}

/// Status and body depend on the path's dialect and the request's id, which only the outermost
/// layer knows: the error travels there beside an empty response.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The answer to a request that failed.
pub(crate) fn render(error: &Error, dialect: Dialect, request_id: &str) -> Response {
    error.log(request_id);
    let parts = error.parts(dialect);
    if dialect == Dialect::Page {
        let mut response = page::problem(error, parts.status, parts.code, request_id);
        parts.add_headers(response.headers_mut());
        return response;
    }
    debug_assert!(
        codes::is_listed(parts.status.as_u16(), parts.code, dialect),
        "{} {} is not in `CODES`: no document would have it",
        parts.status,
        parts.code
    );
    let message = parts.message.to_string();
    let v2 = dialect == Dialect::V2;
    let body = ErrorBody {
        status: v2.then(|| "ERROR".into()),
        code: parts.code.to_ascii_uppercase(),
        error: parts.code.into(),
        error_message: v2.then(|| message.clone()),
        error_code: v2.then(|| parts.code.into()),
        message,
        request_id: request_id.into(),
        url: match error {
            Error::AuthorizationRequired { url, .. } => url.clone(),
            _ => None,
        },
        location: match error {
            Error::RedirectBlocked { location } => location.clone(),
            _ => None,
        },
    };
    let mut response = (parts.status, Json(body)).into_response();
    parts.add_headers(response.headers_mut());
    response
}
