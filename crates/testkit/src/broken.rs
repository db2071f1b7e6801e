//! Answers as a fault leaves them.

use std::{io, iter, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header::CONTENT_LENGTH},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;

use crate::{
    fault::{Answer, Fault},
    serve::Broken,
};

/// How much of a huge body is sent at once.
const CHUNK: &[u8] = &[b'a'; 16 * 1024];

/// What the caller gets instead of the provider's own answer.
pub(crate) async fn answer(fault: &Fault, own: Response<Body>) -> Result<Response<Body>, Broken> {
    match fault {
        Fault::DropBefore | Fault::LostAnswer => Err(Broken),
        Fault::Truncate => truncated(own).await,
        Fault::SlowDrip { bytes, pause } => dripping(own, *bytes, *pause).await,
        Fault::HugeBody { bytes } => huge(*bytes),
        Fault::Answer(answer) => other(answer),
        Fault::Pass
        | Fault::DelayBefore { .. }
        | Fault::DelayAfter { .. }
        | Fault::HoldBefore
        | Fault::HoldAfter => Ok(own),
    }
}

/// Says how long the body is, sends half of it, and breaks. An answer without a body has no half, and is lost.
async fn truncated(own: Response<Body>) -> Result<Response<Body>, Broken> {
    let (mut parts, body) = whole(own).await?;
    if body.is_empty() {
        return Err(Broken);
    }
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
    let end = stream::once(async {
        // What was written so far is sent while there is nothing more to write.
        tokio::task::yield_now().await;
        Err(io::Error::other(Broken))
    });
    let pieces = half.chain(end);
    Ok(Response::from_parts(parts, Body::from_stream(pieces)))
}

async fn dripping(
    own: Response<Body>,
    bytes: usize,
    pause: Duration,
) -> Result<Response<Body>, Broken> {
    let (mut parts, body) = whole(own).await?;
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let pieces = stream::unfold(body, move |mut left| async move {
        if left.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let piece = left.split_to(bytes.clamp(1, left.len()));
        Some((Ok::<_, io::Error>(piece), left))
    });
    Ok(Response::from_parts(parts, Body::from_stream(pieces)))
}

fn huge(bytes: u64) -> Result<Response<Body>, Broken> {
    let chunks = usize::try_from(bytes.div_ceil(CHUNK.len() as u64)).unwrap_or(usize::MAX);
    let pieces = iter::once(Bytes::from_static(br#"{"access_token":""#))
        .chain(iter::repeat_n(Bytes::from_static(CHUNK), chunks))
        .chain(iter::once(Bytes::from_static(br#""}"#)))
        .map(Ok::<_, io::Error>);
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::from_stream(stream::iter(pieces)))
        .map_err(|_| Broken)
}

fn other(answer: &Answer) -> Result<Response<Body>, Broken> {
    let status = StatusCode::from_u16(answer.status).map_err(|_| Broken)?;
    let mut response = Response::builder().status(status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body.clone())).map_err(|_| Broken)
}

async fn whole(own: Response<Body>) -> Result<(axum::http::response::Parts, Bytes), Broken> {
    let (parts, body) = own.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    Ok((parts, body))
}
