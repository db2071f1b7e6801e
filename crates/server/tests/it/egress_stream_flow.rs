//! The way out whose bodies pass as they come: how fast they pass.

use std::{convert::Infallible, io};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody as Frames};
use hyper::{
    HeaderMap, Request, Response,
    body::{Body as _, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
};
use keyfob_server::egress::{Arriving, BodyError, StreamBody};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    egress_stream::{SHORT, get, read, stream},
    listening::within_patience,
    upstream::{Body, Speaks, Upstream, answer},
};

/// More than all buffers on the way hold together, in bytes.
const MUCH: usize = 24 * 1024 * 1024;
const PART: usize = 16 * 1024;

/// A body without end, and how many of its bytes were taken.
fn endless() -> (Frames<impl futures_util::Stream<Item = Result<Frame<Bytes>, io::Error>>>, Taken) {
    let taken = watch::Sender::new(0);
    let seen = taken.subscribe();
    let parts = futures_util::stream::repeat_with(move || {
        taken.send_modify(|taken| *taken += PART);
        Ok(Frame::data(Bytes::from(vec![b'x'; PART])))
    });
    (Frames::new(parts), Taken(seen))
}

struct Taken(watch::Receiver<usize>);

impl Taken {
    /// How much was taken when no more is.
    async fn until_held_back(&mut self) -> usize {
        within_patience(async {
            while let Ok(changed) = timeout(SHORT, self.0.changed()).await {
                changed.unwrap();
                assert!(*self.0.borrow_and_update() < MUCH, "nothing holds it back");
            }
        })
        .await;
        *self.0.borrow()
    }

    async fn until(&mut self, much: usize) {
        within_patience(self.0.wait_for(|taken| *taken >= much)).await.unwrap();
    }
}

async fn next_data(body: &mut (impl hyper::body::Body<Data = Bytes> + Unpin)) -> Bytes {
    let frame = within_patience(body.frame()).await.expect("there is more");
    frame.map_err(|_| "it broke off").unwrap().into_data().expect("data")
}

#[tokio::test]
async fn an_answer_without_end_is_held_back_by_a_caller_that_does_not_read() {
    for speaks in Speaks::ALL {
        let (body, taken) = endless();
        let body = std::sync::Mutex::new(Some(body.boxed_unsync()));
        let body = std::sync::Arc::new(body);
        let server = Upstream::start(speaks, move |_| {
            let body = body.lock().unwrap().take();
            async { Response::new(body.expect("one request")) }
        })
        .await;
        let mut taken = taken;
        let response = stream(&server.egress(), get(server.url("/"))).await.unwrap();
        let held_back_at = taken.until_held_back().await;
        // It is read on as it is asked for, and only so far.
        let (mut body, mut size) = (response.into_body(), 0);
        while size < MUCH {
            size += next_data(&mut body).await.len();
        }
        taken.until(held_back_at + 1).await;
    }
}

#[tokio::test]
async fn a_body_without_end_is_held_back_by_a_server_that_does_not_read() {
    for speaks in Speaks::ALL {
        let (give, mut given) = mpsc::unbounded_channel::<Incoming>();
        let server = Upstream::start(speaks, move |request: Request<Incoming>| {
            give.send(request.into_body()).unwrap();
            std::future::pending()
        })
        .await;
        let (body, mut taken) = endless();
        let request = Request::post(server.url("/")).body(StreamBody::new(body)).unwrap();
        let egress = server.egress();
        let sending = tokio::spawn(async move { stream(&egress, request).await.map(|_| ()) });
        let mut arriving = within_patience(given.recv()).await.unwrap();
        let held_back_at = taken.until_held_back().await;
        let mut size = 0;
        while size < MUCH {
            size += next_data(&mut arriving).await.len();
        }
        taken.until(held_back_at + 1).await;
        sending.abort();
        // The server learns that nobody sends on.
        let broken_off = within_patience(async {
            loop {
                match arriving.frame().await {
                    Some(Ok(_)) => {}
                    other => return other.is_some_and(|frame| frame.is_err()),
                }
            }
        });
        assert!(broken_off.await, "{speaks:?}: it is not taken for whole");
    }
}

/// A server whose answer's body is what a test says, part by part.
async fn told(speaks: Speaks) -> (Upstream, mpsc::UnboundedSender<Bytes>) {
    let (tell, told) = mpsc::unbounded_channel();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Some(told)));
    let server = Upstream::start(speaks, move |_| {
        let told = told.lock().unwrap().take().expect("one request");
        let parts = futures_util::stream::unfold(told, async |mut told| {
            let part: Bytes = told.recv().await?;
            Some((Ok(Frame::data(part)), told))
        });
        async {
            let mut response = Response::new(Frames::new(Box::pin(parts)).boxed_unsync());
            let value = HeaderValue::from_static("text/event-stream");
            response.headers_mut().insert(CONTENT_TYPE, value);
            response
        }
    })
    .await;
    (server, tell)
}

#[tokio::test]
async fn an_event_stream_passes_event_by_event() {
    for speaks in Speaks::ALL {
        let (server, tell) = told(speaks).await;
        let response = stream(&server.egress(), get(server.url("/"))).await.unwrap();
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        let mut body = response.into_body();
        for number in 0..20 {
            let event = format!("data: {number}\n\n");
            tell.send(event.clone().into()).unwrap();
            assert_eq!(next_data(&mut body).await, event, "it is there before the next one");
        }
        drop(tell);
        assert!(within_patience(body.collect()).await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn an_answer_may_begin_before_the_request_has_ended() {
    for speaks in Speaks::ALL {
        let echo = |request: Request<Incoming>| async {
            let body = request.into_body().map_err(io::Error::other).boxed_unsync();
            Response::<Body>::new(body)
        };
        let server = Upstream::start(speaks, echo).await;
        let (say, said) = mpsc::unbounded_channel::<Bytes>();
        let parts = futures_util::stream::unfold(said, async |mut said| {
            Some((Ok::<_, BodyError>(Frame::data(said.recv().await?)), said))
        });
        let body = StreamBody::new(Frames::new(Box::pin(parts)));
        let request = Request::post(server.url("/")).body(body).unwrap();
        let mut body = stream(&server.egress(), request).await.unwrap().into_body();
        for word in ["one", "two", "three"] {
            say.send(word.into()).unwrap();
            assert_eq!(next_data(&mut body).await, word);
        }
        drop(say);
        assert!(within_patience(body.collect()).await.unwrap().to_bytes().is_empty());
    }
}

fn with_trailers(
    text: &'static str,
) -> Frames<impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("42"));
    let frames = [Frame::data(Bytes::from_static(text.as_bytes())), Frame::trailers(trailers)];
    Frames::new(futures_util::stream::iter(frames.map(Ok)))
}

/// To a server those of a request are headers, and of these only some may be passed on.
#[tokio::test]
async fn trailers_of_an_answer_pass_and_those_of_a_request_do_not() {
    for speaks in Speaks::ALL {
        let server = Upstream::start(speaks, |request: Request<Incoming>| async {
            let came = request.into_body().collect().await.unwrap();
            assert_eq!(came.trailers(), None);
            assert_eq!(came.to_bytes(), "in");
            let body = with_trailers("out").map_err(|never| match never {}).boxed_unsync();
            let mut response = Response::new(body);
            response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
            response
        })
        .await;
        let request =
            Request::post(server.url("/")).header("trailer", "x-sum").header("te", "trailers");
        let request = request.body(StreamBody::new(with_trailers("in"))).unwrap();
        let response = stream(&server.egress(), request).await.unwrap();
        let came = within_patience(response.into_body().collect()).await.unwrap();
        assert_eq!(came.trailers().unwrap()["x-sum"], "42", "{speaks:?}");
        assert_eq!(came.to_bytes(), "out");
    }
}

#[tokio::test]
async fn the_length_of_a_body_is_said_where_it_is_known() {
    for speaks in Speaks::ALL {
        let server = Upstream::start(speaks, |request: Request<Incoming>| async move {
            answer(format!("{:?}", request.body().size_hint().exact()))
        })
        .await;
        let egress = server.egress();
        let known = crate::egress_stream::post(server.url("/"), "12345");
        let response = stream(&egress, known).await.unwrap();
        let length: fn(&Arriving) -> Option<u64> = |body| body.size_hint().exact();
        assert_eq!(length(response.body()), Some(7));
        assert_eq!(read(response).await.unwrap(), "Some(5)", "{speaks:?}");
        let parts = [Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"12345")))];
        let unknown = StreamBody::new(Frames::new(futures_util::stream::iter(parts)));
        let request = Request::post(server.url("/")).body(unknown).unwrap();
        assert_eq!(read(stream(&egress, request).await.unwrap()).await.unwrap(), "None");
    }
}
