//! `ANY /proxy/{contact}/{secret}/{https-url}`: a request that is passed on with a credential as it comes, for
//! clients whose base URL can be set (contract/keyfob, "Mint and proxy"). A contact of `-` means a shared secret.

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use hyper::body::Body as _;
use keyfob_core::{
    id::ContactId,
    proxy::{Method, forwardable},
};
use percent_encoding::percent_decode_str;

use super::{
    body, contact,
    proxy::{destination, misleading},
    secret,
};
use crate::{
    auth::{PROXY, Shown},
    broker::{Broker, Caller, Outgoing, Payload, SecretRef, Through, Upgrade},
    error::Error,
    openapi::parameters,
};

/// The largest body that is small, in bytes.
const SMALL: u64 = 64 * 1024;
/// What a request has that came through a proxy.
const IN_FRONT: [&str; 3] = ["forwarded", "via", "x-real-ip"];
/// In the place of a contact: the secret has one value for everybody.
const NOBODY: &str = "-";

/// Passes a request on with a credential, as it is.
///
/// For clients whose base URL can be set: method, headers, query and body go to the URL in the path, the credential is
/// put in, and the answer comes back, both streamed; WebSockets are carried. The key may also be in `x-api-key`,
/// `api-key` or `x-goog-api-key`, if there is no other. Redirects are handed back.
#[utoipa::path(
    method(get, post, put, patch, delete, head, options),
    path = "/proxy/{contact}/{secret}/{url}",
    operation_id = "pass",
    tag = "Requests with a credential",
    params(parameters::PassedOn),
    responses((status = "default", description = "Whatever the upstream answers: any status, media type and body")),
)]
pub(crate) async fn pass(
    State(broker): State<Broker>,
    caller: Caller,
    shown: Shown,
    mut request: Request,
) -> Result<Response, Error> {
    let Asked { contact, secret, url, prefix } = Asked::of(request.uri())?;
    let Some(method) = Method::parse(request.method().as_str()) else {
        let methods = Method::ALL.map(Method::as_str).join(",");
        return Ok(([(header::ALLOW, methods)], Error::MethodNotAllowed).into_response());
    };
    let destination = destination(&url, method)?;
    shown.is_not_in(destination.url())?;
    is_as_it_is(request.headers())?;
    let upgrade = upgrade(&mut request);
    let (Parts { headers, .. }, body) = request.into_parts();
    let keys = shown.headers(&headers);
    let host = direct_host(&headers);
    let headers = forwardable(&headers, &keys).map_err(misleading)?;
    let destination = destination.with(&headers);
    let payload = payload(body, &broker, &caller).await?;
    // Clients leave `Authorization` behind where they are led to another host, and no other header.
    let takes_key_along = keys.iter().any(|name| name != header::AUTHORIZATION);
    let through = Some(Through { host, prefix, takes_key_along });
    let outgoing = Outgoing { destination, headers, payload, upgrade, through };
    let answer = broker.proxy(&caller, contact.as_ref(), &secret, outgoing).await?;
    Ok(answer.map(Body::new))
}

/// The host that a caller names who comes straight here: what is in front of Keyfob says so, or may name itself.
fn direct_host(headers: &HeaderMap) -> Option<String> {
    let mut names = headers.keys().map(HeaderName::as_str);
    if names.any(|name| IN_FRONT.contains(&name) || name.starts_with("x-forwarded-")) {
        return None;
    }
    Some(headers.get(header::HOST)?.to_str().ok()?.to_owned())
}

/// The framing of a body is undone here; another transfer coding would be sent on as if it were what is in it
/// (RFC 9112, section 6.1).
fn is_as_it_is(headers: &HeaderMap) -> Result<(), Error> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked =
        codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if is_chunked && codings.next().is_none() { Ok(()) } else { Err(Error::TransferCoding) }
}

/// A small body that says its length is here as a whole: it can be sent again where a token has to be renewed.
async fn payload(body: Body, broker: &Broker, caller: &Caller) -> Result<Payload, Error> {
    if body.is_end_stream() {
        return Ok(Payload::Whole(bytes::Bytes::new()));
    }
    match body.size_hint().exact() {
        Some(length) if length <= SMALL => {
            Ok(Payload::Whole(body::whole(body, broker, caller).await?))
        }
        _ => Ok(Payload::Stream(body)),
    }
}

/// What the path says.
struct Asked {
    contact: Option<ContactId>,
    secret: SecretRef,
    url: String,
    /// What precedes it.
    prefix: String,
}

impl Asked {
    fn of(uri: &Uri) -> Result<Self, Error> {
        let path = uri.path().strip_prefix(PROXY).unwrap_or_default();
        let mut parts = path.splitn(3, '/');
        let mut next = || parts.next().unwrap_or_default();
        let (contact, secret, url) = (next(), next(), next());
        if url.is_empty() {
            return Err(Error::NotFound);
        }
        let prefix = format!("{PROXY}{contact}/{secret}/");
        let text = |part| percent_decode_str(part).decode_utf8_lossy();
        let contact = text(contact);
        let contact = (contact != NOBODY).then(|| contact::parse(&contact));
        let secret = secret::parse(&text(secret));
        let url = url_of(url, uri.query());
        Ok(Self { contact, secret, url, prefix })
    }
}

/// The URL as it came, so that nothing in it is read twice. Clients that take it for one segment of the path encode it
/// as a whole, and then it is decoded once (RFC 3986, section 2.4). A URL that was not encoded has slashes, and of one
/// that was encoded in part nobody knows which part is to be decoded.
fn url_of(text: &str, query: Option<&str>) -> String {
    if let Some(query) = query {
        return format!("{}?{query}", with_slashes(text));
    }
    let is_segment = !text.contains('/');
    let decoded = is_segment.then(|| percent_decode_str(text).decode_utf8().ok()).flatten();
    decoded.map_or_else(|| with_slashes(text), Cow::into_owned)
}

/// Clients and proxies in front make one slash of two.
fn with_slashes(url: &str) -> String {
    for scheme in ["https:/", "http:/"] {
        if let Some(rest) = url.strip_prefix(scheme)
            && !rest.starts_with('/')
        {
            return format!("{scheme}/{rest}");
        }
    }
    url.to_owned()
}

/// What the caller's connection becomes, if it asks for that (RFC 9110, section 7.8).
fn upgrade(request: &mut Request) -> Option<Upgrade> {
    let protocol = request.headers().get(header::UPGRADE)?.clone();
    let connection = request.headers().get(header::CONNECTION)?.to_str().ok()?;
    let is_asked = connection.split(',').any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    if !is_asked || !protocol.as_bytes().eq_ignore_ascii_case(b"websocket") {
        return None;
    }
    Some(Upgrade { protocol, caller: hyper::upgrade::on(request) })
}
