//! Forms as they are sent to providers (`application/x-www-form-urlencoded`). They hold tokens and secrets.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// The parameters of a request, in order. Their texts are overwritten when it is dropped.
#[derive(Clone, Default)]
pub struct Form(Vec<(&'static str, SecretString)>);

impl Form {
    /// A form without parameters.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a parameter, or replaces it where it stands: none may be there twice (RFC 6749 section 3.2).
    pub fn set(&mut self, name: &'static str, value: impl Into<SecretString>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// The same with a parameter more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<SecretString>) -> Self {
        self.set(name, value);
        self
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Every value: what a provider's refusal must not repeat ([`Refused::without`](super::Refused::without)).
    #[must_use]
    pub fn values(&self) -> Vec<&SecretString> {
        self.0.iter().map(|(_, value)| value).collect()
    }

    /// The body, in one allocation: a vector that grows leaves old copies behind.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let length = self.pieces().map(str::len).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        self.pieces().for_each(|piece| bytes.extend_from_slice(piece.as_bytes()));
        bytes
    }

    fn pieces(&self) -> impl Iterator<Item = &str> {
        self.0.iter().enumerate().flat_map(|(index, (name, value))| {
            let before = if index == 0 { "" } else { "&" };
            let name = form_urlencoded::byte_serialize(name.as_bytes());
            let value = form_urlencoded::byte_serialize(value.expose_secret().as_bytes());
            std::iter::once(before).chain(name).chain(["="]).chain(value)
        })
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_keep_their_order_and_are_there_once() {
        let mut form = Form::new().with("grant_type", "refresh_token").with("scope", "a b&c=é");
        form.set("grant_type", "x");
        assert_eq!(&**form.encode(), b"grant_type=x&scope=a+b%26c%3D%C3%A9");
        assert_eq!(form.get("scope").unwrap().expose_secret(), "a b&c=é");
        assert!(form.get("code").is_none());
        assert!(Form::new().encode().is_empty());
    }

    #[test]
    fn debug_shows_names_only() {
        let form = Form::new().with("code", "CANARY");
        assert_eq!(format!("{form:?}"), r#"["code"]"#);
    }

    proptest! {
        #[test]
        fn any_value_reads_back_and_the_body_fills_its_vector(value: String) {
            let body = Form::new().with("code", value.as_str()).with("state", "s").encode();
            prop_assert_eq!(body.len(), body.capacity());
            let read: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
            let expected = [("code".to_owned(), value), ("state".to_owned(), "s".to_owned())];
            prop_assert_eq!(read, expected);
        }
    }
}
