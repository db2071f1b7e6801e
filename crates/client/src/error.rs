//! Why a call failed.

use std::{error::Error as StdError, time::Duration};

use http::StatusCode;
use secrecy::SecretString;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a call failed.
///
/// What the server said is [`Error::Refused`]; its parts are there for every error by
/// [`status`](Self::status), [`code`](Self::code) and [`request_id`](Self::request_id).
///
/// ```
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
/// # doc::example(async |client| {
/// match client.contact("c9qzy1f0o0002l8j5s7d3k4mn").fetch().await {
///     Ok(contact) => println!("{}", contact.name),
///     Err(error) if error.code() == Some("NOT_FOUND") => println!("no such contact"),
///     Err(error) => return Err(error),
/// }
/// # Ok(()) });
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for cannot be sent, and nothing was: an option, an id or a header is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The server refused.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// The answer is not JSON of this API, although its status says that all is well: another server
    /// answers there, or something between here and it.
    #[error(
        "the server answered {status} with {what}, and not as this API does: is this the right URL?"
    )]
    Foreign {
        /// The HTTP status.
        status: StatusCode,
        /// What it answered with instead, without a word of it.
        what: String,
    },
    /// The server answered with a redirect. It is not followed: the key would go elsewhere.
    #[error("the server answered {status}{}, which is not followed: use the URL that it leads to as the base URL", to(.location.as_deref()))]
    Redirected {
        /// The HTTP status.
        status: StatusCode,
        /// To which server it leads, without the rest, which may hold a token.
        location: Option<String>,
    },
    /// A stream ended before its end: what came of it is not all.
    #[error("the stream broke off: {message}")]
    BrokenOff {
        /// The server's code for it, upper case, if it said one.
        code: Option<String>,
        /// What happened, for people.
        message: String,
    },
    /// The answer is larger than [the client takes](crate::ClientBuilder::largest_answer), in bytes.
    #[error(
        "the answer is larger than {0} bytes: have it as it comes (`open`), or let the client take more (`largest_answer`)"
    )]
    TooLarge(usize),
    /// No whole answer came within the time that there was. The server may have done what it was asked.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The server could not be reached, or the connection broke.
    #[error("the server could not be reached: {0}")]
    Transport(#[source] BoxError),
}

fn to(location: Option<&str>) -> String {
    location.map(|location| format!(" to {location}")).unwrap_or_default()
}

/// What a server said when it refused (contract/contacts-and-secrets, section 1.4; contract/keyfob, "Every
/// answer").
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The cause, for a program: upper case. `ERROR_<status>` where the server names none, `GENERIC_ERROR` or
    /// `CONTENT_TOO_LARGE` where its answer was no JSON.
    pub code: String,
    /// The cause and what to do, for people.
    pub message: String,
    /// What names this request in the server's log.
    pub request_id: Option<String>,
    /// Where a person can do something about it, if they can. Who has it can use it.
    pub url: Option<SecretString>,
    /// Where an upstream's redirect leads, of a proxied request.
    pub location: Option<SecretString>,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether the server says that this should be sent again, or should not (`x-should-retry`).
    pub should_retry: Option<bool>,
}

impl Error {
    /// The HTTP status, if there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::Foreign { status, .. } | Self::Redirected { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The server's code: upper case, distinct for each cause (`NOT_FOUND`, `AUTHORIZATION_REQUIRED`).
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.code),
            Self::BrokenOff { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// What names the request in the server's log.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.refusal()?.request_id.as_deref()
    }

    /// Where a person can connect what is missing (`AUTHORIZATION_REQUIRED`). Who has it can use it: it is for
    /// the contact, and for nobody else.
    #[must_use]
    pub fn authorization_url(&self) -> Option<&SecretString> {
        self.refusal()?.url.as_ref()
    }

    /// How long the server asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after
    }

    /// All that the server said, if it refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(crate) fn transport(error: BoxError) -> Self {
        Self::Transport(match error.downcast::<reqwest::Error>() {
            // The URL may hold ids and what was searched for; the rest says enough.
            Ok(error) => Box::new(error.without_url()),
            Err(error) => error,
        })
    }

    /// Whether the request surely did not reach the server.
    pub(crate) fn is_unsent(&self) -> bool {
        let Self::Transport(error) = self else { return false };
        error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
    }
}
