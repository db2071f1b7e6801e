//! Which headers are passed on, in either direction.

use std::{borrow::Cow, collections::HashSet};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONNECTION, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS},
};
use thiserror::Error;

use super::form;

/// About one connection only (RFC 9110 section 7.6.1), or how a message is framed on it, which is each
/// client's own: of what two servers read differently none is left. Trailers are not passed on.
const OF_THE_CONNECTION: [&str; 16] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "max-forwards",
    "alt-used",
    "early-data",
    "proxy-status",
    "via",
];
/// Where the caller came from, and what proxies say to one another: nothing that an upstream may believe of us,
/// and `X-Original-URL` and its like would have some servers take another host or path than the one that was checked.
const NEVER_SENT: [&str; 20] = [
    "cookie",
    "cookie2",
    "set-cookie",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-host-override",
    "x-path-override",
    "x-http-host-override",
    "x-http-path-override",
    "x-override-url",
    "x-proxy-url",
    "x-proxy-host",
];
/// Beginnings of such names; those of Keyfob's own among them.
const NEVER_SENT_PREFIXES: [&str; 8] = [
    "proxy-",
    "x-forwarded",
    "x-original-",
    "x-envoy-",
    "x-waws-",
    "x-keyfob-",
    "sb-api-",
    "x-runas-",
];
/// What a browser says of the page that it is at, to whom it asks: Keyfob, not the upstream.
const OF_THE_BROWSER: [&str; 4] = ["origin", "referer", "upgrade-insecure-requests", "sec-gpc"];
const OF_THE_BROWSER_PREFIXES: [&str; 2] = ["sec-fetch-", "sec-ch-"];
/// What makes a request of one method another one for servers that take notice.
const METHOD_OVERRIDES: [&str; 6] = [
    "x-http-method",
    "x-http-method-override",
    "x-http-method-overrides",
    "x-method",
    "x-method-override",
    "x-override-method",
];

/// What an answer must not say in Keyfob's name, since it comes from there:
/// - cookies and credentials of the upstream, and proxies' own;
/// - what browsers remember of an origin, or allow it (`Alt-Svc`, `Strict-Transport-Security`,
///   `Clear-Site-Data`, policies, `Refresh`), or report about it;
/// - what a proxy in front of Keyfob obeys (`X-Accel-…`, `X-Sendfile`), or keeps for others (`Surrogate-…`);
/// - how the body was coded, which it is no more once somebody has looked into it.
const NEVER_RETURNED: [&str; 36] = [
    "set-cookie",
    "set-cookie2",
    "authorization",
    "content-encoding",
    "alt-svc",
    "strict-transport-security",
    "clear-site-data",
    "expect-ct",
    "permissions-policy",
    "feature-policy",
    "document-policy",
    "require-document-policy",
    "referrer-policy",
    "origin-agent-cluster",
    "timing-allow-origin",
    "x-frame-options",
    "x-xss-protection",
    "x-permitted-cross-domain-policies",
    "x-dns-prefetch-control",
    "service-worker-allowed",
    "sourcemap",
    "x-sourcemap",
    "refresh",
    "nel",
    "report-to",
    "reporting-endpoints",
    "accept-ch",
    "critical-ch",
    "x-sendfile",
    "x-lighttpd-send-file",
    "x-litespeed-location",
    "x-reproxy-url",
    "cache-control",
    "expires",
    "pragma",
    "cdn-cache-control",
];
const NEVER_RETURNED_PREFIXES: [&str; 8] = [
    "proxy-",
    "public-key-pins",
    "content-security-policy",
    "cross-origin-",
    "access-control-",
    "x-accel-",
    "surrogate-",
    "x-keyfob-",
];

/// A header would make it another request than the one that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the header {0} would give the request another method than the one that is checked: send it with that method"
)]
pub struct Misleading(&'static str);

/// What is passed on of the headers that a caller names for a request of ours, but for those that hold its `keys`.
pub fn nameable(headers: &HeaderMap, keys: &[HeaderName]) -> Result<HeaderMap, Misleading> {
    without(headers, |name| keys.contains(name))
}

/// What is passed on of the headers of the caller's own request: not what it shows Keyfob, `Authorization` and
/// all others that hold its `keys`, and not what a browser says of its page.
pub fn forwardable(headers: &HeaderMap, keys: &[HeaderName]) -> Result<HeaderMap, Misleading> {
    without(headers, |name| {
        name == AUTHORIZATION
            || keys.contains(name)
            || is_in(name.as_str(), &OF_THE_BROWSER, &OF_THE_BROWSER_PREFIXES)
    })
}

fn without(
    headers: &HeaderMap,
    is_dropped: impl Fn(&HeaderName) -> bool,
) -> Result<HeaderMap, Misleading> {
    let names: Vec<_> = headers.keys().map(|name| with_hyphens(name.as_str())).collect();
    let is_there = |name: &&str| names.iter().any(|given| given == name);
    if let Some(name) = METHOD_OVERRIDES.into_iter().find(is_there) {
        return Err(Misleading(name));
    }
    let mut kept = end_to_end(headers, |name| {
        is_in(name.as_str(), &NEVER_SENT, &NEVER_SENT_PREFIXES)
            || is_in(name.as_str(), &form::NEVER_ASKED, &[])
            || is_dropped(name)
    });
    form::narrow(&mut kept);
    Ok(kept)
}

/// What is passed back of an answer's headers. With them goes what keeps a browser from taking the answer for
/// a page of Keyfob's.
#[must_use]
pub fn returnable(headers: &HeaderMap) -> HeaderMap {
    let mut kept =
        end_to_end(headers, |name| is_in(name.as_str(), &NEVER_RETURNED, &NEVER_RETURNED_PREFIXES));
    let sandbox = HeaderValue::from_static("default-src 'none'; sandbox");
    kept.insert(CONTENT_SECURITY_POLICY, sandbox);
    kept.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    kept
}

/// The headers that are not about the connection, nor named in `Connection`.
fn end_to_end(headers: &HeaderMap, is_dropped: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let listed: HashSet<_> = headers
        .get_all(CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let is_kept = |name: &HeaderName| {
        !is_in(name.as_str(), &OF_THE_CONNECTION, &[])
            && !listed.contains(name.as_str())
            && !is_dropped(name)
    };
    let kept = headers.iter().filter(|(name, _)| is_kept(name));
    // What is added to them finds room as they do.
    let mut map = HeaderMap::new();
    for (name, value) in kept {
        map.append(name, value.clone());
    }
    map
}

/// Whether a name, which is in lower case as all names are here, is one of `names` or begins like one of
/// `prefixes`.
fn is_in(name: &str, names: &[&str], prefixes: &[&str]) -> bool {
    let name = &*with_hyphens(name);
    names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// As servers read a name that hand headers over as variables (RFC 3875 section 4.1.18): to them `X_A` is `X-A`.
pub(super) fn with_hyphens(name: &str) -> Cow<'_, str> {
    if name.contains('_') { name.replace('_', "-").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let parse = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        let mut map = HeaderMap::new();
        for (name, value) in lines.iter().map(parse) {
            map.append(name, value);
        }
        map
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        map.keys().map(HeaderName::as_str).filter(|name| *name != "accept-encoding").collect()
    }

    #[test]
    fn what_is_about_the_caller_and_its_connection_is_not_passed_on() {
        for name in "Connection Keep-Alive Proxy-Connection TE Trailer Transfer-Encoding Upgrade \
             Content-Length Expect Host HTTP2-Settings Via Proxy-Authorization proxy-AUTHENTICATE \
             Cookie COOKIE2 Forwarded X-Forwarded-For x-forwarded-anything X-Real-IP \
             X-Original-URL X-Original-Path X-Rewrite-URL X-HTTP-Host-Override X-HTTP-Path-Override \
             X-Envoy-Original-Path X-WAWS-Unencoded-URL X-Proxy-URL X-Forwarded x_proxy_url sb-api-key-id sb-api-secret-key x-runas-user-id \
             x-runas-child-user-email X-Keyfob-Anything Sec-WebSocket-Extensions Range If-Range \
             Accept-Charset A-IM X-Range Available-Dictionary Grpc-Encoding Grpc-Accept-Encoding \
             Connect-Content-Encoding Connect-Accept-Encoding Want-Digest Want-Content-Digest \
             Want-Repr-Digest X_Forwarded_For X_ORIGINAL_URL x-original_url Content_Length \
             Transfer_Encoding Proxy_Authorization sb_api_secret_key"
            .split_whitespace()
        {
            let given = headers(&[(name, "x"), ("accept", "*/*")]);
            assert_eq!(names(&nameable(&given, &[]).unwrap()), ["accept"], "{name}");
            assert_eq!(names(&forwardable(&given, &[]).unwrap()), ["accept"], "{name}");
        }
        for name in
            ["Authorization", "Origin", "Referer", "Sec-Fetch-Site", "Sec-CH-UA", "X-Api-Key"]
        {
            let given = headers(&[(name, "x")]);
            let own = [HeaderName::from_static("x-api-key")];
            assert_eq!(names(&forwardable(&given, &own).unwrap()), [""; 0], "{name}");
            assert_eq!(
                names(&nameable(&given, &[]).unwrap()),
                [name.to_ascii_lowercase()],
                "{name}"
            );
            let is_own = name == "X-Api-Key";
            assert_eq!(names(&nameable(&given, &own).unwrap()).is_empty(), is_own, "{name}");
        }
    }

    #[test]
    fn what_is_about_the_request_is_passed_on_as_often_as_it_is_there() {
        let given = headers(&[
            ("Content-Type", "application/json"),
            ("X-Api-Key", "own"),
            ("User-Agent", "agent"),
            ("Idempotency-Key", "1"),
            ("Sec-WebSocket-Protocol", "a"),
            ("X-Many", "1"),
            ("X-Many", "2"),
            ("Anthropic-Version", "2023-06-01"),
        ]);
        let passed = forwardable(&given, &[]).unwrap();
        assert_eq!(passed.len(), given.len() + 1);
        assert_eq!(passed.get_all("x-many").iter().collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn names_in_connection_go_with_it_however_they_are_written() {
        let given = headers(&[
            ("Connection", "close, X-Secret-Hop"),
            ("connection", "x-OTHER ,authorization,,"),
            ("X-Secret-Hop", "1"),
            ("X-Other", "1"),
            ("Authorization", "Bearer own"),
            ("Accept", "*/*"),
        ]);
        assert_eq!(names(&nameable(&given, &[]).unwrap()), ["accept"]);
    }

    /// Who compares every header with every name needs many seconds for it, and a thread for as long.
    #[test]
    fn any_number_of_headers_and_of_names_in_connection_is_gone_through_once() {
        let mut given = HeaderMap::new();
        for number in 0..20_000 {
            let name = format!("x-{number}").parse::<HeaderName>().unwrap();
            given.insert(name, HeaderValue::from_static(""));
        }
        let named = "x-1,".to_owned() + &"b,".repeat(200_000);
        given.insert(CONNECTION, named.parse().unwrap());
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(nameable(&given, &[]).map(|kept| kept.len())));
        let kept = told.recv_timeout(Duration::from_secs(20));
        assert_eq!(kept, Ok(Ok(20_000)), "all but one, and `Accept-Encoding`");
    }

    #[test]
    fn no_framing_of_the_callers_reaches_the_upstream() {
        let smuggled = headers(&[
            ("Content-Length", "5"),
            ("Content-Length", "50"),
            ("Transfer-Encoding", "chunked"),
            ("Transfer-Encoding", "identity"),
            ("Connection", "content-length"),
            ("Connection", "transfer-encoding"),
        ]);
        assert_eq!(names(&nameable(&smuggled, &[]).unwrap()), [""; 0]);
        assert!("x\r\nHost: evil".parse::<HeaderValue>().is_err());
        assert!("transfer-encoding ".parse::<HeaderName>().is_err());
    }

    #[test]
    fn a_method_is_not_changed_by_a_header() {
        for name in
            "X-HTTP-Method-Override x-http-method X-Method-Override X-HTTP-Method-Overrides \
             X-Method X-Override-Method X_Http_Method_Override x-http_method"
                .split_whitespace()
        {
            let given = headers(&[(name, "DELETE")]);
            let error = forwardable(&given, &[]).unwrap_err().to_string();
            assert!(error.contains(&name.to_ascii_lowercase().replace('_', "-")), "{error}");
            assert!(nameable(&given, &[]).is_err());
        }
        for name in ["X-Method-Name", "X-HTTP-Version", "Method"] {
            assert!(nameable(&headers(&[(name, "DELETE")]), &[]).is_ok(), "{name}");
        }
    }

    #[test]
    fn an_answer_says_nothing_in_keyfobs_name() {
        for name in
            "Set-Cookie SET-COOKIE2 Authorization Proxy-Authenticate Proxy-Authentication-Info \
             Connection Transfer-Encoding Content-Length Content-Encoding Trailer Alt-Svc \
             Strict-Transport-Security Clear-Site-Data Public-Key-Pins \
             Public-Key-Pins-Report-Only Content-Security-Policy-Report-Only \
             Access-Control-Allow-Origin Cross-Origin-Opener-Policy Service-Worker-Allowed \
             Refresh X-Accel-Redirect X-Sendfile Surrogate-Control Cache-Control \
             X-Keyfob-Redacted Via"
                .split(' ')
        {
            let kept = returnable(&headers(&[(name, "x")]));
            let ours = ["content-security-policy", "x-content-type-options"];
            assert_eq!(names(&kept), ours, "{name}");
        }
        let kept = returnable(&headers(&[("Content-Security-Policy", "script-src *")]));
        assert_eq!(kept["content-security-policy"], "default-src 'none'; sandbox");
    }

    #[test]
    fn an_answer_keeps_what_is_about_it() {
        let about = [
            ("Content-Type", "text/event-stream"),
            ("Location", "https://example.com/elsewhere"),
            ("WWW-Authenticate", "Bearer error=\"invalid_token\""),
            ("Retry-After", "5"),
            ("Link", "<https://example.com/?page=2>; rel=\"next\""),
            ("ETag", "\"1\""),
            ("X-RateLimit-Remaining", "9"),
            ("Date", "Tue, 01 Jan 2030 00:00:00 GMT"),
        ];
        let kept = returnable(&headers(&about));
        assert!(about.iter().all(|(name, value)| kept[*name] == *value));
        let hop = headers(&[("Connection", "X-Hop"), ("X-Hop", "1"), ("X-Stays", "1")]);
        assert!(
            !returnable(&hop).contains_key("x-hop") && returnable(&hop).contains_key("x-stays")
        );
    }
}
