//! Headers and trailers that repeat a credential.

use axum::http::{HeaderMap, HeaderValue};
use keyfob_core::leak::{Needles, REDACTED, redact};

/// Replaces each credential in the values of these headers, and removes those whose name holds one. How
/// many there were.
pub fn redact_headers(needles: &Needles, headers: &mut HeaderMap) -> u64 {
    if needles.is_empty() {
        return 0;
    }
    let mut found = 0;
    let is_named = |name: &&axum::http::HeaderName| redact(needles, name.as_ref()).is_some();
    let named: Vec<_> = headers.keys().filter(is_named).cloned().collect();
    for name in named {
        headers.remove(name);
        found += 1;
    }
    for value in headers.values_mut() {
        if let Some(redacted) = redact(needles, value.as_bytes()) {
            let redacted = HeaderValue::from_bytes(&redacted);
            *value = redacted.unwrap_or(HeaderValue::from_static(REDACTED));
            found += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_taken_out_of_values_and_names_and_nothing_else_changes() {
        let needles = Needles::new([&"canary-TOKEN-01234567".into()]);
        let mut headers = HeaderMap::new();
        headers.append("x-echo", HeaderValue::from_static("Bearer canary-token-01234567!"));
        headers.append("x-echo", HeaderValue::from_static("another"));
        headers.append("x-canary-token-01234567", HeaderValue::from_static("1"));
        headers.append("location", HeaderValue::from_static("/?key=canary%2Dtoken-01234567"));
        headers.append("etag", HeaderValue::from_static("\"1\""));
        assert_eq!(redact_headers(&needles, &mut headers), 3);
        let values: Vec<_> =
            headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(values.len(), 4);
        for expected in [
            ("x-echo", "Bearer [redacted by keyfob]!"),
            ("x-echo", "another"),
            ("location", "/?key=[redacted by keyfob]"),
            ("etag", "\"1\""),
        ] {
            assert!(values.contains(&expected), "{values:?}");
        }
    }
}
