//! Rules for texts that people give things as names, and the form of moments.

use keyfob_core::time::Timestamp;

use crate::error::Error;

/// The longest name, label or issuer, in characters.
const LONGEST: usize = 255;
/// The longest text that describes something, in characters.
const LONGEST_PROSE: usize = 10_000;

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

/// Refuses a line of more than 255 characters, or with control characters; as `/api/v1` says it.
pub(crate) fn check_line(field: &'static str, text: &str) -> Result<(), Error> {
    check_length(field, text, LONGEST)?;
    check_controls(field, text, &[])
}

/// Refuses a text of more than 10,000 characters, or with control characters other than line breaks and
/// tabs; as `/api/v1` says it.
pub(crate) fn check_prose(field: &'static str, text: &str) -> Result<(), Error> {
    check_length(field, text, LONGEST_PROSE)?;
    check_controls(field, text, &['\n', '\r', '\t'])
}

/// A line as it is stored: an empty one is none.
pub(crate) fn line(field: &'static str, text: String) -> Result<Option<String>, Error> {
    check_line(field, &text)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A longer text as it is stored: an empty one is none.
pub(crate) fn prose(field: &'static str, text: String) -> Result<Option<String>, Error> {
    check_prose(field, &text)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn check_length(field: &'static str, text: &str, longest: usize) -> Result<(), Error> {
    if text.chars().count() <= longest {
        return Ok(());
    }
    let message = format!("\"{field}\" must have at most {longest} characters");
    Err(Error::invalid("bad_request", message))
}

fn check_controls(field: &'static str, text: &str, allowed: &[char]) -> Result<(), Error> {
    if !text.chars().any(|c| c.is_control() && !allowed.contains(&c)) {
        return Ok(());
    }
    Err(Error::invalid("bad_request", format!("\"{field}\" must not contain control characters")))
}
