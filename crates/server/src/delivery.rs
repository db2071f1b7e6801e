//! Whether a create's answer left: the connection follows it to the last byte.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};

use crate::broker::Pending;

/// The create whose answer is due on a connection, if there is one. There is at most one: hyper reads a
/// request only after it has written the answer to the one before. Cheap to clone.
#[derive(Clone, Default)]
pub struct Delivery(Arc<Line>);

#[derive(Default)]
struct Line {
    pending: Mutex<Option<Pending>>,
    /// Whether hyper has taken the whole answer. It may not have written it.
    is_taken: AtomicBool,
}

impl Delivery {
    /// From now on the answer that is due is this create's.
    pub(crate) fn expect(&self, pending: Pending) {
        *self.pending() = Some(pending);
    }

    fn take(&self) -> Option<Pending> {
        self.0.is_taken.store(false, Ordering::Relaxed);
        self.pending().take()
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Option<Pending>> {
        // Nothing panics while it holds the lock.
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the answer if it is a create's; any other one stays as it is.
    pub(crate) fn follow(&self, answer: Response) -> Response {
        if self.pending().is_none() {
            return answer;
        }
        self.note_end(answer.body().is_end_stream());
        answer.map(|body| Body::new(Followed { body, delivery: self.clone() }))
    }

    fn note_end(&self, is_taken: bool) {
        self.0.is_taken.store(is_taken, Ordering::Relaxed);
    }

    /// All that hyper has taken is with the operating system.
    fn flushed(&self) {
        if self.0.is_taken.load(Ordering::Relaxed)
            && let Some(pending) = self.take()
        {
            pending.answered();
        }
    }

    fn ended(&self) {
        if let Some(pending) = self.take() {
            pending.lost();
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Delivery")
    }
}

/// The body of a create's answer.
struct Followed {
    body: Body,
    delivery: Delivery,
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.delivery.note_end(frame.is_none() || self.body.is_end_stream());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that tells what becomes of answers.
pub(crate) struct Told<S> {
    stream: S,
    delivery: Delivery,
    /// Its place among the connections, also once it speaks another protocol.
    _place: OwnedSemaphorePermit,
}

impl<S> Told<S> {
    pub(crate) fn new(stream: S, delivery: Delivery, place: OwnedSemaphorePermit) -> Self {
        Self { stream, delivery, _place: place }
    }
}

impl<S> Drop for Told<S> {
    fn drop(&mut self) {
        self.delivery.ended();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Told<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Told<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Hyper flushes when it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.delivery.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
