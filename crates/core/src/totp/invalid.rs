//! What can be wrong with a one-time password that someone wants to store.

use thiserror::Error;

/// Why a secret, its parameters or its URI can't be stored.
///
/// The text is a sentence for the person who sent it. It says what to do, and never repeats any
/// part of the secret, so it may be answered and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Invalid {
    /// The text isn't a URI of a one-time password at all.
    #[error(transparent)]
    Uri(UriFault),
    /// The codes are of a kind that isn't known, or that counts uses instead of time (`hotp`).
    #[error(
        "Only codes made from the time are supported: the type must be `totp` or `steam`. Set the \
         account up again with a time-based code."
    )]
    Type,
    /// The URI holds a whole export of an authenticator app (`otpauth-migration:`).
    #[error(
        "This is an export of an authenticator app, which can hold several accounts. Give it to the \
         import, or send the `otpauth://` URI of one account."
    )]
    UseImport,
    /// The URI has no `secret` parameter, or an empty one.
    #[error(
        "The URI has no secret. Copy all of it, with the `secret=` part, from the page that showed it."
    )]
    MissingSecret,
    /// The secret isn't base32, or is too short or too long.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// The named parameter stands in the URI more than once, with different values. Apps disagree
    /// on which one counts, so none is picked.
    #[error("The URI has `{0}` more than once, with different values. Keep only the right one.")]
    DuplicateParameter(&'static str),
    /// The period is out of range, or not a whole number.
    #[error(
        "`period` must be a whole number of seconds from 1 to 3600; most sites use 30, and Steam \
         always does."
    )]
    Period,
    /// The number of digits is not one that sites use.
    #[error("`digits` must be 6, 7 or 8; most sites use 6. A Steam code always has 5 characters.")]
    Digits,
    /// The hash algorithm is not one that sites use.
    #[error(
        "`algorithm` must be SHA1, SHA256 or SHA512; most sites use SHA1, and Steam always does."
    )]
    Algorithm,
}

impl Invalid {
    /// The stable name of this error for programs, such as `invalid_secret`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Uri(_) => "invalid_uri",
            Self::Type => "unsupported_type",
            Self::UseImport => "use_import",
            Self::MissingSecret => "missing_secret",
            Self::Secret(_) => "invalid_secret",
            Self::DuplicateParameter(_) => "duplicate_parameter",
            Self::Period => "invalid_period",
            Self::Digits => "invalid_digits",
            Self::Algorithm => "invalid_algorithm",
        }
    }
}

/// Why a text can't be read as a URI of a one-time password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UriFault {
    /// It starts with something other than `otpauth://` or `steam://`.
    #[error(
        "This is not the URI of a one-time password. Send all the text of the QR code; it starts \
         with `otpauth://`."
    )]
    Scheme,
    /// A percent escape in it decodes to bytes that are not UTF-8.
    #[error(
        "The URI has a percent escape that is not UTF-8 text. Copy the URI again from the page that \
         showed it, or send the secret and a label instead."
    )]
    NotUtf8,
    /// A `#` in the query cuts off parameters that decide the codes.
    #[error(
        "The URI has a `#` in its query, and what follows it would be cut off. Write a `#` that \
         belongs to a name as `%23`."
    )]
    Fragment,
    /// It was copied out of HTML, where `&` is written `&amp;`.
    #[error(
        "The URI has `&amp;` between its parameters, as in the source of a web page. Write `&` there."
    )]
    Html,
}

/// Why a text can't be read as a secret.
///
/// A position counts characters from 1, blanks and dashes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretFault {
    /// Nothing is left once blanks, dashes and padding are taken away.
    #[error("The secret is empty. Copy it again from the page that showed it.")]
    Empty,
    /// It is longer than 1024 base32 characters (640 bytes).
    #[error(
        "The secret is longer than 1024 characters. Check that only the secret was copied, not the \
         page around it."
    )]
    TooLong,
    /// A 0, 1, 8 or 9, which base32 leaves out because they look like letters.
    #[error(
        "Character {position} of the secret is a digit that base32 does not have (0, 1, 8 or 9). 0 \
         is often the letter O, 1 the letter I or L, and 8 the letter B: compare it with the page \
         that showed it."
    )]
    Digit {
        /// Where it stands.
        position: usize,
    },
    /// A character that is neither a letter from A to Z nor a digit from 2 to 7.
    #[error(
        "Character {position} of the secret is not base32. A secret has only the letters A to Z and \
         the digits 2 to 7: copy it again, or use the text form the page offers under its QR code."
    )]
    Character {
        /// Where it stands.
        position: usize,
    },
    /// A `=` before the end.
    #[error(
        "The secret has a `=` before its end. Send one secret at a time, or leave the `=` out."
    )]
    PaddingInside,
    /// A number of characters that no number of bytes gives.
    #[error(
        "The secret has a length that base32 can't have, so a character is missing or too many. Copy \
         it again from the page that showed it."
    )]
    Length,
}

/// The clock says that it is before 1970, so there is no step and no code.
///
/// A clock this wrong is a fault of the machine, not of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("The clock of the server is before 1970, so no code can be made. Set the clock.")]
pub struct TimeBeforeEpoch;
