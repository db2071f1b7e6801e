//! The arguments of a call, read as HTTP reads the fields of a body: what is wrong is named, in the same words. It is an
//! error of the tool, which a model can mend (MCP 2025-11-25, "Tools", error handling).

use keyfob_core::id::ContactId;
use rmcp::model::JsonObject;
use serde_json::Value;

use crate::{
    broker::SecretRef,
    error::Error,
    http::{contact, fields::Fields, secret},
};

/// What a tool takes.
pub(super) trait Arguments: Sized {
    /// Takes what there is, and says what is wrong with it or missing.
    fn take(fields: &mut Fields<'_>) -> Result<Self, Error>;
}

/// Reads arguments, and refuses those that the tool does not take.
pub(super) fn read<T: Arguments>(arguments: JsonObject) -> Result<T, Error> {
    let json = Value::Object(arguments).to_string();
    let mut fields: Fields<'_> = serde_json::from_str(&json).map_err(Error::internal)?;
    let taken = T::take(&mut fields)?;
    fields.end()?;
    Ok(taken)
}

/// A text that has to be there; `what` says what it is.
pub(super) fn required(
    fields: &mut Fields<'_>,
    name: &'static str,
    what: &str,
) -> Result<String, Error> {
    let missing = || Error::invalid("bad_request", format!("\"{name}\" is required: {what}"));
    fields.text(name)?.value().ok_or_else(missing)
}

pub(super) fn secret_of(fields: &mut Fields<'_>) -> Result<SecretRef, Error> {
    required(fields, "secret", "an id (sec_…), @alias or (name)").map(|text| secret::parse(&text))
}

pub(super) fn contact_of(fields: &mut Fields<'_>) -> Result<Option<ContactId>, Error> {
    Ok(fields.text("contact")?.value().map(|text| contact::parse(&text)))
}

/// Whether it is said to be so; it is not unless it is said.
pub(super) fn flag(fields: &mut Fields<'_>, name: &'static str) -> Result<bool, Error> {
    Ok(fields.flag(name)?.value().unwrap_or_default())
}
