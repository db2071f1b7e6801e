//! The form that an answer may come in: only such as a credential is looked for in.

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, ACCEPT_ENCODING},
};

/// What would have the answer come in a form that nobody looks for a credential in: WebSocket extensions compress, ranges
/// cut it into pieces, other charsets and differences (RFC 3229) write it otherwise, messages within a body may be
/// compressed one by one, and a digest is of what it was before anybody looked.
pub(super) const NEVER_ASKED: [&str; 17] = [
    "sec-websocket-extensions",
    "range",
    "if-range",
    "request-range",
    "x-ms-range",
    "x-range",
    "accept-charset",
    "a-im",
    "available-dictionary",
    "grpc-encoding",
    "grpc-accept-encoding",
    "connect-content-encoding",
    "connect-accept-encoding",
    "x-goog-encode-response-if-executable",
    "want-digest",
    "want-content-digest",
    "want-repr-digest",
];
/// Codings of a body that are asked for. Others can be looked into as well, but to undo them takes some hundred times
/// as much memory.
const CODINGS: [&str; 2] = ["gzip", "deflate"];

/// Takes out of a request's headers what would have the answer come in another form.
pub(super) fn narrow(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, codings(headers));
    let accepted: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(without_charset).collect();
    headers.remove(ACCEPT);
    for value in accepted {
        headers.append(ACCEPT, value);
    }
}

/// What of `Accept-Encoding` an upstream may make use of. A caller that says nothing gets the body as it is.
fn codings(headers: &HeaderMap) -> HeaderValue {
    let said = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let known = said.flat_map(|value| value.split(',')).map(str::trim).filter(|coding| {
        let name = coding.split(';').next().unwrap_or_default().trim();
        CODINGS.iter().any(|known| known.eq_ignore_ascii_case(name))
    });
    let known = known.collect::<Vec<_>>().join(", ");
    let value = HeaderValue::try_from(known).ok().filter(|value| !value.is_empty());
    value.unwrap_or_else(|| HeaderValue::from_static("identity"))
}

/// What of an `Accept` is left when nothing in it names a charset: some servers obey that, and write the answer in
/// UTF-32 or EBCDIC. Every piece that has the word is left out, whatever it is to those who read quotes.
fn without_charset(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    if !names_charset(text) {
        return Some(value.clone());
    }
    let plain = |range: &str| {
        let pieces: Vec<_> = range.split(';').filter(|piece| !names_charset(piece)).collect();
        pieces.join(";")
    };
    let ranges: Vec<_> =
        text.split(',').map(plain).filter(|range| !range.trim().is_empty()).collect();
    let left = ranges.join(",");
    HeaderValue::try_from(left.trim()).ok().filter(|left| !left.is_empty())
}

fn names_charset(text: &str) -> bool {
    text.to_ascii_lowercase().contains("charset")
}

#[cfg(test)]
mod tests {
    use super::super::nameable;
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, value.parse::<HeaderValue>().unwrap());
        }
        map
    }

    #[test]
    fn an_upstream_may_code_the_body_only_as_it_can_be_looked_into() {
        for (said, expected) in [
            (&[][..], "identity"),
            (&["gzip, deflate, br, zstd"], "gzip, deflate"),
            (&["GZIP;q=0.5, compress, *", "br;q=1"], "GZIP;q=0.5"),
            (&["dcb, sdch"], "identity"),
            (&["*"], "identity"),
            (&["identity;q=0, gzip"], "gzip"),
            (&["identity;q=0"], "identity"),
            (&["gzipx, xgzip, x-gzip"], "identity"),
        ] {
            let said: Vec<_> = said.iter().map(|said| ("accept-encoding", *said)).collect();
            let passed = nameable(&headers(&said), &[]).unwrap();
            assert_eq!(passed.get_all("accept-encoding").iter().collect::<Vec<_>>(), [expected]);
        }
    }

    #[test]
    fn nobody_says_what_charset_the_answer_comes_in() {
        for (said, expected) in [
            (&["text/plain;charset=UTF-32"][..], &["text/plain"][..]),
            (
                &["text/plain; q=0.5 ; Charset = \"utf-32\", */*;q=0.1"],
                &["text/plain; q=0.5 , */*;q=0.1"],
            ),
            (&["text/html;CHARSET*=x''IBM037;level=1"], &["text/html;level=1"]),
            (&["text/html;a=\"b;charset=utf-32;c\""], &["text/html;a=\"b;c\""]),
            (&["a/b", "a/c;\tcharset=utf-7"], &["a/b", "a/c"]),
            (&["charset=utf-32"], &[]),
            (&["application/json; odata=verbose, text/*;q=0.5"], {
                &["application/json; odata=verbose, text/*;q=0.5"]
            }),
        ] {
            let said: Vec<_> = said.iter().map(|said| ("accept", *said)).collect();
            let passed = nameable(&headers(&said), &[]).unwrap();
            assert_eq!(passed.get_all("accept").iter().collect::<Vec<_>>(), expected);
        }
        let mut unread = HeaderMap::new();
        unread.insert("accept", HeaderValue::from_bytes(b"a/b;\xe9charset=utf-32").unwrap());
        assert!(!nameable(&unread, &[]).unwrap().contains_key("accept"));
    }
}
