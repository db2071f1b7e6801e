//! The body of a request, which tells whether anybody has asked for it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use zeroize::Zeroizing;

use super::error::Reached;

/// What became of a request, as far as its body tells: a connection takes the body right after it
/// has taken the request's line and headers, and before any of these are sent.
#[derive(Clone)]
pub(super) struct Progress(Option<Arc<AtomicBool>>);

impl Progress {
    /// How far the request came. Without a body nobody knows.
    pub(super) fn reached(&self) -> Reached {
        match &self.0 {
            Some(taken) if !taken.load(Ordering::Acquire) => Reached::Nobody,
            _ => Reached::Perhaps,
        }
    }
}

/// The body for the HTTP client, and what tells of it. It is overwritten when it is dropped, and
/// can be sent once only: the client cannot repeat by itself what it has no second copy of.
pub(super) fn watched(bytes: Option<Zeroizing<Vec<u8>>>) -> (Option<reqwest::Body>, Progress) {
    match bytes {
        Some(bytes) if !bytes.is_empty() => {
            let taken = Arc::new(AtomicBool::new(false));
            let body = Once { bytes: Some(Bytes::from_owner(bytes)), taken: Arc::clone(&taken) };
            (Some(reqwest::Body::wrap(body)), Progress(Some(taken)))
        }
        // With its length, as a request that may have a body should.
        Some(_) => (Some(reqwest::Body::from("")), Progress(None)),
        None => (None, Progress(None)),
    }
}

struct Once {
    bytes: Option<Bytes>,
    taken: Arc<AtomicBool>,
}

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.taken.store(true, Ordering::Release);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
