//! From where a request may come: a name that somebody else gave this address (DNS rebinding) would make their pages
//! this server's own (MCP, "Streamable HTTP", security warning).

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, Uri, header, uri::Authority};
use url::Url;

use crate::error::Error;

/// Names of the machine itself.
const LOCAL: &str = "localhost";

/// Refuses what was not sent to an address, to the machine itself or to the public URL's host, and pages of others.
///
/// An address in `Host` cannot have been given to this server by anybody else, so it need not be one of those it
/// listens on, which there may be many of.
pub(super) fn expect_known(uri: &Uri, headers: &HeaderMap, public: &Url) -> Result<(), Error> {
    let given = only(headers, &header::HOST).and_then(|host| host.parse::<Authority>().ok());
    // What a request's first line says counts before `Host` (RFC 9112, section 3.2.2).
    let host = uri.authority().or(given.as_ref()).map(|authority| bare(authority.host()));
    if !host.is_some_and(|host| is_known(host, public)) {
        let message = "\"Host\" is neither an address, nor localhost, nor the host of KEYFOB_PUBLIC_URL: set that to where clients reach Keyfob";
        return Err(Error::Denied { code: "forbidden_host", message: message.into() });
    }
    let is_own = |origin: &str| {
        let origin = Url::parse(origin).ok().map(|origin| origin.origin());
        origin.is_some_and(|origin| origin.is_tuple() && origin == public.origin())
    };
    if headers.contains_key(header::ORIGIN) && !only(headers, &header::ORIGIN).is_some_and(is_own) {
        let message =
            "\"Origin\" is not that of KEYFOB_PUBLIC_URL: pages of others may not call this";
        return Err(Error::Denied { code: "forbidden_origin", message: message.into() });
    }
    Ok(())
}

/// The value of a header that there is one of.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(value)
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn is_known(host: &str, public: &Url) -> bool {
    let is_address = host.parse::<IpAddr>().is_ok();
    let is_public = public.host_str().is_some_and(|public| host.eq_ignore_ascii_case(public));
    is_address || is_public || host.eq_ignore_ascii_case(LOCAL)
}
