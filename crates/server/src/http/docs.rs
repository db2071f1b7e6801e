//! The API, described: for programs, and as a page for people, which needs nothing of anybody else's.

use std::{
    io::{self, Read},
    sync::LazyLock,
};

use axum::{
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::{app::Cached, error::Error, openapi, page};

const STYLE: &str = include_str!("../../templates/docs.css");
const SCRIPT: &str = include_str!("../../templates/docs.js");
/// Swagger UI, compressed (`build.rs`).
const SWAGGER_STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));
const SWAGGER_SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));

/// `GET /openapi.json`
pub(crate) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::json()).into_response()
}

/// `GET /docs`
pub(crate) async fn show() -> Response {
    page::docs()
}

/// `GET /docs/{file}`
pub(crate) async fn file(
    file: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let name = file.map(|Path(name)| name).unwrap_or_default();
    let files = FILES.as_ref().map_err(|error| Error::internal(error.to_string()))?;
    let (_, file) = files.iter().find(|(known, _)| *known == name).ok_or(Error::NotFound)?;
    Ok(file.answer(&headers))
}

/// A file of the page. What is in it changes with this program only.
struct File {
    media_type: &'static str,
    plain: Representation,
    gzip: Option<Representation>,
}

/// A file as it is sent, and what tells that from others (RFC 9110, section 8.8.3).
struct Representation {
    bytes: Bytes,
    tag: HeaderValue,
}

/// Made once: to unpack them costs more than anybody without a key may ask for again and again.
static FILES: LazyLock<io::Result<[(&str, File); 4]>> = LazyLock::new(|| {
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    Ok([
        ("docs.css", File::plain(CSS, STYLE)?),
        ("docs.js", File::plain(JS, SCRIPT)?),
        ("swagger-ui.css", File::compressed(CSS, SWAGGER_STYLE)?),
        ("swagger-ui-bundle.js", File::compressed(JS, SWAGGER_SCRIPT)?),
    ])
});

impl File {
    fn plain(media_type: &'static str, text: &'static str) -> io::Result<Self> {
        let plain = Representation::new(Bytes::from_static(text.as_bytes()))?;
        Ok(Self { media_type, plain, gzip: None })
    }

    fn compressed(media_type: &'static str, gzip: &'static [u8]) -> io::Result<Self> {
        let mut plain = Vec::new();
        GzDecoder::new(gzip).read_to_end(&mut plain)?;
        let gzip = Some(Representation::new(Bytes::from_static(gzip))?);
        Ok(Self { media_type, plain: Representation::new(plain.into())?, gzip })
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(headers));
        let Representation { bytes, tag } = gzip.unwrap_or(&self.plain);
        let mut response = match (is_known(tag, headers), gzip) {
            (true, _) => StatusCode::NOT_MODIFIED.into_response(),
            (_, None) => page::of_docs(self.media_type, bytes.clone()),
            (_, Some(_)) => {
                let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
                (encoding, page::of_docs(self.media_type, bytes.clone())).into_response()
            }
        };
        let vary = (header::VARY, HeaderValue::from_static("accept-encoding"));
        response.headers_mut().extend([(header::ETAG, tag.clone()), vary]);
        // It may be kept, and is asked for again: its name is the same in the next version.
        response.extensions_mut().insert(Cached(HeaderValue::from_static("no-cache")));
        response
    }
}

impl Representation {
    fn new(bytes: Bytes) -> io::Result<Self> {
        let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(&Sha256::digest(&bytes)));
        Ok(Self { bytes, tag: tag.try_into().map_err(io::Error::other)? })
    }
}

/// Whether a caller has what this names (RFC 9110, section 13.1.2).
fn is_known(tag: &HeaderValue, headers: &HeaderMap) -> bool {
    let known = |known: &str| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes()
    };
    members(headers, header::IF_NONE_MATCH).any(known)
}

/// Whether a caller understands gzip (RFC 9110, section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let weighed = |wanted: &str| {
        members(headers, header::ACCEPT_ENCODING).find_map(|member| {
            let (coding, weight) = member.split_once(';').unwrap_or((member, "q=1"));
            let weight = weight.split_once('=').and_then(|(_, weight)| weight.trim().parse().ok());
            coding.trim().eq_ignore_ascii_case(wanted).then(|| weight.unwrap_or(0.0) > 0.0)
        })
    };
    weighed("gzip").or_else(|| weighed("*")).unwrap_or(false)
}

/// The members of a header that is a list.
fn members(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(','))
}
