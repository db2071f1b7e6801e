//! Where a provider may be asked.

use std::net::IpAddr;

use url::{Host, Url};

/// Whether a URL can be an endpoint that a provider names: `https`, or `http` on this machine, without a
/// user and a fragment (RFC 6749 sections 3.1 and 3.2, RFC 8414 section 2).
pub(super) fn is_endpoint(url: &Url) -> bool {
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
    let has_user = !url.username().is_empty() || url.password().is_some();
    is_safe && url.has_host() && !has_user && url.fragment().is_none()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_https_or_on_this_machine_without_a_user_and_a_fragment() {
        for (text, expected) in [
            ("https://example.com/token?a=b", true),
            ("http://localhost:8080/token", true),
            ("http://127.0.0.2/", true),
            ("http://[::1]/", true),
            ("http://example.com/", false),
            ("http://localhost.example.com/", false),
            ("https://user@example.com/", false),
            ("https://:pass@example.com/", false),
            ("https://example.com/#f", false),
            ("ftp://localhost/", false),
            ("data:text/plain,x", false),
        ] {
            assert_eq!(is_endpoint(&text.parse().unwrap()), expected, "{text}");
        }
    }
}
