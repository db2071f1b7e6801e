//! What texts in a config can be: hosts, URLs, tokens, keys.

use url::{Host, Url};

/// A text without control characters.
pub(super) fn is_text(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// A token of HTTP (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let is_char = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !text.is_empty() && text.bytes().all(is_char)
}

/// A host name as DNS has it (RFC 1123, section 2.1), or an IPv4 address.
pub(super) fn is_host(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// A part of a host name between dots.
pub(super) fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A private key in PEM (RFC 7468), as far as its looks go.
pub(super) fn is_private_key(text: &str) -> bool {
    let is_char = |c: char| c == '\n' || c == '\r' || (' '..='~').contains(&c);
    let text = text.trim();
    text.starts_with("-----BEGIN ")
        && text.ends_with("PRIVATE KEY-----")
        && text.chars().all(is_char)
}

/// An https URL (http on a loopback address only) without a user name, a password and a fragment; or an
/// empty text.
pub(super) fn is_url_or_none(text: &str) -> bool {
    text.is_empty() || is_url(text)
}

fn is_url(text: &str) -> bool {
    // The parser would skip these, and what is stored is not what it read.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return false;
    }
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let is_open = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) if is_host(name) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => return false,
    };
    is_open && (url.scheme() == "https" || url.scheme() == "http" && is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_of_https_or_of_this_machine() {
        for url in [
            "https://example.com/authorize?prompt=consent&access_type=offline",
            "https://例え.jp:8443/",
            "https://192.0.2.1/t",
            "https://[2001:db8::1]/t",
            "http://localhost:8080/t",
            "http://127.0.0.1/t",
            "http://[::1]:1/t",
            "",
        ] {
            assert!(is_url_or_none(url), "{url}");
        }
        for url in [
            "http://example.com/t",
            "http://localhost.example.com/t",
            "http://10.0.0.1/t",
            "https://user@example.com/t",
            "https://user:pass@example.com/t",
            "https://example.com/t#fragment",
            "https://((domain)).example.com/t",
            "https://exam ple.com/",
            "https://example.com/\n",
            "ftp://example.com/",
            "javascript:alert(1)",
            "/token",
            "example.com",
            "https://",
        ] {
            assert!(!is_url_or_none(url), "{url}");
        }
    }

    #[test]
    fn a_private_key_is_in_pem() {
        for key in [
            "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\r\nMC4=\r\n-----END RSA PRIVATE KEY-----",
        ] {
            assert!(is_private_key(key), "{key}");
        }
        for key in ["", "MC4=", "-----BEGIN PUBLIC KEY-----\nMC4=\n-----END PUBLIC KEY-----"] {
            assert!(!is_private_key(key), "{key}");
        }
    }
}
