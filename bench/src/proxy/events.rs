//! A provider's event stream, whose events say when they were sent, and listeners who note when they came.

use std::{convert::Infallible, time::Duration};

use anyhow::{Context as _, Result, ensure};
use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response, Sse, sse::Event},
    routing::get,
    serve::ListenerExt as _,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::interval,
};

use super::CREDENTIAL;
use crate::{
    clock::{ms_since, now},
    http::{self, Connection, Headers},
    number::percentile,
    sample::rounded,
};

/// Between two events.
const APART: Duration = Duration::from_millis(20);
/// Listeners at a time.
pub(super) const LISTENERS: usize = 8;
/// Events of each listener's stream.
pub(super) const EVENTS: usize = 100;
/// Streams that are opened one after another, for their first event.
pub(super) const OPENED: usize = 100;

/// `GET /events/{count}`: as many events, 20 ms apart, for whoever brings the credential. It runs in this process,
/// so that there is one clock, and ends when it is dropped.
pub(super) struct Events {
    pub(super) port: u16,
    clock: Clock,
    _serving: JoinSet<()>,
}

/// Milliseconds since the events' server started.
#[derive(Clone, Copy)]
struct Clock(std::time::Instant);

impl Events {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let listener = listener.tap_io(|stream: &mut TcpStream| {
            // An answer that is late is an answer that is late: it shows in the figures of all.
            let _ = stream.set_nodelay(true);
        });
        let clock = Clock(now());
        let answer = move |Path(count): Path<usize>, headers: HeaderMap| async move {
            send(count, &headers, clock)
        };
        let app = Router::new().route("/events/{count}", get(answer));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                eprintln!("the event stream ended: {error}");
            }
        });
        Ok(Self { port, clock, _serving: serving })
    }

    /// Opens streams of a candidate one after another, then several at a time.
    pub(super) async fn listen(&self, port: u16, path: &str, headers: &Headers) -> Result<Delays> {
        let request = |count| http::request("GET", &format!("{path}events/{count}"), headers, None);
        let (one, many) = (request(1), request(EVENTS));
        let mut connection = Connection::open(port).await?;
        let mut delays = Delays::default();
        for _ in 0..OPENED {
            let began = now();
            let came = self.receive(&mut connection, &one, 1).await?;
            delays.first.extend(came.iter().map(|event| event.at - self.clock.at(began)));
        }
        let mut listeners = Vec::new();
        for _ in 0..LISTENERS {
            listeners.push(Connection::open(port).await?);
        }
        let all = listeners.iter_mut().map(|connection| self.receive(connection, &many, EVENTS));
        for came in futures_util::future::try_join_all(all).await? {
            delays.each.extend(came.iter().map(|event| event.at - event.sent));
        }
        Ok(delays)
    }

    /// Sends the request and notes when each of `count` events comes.
    async fn receive(
        &self,
        connection: &mut Connection,
        request: &[u8],
        count: usize,
    ) -> Result<Vec<Came>> {
        connection.send(request).await?;
        let (mut text, mut came) = (Vec::new(), Vec::with_capacity(count));
        let note = |piece: &[u8]| {
            let at = ms_since(self.clock.0);
            text.extend_from_slice(piece);
            while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                came.extend(sent(&event).map(|sent| Came { sent, at }));
            }
        };
        let status = connection.receive_into(note).await.context("an event stream")?;
        ensure!(status == 200, "an event stream answered {status}");
        ensure!(came.len() == count, "an event stream had {} of {count} events", came.len());
        Ok(came)
    }
}

impl Clock {
    fn at(self, moment: std::time::Instant) -> f64 {
        moment.duration_since(self.0).as_secs_f64() * 1000.0
    }
}

/// The events, or a refusal.
fn send(count: usize, headers: &HeaderMap, clock: Clock) -> Response {
    if headers.get("authorization").is_none_or(|value| value != CREDENTIAL) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let events = stream::unfold((interval(APART), count), move |(mut ticks, left)| async move {
        let left = left.checked_sub(1)?;
        ticks.tick().await;
        let event = Event::default().data(ms_since(clock.0).to_string());
        Some((Ok::<_, Infallible>(event), (ticks, left)))
    });
    Sse::new(events).into_response()
}

/// When an event says it was sent.
fn sent(event: &[u8]) -> Option<f64> {
    std::str::from_utf8(event).ok()?.trim().strip_prefix("data:")?.trim().parse().ok()
}

/// When an event was sent, and when it came, in milliseconds of the server's clock.
struct Came {
    sent: f64,
    at: f64,
}

/// How long a candidate's listeners waited, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Delays {
    /// From each request of its own to the first event, which is sent at once.
    pub(super) first: Vec<f64>,
    /// From the sending of each event of several streams at a time to its coming.
    pub(super) each: Vec<f64>,
}

impl Delays {
    pub(super) fn json(&self) -> Value {
        json!({
            "first_p50_ms": rounded(percentile(&self.first, 50), 4),
            "first_p99_ms": rounded(percentile(&self.first, 99), 4),
            "event_p50_ms": rounded(percentile(&self.each, 50), 4),
            "event_p99_ms": rounded(percentile(&self.each, 99), 4),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_come_as_they_are_sent() -> Result<()> {
        let events = Events::start().await?;
        let headers = vec![("authorization".to_owned(), CREDENTIAL.to_owned())];
        let delays = events.listen(events.port, "/", &headers).await?;
        assert_eq!((delays.first.len(), delays.each.len()), (OPENED, LISTENERS * EVENTS));
        assert!(delays.first.iter().chain(&delays.each).all(|delay| *delay >= 0.0));
        // A listener who got them all at the end would have waited for most of them.
        assert!(percentile(&delays.each, 50) < 500.0);
        Ok(())
    }

    #[tokio::test]
    async fn nobody_listens_without_the_credential() -> Result<()> {
        let events = Events::start().await?;
        assert!(events.listen(events.port, "/", &Headers::new()).await.is_err());
        Ok(())
    }

    #[test]
    fn an_event_says_when_it_was_sent() {
        assert_eq!(sent(b"data: 12.5\n\n"), Some(12.5));
        assert_eq!(sent(b": keep-alive\n\n"), None);
    }
}
