//! What is sent after a request's headers, as it comes.

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, SizeHint};

/// What goes wrong with a body while it comes.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The body of a request. It is asked for more only as fast as the other side takes it, and nothing
/// of it is kept: it can be sent once only.
#[derive(Debug, Default)]
pub struct StreamBody(Option<Coming>);

#[derive(Debug)]
struct Coming {
    body: UnsyncBoxBody<Bytes, BodyError>,
    progress: Progress,
}

/// How much of a body was asked for and came.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// How many parts came; its end is one too.
    pub(super) fn parts(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl StreamBody {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self(None)
    }

    /// This one, without its trailers: to a server they are headers that nobody has looked at (RFC 9110, section
    /// 6.5.1).
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let body = body.map_err(Into::into).boxed_unsync();
        Self(Some(Coming { body, progress: Progress::default() }))
    }

    /// What tells how far it came, if there is a body.
    pub(super) fn progress(&self) -> Option<Progress> {
        self.0.as_ref().map(|coming| coming.progress.clone())
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(Coming { body, progress }) = &mut self.0 else {
            return Poll::Ready(None);
        };
        loop {
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            progress.0.fetch_add(1, Ordering::Relaxed);
            if !matches!(&frame, Some(Ok(frame)) if frame.is_trailers()) {
                return Poll::Ready(frame);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|coming| coming.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |coming| coming.body.size_hint())
    }
}
