//! The body of an answer, as it comes.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::{super::error::innermost, connection::Stream};

/// The body of an answer. Whoever does not read on holds back the other side; whoever drops it before
/// its end breaks it off there.
#[derive(Debug)]
pub struct Arriving {
    body: Incoming,
    idle: Duration,
    /// Made when nothing is there for the first time: the body of most answers comes with their
    /// headers.
    alarm: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    /// Its place on a connection that others share.
    _stream: Option<Stream>,
}

/// Why an answer that has begun has no end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenOff {
    /// Nothing came for as long as the caller waits.
    #[error("nothing more of the answer came")]
    Idle,
    /// The connection or the stream ended too early, or what came is not as HTTP has it.
    #[error("the answer broke off: {0}")]
    Lost(String),
}

impl Arriving {
    pub(super) fn new(body: Incoming, idle: Duration, stream: Option<Stream>) -> Self {
        Self { body, idle, alarm: None, is_waiting: false, _stream: stream }
    }

    /// Ends when nothing has come for too long.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let idle = self.idle;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(idle)));
        if !self.is_waiting {
            alarm.set(sleep(idle));
            self.is_waiting = true;
        }
        alarm.as_mut().poll(cx)
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.is_waiting = false;
            let lost = |error: hyper::Error| BrokenOff::Lost(innermost(&error));
            return Poll::Ready(frame.map(|frame| frame.map_err(lost)));
        }
        ready!(self.poll_alarm(cx));
        Poll::Ready(Some(Err(BrokenOff::Idle)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
