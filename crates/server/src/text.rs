//! Rules for texts that people give things as names.

use crate::error::Error;

/// The longest name, label or issuer, in characters.
const LONGEST: usize = 255;

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
