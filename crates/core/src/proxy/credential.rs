//! What is put into a request (contract/contacts-and-secrets, section 3.3).

use data_encoding::BASE64;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

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

    /// The texts that must be in no answer: the credential without its scheme, and a pair both as it is
    /// encoded (`user:password`) and its password alone. A user name is no secret.
    pub(super) fn needles(&self) -> Vec<SecretString> {
        match self {
            Self::Text(text) => {
                // It may be a whole value of `Authorization`.
                let token = text.expose_secret().split_once(' ').map(|(_, token)| token.trim());
                let token = token.filter(|token| !token.is_empty()).map(SecretString::from);
                std::iter::once(text.clone()).chain(token).collect()
            }
            Self::Token { token, .. } => vec![token.clone()],
            Self::Pair { username, password } => {
                vec![pair(username.expose_secret(), password.expose_secret()), password.clone()]
            }
        }
    }
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
    parts.iter().for_each(|part| text.push_str(part));
    text
}
