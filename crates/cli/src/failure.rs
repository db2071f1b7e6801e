//! How a command fails: what it says, and with which exit status.

use std::{fmt, process::ExitCode};

use keyfob_client::Error;

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
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Refused(Error::Api { status, .. }) => match status.as_u16() {
                401 | 403 => 3,
                404 => 4,
                _ => 1,
            },
            Self::NotFound => 4,
            Self::Failed(_) | Self::Refused(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Failed(error) => write!(f, "{error:#}"),
            Self::Refused(error @ Error::Api { status, .. }) => {
                write!(f, "{error}")?;
                match status.as_u16() {
                    401 => f.write_str(" (is KEYFOB_TOKEN the token of a live key?)"),
                    404 => f.write_str(" (or not visible to this key)"),
                    _ => Ok(()),
                }
            }
            Self::Refused(error) => write!(f, "{error}"),
            Self::NotFound => f.write_str("Not found"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Url(_) => Self::Usage(error.to_string()),
            error => Self::Refused(error),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<keyfob_server::vault::OpenError> for Failure {
    fn from(error: keyfob_server::vault::OpenError) -> Self {
        Self::Failed(error.into())
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

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}
