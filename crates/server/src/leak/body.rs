//! A body that is guarded.

use std::{
    error::Error as StdError,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::http::HeaderMap;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use keyfob_core::leak::{Needles, Passed, Redactor};

use super::{
    coding::{Decoding, Pipeline},
    decoder::Corrupt,
    header::redact_headers,
    limit::{Caps, Cut, Limits},
};

type BoxError = Box<dyn StdError + Send + Sync>;

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The caller has all of it.
    Complete,
    /// It was larger than it may be.
    TooLarge,
    /// It took longer than it may.
    TooSlow,
    /// The upstream broke off, or what it sent could not be decoded.
    UpstreamFailed,
    /// The caller did not take all of it.
    CallerGone,
}

impl End {
    /// The word for events and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::UpstreamFailed => "upstream_failed",
            Self::CallerGone => "caller_gone",
        }
    }
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many bytes the caller took, without trailers.
    pub bytes: u64,
    /// How many credentials were taken out, of trailers too.
    pub redacted: u64,
    /// How it ended.
    pub end: End,
}

/// Another body, decoded and without the credentials. Where there is nothing to look for and nothing to
/// decode, each frame passes as it is.
///
/// Its length is not known beforehand: an answer that has one must not have `content-length`, unless there
/// are no needles and no [`Decoding`].
pub struct GuardedBody<B: Body> {
    upstream: B,
    pipeline: Pipeline,
    redactor: Redactor,
    needles: Arc<Needles>,
    limits: Limits,
    rest: Rest,
    bytes: u64,
    redacted_trailers: u64,
    tell: Option<Box<dyn FnOnce(Outcome) + Send>>,
}

/// What is still to come of the upstream.
enum Rest {
    Data,
    /// No more data, but perhaps what is kept back, and then these.
    Trailers(Option<HeaderMap>),
    Nothing,
}

impl<B> GuardedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Guards `upstream`, which is encoded so, from now on. `tell` is called once, when it has ended or is
    /// dropped. Within a runtime, if there are caps on the time.
    ///
    /// # Errors
    /// There is no memory for a decoder.
    pub fn new(
        upstream: B,
        decoding: &Decoding,
        needles: Arc<Needles>,
        caps: Caps,
        tell: impl FnOnce(Outcome) + Send + 'static,
    ) -> std::io::Result<Self> {
        Ok(Self {
            upstream,
            pipeline: Pipeline::new(decoding)?,
            redactor: Redactor::new(Arc::clone(&needles)),
            needles,
            limits: Limits::new(caps),
            rest: Rest::Data,
            bytes: 0,
            redacted_trailers: 0,
            tell: Some(Box::new(tell)),
        })
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BoxError>> {
        if matches!(self.rest, Rest::Nothing) {
            return Poll::Ready(Ok(None));
        }
        self.limits.has_time()?;
        loop {
            while let Some(piece) = self.pipeline.pull()? {
                self.limits.take(piece.len())?;
                if let Some(data) = self.redact(piece) {
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
            }
            match &mut self.rest {
                Rest::Data => ready!(self.poll_upstream(cx))?,
                Rest::Trailers(_) if !self.pipeline.may_end() => {
                    return Poll::Ready(Err(Corrupt.into()));
                }
                Rest::Trailers(trailers) if !self.redactor.holds() => {
                    let trailers = trailers.take();
                    self.rest = Rest::Nothing;
                    return Poll::Ready(Ok(trailers.map(|trailers| self.trailers(trailers))));
                }
                Rest::Trailers(_) => {
                    let mut out = Vec::new();
                    self.redactor.finish(&mut out);
                    if !out.is_empty() {
                        return Poll::Ready(Ok(Some(Frame::data(out.into()))));
                    }
                }
                Rest::Nothing => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Waits for the upstream's next frame, and takes it.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let Poll::Ready(frame) = Pin::new(&mut self.upstream).poll_frame(cx) else {
            self.limits.wait(cx)?;
            return Poll::Pending;
        };
        self.limits.came();
        let trailers =
            match frame.transpose().map_err(Into::<BoxError>::into)?.map(Frame::into_data) {
                Some(Ok(data)) => {
                    self.pipeline.push(data);
                    if self.upstream.is_end_stream() {
                        self.rest = Rest::Trailers(None);
                    }
                    return Poll::Ready(Ok(()));
                }
                Some(Err(frame)) => frame.into_trailers().ok(),
                None => None,
            };
        self.rest = Rest::Trailers(trailers);
        Poll::Ready(Ok(()))
    }

    fn redact(&mut self, piece: Bytes) -> Option<Bytes> {
        let mut out = Vec::new();
        // Of the last one nothing has to be kept back, so that a short answer is one frame.
        let is_last = matches!(self.rest, Rest::Trailers(_)) && self.pipeline.is_done();
        let passed = match self.redactor.pass(&piece, is_last, &mut out) {
            Passed::Same(count) if count == piece.len() => piece,
            Passed::Same(count) => piece.slice(..count),
            Passed::Other => out.into(),
        };
        Some(passed).filter(|passed| !passed.is_empty())
    }

    fn trailers(&mut self, mut trailers: HeaderMap) -> Frame<Bytes> {
        self.redacted_trailers = redact_headers(&self.needles, &mut trailers);
        Frame::trailers(trailers)
    }
}

impl<B: Body> GuardedBody<B> {
    fn has_ended(&self) -> bool {
        match self.rest {
            Rest::Nothing => true,
            Rest::Trailers(Some(_)) => false,
            Rest::Trailers(None) => self.pipeline.is_done() && !self.redactor.holds(),
            Rest::Data => {
                self.upstream.is_end_stream() && self.pipeline.may_end() && !self.redactor.holds()
            }
        }
    }

    fn told(&mut self, end: End) {
        self.rest = Rest::Nothing;
        if let Some(tell) = self.tell.take() {
            let redacted = self.redactor.found() + self.redacted_trailers;
            tell(Outcome { bytes: self.bytes, redacted, end });
        }
    }
}

impl<B> Body for GuardedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_next(cx));
        match &next {
            Ok(Some(frame)) => this.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Ok(None) => this.told(End::Complete),
            Err(error) => this.told(end_of(error)),
        }
        Poll::Ready(next.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended()
    }

    fn size_hint(&self) -> SizeHint {
        if self.needles.is_empty() && !self.pipeline.decodes() {
            self.upstream.size_hint()
        } else {
            SizeHint::default()
        }
    }
}

impl<B: Body> Drop for GuardedBody<B> {
    fn drop(&mut self) {
        let end = if self.has_ended() { End::Complete } else { End::CallerGone };
        self.told(end);
    }
}

fn end_of(error: &BoxError) -> End {
    match error.downcast_ref() {
        Some(Cut::TooLarge) => End::TooLarge,
        Some(Cut::TooSlow) => End::TooSlow,
        None => End::UpstreamFailed,
    }
}
