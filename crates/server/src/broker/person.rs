//! How a person is reached: the forms in which addresses and numbers are stored.

use phonenumber::{Mode, country};

use crate::{error::Error, text};

/// An e-mail address as it was given; an empty one is none.
pub(super) fn email(value: String) -> Result<Option<String>, Error> {
    if value.is_empty() {
        return Ok(None);
    }
    text::check_line("email", &value)?;
    match value.parse::<email_address::EmailAddress>() {
        Ok(_) => Ok(Some(value)),
        Err(_) => Err(Error::invalid("bad_request", "\"email\" must be a valid email")),
    }
}

/// A phone number in E.164; one without a country code is of the United States, an empty one none.
pub(super) fn phone(value: &str) -> Result<Option<String>, Error> {
    if value.is_empty() {
        return Ok(None);
    }
    let number = phonenumber::parse(Some(country::US), value).ok();
    let number = number.filter(phonenumber::PhoneNumber::is_valid);
    let wrong = || Error::invalid("bad_request", "\"phone\" must be a phone number");
    let number = number.ok_or_else(wrong)?;
    Ok(Some(number.format().mode(Mode::E164).to_string()))
}
