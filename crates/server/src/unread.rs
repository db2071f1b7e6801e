//! What nobody reads of a request's body.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
    header::EXPECT,
};
use tokio::runtime::Handle;

/// No more is read that nobody wants, in bytes: as much as a body may have.
const MOST: usize = 64 * 1024;
/// Nor is it waited for longer than this.
const WITHIN: Duration = Duration::from_secs(5);

/// A request's body. What is left of it when it is dropped is read all the same, after the answer has
/// gone: a connection on which a body still comes takes no other request, so that hyper ends it, and
/// who has been told nothing of that sends its next request in vain. Clients send a body after its
/// headers, and many calls are answered without it.
pub(crate) struct ReadToEnd {
    /// `None` once nothing more comes.
    body: Option<Incoming>,
    /// Whether the caller asks before it sends the body (`Expect: 100-continue`): to read it is to tell
    /// the caller to send it.
    asks_first: bool,
}

impl ReadToEnd {
    /// The same request, with such a body.
    pub(crate) fn of(request: Request<Incoming>) -> Request<Self> {
        let asks_first = request.headers().contains_key(EXPECT);
        request.map(|body| Self { body: Some(body), asks_first })
    }
}

impl Body for ReadToEnd {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for ReadToEnd {
    fn drop(&mut self) {
        let is_worth_it =
            !self.asks_first && !self.is_end_stream() && self.size_hint().lower() <= MOST as u64;
        // Without a runtime there is no connection either.
        if let (true, Some(body), Ok(runtime)) =
            (is_worth_it, self.body.take(), Handle::try_current())
        {
            runtime.spawn(tokio::time::timeout(WITHIN, discard(body)));
        }
    }
}

async fn discard(body: Incoming) {
    let mut body = Limited::new(body, MOST);
    while let Some(Ok(_)) = body.frame().await {}
}
