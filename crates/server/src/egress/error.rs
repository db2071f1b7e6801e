//! Why there is no answer, and whether the server may have had the request.

use std::{error::Error, io};

use super::lookups::Busy;

/// The longest text of another library that is passed on, in characters: a certificate's names are
/// in it, and they are the server's.
const LONGEST_CAUSE: usize = 200;

/// Why there is no answer. What matters to the caller is whether it may send the request again.
/// Holds nothing of the URL but its host, and nothing of headers and bodies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing was sent, nor will it ever be.
    #[error("nothing was sent: {0}")]
    Refused(#[from] Refusal),
    /// The server has not seen the request: its name does not resolve, it takes no connection, or
    /// TLS failed. The request may be sent again.
    #[error("the server could not be reached: {0}")]
    NotSent(String),
    /// Nothing was sent: too many names of this account, or of all, are looked up and do not answer.
    #[error("nothing was sent: too many names are being looked up that do not answer")]
    Busy,
    /// The server may have seen the request, and even have done what it says.
    #[error("the server may have had the request, but did not answer as it should: {0}")]
    NoAnswer(String),
    /// The server has answered, with more than is read.
    #[error("the server's answer is larger than 256 KiB")]
    TooLarge,
}

/// Why a URL is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither https nor http.
    #[error("a URL must begin with https://, and this one with {0}:")]
    Scheme(String),
    /// There is no host, or nothing that could be the name of one.
    #[error("the URL names no host")]
    Host,
    /// Port 0, at which nobody can be.
    #[error("the URL says port 0, at which nothing can be")]
    Port,
    /// The URL holds a user name or a password.
    #[error("the URL holds a user name or a password, which nothing may be sent with")]
    User,
    /// Plain http to what is not let through.
    #[error("{0} would be asked in the clear: use https, or name it in KEYFOB_EGRESS_ALLOW")]
    Plain(String),
    /// The name is one of the machine itself or of its network, wherever it leads.
    #[error(
        "{0} is a name for use within a network: if it is meant, name it in KEYFOB_EGRESS_ALLOW"
    )]
    LocalName(String),
    /// The host is at an address that is not public, perhaps among others.
    #[error(
        "{host} is at an address for {range}, which is not public: if it is meant, name it in KEYFOB_EGRESS_ALLOW"
    )]
    NotPublic {
        /// The host of the URL.
        host: String,
        /// What the address is for.
        range: &'static str,
    },
}

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Nothing of it can have been sent.
    Nobody,
    /// Some of it may have been sent.
    Perhaps,
}

impl SendError {
    /// What an error of the HTTP client that reads whole answers means for a request that came so far.
    pub(super) fn of(error: &reqwest::Error, reached: Reached) -> Self {
        let reached = if error.is_connect() { Reached::Nobody } else { reached };
        if error.is_timeout() {
            return Self::too_slow(reached);
        }
        // The error itself says the URL.
        match error.source() {
            Some(cause) => Self::caused_by(cause, reached),
            None => Self::lost(String::new(), reached),
        }
    }

    /// What it means that this has happened to a request that came so far.
    pub(super) fn caused_by(error: &(dyn Error + 'static), reached: Reached) -> Self {
        if causes(error).any(<dyn Error>::is::<Busy>) {
            return Self::Busy;
        }
        match causes(error).find_map(|cause| cause.downcast_ref::<Refusal>()) {
            Some(refusal) => Self::Refused(refusal.clone()),
            None => Self::lost(innermost(error), reached),
        }
    }

    /// The request took longer than it may.
    pub(super) fn too_slow(reached: Reached) -> Self {
        Self::lost(TOO_SLOW.into(), reached)
    }

    pub(super) fn lost(text: String, reached: Reached) -> Self {
        match reached {
            Reached::Nobody => Self::NotSent(text),
            Reached::Perhaps => Self::NoAnswer(text),
        }
    }
}

const TOO_SLOW: &str = "it took too long";

/// What the innermost cause says: the ones around it say the URL and little else.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let innermost = causes(error).last().map(ToString::to_string);
    innermost.unwrap_or_default().chars().take(LONGEST_CAUSE).collect()
}

/// An error and what caused it, from outside inwards.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// What caused an error. An I/O error tells what it holds by `get_ref` only.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held),
        None => error.source(),
    }
}
