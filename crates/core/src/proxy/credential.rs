//! What is put into a request (contract/contacts-and-secrets, section 3.3).

use data_encoding::{BASE64, BASE64_NOPAD};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// A part of a text that is shorter is not looked for by itself, in bytes: a name or a number that a text is made
/// of is found all over an answer.
const SHORTEST_PART: usize = 12;
/// So many parts are looked for, the longest ones: each makes the search slower.
const MOST_PARTS: usize = 8;

/// A credential that is ready to be used.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A text that is used as it is (`plain`).
    Text(SecretString),
    /// A token (`bearer`, `jwt`, `oauth`).
    Token {
        /// The word before it in `Authorization` (RFC 9110 section 11.1), such as `Bearer`.
        scheme: String,
        /// The token.
        token: SecretString,
    },
    /// A user name and a password (`basic`, RFC 7617).
    Pair {
        /// The user name, which holds no colon.
        username: SecretString,
        /// The password.
        password: SecretString,
    },
}

impl Credential {
    /// What `Authorization` says.
    pub(super) fn authorization(&self) -> Zeroizing<String> {
        match self {
            Self::Text(text) => joined(&[text.expose_secret()]),
            Self::Token { scheme, token } => joined(&[scheme, " ", token.expose_secret()]),
            Self::Pair { username, password } => {
                basic(username.expose_secret(), password.expose_secret())
            }
        }
    }

    /// The text or the token alone; a pair has none.
    pub(super) fn alone(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.expose_secret()),
            Self::Token { token, .. } => Some(token.expose_secret()),
            Self::Pair { .. } => None,
        }
    }

    /// The word before it in `Authorization`, if it is known.
    pub(super) fn scheme(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Token { scheme, .. } => Some(scheme),
            Self::Pair { .. } => Some("Basic"),
        }
    }

    /// Whether it can stand in a header or a query: a line break would begin another header.
    pub(super) fn is_sendable(&self) -> bool {
        let is_plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        match self {
            Self::Text(text) => is_plain(text.expose_secret()),
            Self::Token { scheme, token } => is_plain(token.expose_secret()) && is_plain(scheme),
            Self::Pair { username, password } => {
                [username, password].into_iter().all(|part| is_plain(part.expose_secret()))
            }
        }
    }

    /// The texts that must be in no answer: the credential without its scheme, and a pair as all that stands for
    /// it. A user name is no secret.
    pub(super) fn needles(&self) -> Vec<SecretString> {
        match self {
            Self::Text(text) => {
                let text = text.expose_secret();
                let parts = parts(text).into_iter().map(SecretString::from);
                let pair = decoded(text).map(|pair| pair.needles()).unwrap_or_default();
                let mut needles = vec![text.into()];
                for needle in parts.chain(pair) {
                    add(&mut needles, needle);
                }
                needles
            }
            Self::Token { token, .. } => {
                let mut needles = vec![token.clone()];
                needles.extend(unfilled(token));
                needles
            }
            Self::Pair { username, password } => {
                let mut needles = of_pair(username.expose_secret(), password.expose_secret());
                add(&mut needles, password.clone());
                needles.extend(unfilled(password));
                needles
            }
        }
    }
}

fn add(needles: &mut Vec<SecretString>, needle: SecretString) {
    if needles.iter().all(|known| known.expose_secret() != needle.expose_secret()) {
        needles.push(needle);
    }
}

/// A pair as it is before it is encoded, and after: an echo of a whole request encodes it once more. What fills it
/// up at its end tells nothing.
pub(super) fn of_pair(username: &str, password: &str) -> Vec<SecretString> {
    let encoded = encoded(username, password);
    vec![pair(username, password), encoded.trim_end_matches('=').into()]
}

/// What is left of a text that is base64 by itself without what fills it up at its end: who takes a request apart at
/// `=` loses that.
fn unfilled(text: &SecretString) -> Option<SecretString> {
    let text = text.expose_secret();
    let left = text.trim_end_matches('=');
    (left.len() < text.len() && left.len() >= SHORTEST_PART).then(|| left.into())
}

/// What else of a text is a secret by itself. It may be a whole value of `Authorization`, so what stands behind the
/// scheme; or a cookie or a list of parameters (`session=…`, `Token token="…"`), so what stands between their
/// marks.
fn parts(text: &str) -> Vec<&str> {
    let is_mark = |c: char| c.is_whitespace() || "=:;,\"".contains(c);
    let between = text.split(is_mark).filter(|part| part.len() >= SHORTEST_PART);
    let mut parts: Vec<_> = between.filter(|part| *part != text).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.truncate(MOST_PARTS);
    let token = text.split_once(' ').map(|(_, token)| token.trim());
    if let Some(token) = token.filter(|token| !token.is_empty() && !parts.contains(token)) {
        parts.push(token);
    }
    parts
}

/// The user name and the password in a text that is a whole value of `Authorization` for them.
fn decoded(text: &str) -> Option<Credential> {
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim().trim_end_matches('=').as_bytes();
    let pair = BASE64_NOPAD.decode(token).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let pair = Zeroizing::new(pair);
    let (username, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(Credential::Pair { username: username.into(), password: password.into() })
}

/// `user:password`, as it is encoded.
pub(super) fn pair(username: &str, password: &str) -> SecretString {
    SecretString::from(joined(&[username, ":", password]).as_str())
}

/// What `Authorization` says of a user name and a password (RFC 7617 section 2).
pub(super) fn basic(username: &str, password: &str) -> Zeroizing<String> {
    joined(&["Basic ", &encoded(username, password)])
}

/// The part of it that is encoded.
pub(super) fn encoded(username: &str, password: &str) -> Zeroizing<String> {
    Zeroizing::new(BASE64.encode(pair(username, password).expose_secret().as_bytes()))
}

/// Texts in a row, in one allocation: a text that grows leaves old copies behind.
pub(super) fn joined(parts: &[&str]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        text.push_str(part);
    }
    text
}
