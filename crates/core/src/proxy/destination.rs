//! Where a request goes.

use std::fmt;

use http::{HeaderMap, HeaderName, Uri};
use thiserror::Error;
use url::Url;

use super::{Method, headers::with_hyphens};

/// The longest URL, in bytes, as it is sent: as long as any server is sure to take (RFC 9110 section 4.1).
const LONGEST: usize = 8_000;

/// Headers by which servers read, write or lead to an object other than the one in the path: what is copied, renamed or
/// put together from where (S3 and its like, Azure, Google, `WebDAV`, Swift, tus).
const OF_ANOTHER: [&str; 2] = ["destination", "upload-concat"];
const OF_ANOTHER_PARTS: [&str; 5] =
    ["copy-source", "rename-source", "copy-from", "symlink-target", "object-manifest"];

/// A URL that was read once, and a method. What is checked, here and by [`Rules`](super::Rules), is byte for
/// byte what is sent: a client that would read the text again could read it otherwise.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    url: Url,
    uri: Uri,
    method: Method,
    other: Option<HeaderName>,
}

/// Why nothing can be sent to a URL. Repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidDestination {
    /// It is too long.
    #[error("the URL must have at most 8000 bytes")]
    Long,
    /// The parser of URLs would skip or turn around what is in it.
    #[error(
        "the URL must not contain blanks, line breaks, control characters and backslashes: write them as %20, %0A, %5C"
    )]
    Character,
    /// It is no URL of the web.
    #[error("the URL must begin with https://")]
    Scheme,
    /// It has a user name or a password.
    #[error("the URL must not contain a user name, a password or an @ before the host")]
    User,
    /// It has a fragment.
    #[error("the URL must not contain #, which is never sent: write %23")]
    Fragment,
    /// It has no host, or one that no name and no address is written like.
    #[error("the URL must name a host, without a dot at its end")]
    Host,
    /// It cannot be read, or not sent as it was read.
    #[error("the URL cannot be read")]
    Unreadable,
}

impl Destination {
    /// What a request to `url` comes to: `https`, or `http`, which whoever connects may still refuse; without
    /// a user and a fragment. Host and path are those that a browser would read (WHATWG URL): names in lower
    /// case and in their `xn--` form, dot segments resolved, also where they are percent-encoded.
    pub fn parse(url: &str, method: Method) -> Result<Self, InvalidDestination> {
        use InvalidDestination as E;
        if url.len() > LONGEST {
            return Err(E::Long);
        }
        if url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(E::Character);
        }
        let rest = after_scheme(url).ok_or(E::Scheme)?;
        let (authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(E::User);
        }
        if url.contains('#') {
            return Err(E::Fragment);
        }
        if authority.is_empty() {
            return Err(E::Host);
        }
        let url = Url::parse(url).map_err(|_| E::Unreadable)?;
        if url.host_str().is_none_or(|host| host.split('.').any(str::is_empty)) {
            return Err(E::Host);
        }
        if url.as_str().len() > LONGEST {
            return Err(E::Long);
        }
        let uri: Uri = url.as_str().parse().map_err(|_| E::Unreadable)?;
        let is_same = uri.host() == url.host_str() && uri.path() == url.path();
        let is_same = is_same && uri.query() == url.query() && uri.port_u16() == url.port();
        if is_same { Ok(Self { url, uri, method, other: None }) } else { Err(E::Unreadable) }
    }

    /// The same for a request with these headers, one of which may name another object of the server.
    #[must_use]
    pub fn with(self, headers: &HeaderMap) -> Self {
        let is_of_another = |name: &&HeaderName| {
            let name = &*with_hyphens(name.as_str());
            OF_ANOTHER.contains(&name) || OF_ANOTHER_PARTS.iter().any(|part| name.contains(part))
        };
        Self { other: headers.keys().find(is_of_another).cloned(), ..self }
    }

    /// The header that names another object than the path does, if there is one: nobody looks at that path.
    #[must_use]
    pub const fn other(&self) -> Option<&HeaderName> {
        self.other.as_ref()
    }

    /// The URL as it was read.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The same, as it is sent.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The host: a name, or an address, which is in brackets if it is one of version 6.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The port, which is the scheme's own where the URL says none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    pub(super) fn has_default_port(&self) -> bool {
        self.url.port().is_none()
    }

    /// The path: what is between the host and the query, beginning with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// Scheme, host and port, as far as the port is not the scheme's own: what may be told and logged. A path
    /// or a query can hold what is nobody's business.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({} {})", self.method.as_str(), self.origin())
    }
}

/// What follows `https://` or `http://`, in any case. The parser also takes any other number of slashes.
fn after_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    is_web.then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(url: &str) -> Result<Destination, InvalidDestination> {
        Destination::parse(url, Method::Get)
    }

    #[test]
    fn a_header_that_names_another_object_is_known() {
        let other = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("accept", "*/*".parse().unwrap());
            headers.insert(name.parse::<HeaderName>().unwrap(), "/x".parse().unwrap());
            let to = parse("https://a.b/").unwrap().with(&headers);
            to.other().map(|name| name.as_str().to_owned())
        };
        for name in
            "x-amz-copy-source x-amz-copy-source-range x-amz-rename-source x-ms-copy-source \
             x-ms-rename-source x-ms-file-rename-source x-goog-copy-source x-oss-copy-source \
             x-cos-copy-source x_amz_copy_source destination x-copy-from x-copy-from-account \
             x-symlink-target x-oss-symlink-target x-object-manifest upload-concat"
                .split_whitespace()
        {
            assert_eq!(other(name).as_deref(), Some(name));
        }
        for name in ["x-amz-metadata-directive", "content-location", "x-destination-id", "source"] {
            assert_eq!(other(name), None, "{name}");
        }
    }

    #[test]
    fn a_url_is_read_as_a_browser_reads_it() {
        for (url, expected) in [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://EXAMPLE.com:443/A?b=C", "https://example.com/A?b=C"),
            ("http://example.com:80/", "http://example.com/"),
            ("https://example.com:8443/", "https://example.com:8443/"),
            ("https://例え.jp/", "https://xn--r8jz45g.jp/"),
            ("https://ｅxample.com/", "https://example.com/"),
            ("https://ex%61mple.com/", "https://example.com/"),
            ("https://0x7f.1/", "https://127.0.0.1/"),
            ("https://2130706433/", "https://127.0.0.1/"),
            ("https://[2001:DB8:0:0::1]/", "https://[2001:db8::1]/"),
            ("https://a.b/v1/../admin", "https://a.b/admin"),
            ("https://a.b/v1/%2e%2e/admin", "https://a.b/admin"),
            ("https://a.b/v1/%2E./admin", "https://a.b/admin"),
            ("https://a.b/v1/.%2e", "https://a.b/"),
            ("https://a.b/v1/./%2E/x", "https://a.b/v1/x"),
            ("https://a.b/../../x", "https://a.b/x"),
            ("https://a.b//x//", "https://a.b//x//"),
            ("https://a.b/x;p=1/y", "https://a.b/x;p=1/y"),
            ("https://a.b/x%2fy", "https://a.b/x%2fy"),
            ("https://a.b/é?q=ü", "https://a.b/%C3%A9?q=%C3%BC"),
            ("https://a.b/{x}|^\"`<>?{}\"'", "https://a.b/%7Bx%7D|^%22%60%3C%3E?{}%22%27"),
            ("https://a.b?x=@:/", "https://a.b/?x=@:/"),
            ("https://a.b/@x", "https://a.b/@x"),
        ] {
            let read = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(read.url().as_str(), expected);
            assert_eq!(read.uri().to_string(), expected);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use InvalidDestination as E;
        for (url, why) in [
            ("", E::Scheme),
            ("example.com", E::Scheme),
            ("https:example.com", E::Scheme),
            ("https:/example.com", E::Scheme),
            ("ftp://example.com/", E::Scheme),
            ("file:///etc/passwd", E::Scheme),
            ("javascript:alert(1)", E::Scheme),
            ("wss://example.com/", E::Scheme),
            (" https://example.com/", E::Character),
            ("https://example.com/\n", E::Character),
            ("https://exam\tple.com/", E::Character),
            ("https://example.com/a b", E::Character),
            ("https://example.com/\u{a0}", E::Character),
            ("https://example.com/\0", E::Character),
            ("https:\\\\example.com/", E::Character),
            ("https://example.com\\@evil.example/", E::Character),
            ("https://example.com/..\\admin", E::Character),
            ("https://user@example.com/", E::User),
            ("https://:pass@example.com/", E::User),
            ("https://@example.com/", E::User),
            ("https://example.com:443@evil.example/", E::User),
            ("https://example.com/#x", E::Fragment),
            ("https://example.com#@evil.example/", E::Fragment),
            ("https:///example.com/", E::Host),
            ("https://", E::Host),
            ("https://?x", E::Host),
            ("https://example.com./", E::Host),
            ("https://a..b/", E::Host),
            ("https://./", E::Host),
            ("https://:443/", E::Unreadable),
            ("https://exa%20mple.com/", E::Unreadable),
            ("https://example.com%2f.evil.example/", E::Unreadable),
            ("https://example.com%00.evil.example/", E::Unreadable),
            ("https://a.b:65536/", E::Unreadable),
            ("https://a.b:x/", E::Unreadable),
            ("https://[::1/", E::Unreadable),
            ("https://1.2.3.4.5/", E::Unreadable),
        ] {
            assert_eq!(parse(url).err(), Some(why), "{url}");
        }
        let long = format!("https://a.b/{}", "é".repeat(2_000));
        assert_eq!(parse(&long).err(), Some(E::Long), "it is as long as it is when it is sent");
    }

    #[test]
    fn what_is_shown_of_it_has_no_path_and_no_query() {
        let shown = format!("{:?}", parse("https://a.b:8443/hidden?hidden").unwrap());
        assert_eq!(shown, "Destination(GET https://a.b:8443)");
    }

    proptest! {
        #[test]
        fn what_was_read_reads_as_itself_and_names_one_host(text in "(https?://)?[a-zA-Z0-9.:@/?#%;\\\\\\[\\]é-]{0,40}") {
            if let Ok(read) = parse(&text) {
                let again = parse(read.url().as_str()).unwrap();
                prop_assert_eq!(&again, &read);
                prop_assert_eq!(read.uri().to_string(), read.url().as_str());
                prop_assert_eq!(read.uri().host(), Some(read.host()));
                let is_dots = |part: &str| part == "." || part == "..";
                prop_assert!(!read.path().split('/').any(is_dots));
                prop_assert!(read.url().username().is_empty() && read.url().fragment().is_none());
            }
        }
    }
}
