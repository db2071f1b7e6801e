//! Errors, and the one place where an HTTP status is chosen.
//!
//! The operations speak of causes, not of statuses. A 4xx tells the caller what to do; a 5xx tells
//! the caller nothing and the log everything, once, with the request's id. What is not permitted
//! and what does not exist are one and the same 404.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use keyfob_api::error::ErrorBody;
use keyfob_core::{
    crypto::OpenError,
    policy::{Denial, RequestDenial},
    totp,
};
use keyfob_store::StoreError;
use secrecy::SecretString;

use crate::{broker::Trouble, page};

/// Why a request was not answered as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong; the text says what to send instead.
    #[error("{message}")]
    Invalid {
        /// The cause, for a program.
        code: &'static str,
        /// The cause and what to do, for a person. Repeats no secret.
        message: Cow<'static, str>,
    },
    /// No credentials came with the request.
    #[error("no credentials")]
    NoCredentials,
    /// The credentials are not those of a live key. Deliberately says no more.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// The key was given something else while the request came.
    #[error("the key was changed meanwhile")]
    KeyChanged,
    /// The key may never do this.
    #[error("not permitted")]
    Forbidden,
    /// This cannot be done with that, whoever asks.
    #[error("{message}")]
    Denied {
        /// The cause, for a program.
        code: &'static str,
        /// The cause and what to do, for a person.
        message: Cow<'static, str>,
    },
    /// A person has to connect something first.
    #[error("{message}")]
    AuthorizationRequired {
        /// Why, for a person.
        message: String,
        /// The link at which they can, if they can. Who has it can use it.
        url: Option<SecretString>,
    },
    /// A provider has not given a new token yet.
    #[error("the provider has not given a new token yet")]
    ProviderLate,
    /// A server that a request was passed on to gave no answer that can be passed back.
    #[error("the server gave no answer that can be passed back")]
    Upstream {
        /// Why, for a program.
        code: &'static str,
        /// Whether it may have had the request, and done what it says.
        may_have_it: bool,
    },
    /// A server that a request was passed on to led elsewhere, and whoever asked cannot be led there.
    #[error("the server answered with a redirect, which is not followed")]
    RedirectBlocked {
        /// Where to, if it said so. Without the credential.
        location: Option<String>,
    },
    /// The body is in a transfer coding that is not undone here.
    #[error("the transfer coding is not known")]
    TransferCoding,
    /// There is no such thing, or not for this caller.
    #[error("not found")]
    NotFound,
    /// The path has other methods.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The body is larger than the server takes.
    #[error("the body is too large")]
    TooLarge {
        /// The largest, in bytes.
        most: usize,
    },
    /// The request line and headers are larger than the server takes.
    #[error("the headers are too large")]
    HeadersTooLarge,
    /// The body did not come in time.
    #[error("the request did not come in time")]
    Timeout,
    /// The request contradicts what is stored; sending it again would not help.
    #[error("{message}")]
    Conflict {
        /// The cause, for a program.
        code: &'static str,
        /// The cause and what to do, for a person.
        message: Cow<'static, str>,
    },
    /// It cannot be had before a while is over: a code that is further away than a caller can be kept waiting, or
    /// another use of a key that was used as often as it may be.
    #[error("{message}")]
    WaitTooLong {
        /// The cause, for a program.
        code: &'static str,
        /// The cause and what to do, for a person.
        message: Cow<'static, str>,
        /// When it is worth asking again.
        after: Duration,
    },
    /// A link at which a person hands over a credential cannot be used.
    #[error("{0}")]
    Link(LinkProblem),
    /// The server cannot do it now.
    #[error("unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The server is at fault.
    #[error("internal error")]
    Internal(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A request that is wrong.
    pub fn invalid(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { code, message: message.into() }
    }

    /// Something of the account has this name already.
    #[must_use]
    pub const fn taken() -> Self {
        Self::conflict("Unique constraint violation")
    }

    /// A refusal in the words of contract/contacts-and-secrets, sections 4 and 5.
    #[must_use]
    pub const fn conflict(message: &'static str) -> Self {
        Self::Conflict { code: "conflict", message: Cow::Borrowed(message) }
    }

    /// A fault of the server's own.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into().into())
    }
}

/// Why a link cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkProblem {
    /// There is none with this state, or it was forgotten.
    #[error("there is no such link")]
    Unknown,
    /// A credential was handed over at it.
    #[error("the link was used")]
    Used,
    /// The person declined.
    #[error("the link was declined")]
    Declined,
    /// Its time is over.
    #[error("the link has expired")]
    Expired,
    /// The account took it back, or what it was for.
    #[error("the link was withdrawn")]
    Withdrawn,
    /// It belongs to another browser.
    #[error("the link belongs to another browser")]
    OtherBrowser,
    /// The form does not come from the page, or the browser keeps no cookies.
    #[error("the form does not come from the link's page")]
    NotFromPage,
    /// The provider's answer has come before.
    #[error("the provider's answer was used")]
    Answered,
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

impl From<LinkProblem> for Error {
    fn from(problem: LinkProblem) -> Self {
        Self::Link(problem)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Overloaded | StoreError::Stopped => {
                Self::Unavailable(Arc::new(error))
            }
            StoreError::Conflict
            | StoreError::Corrupt { .. }
            | StoreError::Database(_)
            | StoreError::Open(_) => Self::Internal(Arc::new(error)),
        }
    }
}

impl From<totp::Invalid> for Error {
    fn from(invalid: totp::Invalid) -> Self {
        Self::invalid(invalid.code(), invalid.to_string())
    }
}

impl From<totp::TimeBeforeEpoch> for Error {
    fn from(error: totp::TimeBeforeEpoch) -> Self {
        Self::internal(error)
    }
}

impl From<RequestDenial> for Error {
    fn from(denial: RequestDenial) -> Self {
        match denial {
            RequestDenial::Limited(denial) => denial.into(),
            RequestDenial::Outside(outside) => {
                Self::invalid("invalid_destination", outside.to_string())
            }
        }
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Never => Self::Forbidden,
            Denial::Hidden => Self::NotFound,
        }
    }
}

/// A stored value that does not open, and where it is.
#[derive(Debug, thiserror::Error)]
#[error(
    "{table} row {row}, column {column}: {source}. The row is damaged or was copied here; restore it from a backup, or delete it and store it again"
)]
pub struct Damaged {
    /// The table.
    pub table: &'static str,
    /// The row's id.
    pub row: String,
    /// The column.
    pub column: &'static str,
    /// That it does not open.
    pub source: OpenError,
}

impl From<Damaged> for Error {
    fn from(damaged: Damaged) -> Self {
        Self::internal(damaged)
    }
}

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

    /// Whether it may be otherwise when it is tried again.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Internal(_)) && !self.is_damage()
    }

    /// Whether what is stored does not open.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Internal(source) if source.is::<Damaged>())
    }

    /// Tells the log what the caller is not told.
    pub(crate) fn log(&self, request_id: &str) {
        if let Self::Unavailable(source) | Self::Internal(source) = self {
            tracing::error!(request_id, error = chain(&**source), "{self}");
        }
    }
}

impl Parts {
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(after) = self.retry_after {
            let seconds = after.as_millis().div_ceil(1000).clamp(1, LONGEST_RETRY_AFTER.into());
            if let Ok(seconds) = u64::try_from(seconds) {
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
        }
        if self.permanent {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
    }
}

/// The error and everything that caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
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
