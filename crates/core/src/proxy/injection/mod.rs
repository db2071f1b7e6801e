//! Where in a request its credential goes.

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, HOST},
    request::Parts,
    uri::PathAndQuery,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    Credential, Payload, SigV4, SignError,
    config::may_be_filled,
    credential::{basic, encoded, joined, of_pair},
    placeholder::{Placeholder, is_own, normalized, placeholders},
    sigv4,
};
use crate::time::Timestamp;

/// Schemes that are not said twice, whatever the credential's own is.
const SCHEMES: [&str; 2] = ["Bearer", "Basic"];
/// What a query may hold as it is (RFC 3986 section 2.3).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where in a request its credential goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Injection {
    /// Into `Authorization`, in the way of its type (contract/contacts-and-secrets, section 3.3).
    Authorization,
    /// Into a header.
    Header {
        /// The header.
        name: HeaderName,
        /// What stands before it there. If nothing is said, that is `Basic ` for a user name and a password,
        /// and otherwise nothing.
        prefix: Option<String>,
    },
    /// Into a parameter of the query.
    Query {
        /// The parameter.
        name: String,
    },
    /// Into `Authorization` as a user name, with an empty password (RFC 7617).
    BasicUsername,
    /// Into `Authorization` as the password of this user.
    BasicPassword {
        /// The user name.
        username: String,
    },
    /// Nowhere: it signs the request.
    SigV4(SigV4),
}

/// Where a credential went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into this header.
    Header(HeaderName),
    /// Into this parameter of the query.
    Query(String),
    /// It signed the request.
    Signature,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query parameter {name}"),
            Self::Signature => f.write_str("signature"),
        }
    }
}

/// A credential cannot be put into a request. Says nothing of the credential.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// A placeholder names another secret.
    #[error(
        "the placeholder {name} names another secret: only the secret that the request is sent with can be filled in, as ${{SECRET_DEFAULT}}{own}"
    )]
    OtherSecret {
        /// The name in the placeholder.
        name: String,
        /// Its own name, if it has one that a placeholder can say.
        own: String,
    },
    /// A placeholder stands in a header that is for no credential.
    #[error(
        "a placeholder cannot stand in the header {name}, whose name does not say that it is for a credential and for nothing else: put it into Authorization, or name the header in the secret's \"config.inject\""
    )]
    OtherHeader {
        /// The header.
        name: HeaderName,
    },
    /// Something else stands beside a placeholder.
    #[error(
        "a placeholder has the header {name} to itself, or stands behind one word, as in \"Bearer ${{SECRET_DEFAULT}}\": leave out what else is there, or say it as a \"prefix\" in the secret's \"config.inject\""
    )]
    NotAlone {
        /// The header.
        name: HeaderName,
    },
    /// The secret signs requests and is in no header.
    #[error(
        "this secret signs the request and cannot be filled into a header: leave the placeholder out"
    )]
    SignsOnly,
    /// Too much would be filled in.
    #[error("the URL would be longer than 65535 bytes with the credential in it")]
    Long,
    /// It has characters that cannot be sent.
    #[error(
        "the stored credential is empty or has control characters, such as a line break, and cannot be sent: store it anew"
    )]
    Control,
    /// The type has no part that can stand there.
    #[error(
        "a credential of this type cannot be used as \"config.inject\" or \"config.signing\" says"
    )]
    Type,
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Unfit {
    /// Whether another request would help; otherwise the secret has to be changed.
    #[must_use]
    pub const fn is_of_the_request(&self) -> bool {
        match self {
            Self::OtherSecret { .. }
            | Self::OtherHeader { .. }
            | Self::NotAlone { .. }
            | Self::SignsOnly
            | Self::Long => true,
            Self::Control | Self::Type => false,
            Self::Sign(error) => error.is_of_the_request(),
        }
    }
}

/// What is injected, by what name the caller may call it, and when.
#[derive(Clone, Copy, Debug)]
pub struct Injected<'a> {
    /// The credential of the secret that was addressed.
    pub credential: &'a Credential,
    /// The secret's name.
    pub name: &'a str,
    /// The body, for a signature.
    pub payload: Payload<'a>,
    /// When the request is sent, for a signature.
    pub now: Timestamp,
}

impl Injection {
    /// Puts the credential into a request whose headers are those of the caller that are passed on, and says
    /// where. Placeholders are filled, in headers that are for credentials, and then it goes nowhere else. Without
    /// any it goes where it belongs, and replaces what the caller has there, unless it [gives
    /// way](Injection::gives_way). On an error nothing has been put in.
    ///
    /// With the credential in them, the headers are marked as sensitive; the URL of [`Injection::Query`] cannot
    /// be, and must not be logged.
    pub fn apply(&self, parts: &mut Parts, injected: &Injected<'_>) -> Result<Vec<Place>, Unfit> {
        if !injected.credential.is_sendable() {
            return Err(Unfit::Control);
        }
        let has_some = self.check_placeholders(&parts.headers, injected.name)?;
        if let Self::SigV4(scope) = self {
            return if has_some { Err(Unfit::SignsOnly) } else { sign(scope, parts, injected) };
        }
        let value = self.value(injected.credential)?;
        if has_some {
            return fill(&mut parts.headers, &value, injected.credential.scheme());
        }
        match self {
            Self::Query { name } => {
                parts.uri = with_parameter(&parts.uri, name, &value)?;
                Ok(vec![Place::Query(name.clone())])
            }
            Self::Header { name, .. } => {
                parts.headers.insert(name, sensitive(&value)?);
                Ok(vec![Place::Header(name.clone())])
            }
            _ if self.gives_way(has_own(&parts.headers)) => Ok(Vec::new()),
            _ => {
                parts.headers.insert(AUTHORIZATION, sensitive(&value)?);
                Ok(vec![Place::Header(AUTHORIZATION)])
            }
        }
    }

    /// Whether nothing is put into a request of a caller that [has an `Authorization` of its own](has_own):
    /// where the credential would go there, that stays (contract/contacts-and-secrets, section 6.2).
    #[must_use]
    pub const fn gives_way(&self, has_own: bool) -> bool {
        match self {
            Self::Authorization | Self::BasicUsername | Self::BasicPassword { .. } => has_own,
            Self::Header { .. } | Self::Query { .. } | Self::SigV4(_) => false,
        }
    }

    /// Whether there are placeholders; none may stand for another secret, where no credential does, or among other
    /// text.
    fn check_placeholders(&self, headers: &HeaderMap, own: &str) -> Result<bool, Unfit> {
        let mut has_some = false;
        for (header, text) in texts(headers) {
            let found = placeholders(text);
            if found.is_empty() {
                continue;
            }
            has_some = true;
            found.iter().try_for_each(|found| check_name(found.name, own))?;
            let is_injected = matches!(self, Self::Header { name, .. } if name == header);
            if !is_injected && !may_be_filled(header) {
                return Err(Unfit::OtherHeader { name: header.clone() });
            }
            if !is_alone(text, &found) {
                return Err(Unfit::NotAlone { name: header.clone() });
            }
        }
        Ok(has_some)
    }

    /// Whether all of a request's body has to be there before it can be sent, since a signature is over it.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        matches!(self, Self::SigV4(scope) if scope.needs_body())
    }

    /// The texts that must be in no answer to a request that was sent with the credential, in any encoding.
    #[must_use]
    pub fn needles(&self, credential: &Credential, sent: &Parts) -> Vec<SecretString> {
        let mut needles = credential.needles();
        match (self, credential.alone()) {
            (Self::BasicUsername, Some(alone)) => needles.extend(of_pair(alone, "")),
            (Self::BasicPassword { username }, Some(alone)) => {
                needles.extend(of_pair(username, alone));
            }
            // An echo of the whole request may encode once more what is encoded there.
            (Self::Query { .. }, Some(alone)) => {
                let encoded: Vec<_> = utf8_percent_encode(alone, QUERY).collect();
                needles.extend((encoded != [alone]).then(|| joined(&encoded).as_str().into()));
            }
            // For some minutes, whoever has it can send the request once more.
            (Self::SigV4(_), _) => needles.extend(sigv4::signature(&sent.headers)),
            _ => (),
        }
        needles
    }

    /// What stands where the credential goes.
    fn value(&self, credential: &Credential) -> Result<Zeroizing<String>, Unfit> {
        let alone = credential.alone();
        match (self, credential) {
            (Self::Authorization, _) => Ok(credential.authorization()),
            (Self::Header { prefix, .. }, Credential::Pair { username, password }) => {
                let encoded = encoded(username.expose_secret(), password.expose_secret());
                Ok(joined(&[prefix.as_deref().unwrap_or("Basic "), &encoded]))
            }
            (Self::Header { prefix, .. }, _) => {
                let alone = alone.ok_or(Unfit::Type)?;
                Ok(joined(&[prefix.as_deref().unwrap_or_default(), alone]))
            }
            (Self::Query { .. }, _) => Ok(joined(&[alone.ok_or(Unfit::Type)?])),
            // A colon would end the user name.
            (Self::BasicUsername, _) => {
                let alone = alone.filter(|alone| !alone.contains(':')).ok_or(Unfit::Type)?;
                Ok(basic(alone, ""))
            }
            (Self::BasicPassword { username }, _) => Ok(basic(username, alone.ok_or(Unfit::Type)?)),
            (Self::SigV4(_), _) => Err(Unfit::SignsOnly),
        }
    }
}

fn sign(scope: &SigV4, parts: &mut Parts, injected: &Injected<'_>) -> Result<Vec<Place>, Unfit> {
    let Credential::Pair { username, password } = injected.credential else {
        return Err(Unfit::Type);
    };
    parts.headers.remove(HOST);
    scope.sign(parts, (username, password), injected.payload, injected.now)?;
    Ok(vec![Place::Signature])
}

/// Whether a caller's headers have an `Authorization` of its own, and no placeholder says that the credential goes in.
#[must_use]
pub fn has_own(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION)
        && texts(headers).all(|(_, text)| placeholders(text).is_empty())
}

/// The headers that are texts.
fn texts(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &str)> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name, std::str::from_utf8(value.as_bytes()).ok()?)))
}

/// A placeholder stands for no other secret.
fn check_name(name: &str, own: &str) -> Result<(), Unfit> {
    if is_own(name, own) {
        return Ok(());
    }
    let name = name.chars().take(64).collect();
    let own = match normalized(own) {
        own if own.is_empty() => own,
        own => format!(" or ${{SECRET_{}}}", own.to_ascii_uppercase()),
    };
    Err(Unfit::OtherSecret { name, own })
}

/// Fills every placeholder, each of which is [alone](is_alone). All values are made before any is put in.
fn fill(headers: &mut HeaderMap, value: &str, scheme: Option<&str>) -> Result<Vec<Place>, Unfit> {
    let filled = headers.values().map(|header| filled(header, value, scheme));
    let filled = filled.collect::<Result<Vec<_>, _>>()?;
    let mut places = Vec::new();
    for ((name, header), filled) in headers.iter_mut().zip(filled) {
        let Some(filled) = filled else { continue };
        *header = filled;
        places.push(Place::Header(name.clone()));
    }
    places.dedup();
    Ok(places)
}

/// Whether a text is one placeholder, at most behind the word that is its scheme (RFC 9110 section 11.1).
fn is_alone(text: &str, found: &[Placeholder<'_>]) -> bool {
    let [Placeholder { at, .. }] = found else { return false };
    let (before, behind) = (text[..at.start].trim_start(), text[at.end..].trim());
    let is_scheme = |word: &str| {
        !word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~".contains(&c))
    };
    let scheme = before.trim_end();
    behind.is_empty() && (before.is_empty() || scheme.len() < before.len() && is_scheme(scheme))
}

/// A header's value with its placeholder filled; `None` if it has none.
fn filled(
    header: &HeaderValue,
    value: &str,
    scheme: Option<&str>,
) -> Result<Option<HeaderValue>, Unfit> {
    let Ok(text) = std::str::from_utf8(header.as_bytes()) else { return Ok(None) };
    let found = placeholders(text);
    let Some(placeholder) = found.first() else { return Ok(None) };
    let before = text[..placeholder.at.start].trim_start();
    sensitive(said_once(&joined(&[before, value]), scheme)).map(Some)
}

/// A value without the scheme at its beginning, where that is there twice.
fn said_once<'a>(value: &'a str, scheme: Option<&str>) -> &'a str {
    let Some((first, rest)) = value.split_once(' ') else { return value };
    let is_scheme =
        SCHEMES.into_iter().chain(scheme).any(|known| known.eq_ignore_ascii_case(first));
    let rest = rest.trim_start();
    let second = rest.split(' ').next().unwrap_or_default();
    if is_scheme && second.eq_ignore_ascii_case(first) && second.len() < rest.len() {
        return rest;
    }
    value
}

fn sensitive(value: &str) -> Result<HeaderValue, Unfit> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| Unfit::Control)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A URL with a parameter more, in the place of all that have its name. The others stay as they are written.
fn with_parameter(uri: &Uri, name: &str, value: &str) -> Result<Uri, Unfit> {
    let is_other = |pair: &&str| {
        let known = form_urlencoded::parse(pair.as_bytes()).next();
        known.is_none_or(|(known, _)| known != name)
    };
    let others = uri.query().unwrap_or_default().split('&');
    let others: Vec<_> = others.filter(|pair| !pair.is_empty()).filter(is_other).collect();
    let others = others.iter().flat_map(|pair| [*pair, "&"]);
    let name: Vec<_> = utf8_percent_encode(name, QUERY).collect();
    let value: Vec<_> = utf8_percent_encode(value, QUERY).collect();
    let query = [uri.path(), "?"].into_iter().chain(others).chain(name).chain(["="]).chain(value);
    let query = joined(&query.collect::<Vec<_>>());
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(query.as_str()).map_err(|_| Unfit::Long)?);
    Uri::from_parts(parts).map_err(|_| Unfit::Long)
}

#[cfg(test)]
mod tests;
