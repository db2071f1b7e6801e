//! Where answers lead. A client follows a `Location`, and the pages of a `Link` (RFC 8288), with the key that it
//! shows Keyfob: so both lead back to Keyfob where the rules let the credential go there too. What leads elsewhere
//! stays as it is, or has another name where the key is in a header that clients take along to whatever they are led
//! to. Who asked in JSON is led nowhere: its key, and the request itself, would go there (contract/
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
use url::Url;

use super::send::Sending;
use crate::error::Error;

/// What a `Location` and a `Link` are called that no client shall follow by itself.
const UPSTREAM_LOCATION: HeaderName = HeaderName::from_static("x-upstream-location");
const UPSTREAM_LINK: HeaderName = HeaderName::from_static("x-upstream-link");

/// How the caller came to Keyfob, and comes back to it.
#[derive(Clone, Debug)]
pub struct Through {
    /// The host by which it came, if it named one.
    pub host: Option<String>,
    /// What precedes a URL in the path, such as `/proxy/con_1/sec_1/`, as the caller wrote it.
    pub prefix: String,
    /// Whether its key is in a header that clients take along to other hosts, other than `Authorization`.
    pub takes_key_along: bool,
}

impl Through {
    /// Where the caller reaches Keyfob: whoever comes by another host than the public one comes straight to it, which
    /// speaks HTTP only.
    fn keyfob(&self, public: &Url) -> String {
        let direct = self.host.as_ref().and_then(|host| Url::parse(&format!("http://{host}")).ok());
        let other = |url: &Url| url.host() != public.host() || url.port() != public.port();
        direct
            .filter(other)
            .map_or_else(|| public.to_string(), |url| url.origin().ascii_serialization())
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

    /// Has an answer of `status` lead the caller back to Keyfob where it can.
    pub(super) fn lead_back(&self, headers: &mut HeaderMap, status: StatusCode) {
        let Some(through) = &self.asked.through else { return };
        let (url, public) = (self.asked.to.url(), &self.broker.inner.public_url);
        if let Some(given) =
            headers.get(LOCATION).and_then(|given| url.join(given.to_str().ok()?).ok())
        {
            let back = self.back(&given, through, public.path());
            let is_followed = status.is_redirection() && through.takes_key_along;
            let name = if back.is_none() && is_followed { UPSTREAM_LOCATION } else { LOCATION };
            headers.remove(LOCATION);
            set(headers, name, back.unwrap_or_else(|| given.into()));
        }
        // A client asks for these by its base URL or as they are, so they are whole.
        let whole = through.keyfob(public);
        let values: Vec<_> = headers.get_all(LINK).iter().cloned().collect();
        headers.remove(LINK);
        for value in values {
            let leads_away = Cell::new(false);
            let back = |target: &str| {
                let to = url.join(target).ok();
                let back = to.and_then(|to| self.back(&to, through, &whole));
                leads_away.set(leads_away.get() || back.is_none());
                back
            };
            let link = value.to_str().ok().map(|value| rewritten(value, back));
            let link = link.and_then(|link| HeaderValue::try_from(link).ok());
            let is_named_otherwise =
                through.takes_key_along && (leads_away.get() || link.is_none());
            let name = if is_named_otherwise { UPSTREAM_LINK } else { LINK };
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

fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
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
}
