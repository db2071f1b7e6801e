//! Rules for texts that people give things as names, and the form of moments.

use keyfob_core::time::Timestamp;

use crate::error::Error;

/// The longest name, label or issuer, in characters.
const LONGEST: usize = 255;

/// Whether a text shows nothing: it is empty, or of blanks only.
pub(crate) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Refuses a text shorter than `shortest`, longer than 255 characters, or with control characters,
/// which no page shows and PostgreSQL (NUL) does not take. One of blanks only counts as empty.
pub(crate) fn check(field: &'static str, text: &str, shortest: usize) -> Result<(), Error> {
    let length = text.chars().count();
    let is_missing = length < shortest || (shortest > 0 && is_blank(text));
    let code = match field {
        "label" if is_missing => "missing_label",
        "label" => "invalid_label",
        "issuer" => "invalid_issuer",
        "email" => "invalid_email",
        _ => "invalid_name",
    };
    if is_missing {
        return Err(Error::invalid(code, format!("{field} must not be empty")));
    }
    if length > LONGEST {
        return Err(Error::invalid(
            code,
            format!("{field} must have at most {LONGEST} characters"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(code, format!("{field} must not contain control characters")));
    }
    Ok(())
}

/// A moment in RFC 3339, in UTC.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map(|at| at.to_string()).unwrap_or_default()
}
