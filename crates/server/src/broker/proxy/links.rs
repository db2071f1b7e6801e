//! Where answers lead. A client follows a `Location`, and the pages of a `Link` (RFC 8288), with the key that it
//! shows Keyfob: so both lead back to Keyfob where the rules let the credential go there too. What leads elsewhere, or
//! where nobody can tell, stays as it is, or has another name where the key is in a header that clients take along to
//! whatever they are led to. Who asked in JSON is led nowhere: its key, and the request itself, would go there (contract/
//! contacts-and-secrets, section 6.2).

use std::cell::Cell;

use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderName, HeaderValue, LINK, LOCATION},
};
use keyfob_core::{
    leak::{Needles, redact},
    proxy::Destination,
};
use url::{Host, Url};

use super::send::Sending;
use crate::error::Error;

/// What a `Location` and a `Link` are called that no client shall follow by itself.
const UPSTREAM_LOCATION: HeaderName = HeaderName::from_static("x-upstream-location");
const UPSTREAM_LINK: HeaderName = HeaderName::from_static("x-upstream-link");

/// What may stand around the parts of a header (RFC 9110 section 5.6.3).
const BLANK: [char; 2] = [' ', '\t'];

/// How the caller came to Keyfob, and comes back to it.
#[derive(Clone, Debug)]
pub struct Through {
    /// The host by which it came, if it named one and came straight here.
    pub host: Option<String>,
    /// What precedes a URL in the path, such as `/proxy/con_1/sec_1/`, as the caller wrote it.
    pub prefix: String,
    /// Whether its key is in a header that clients take along to other hosts, other than `Authorization`.
    pub takes_key_along: bool,
}

impl Through {
    /// Where the caller reaches Keyfob: whoever comes by another name than the public one comes straight to it, which
    /// speaks HTTP only. Nobody who may have come over TLS is led to where there is none: this machine's own name may
    /// be that of what is in front of Keyfob, to which it is next door.
    fn keyfob(&self, public: &Url) -> String {
        let direct = self.host.as_deref().and_then(origin);
        let is_other = |url: &Url| {
            url.host() != public.host() && (public.scheme() == "http" || !is_this_machine(url))
        };
        direct
            .filter(is_other)
            .map_or_else(|| public.to_string(), |url| url.origin().ascii_serialization())
    }
}

/// The origin that a `Host` names, if it is a host and perhaps a port to the letter (RFC 9110 section 7.2).
fn origin(host: &str) -> Option<Url> {
    let url = Url::parse(&format!("http://{host}")).ok()?;
    let name = url.host_str()?;
    let is_same = |read: &str| read.eq_ignore_ascii_case(host);
    let port = url.port_or_known_default().unwrap_or_default();
    (is_same(name) || is_same(&format!("{name}:{port}"))).then_some(url)
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Sending {
    /// That an answer leads nobody on who cannot be led.
    pub(super) fn lead_nowhere(
        &self,
        headers: &HeaderMap,
        status: StatusCode,
        needles: &Needles,
    ) -> Result<(), Error> {
        // Some clients follow whatever has a `Location`.
        let given = headers.get(LOCATION);
        let leads =
            status.is_redirection() && (status != StatusCode::NOT_MODIFIED || given.is_some());
        if !leads || self.asked.through.is_some() {
            return Ok(());
        }
        let location = given.map(|given| String::from_utf8_lossy(given.as_bytes()).into_owned());
        let location = location.map(|given| {
            let whole = self.asked.to.url().join(&given);
            whole.map_or(given, String::from)
        });
        let redacted = location.as_ref().and_then(|to| redact(needles, to.as_bytes()));
        let result = if redacted.is_some() { "redacted" } else { "answered" };
        self.ended(result, &format!("{}, a redirect, which is not followed", status.as_u16()));
        let redacted = redacted.map(|text| String::from_utf8_lossy(&text).into_owned());
        Err(Error::RedirectBlocked { location: redacted.or(location) })
    }

    /// Has an answer lead the caller back to Keyfob where it can.
    pub(super) fn lead_back(&self, headers: &mut HeaderMap) {
        let Some(through) = &self.asked.through else { return };
        let (url, public) = (self.asked.to.url(), &self.broker.inner.public_url);
        // Of several, each client follows another one.
        for given in taken(headers, LOCATION) {
            let to = given.to_str().ok().and_then(|given| url.join(given).ok());
            let back = to.as_ref().and_then(|to| self.back(to, through, public.path()));
            let is_hidden = through.takes_key_along && back.is_none();
            let whole = back.or_else(|| to.map(String::from));
            let value = whole.and_then(|whole| HeaderValue::try_from(whole).ok());
            let name = if is_hidden { UPSTREAM_LOCATION } else { LOCATION };
            headers.append(name, value.unwrap_or(given));
        }
        // A client asks for these by its base URL or as they are, so they are whole.
        let whole = through.keyfob(public);
        for value in taken(headers, LINK) {
            let leads_away = Cell::new(false);
            let back = |target: &str| {
                let to = url.join(target).ok();
                let back = to.and_then(|to| self.back(&to, through, &whole));
                leads_away.set(leads_away.get() || back.is_none());
                back
            };
            let text = value.to_str().ok();
            let is_certain = text.is_some_and(is_certain);
            let link = text.map(|value| rewritten(value, back));
            let link = link.and_then(|link| HeaderValue::try_from(link).ok());
            let leads_back = is_certain && !leads_away.get() && link.is_some();
            let is_hidden = through.takes_key_along && !leads_back;
            let name = if is_hidden { UPSTREAM_LINK } else { LINK };
            headers.append(name, link.unwrap_or(value));
        }
    }

    /// The same place by way of Keyfob, if the credential may go there.
    fn back(&self, to: &Url, through: &Through, keyfob: &str) -> Option<String> {
        let mut bare = to.clone();
        bare.set_fragment(None);
        let destination = Destination::parse(bare.as_str(), self.asked.to.method()).ok()?;
        self.route.allow(self.asked.wanted.caller.grant(), &destination).ok()?;
        Some(format!("{}{}{to}", keyfob.trim_end_matches('/'), through.prefix))
    }
}

/// All values of a header, which has none from now on.
fn taken(headers: &mut HeaderMap, name: HeaderName) -> Vec<HeaderValue> {
    let values = headers.get_all(&name).iter().cloned().collect();
    headers.remove(name);
    values
}

/// Whether everybody sees the same targets in the value of a `Link`: clients look for what is between `<` and `>`, many
/// of them also within quotes, or take what has no `<` for a target as a whole.
fn is_certain(value: &str) -> bool {
    let mut rest = value;
    loop {
        let link = rest.trim_matches(BLANK).strip_prefix('<');
        let Some((target, behind)) = link.and_then(|link| link.split_once('>')) else {
            return false;
        };
        let mut is_quoted = false;
        let end = behind.find(|c| {
            is_quoted ^= c == '"';
            c == ',' && !is_quoted
        });
        let (parameters, next) = behind.split_at(end.unwrap_or(behind.len()));
        let is_plain =
            parameters.is_empty() || parameters.trim_start_matches(BLANK).starts_with(';');
        let is_odd = parameters.contains(['<', '>', '\\']) || target.contains(['<', '"']);
        if !is_plain || is_odd || is_quoted {
            return false;
        }
        let Some(next) = next.strip_prefix(',') else { return true };
        rest = next;
    }
}

/// The value of a `Link` with other targets: those between `<` and `>`, outside of quoted parameters.
fn rewritten(value: &str, other: impl Fn(&str) -> Option<String>) -> String {
    let (mut out, mut rest, mut is_quoted) = (String::with_capacity(value.len() * 2), value, false);
    while let Some(at) = rest.find(['<', '"', '\\']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        match found.as_bytes()[0] {
            b'<' if !is_quoted => {
                let Some((target, behind)) = found[1..].split_once('>') else { break };
                out.push('<');
                out.push_str(&other(target).unwrap_or_else(|| target.to_owned()));
                out.push('>');
                rest = behind;
                continue;
            }
            // What follows it within quotes is no end of them.
            b'\\' if is_quoted && found.is_char_boundary(2) && found.len() > 1 => {
                out.push_str(&found[..2]);
                rest = &found[2..];
                continue;
            }
            b'"' => is_quoted = !is_quoted,
            _ => {}
        }
        out.push_str(&found[..1]);
        rest = &found[1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_targets_of_links_are_rewritten() {
        let shout = |target: &str| (target != "same").then(|| target.to_uppercase());
        for (value, expected) in [
            ("<a?page=2>; rel=\"next\", <b>; rel=last", "<A?PAGE=2>; rel=\"next\", <B>; rel=last"),
            ("<same>; rel=next", "<same>; rel=next"),
            ("<a>; title=\"<b> \\\"<c>\\\"\", <d>", "<A>; title=\"<b> \\\"<c>\\\"\", <D>"),
            ("<a", "<a"),
            ("", ""),
            ("\"\\", "\"\\"),
        ] {
            assert_eq!(rewritten(value, shout), expected, "{value}");
        }
    }

    #[test]
    fn a_link_in_which_somebody_sees_another_target_is_not_certain() {
        for value in [
            "<a?page=2>; rel=\"next\", <b>; rel=last",
            "<a>",
            " <a,b> ;rel=next;title=\"x, y\" ,\t<b>",
        ] {
            assert!(is_certain(value), "{value}");
        }
        for value in [
            "",
            "https://evil.example/; rel=next",
            "\"<https://evil.example/>; rel=\"next\"",
            "<a>; title=\"; rel=prev, <https://evil.example/>; rel=\"next\"",
            "<a>; title=\"<https://evil.example/>\"",
            "<a>; title=\"\\\", <b>; rel=next",
            "<a>, https://evil.example/; rel=next",
            "<a>; rel=\"next",
            "<a <https://evil.example/>; rel=next",
            "<a>b; rel=next",
            "<a>; rel=next,",
            "<a",
        ] {
            assert!(!is_certain(value), "{value}");
        }
    }

    #[test]
    fn a_host_counts_to_the_letter_and_never_leads_from_https_to_http() {
        let led = |host: &str, public: &str| {
            let through = Through {
                host: Some(host.to_owned()),
                prefix: String::new(),
                takes_key_along: false,
            };
            through.keyfob(&public.parse().unwrap())
        };
        let public = "https://kf.example/";
        for host in [
            "kf.example",
            "kf.example:443",
            "kf.example:8443",
            "kf.example:80",
            "KF.example",
            "127.0.0.1:7117",
            "localhost:7117",
            "[::1]:7117",
            "x@evil.example",
            "evil.example/a",
            "evil.example?a",
            "evil.example\\a",
            "evil.example:",
            "evil.example:080",
            "evil%2eexample",
            "[::1",
            "a b>",
            "",
        ] {
            assert_eq!(led(host, public), public, "{host}");
        }
        for (host, public, expected) in [
            ("keyfob:7117", public, "http://keyfob:7117"),
            ("KEYFOB", public, "http://keyfob"),
            ("keyfob:80", public, "http://keyfob"),
            ("10.0.0.1:7117", public, "http://10.0.0.1:7117"),
            ("127.0.0.1:7117", "http://kf.example/", "http://127.0.0.1:7117"),
            ("localhost:7118", "http://localhost:7117/", "http://localhost:7117/"),
        ] {
            assert_eq!(led(host, public), expected, "{host}");
        }
    }
}
