//! The parameters of a code call (contract/totp, section 5).

use std::borrow::Cow;

use crate::{broker::Wish, error::Error};

/// The parameters that mean something, in the order [`values`] gives their values.
const NAMES: [&str; 3] = ["min_validity", "unique", "include"];

/// Reads the query of a code call. Unknown parameters are ignored, as the original does.
pub(super) fn wish(query: &str) -> Result<Wish, Error> {
    let [min_validity, unique, include] = values(query)?;
    Ok(Wish {
        min_validity: min_validity.as_deref().map(seconds).transpose()?,
        unique: unique.as_deref().map(flag).transpose()?,
        next: include.as_deref().map(next).transpose()?.is_some(),
    })
}

/// The values of [`NAMES`], decoded. Two values of one parameter are refused: whichever was picked,
/// a caller who meant the other would get a code that is not what it asked for.
fn values(query: &str) -> Result<[Option<Cow<'_, str>>; 3], Error> {
    let mut values = NAMES.map(|_| None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let known = NAMES.iter().zip(&mut values).find(|(known, _)| **known == name);
        let Some((known, slot)) = known else { continue };
        if slot.as_ref().is_some_and(|earlier| *earlier != value) {
            return Err(Error::invalid(
                "duplicate_parameter",
                format!(
                    "the query has {known} more than once, with different values: send it once"
                ),
            ));
        }
        *slot = Some(value);
    }
    Ok(values)
}

fn seconds(value: &str) -> Result<u32, Error> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let invalid =
        || Error::invalid("invalid_min_validity", "min_validity takes a whole number of seconds");
    value.parse().ok().filter(|_| digits).ok_or_else(invalid)
}

fn flag(value: &str) -> Result<bool, Error> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Error::invalid("invalid_unique", "unique takes true or false")),
    }
}

fn next(value: &str) -> Result<(), Error> {
    let invalid = || Error::invalid("invalid_include", "include takes the value next");
    (value == "next").then_some(()).ok_or_else(invalid)
}
