//! How a connection that speaks another protocol ends, and what is told of that.

use std::io;

use super::frames::Unreadable;

/// How it ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the connection ended")]
    Regularly,
    #[error("the server sent the credential back: the connection was ended before it")]
    Leak,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("the server sent too much behind what may have become the credential")]
    KeptTooMuch,
    #[error("the key may not use it any more: {0}")]
    NoMore(String),
    #[error("for too long it could not be seen whether the key may still use it")]
    Unsure,
    #[error("nobody had sent anything for 10 minutes")]
    Idle,
    #[error("it was ended after an hour")]
    TooLong,
    #[error("{0}")]
    Lost(#[from] io::Error),
}

/// The first byte of a close frame (RFC 6455, section 5.5.1).
const CLOSE: u8 = 0x88;

impl Ended {
    /// The result that the audit trail is told.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::Regularly => "answered",
            Self::Leak => "redacted",
            _ => "broke_off",
        }
    }

    /// The frame that tells the caller, where Keyfob ended it (RFC 6455, section 7.4.1).
    pub(super) fn close_frame(&self) -> Option<Vec<u8>> {
        let (code, reason) = match self {
            Self::Regularly | Self::Lost(_) => return None,
            Self::Leak => (1008, "keyfob: the credential came back"),
            Self::NoMore(_) => (1008, "keyfob: the key may not use it any more"),
            Self::Unreadable(_) | Self::KeptTooMuch => (1002, "keyfob: it cannot be looked into"),
            Self::Unsure => (1013, "keyfob: unavailable"),
            Self::Idle => (1001, "keyfob: idle for too long"),
            Self::TooLong => (1001, "keyfob: open for too long"),
        };
        let payload = [&u16::to_be_bytes(code), reason.as_bytes()].concat();
        let length = u8::try_from(payload.len()).ok()?;
        Some([&[CLOSE, length], &*payload].concat())
    }
}
