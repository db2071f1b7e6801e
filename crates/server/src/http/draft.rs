//! What a create of a one-time-password entry says: its body, and whether it may be a repeated one
//! (contract/totp, sections 1.3 and 1.6).

use axum::http::HeaderMap;
use keyfob_core::totp::{Algorithm, Invalid, Kind, Parameters, Seed, uri};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{body::Bytes, contact, fields, repeat::repeat};
use crate::{
    broker::{Content, Draft},
    error::Error,
};

/// Reads a create.
pub(super) fn draft(headers: &HeaderMap, body: &Bytes) -> Result<Draft, Error> {
    if body.json::<NotYet>()?.qr_image {
        let text = "qr_image: pictures are not read yet; send uri or secret instead";
        return Err(Error::invalid("bad_request", text));
    }
    let body: CreateBody<'_> = body.json()?;
    let contact: Option<String> = field(body.contact_id, text("contact_id", "invalid_contact_id"))?;
    let contact = contact.map(|id| contact::parse(&id));
    Ok(Draft { content: content(&body)?, contact, repeat: repeat(headers)? })
}

/// Fields of the contract that would be of no effect; whether they are there.
#[derive(Deserialize)]
struct NotYet {
    #[serde(default, deserialize_with = "is_there")]
    qr_image: bool,
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// The fields of a create, read one by one so that each has an error code of its own. An unknown one
/// is refused: a misspelt `secret` would have Keyfob make one that no site knows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody<'a> {
    #[serde(borrow)]
    label: Option<&'a RawValue>,
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
    #[serde(borrow)]
    secret: Option<&'a RawValue>,
    #[serde(borrow)]
    issuer: Option<&'a RawValue>,
    #[serde(borrow)]
    algorithm: Option<&'a RawValue>,
    #[serde(borrow)]
    digits: Option<&'a RawValue>,
    #[serde(borrow)]
    period: Option<&'a RawValue>,
    #[serde(borrow)]
    contact_id: Option<&'a RawValue>,
}

/// A field's value; `null` counts as absent.
fn field<T: serde::de::DeserializeOwned>(
    value: Option<&RawValue>,
    invalid: impl Into<Error>,
) -> Result<Option<T>, Error> {
    match value.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(json) => serde_json::from_str(json).map(Some).map_err(|_| invalid.into()),
    }
}

fn whole(value: Option<&RawValue>, invalid: &Error) -> Result<Option<u32>, Error> {
    let number = field(value, invalid.clone())?;
    let whole = number.map(|number| fields::whole(&number).and_then(|it| u32::try_from(it).ok()));
    whole.map(|whole| whole.ok_or_else(|| invalid.clone())).transpose()
}

fn text(name: &'static str, code: &'static str) -> Error {
    Error::invalid(code, format!("{name} must be a string"))
}

fn content(body: &CreateBody<'_>) -> Result<Content, Error> {
    let uri: Option<SecretString> = field(body.uri, text("uri", "invalid_uri"))?;
    if let Some(uri) = uri {
        return from_uri(&uri, body);
    }
    let secret: Option<SecretString> = field(body.secret, text("secret", "invalid_secret"))?;
    // People paste the whole URI where the secret goes.
    if let Some(uri) = secret.as_ref().filter(|secret| uri::is_uri(secret.expose_secret())) {
        return from_uri(uri, body);
    }
    let label = label(body)?
        .ok_or_else(|| Error::invalid("missing_label", "label is required, unless uri is given"))?;
    let issuer: Option<String> = field(body.issuer, text("issuer", "invalid_issuer"))?;
    let parameters = parameters(body.algorithm, body.digits, body.period)?;
    let seed = secret.map(|secret| Seed::from_base32(secret.expose_secret())).transpose()?;
    Ok(Content { label, issuer, parameters, seed })
}

/// What a URI says; it overrides all other fields, so that they are not even looked at. Where it
/// names nothing, the label does.
fn from_uri(uri: &SecretString, body: &CreateBody<'_>) -> Result<Content, Error> {
    let uri = uri::parse(uri.expose_secret())?;
    let fallback = if uri.label().is_empty() { label(body)? } else { None };
    Ok(Content::from_uri(uri, fallback))
}

fn label(body: &CreateBody<'_>) -> Result<Option<String>, Error> {
    field(body.label, text("label", "invalid_label"))
}

fn parameters(
    algorithm: Option<&RawValue>,
    digits: Option<&RawValue>,
    period: Option<&RawValue>,
) -> Result<Parameters, Error> {
    let algorithm: Option<String> = field(algorithm, Invalid::Algorithm)?;
    let algorithm = algorithm.map(|name| Algorithm::parse(&name)).transpose()?;
    // Seven digits come from URIs and imports only: the API's own enumeration has 6 and 8.
    let invalid = Error::invalid("invalid_digits", "`digits` must be 6 or 8; most sites use 6.");
    let digits = whole(digits, &invalid)?.unwrap_or(6);
    if ![6, 8].contains(&digits) {
        return Err(invalid);
    }
    let period = whole(period, &Invalid::Period.into())?.unwrap_or(30);
    Ok(Parameters::new(Kind::Totp, algorithm.unwrap_or(Algorithm::Sha1), digits, period)?)
}
