//! Hosts that a credential may be sent to.

use std::{fmt, str::FromStr};

use thiserror::Error;
use url::Host;

use super::Destination;

/// What no port says, and `:443` says as well.
const HTTPS: u16 = 443;

/// One host, `api.example.com`, or all below one, `*.example.com`, at any depth and never that one itself. In
/// front of `:8443` it is that port alone; without, it is the scheme's own (443, or 80 for http).
///
/// Names are as they are in a URL that was read: in lower case, and beyond ASCII in their `xn--` form. An
/// address is a host too (`192.0.2.1`, `[2001:db8::1]`), but none is below another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern {
    /// The name, or what follows `*.`.
    name: String,
    is_below: bool,
    /// `None` for the scheme's own.
    port: Option<u16>,
}

/// A text is no pattern of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "must be the name of a host, such as api.example.com, or *.example.com for all below one, with a port where it is not 443"
)]
pub struct InvalidHostPattern;

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, InvalidHostPattern> {
        let (host, port) = match text.rfind(':') {
            Some(at) if !text[at..].contains(']') => (&text[..at], Some(port(&text[at + 1..])?)),
            _ => (text, None),
        };
        let below = host.strip_prefix("*.");
        let name = below.unwrap_or(host).to_ascii_lowercase();
        let is_right = match below {
            // All of a top level is nobody's.
            Some(_) => name.contains('.') && is_name(&name),
            None => is_name(&name) || is_address(&name),
        };
        if !is_right {
            return Err(InvalidHostPattern);
        }
        Ok(Self { name, is_below: below.is_some(), port: port.filter(|port| *port != HTTPS) })
    }
}

impl HostPattern {
    /// Whether a request to `to` is one to a host of this pattern.
    #[must_use]
    pub fn matches(&self, to: &Destination) -> bool {
        let is_port = match self.port {
            None => to.has_default_port(),
            Some(port) => to.port() == port,
        };
        is_port && self.has(to.host())
    }

    /// Whether every request that fits `other` fits this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let is_wider = self.is_below && self.port == other.port && self.has(&other.name);
        self == other || is_wider
    }

    fn has(&self, host: &str) -> bool {
        if self.is_below {
            // No address ends like a name: a name's last part is no number.
            host.strip_suffix(self.name.as_str()).is_some_and(|rest| rest.ends_with('.'))
        } else {
            host == self.name
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.is_below { "*." } else { "" };
        write!(f, "{below}{}", self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn port(text: &str) -> Result<u16, InvalidHostPattern> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_number).ok_or(InvalidHostPattern)
}

/// Whether it is the name of a host (RFC 1123 section 2.1; underscores, which some have, count as letters), and
/// read as it is written: `0x7f.1` is an address.
fn is_name(name: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(is_char)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_read_so = |name: &str| {
        Host::parse(name).is_ok_and(|host| matches!(host, Host::Domain(read) if read == name))
    };
    name.len() <= 253 && name.split('.').all(is_label) && is_read_so(name)
}

/// Whether it is an address, and written as it is in a URL that was read.
fn is_address(text: &str) -> bool {
    let host = Host::parse(text);
    host.is_ok_and(|host| !matches!(host, Host::Domain(_)) && host.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Method;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn a_pattern_is_read_as_it_is_written() {
        for text in [
            "api.example.com",
            "*.example.com",
            "localhost",
            "192.0.2.1",
            "[2001:db8::1]",
            "[2001:db8::1]:8443",
            "xn--r8jz45g.jp",
            "a_b.example.com",
            "api.example.com:8443",
            "*.example.com:80",
        ] {
            assert_eq!(pattern(text).to_string(), text);
        }
        assert_eq!(pattern("API.Example.com:443").to_string(), "api.example.com");
    }

    #[test]
    fn what_no_host_can_be_is_no_pattern() {
        for text in [
            "",
            "*",
            "*.com",
            "*.",
            "a.*.com",
            "**.a.b",
            "*a.example.com",
            "https://a.b",
            "a/b",
            "-a.b",
            "a-.b",
            "a..b",
            ".a.b",
            "a.b.",
            "ä.b",
            "a b",
            "a@b",
            "a.b:",
            "a.b:0",
            "a.b:-1",
            "a.b:65536",
            "a.b:443:443",
            "a.b:0443",
            "a.b:+1",
            "0x7f.1",
            "127.1",
            "2130706433",
            "*.0.0.1",
            "1.2.3.4.5",
            "2001:db8::1",
            "[2001:DB8:0::1]",
            "*.[::1]",
            "a%2eb",
            "a.b\n",
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(InvalidHostPattern), "{text}");
        }
        let long = format!("{}.example.com", "a".repeat(64));
        assert!(long.parse::<HostPattern>().is_err());
    }

    #[test]
    fn a_pattern_matches_its_hosts_on_its_ports_and_no_others() {
        for (text, url, expected) in [
            ("example.com", "https://example.com/", true),
            ("example.com", "https://EXAMPLE.com:443/", true),
            ("example.com", "http://example.com/", true),
            ("example.com", "http://example.com:443/", false),
            ("example.com", "https://example.com:80/", false),
            ("example.com", "https://example.com:8443/", false),
            ("example.com", "https://api.example.com/", false),
            ("example.com", "https://evilexample.com/", false),
            ("example.com", "https://example.com.evil.example/", false),
            ("example.com:8443", "https://example.com:8443/", true),
            ("example.com:8443", "https://example.com/", false),
            ("*.example.com", "https://api.example.com/", true),
            ("*.example.com", "https://a.b.example.com/", true),
            ("*.example.com", "https://example.com/", false),
            ("*.example.com", "https://evilexample.com/", false),
            ("*.example.com", "https://api.example.com.evil.example/", false),
            ("*.example.com", "https://api.example.com:8443/", false),
            ("192.0.2.1", "https://192.0.2.1/", true),
            ("192.0.2.1", "https://0xc0000201/", true),
            ("[2001:db8::1]", "https://[2001:DB8:0:0::1]/", true),
            ("xn--r8jz45g.jp", "https://例え.jp/", true),
        ] {
            let to = Destination::parse(url, Method::Get).unwrap();
            assert_eq!(pattern(text).matches(&to), expected, "{text} {url}");
        }
    }

    #[test]
    fn a_pattern_covers_what_is_narrower_and_nothing_else() {
        for (all, one, expected) in [
            ("a.example.com", "a.example.com", true),
            ("a.example.com", "A.example.com:443", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "*.a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.a.example.com", "*.example.com", false),
            ("a.example.com", "*.a.example.com", false),
            ("*.example.com", "*.evilexample.com", false),
            ("*.example.com", "a.example.com:8443", false),
            ("*.example.com:8443", "a.example.com:8443", true),
            ("a.example.com:8443", "a.example.com", false),
        ] {
            assert_eq!(pattern(all).covers(&pattern(one)), expected, "{all} {one}");
        }
    }
}
