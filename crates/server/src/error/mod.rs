//! Errors: why a request was not answered as asked.
//!
//! The operations speak of causes, not of statuses, which `status` has. A 4xx tells the caller what to do; a 5xx
//! tells the caller nothing and the log everything, once, with the request's id. What is not permitted and what does
//! not exist are one and the same 404.

mod codes;
mod status;

use std::{borrow::Cow, sync::Arc, time::Duration};

use keyfob_core::{
    crypto::OpenError,
    policy::{Denial, RequestDenial},
    totp,
};
use keyfob_store::StoreError;
use secrecy::SecretString;

pub use self::codes::{CODES, Code, Dialects};
pub(crate) use self::status::{Dialect, render, trouble_parts};

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
