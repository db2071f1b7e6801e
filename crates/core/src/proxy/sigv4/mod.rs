//! Requests that are signed and not shown the secret (AWS Signature Version 4). The signature is AWS's own
//! crate's; here is what of a request goes into it.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningParams,
        SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_ENCODING},
    request::Parts,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::time::Timestamp;

/// Services that take a path as it is encoded, and bodies that are not signed.
const S3: [&str; 3] = ["s3", "s3-outposts", "s3-object-lambda"];
/// Services beside those that want the hash of the body in a header.
const WITH_HASH: [&str; 2] = ["aoss", "glacier"];
/// What is signed of the headers, if it is there, beside `Host` and all that begin with `x-amz-`. What others
/// may change on the way is not.
const SIGNED: [&str; 4] = ["content-md5", "content-type", "date", "range"];
/// What the signature says itself.
const OURS: [&str; 3] = ["x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];
/// A body in chunks that carry checksums and no signatures, as the SDKs of AWS send it.
const UNSIGNED_CHUNKS: &[u8] = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER";
/// What AWS leaves as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The longest name of a region or a service.
const LONGEST: usize = 64;

/// What a signature is for: it counts nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigV4 {
    region: String,
    service: String,
}

/// A body, as far as a signature is concerned.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It is sent as it comes.
    Streamed,
}

/// A request cannot be signed. Says nothing of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// The body has to be there as a whole.
    #[error("the service signs bodies, so the body has to be there as a whole")]
    Streamed,
    /// The body is in chunks, each signed with another key.
    #[error(
        "the body is in chunks that the caller has signed itself: have its client send the body as it is, or with unsigned chunks"
    )]
    SignedChunks,
    /// A header is no text.
    #[error("a header that has to be signed is not UTF-8")]
    Header,
    /// The clock says that it is before 1970.
    #[error("the clock of the server is before 1970: set the clock")]
    Clock,
    /// The request has no form that can be signed.
    #[error("the request cannot be signed")]
    Request,
}

impl SignError {
    /// Whether another request would help.
    pub(super) const fn is_of_the_request(self) -> bool {
        !matches!(self, Self::Clock)
    }
}

impl SigV4 {
    /// Signatures for this service in this region, as AWS calls them (`us-east-1`, `s3`); `None` if nothing is
    /// called so.
    #[must_use]
    pub fn new(region: &str, service: &str) -> Option<Self> {
        let is_char = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let is_name = |name: &str| (1..=LONGEST).contains(&name.len()) && name.bytes().all(is_char);
        let scope = Self { region: region.to_owned(), service: service.to_owned() };
        (is_name(region) && is_name(service)).then_some(scope)
    }

    /// Whether a body has to be there as a whole: of all services only S3 takes one that is not signed.
    pub(super) fn needs_body(&self) -> bool {
        !self.is_s3()
    }

    fn is_s3(&self) -> bool {
        S3.contains(&self.service.as_str())
    }

    /// Signs a request with an access key and its secret. What the caller has signed is replaced.
    pub(super) fn sign(
        &self,
        parts: &mut Parts,
        (id, secret): (&SecretString, &SecretString),
        payload: Payload<'_>,
        now: Timestamp,
    ) -> Result<(), SignError> {
        let body = self.body(&parts.headers, payload)?;
        let time = u64::try_from(now.as_millis()).map_err(|_| SignError::Clock)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(time);
        let credentials = Credentials::builder()
            .access_key_id(id.expose_secret())
            .secret_access_key(secret.expose_secret())
            .provider_name("keyfob")
            .build();
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(time)
            .settings(self.settings())
            .build();
        let params = SigningParams::from(params.map_err(|_| SignError::Request)?);
        let headers = signed(&parts.headers)?;
        let uri = self.signed_uri(parts);
        let request = SignableRequest::new(parts.method.as_str(), uri, headers.into_iter(), body);
        let signed = sign(request.map_err(|_| SignError::Request)?, &params);
        let (instructions, _) = signed.map_err(|_| SignError::Request)?.into_parts();
        let (added, _) = instructions.into_parts();
        for name in OURS {
            parts.headers.remove(name);
        }
        for header in added {
            let value = HeaderValue::from_str(header.value()).map_err(|_| SignError::Request)?;
            parts.headers.insert(header.name(), value);
        }
        if let Some(value) = parts.headers.get_mut(AUTHORIZATION) {
            value.set_sensitive(true);
        }
        Ok(())
    }

    fn settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if self.is_s3() {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        if self.is_s3() || WITH_HASH.contains(&self.service.as_str()) {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        settings
    }

    fn body<'a>(
        &self,
        headers: &HeaderMap,
        payload: Payload<'a>,
    ) -> Result<SignableBody<'a>, SignError> {
        let said = headers.get("x-amz-content-sha256").map(HeaderValue::as_bytes);
        if self.is_s3() && said == Some(UNSIGNED_CHUNKS) {
            return Ok(SignableBody::StreamingUnsignedPayloadTrailer);
        }
        let codings = headers.get_all(CONTENT_ENCODING).into_iter();
        let mut codings = codings.filter_map(|value| value.to_str().ok());
        if said.is_some_and(|said| said.starts_with(b"STREAMING-"))
            || codings.any(|value| value.to_ascii_lowercase().contains("aws-chunked"))
        {
            return Err(SignError::SignedChunks);
        }
        match payload {
            Payload::Whole(body) => Ok(SignableBody::Bytes(body)),
            Payload::Streamed if self.is_s3() => Ok(SignableBody::UnsignedPayload),
            Payload::Streamed => Err(SignError::Streamed),
        }
    }

    /// The URL as it is signed. S3 decodes a path and encodes it its own way before it looks at the signature,
    /// so that way has to be signed, however the path is sent; the others take it as it is sent.
    fn signed_uri(&self, parts: &Parts) -> String {
        if !self.is_s3() {
            return parts.uri.to_string();
        }
        let segments = parts.uri.path().split('/').map(|segment| {
            let decoded: Vec<u8> = percent_decode_str(segment).collect();
            percent_encode(&decoded, PATH).to_string()
        });
        let path = segments.collect::<Vec<_>>().join("/");
        let scheme = parts.uri.scheme_str().unwrap_or("https");
        let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme}://{authority}{path}{query}")
    }
}

/// The signature that a request was signed with.
pub(super) fn signature(headers: &HeaderMap) -> Option<SecretString> {
    let said = headers.get(AUTHORIZATION)?.to_str().ok()?;
    said.rsplit_once("Signature=").map(|(_, signature)| signature.into())
}

/// The headers that are signed.
fn signed<'a>(headers: &'a HeaderMap) -> Result<Vec<(&'a str, &'a str)>, SignError> {
    let is_signed =
        |name: &str| SIGNED.contains(&name) || name.starts_with("x-amz-") && !OURS.contains(&name);
    let signed = headers.iter().filter(|(name, _)| is_signed(name.as_str()));
    let text = |(name, value): (&'a HeaderName, &'a HeaderValue)| {
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| SignError::Header)?;
        Ok((name.as_str(), value))
    };
    signed.map(text).collect()
}

#[cfg(test)]
mod tests;
