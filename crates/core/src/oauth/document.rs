//! Objects that providers answer, as JSON or as a form. They hold tokens: their texts are overwritten when
//! they are dropped.

use std::{fmt, io, time::Duration};

use secrecy::SecretString;
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use crate::time::Timestamp;

/// The longest life that is believed, in seconds: ten years.
const SHORTEST: f64 = 1.0;
const LONGEST: f64 = 10.0 * 365.0 * 24.0 * 3600.0;

/// An object, and the one that wipes it.
pub(super) struct Document(Map<String, Value>);

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document([redacted])")
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

impl Document {
    pub(super) const fn new(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// Reads JSON; `None` if it is no object.
    pub(super) fn json(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        serde_json::from_slice(bytes).map(Self).ok()
    }

    /// Reads the body of an answer. Providers send JSON under any type, so what looks like JSON is; all
    /// else is a form (GitHub's default), unless it is said to be JSON.
    pub(super) fn read(content_type: Option<&str>, body: &[u8]) -> Option<Self> {
        let start = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
        let is_said_json = content_type.is_some_and(|name| name.to_lowercase().contains("json"));
        if is_said_json || start.starts_with(b"{") || start.starts_with(b"[") {
            return Self::json(body);
        }
        let pairs = form_urlencoded::parse(body.trim_ascii()).into_owned();
        Some(Self(pairs.map(|(name, value)| (name, value.into())).collect()))
    }

    pub(super) const fn fields(&self) -> Fields<'_> {
        Fields(&self.0)
    }

    /// The object as JSON, in one allocation: a vector that grows leaves old copies behind.
    #[expect(clippy::expect_used, reason = "JSON of texts and numbers, into memory")]
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut length = Length(0);
        serde_json::to_writer(&mut length, &self.0).expect("JSON of texts and numbers");
        let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
        serde_json::to_writer(&mut *bytes, &self.0).expect("JSON of texts and numbers");
        bytes
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Counts what is written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is read of an object.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn value(self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    /// The text under this name; an empty one is none.
    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.value(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn secret(self, name: &str) -> Option<SecretString> {
        self.text(name).map(Into::into)
    }

    pub(super) fn object(self, name: &str) -> Option<Self> {
        self.value(name).and_then(Value::as_object).map(Self)
    }

    /// The first object of a list.
    pub(super) fn first(self, name: &str) -> Option<Self> {
        let list = self.value(name).and_then(Value::as_array)?;
        list.first().and_then(Value::as_object).map(Self)
    }

    /// The texts of a list; `None` if there is no list.
    pub(super) fn texts(self, name: &str) -> Option<Vec<&'a str>> {
        let list = self.value(name).and_then(Value::as_array)?;
        Some(list.iter().filter_map(Value::as_str).collect())
    }

    pub(super) fn is_true(self, name: &str) -> bool {
        self.value(name) == Some(&Value::Bool(true))
    }

    /// The moment under this name, as milliseconds.
    pub(super) fn millis(self, name: &str) -> Option<Timestamp> {
        self.value(name).and_then(Value::as_i64).map(Timestamp::from_millis)
    }

    /// The moment under this name, as seconds; 0 is none.
    pub(super) fn seconds(self, name: &str) -> Option<Timestamp> {
        let seconds = self.value(name).and_then(Value::as_i64).filter(|seconds| *seconds != 0);
        seconds.map(Timestamp::from_seconds)
    }

    /// A number, or a text that is one.
    pub(super) fn number(self, name: &str) -> Option<f64> {
        match self.value(name)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    /// How long something lives, given in seconds; one at least, or each use would be a renewal, and ten years
    /// at the most. Zero and less is none: nobody
    /// hands out what has ended, and some mean by it that there is no end.
    pub(super) fn lifetime(self, name: &str) -> Option<Duration> {
        let seconds = self.number(name).filter(|seconds| *seconds > 0.0)?;
        Some(Duration::from_secs_f64(seconds.clamp(SHORTEST, LONGEST)))
    }

    /// Scopes, separated by blanks: from a text with blanks (RFC 6749 section 3.3) or commas (GitHub,
    /// Slack), or from a list (Twitch). Words that are no scopes are left out.
    pub(super) fn scope(self, name: &str) -> Option<String> {
        let text = match self.value(name)? {
            Value::String(text) => text.clone(),
            Value::Array(_) => self.texts(name)?.join(" "),
            _ => return None,
        };
        let is_scope = |word: &&str| !word.is_empty() && is_scope(word);
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(is_scope);
        Some(words.collect::<Vec<_>>().join(" ")).filter(|scope| !scope.is_empty())
    }
}

/// Whether a word has only the characters of a scope (RFC 6749 section 3.3).
fn is_scope(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lifetime(value: Value) -> Option<Duration> {
        let map = Map::from_iter([("n".to_owned(), value)]);
        Document::new(map).fields().lifetime("n")
    }

    #[test]
    fn a_lifetime_is_a_number_or_a_text_of_one_and_bounded() {
        let hour = Some(Duration::from_hours(1));
        for value in [json!(3600), json!(3600.0), json!("3600"), json!(" 3600.0 ")] {
            assert_eq!(lifetime(value.clone()), hour, "{value}");
        }
        assert_eq!(lifetime(json!("0.001")), Some(Duration::from_secs(1)));
        let ten_years = Some(Duration::from_hours(10 * 365 * 24));
        for value in [json!(1e300), json!(u64::MAX), json!("315360001")] {
            assert_eq!(lifetime(value.clone()), ten_years, "{value}");
        }
        for value in [
            json!(0),
            json!(-1),
            json!("-1"),
            json!("inf"),
            json!("NaN"),
            json!("soon"),
            json!(""),
            json!(null),
            json!(true),
            json!([3600]),
        ] {
            assert_eq!(lifetime(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn scopes_are_separated_by_blanks_however_they_came() {
        for (value, expected) in [
            (json!("repo,gist"), Some("repo gist")),
            (json!("a  b\tc , d"), Some("a b c d")),
            (json!(["chat:read", "chat:edit"]), Some("chat:read chat:edit")),
            (json!("good b\"d é"), Some("good")),
            (json!(""), None),
            (json!(7), None),
        ] {
            let map = Map::from_iter([("scope".to_owned(), value)]);
            assert_eq!(Document::new(map).fields().scope("scope").as_deref(), expected);
        }
    }

    #[test]
    fn a_body_is_json_if_it_looks_like_it_or_says_so_and_else_a_form() {
        let read = |content_type, body: &[u8]| {
            Document::read(content_type, body)
                .and_then(|document| document.fields().text("a").map(str::to_owned))
        };
        let form = Some("application/x-www-form-urlencoded");
        assert_eq!(read(form, b" {\"a\":\"b\"}").as_deref(), Some("b"));
        assert_eq!(read(None, b"\xef\xbb\xbf{\"a\":\"b\"}").as_deref(), Some("b"));
        assert_eq!(read(form, b"a=b%20c+d\n").as_deref(), Some("b c d"));
        assert_eq!(read(Some("text/plain"), b"a=b").as_deref(), Some("b"));
        assert_eq!(read(Some("application/JSON"), b"a=b"), None);
        assert_eq!(read(None, b"[1]"), None);
    }

    #[test]
    fn debug_shows_nothing_and_bytes_fill_their_vector() {
        let document = Document::json(br#"{"access_token":"CANARY"}"#).unwrap();
        assert_eq!(format!("{document:?}"), "Document([redacted])");
        let bytes = document.to_bytes();
        assert_eq!(bytes.len(), bytes.capacity());
    }
}
