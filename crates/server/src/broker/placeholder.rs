//! What a secret of type `template` fills in, and what fits: no value leads anywhere else than its placeholder
//! is for (contract/contacts-and-secrets, section 9, W3).

use serde_json::Value;
use url::{Host, Url};

use super::syntax::{is_host, is_label};
use crate::{
    catalogue::{Parameter, Pattern},
    error::Error,
};

/// The longest text that fits, in bytes.
const LONGEST: usize = 128;

/// A parameter that cannot be taken as it is.
pub(super) fn refused(name: &str, what: &str) -> Error {
    Error::invalid("bad_request", format!("\"config.parameters.{name}\" {what}"))
}

impl Parameter {
    /// What the parameter of this name is filled with: what the secret says, or else the default.
    pub(super) fn filled<'a>(
        &'a self,
        name: &str,
        value: Option<&'a Value>,
    ) -> Result<&'a str, Error> {
        let text = match value {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text,
            Some(_) => return Err(refused(name, "must be a string")),
        };
        if text.is_empty() {
            let missing = || refused(name, &format!("is required: {}", self.description));
            return self.default.as_deref().ok_or_else(missing);
        }
        if text.len() > LONGEST || !self.pattern.fits(text) {
            return Err(refused(name, &format!("must be {}", self.pattern.words())));
        }
        Ok(text)
    }
}

impl Pattern {
    /// Whether a text changes no more of a URL than the pattern is for: with it, a host is the one that
    /// reading the URL says, and a path keeps its other parts.
    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Self::Label => is_label(text) && is_name(&format!("{text}.example.com")),
            Self::Labels => is_host(text) && is_name(&format!("{text}.example.com")),
            Self::Domain => text.contains('.') && is_host(text) && is_name(text),
            Self::Word => {
                let is_char = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
                text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(is_char)
            }
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Label => "letters, digits and hyphens: a part of a host name between dots",
            Self::Labels => "letters, digits, hyphens and dots: the beginning of a host name",
            Self::Domain => "a host name, such as login.example.com, without a scheme and a port",
            Self::Word => {
                "letters, digits, hyphens, underscores and dots, a letter or a digit first"
            }
        }
    }
}

/// Whether this host is a name, and read as it is written: `0x7f.1` is an address.
fn is_name(host: &str) -> bool {
    let url = Url::parse(&format!("https://{host}/"));
    url.is_ok_and(
        |url| matches!(url.host(), Some(Host::Domain(name)) if name.eq_ignore_ascii_case(host)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_changes_no_more_than_its_pattern_is_for() {
        use Pattern::{Domain, Label, Labels, Word};
        for (pattern, fitting) in [
            (Label, &["acme", "a-1", "ACME"][..]),
            (Labels, &["login", "acme.my", "a--b.sandbox.my"]),
            (Domain, &["acme.okta.com", "a.b"]),
            (Word, &["common", "a.b-c_d", "0"]),
        ] {
            assert!(fitting.iter().all(|text| pattern.fits(text)), "{pattern:?}");
        }
        let never = [
            "", ".", "..", "a/b", "a\\b", "a@b", "a:b", "a?b", "a#b", "a b", "a%2fb", "a\n",
            "((x))", "é", "-", "../x", "a..b/", "//a", "[::1]", "a;b", "\t",
        ];
        for pattern in [Label, Labels, Domain, Word] {
            for text in never {
                assert!(!pattern.fits(text), "{pattern:?}: {text}");
            }
        }
        assert!(["a.b", "a-", "a_b"].iter().all(|text| !Label.fits(text)));
        assert!(["a.", ".a", "a..b", "a_b.c"].iter().all(|text| !Labels.fits(text)));
        for text in ["localhost", "127.0.0.1", "0x7f.1", "10.1", "a.1", "a.b.", "a.b:443", "a_b.c"]
        {
            assert!(!Domain.fits(text), "{text}");
        }
    }
}
