//! How a command fails: what it says, and with which exit status.

use std::{fmt, io, process::ExitCode};

use keyfob_client::Error;
use keyfob_server::vault::OpenError;
use secrecy::ExposeSecret;

use crate::output;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command cannot be carried out as it was given.
    Usage(String),
    /// It failed.
    Failed(anyhow::Error),
    /// The server refused.
    Refused(Error),
    /// There is no such thing in the vault on this machine.
    NotFound,
    /// Nothing is wrong with a trail, but so many of its events are not signed.
    Unproved(u64),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Refused(error) => match error.refusal().map(|refusal| refusal.status.as_u16()) {
                Some(401 | 403) => 3,
                Some(404) => 4,
                _ => 1,
            },
            Self::NotFound => 4,
            Self::Unproved(_) => 5,
            Self::Failed(_) => 1,
        })
    }
}

impl Failure {
    /// Whether who reads the output has gone, as `head` does: there is nothing to say about it.
    pub(crate) fn is_unheard(&self) -> bool {
        let Self::Failed(error) = self else {
            return false;
        };
        let cause = error.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Unproved(events) => write!(
                f,
                "{events} events are not signed: export the trail again when the server has signed or has stopped, or verify it with the master key"
            ),
            Self::Failed(error) => write!(f, "{error:#}"),
            Self::Refused(Error::Refused(refusal)) => {
                f.write_str(&refusal.message)?;
                if let Some(url) = &refusal.url {
                    write!(f, "\nto connect it: {}", output::plain(url.expose_secret()))?;
                }
                match refusal.status.as_u16() {
                    401 => f.write_str(
                        " (is KEYFOB_TOKEN the token of a live key, and --run-as, if given, a direct child of its account?)",
                    ),
                    404 => f.write_str(" (or not visible to this key)"),
                    _ => Ok(()),
                }
            }
            Self::Refused(Error::Transport(error)) => write!(
                f,
                "the server could not be reached: {} (is `keyfob serve` running, and KEYFOB_URL its URL?)",
                innermost(&**error),
            ),
            Self::Refused(error) => write!(f, "{error}"),
            Self::NotFound => f.write_str("Not found"),
        }
    }
}

/// The cause that says what happened; those around it say what was being done.
fn innermost(error: &dyn std::error::Error) -> &dyn std::error::Error {
    error.source().map_or(error, innermost)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(text) => Self::Usage(text),
            error => Self::Refused(error),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Failed(match error {
            // Its own text repeats that of its cause, which is shown after it.
            OpenError::Store(cause) => {
                anyhow::Error::new(cause).context("the database cannot be opened")
            }
            error @ OpenError::Refused(_) => error.into(),
        })
    }
}

impl From<keyfob_server::error::Error> for Failure {
    fn from(error: keyfob_server::error::Error) -> Self {
        match error {
            keyfob_server::error::Error::NotFound => Self::NotFound,
            error => Self::Failed(error.into()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}
