//! Rules for texts that people give things as names, and the form of moments.

use keyfob_core::time::Timestamp;

use crate::error::Error;

/// The longest name, label or issuer, in characters.
const LONGEST: usize = 255;
/// The longest text that describes something, in characters.
const LONGEST_PROSE: usize = 10_000;

/// Refuses a text shorter than `shortest`, longer than 255 characters, or with control characters,
/// which no page shows and PostgreSQL (NUL) does not take.
pub(crate) fn check(field: &'static str, text: &str, shortest: usize) -> Result<(), Error> {
    let length = text.chars().count();
    let code = match field {
        "label" if length < shortest => "missing_label",
        "label" => "invalid_label",
        "issuer" => "invalid_issuer",
        "email" => "invalid_email",
        _ => "invalid_name",
    };
    if length < shortest {
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

/// Refuses a text of more than 10,000 characters, or with control characters other than line breaks and
/// tabs.
pub(crate) fn check_prose(field: &'static str, text: &str) -> Result<(), Error> {
    if text.chars().count() > LONGEST_PROSE {
        let message = format!("\"{field}\" must have at most {LONGEST_PROSE} characters");
        return Err(Error::invalid("bad_request", message));
    }
    if text.chars().any(|c| c.is_control() && !['\n', '\r', '\t'].contains(&c)) {
        let message = format!("\"{field}\" must not contain control characters");
        return Err(Error::invalid("bad_request", message));
    }
    Ok(())
}
