//! Connections that speak another protocol from now on: WebSocket (RFC 6455).

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{
    HeaderMap, Response,
    header::{SEC_WEBSOCKET_EXTENSIONS, UPGRADE},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use keyfob_core::leak::Needles;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::{Instant, sleep_until, timeout},
};

use super::{anew::watch, end::Ended, messages::Messages, send::Sending};

/// The longest that such a connection lasts.
const LONGEST: Duration = Duration::from_hours(1);
/// One on which nobody sends a byte for so long has an end that is gone.
const IDLE: Duration = Duration::from_mins(10);
/// A caller has so long to take the frame that tells why its connection ends, and to end it too.
const FAREWELL: Duration = Duration::from_secs(1);
/// So much is read at once, in bytes.
const PART: usize = 16 * 1024;

/// Why a server's `101` is not what was asked for.
pub(super) fn refuse<T>(response: &Response<T>) -> Option<&'static str> {
    let headers: &HeaderMap = response.headers();
    let mut upgrades = headers.get_all(UPGRADE).iter();
    let is_websocket =
        |value: &hyper::header::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    if !upgrades.next().is_some_and(is_websocket) || upgrades.next().is_some() {
        return Some("the server changed to another protocol than it was asked for");
    }
    let has_extensions = headers.contains_key(SEC_WEBSOCKET_EXTENSIONS);
    has_extensions.then_some("the server uses an extension that nobody asked for")
}

/// Carries what both sides send to the other one, until one of them ends it or it may not go on.
pub(super) fn tie(
    sending: Arc<Sending>,
    caller: OnUpgrade,
    server: OnUpgrade,
    needles: Arc<Needles>,
) {
    tokio::spawn(async move {
        let may_go_on = watch(|| Arc::clone(&sending).look());
        let ended = match tokio::try_join!(caller, server) {
            Ok((caller, server)) => {
                let messages = Messages::new(needles);
                carry(TokioIo::new(caller), TokioIo::new(server), messages, may_go_on).await
            }
            Err(error) => Ended::Lost(io::Error::other(error)),
        };
        sending.ended(ended.result(), &ended.to_string());
    });
}

/// Carries both directions until `stopped` says why they have to end, or they end by themselves.
async fn carry<C, S>(
    caller: C,
    server: S,
    mut messages: Messages,
    stopped: impl Future<Output = Ended>,
) -> Ended
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let (mut caller_reads, mut caller_writes) = split(caller);
    let (mut server_reads, mut server_writes) = split(server);
    let activity = Activity::new();
    // What was begun and not finished: nothing can be said behind half a frame.
    let mut is_whole = true;
    let ended = {
        let up = up(&mut caller_reads, &mut server_writes, &activity);
        let down =
            down(&mut server_reads, &mut caller_writes, &mut messages, &activity, &mut is_whole);
        tokio::select! {
            biased;
            ended = stopped => ended,
            ended = down => ended,
            ended = up => ended,
            () = activity.ended() => Ended::Idle,
            () = tokio::time::sleep(LONGEST) => Ended::TooLong,
        }
    };
    drop((server_reads, server_writes));
    let frame = ended.close_frame().filter(|_| is_whole && messages.is_between());
    // Nobody has to take it.
    let _ = timeout(FAREWELL, farewell(frame, caller_reads, caller_writes)).await;
    ended
}

/// Passes on what the caller sends. Who has nothing more to send may still be sent to, so this ends only where it
/// fails.
async fn up(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    activity: &Activity,
) -> Ended {
    let pass = async {
        let mut part = vec![0; PART];
        loop {
            let read = from.read(&mut part).await?;
            if read == 0 {
                return to.shutdown().await;
            }
            activity.note();
            to.write_all(&part[..read]).await?;
            to.flush().await?;
        }
    };
    match pass.await {
        Ok(()) => std::future::pending().await,
        Err(error) => Ended::Lost(error),
    }
}

/// Passes on what a server sends, up to where a credential begins. A server that sends nothing more has ended it.
async fn down(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    messages: &mut Messages,
    activity: &Activity,
    is_whole: &mut bool,
) -> Ended {
    let (mut part, mut clean) = (vec![0; PART], Vec::with_capacity(PART));
    loop {
        let read = match from.read(&mut part).await {
            Ok(0) => return Ended::Regularly,
            Ok(read) => read,
            Err(error) => return Ended::Lost(error),
        };
        activity.note();
        let taken = messages.take(&part[..read], &mut clean);
        *is_whole = false;
        let written = async {
            to.write_all(&clean).await?;
            to.flush().await
        };
        if let Err(error) = written.await {
            return Ended::Lost(error);
        }
        *is_whole = true;
        if let Err(ended) = taken {
            return ended;
        }
        clean.clear();
    }
}

/// Tells the caller why the connection ends, and lets it end it: what it had sent meanwhile would otherwise have the
/// frame thrown away.
async fn farewell(
    frame: Option<Vec<u8>>,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let is_told = frame.is_some();
    if let Some(frame) = frame {
        to.write_all(&frame).await?;
    }
    to.shutdown().await?;
    if is_told {
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(())
}

/// When somebody sent something last.
struct Activity {
    begun: Instant,
    /// So much later, in milliseconds.
    last: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { begun: Instant::now(), last: AtomicU64::new(0) }
    }

    fn note(&self) {
        let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// Ends when nobody has sent anything for too long.
    async fn ended(&self) {
        loop {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            let end = self.begun + last + IDLE;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::{
        io::{DuplexStream, duplex},
        task::JoinHandle,
        time::sleep,
    };

    use super::{super::frames::tests::frame, *};

    const ROOM: usize = 64 * 1024;

    /// The far ends of the caller's connection and of the server's, and how what is between them ends.
    fn carried(
        room: usize,
        stopped: impl Future<Output = Ended> + Send + 'static,
    ) -> (DuplexStream, DuplexStream, JoinHandle<Ended>) {
        let (caller, caller_end) = duplex(room);
        let (server, server_end) = duplex(room);
        let messages = Messages::new(Arc::new(Needles::new(&["kfb-canary+token".into()])));
        let carrying = tokio::spawn(carry(caller_end, server_end, messages, stopped));
        (caller, server, carrying)
    }

    async fn takes(end: &mut DuplexStream, expected: &[u8]) {
        let mut taken = vec![0; expected.len()];
        end.read_exact(&mut taken).await.unwrap();
        assert_eq!(taken, expected);
    }

    async fn rest(end: &mut DuplexStream) -> Vec<u8> {
        let mut rest = Vec::new();
        end.read_to_end(&mut rest).await.unwrap();
        rest
    }

    async fn stop_in(seconds: u64) -> Ended {
        sleep(Duration::from_secs(seconds)).await;
        Ended::NoMore("because".into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_has_nothing_more_to_send_is_sent_to_until_the_server_ends_it() {
        let (mut caller, mut server, carrying) = carried(ROOM, pending());
        caller.write_all(b"all").await.unwrap();
        caller.shutdown().await.unwrap();
        assert_eq!(rest(&mut server).await, b"all");
        for _ in 0..3 {
            sleep(Duration::from_mins(9)).await;
            server.write_all(&frame(0x81, b"more")).await.unwrap();
            takes(&mut caller, &frame(0x81, b"more")).await;
        }
        drop(server);
        assert!(matches!(carrying.await.unwrap(), Ended::Regularly));
        assert_eq!(rest(&mut caller).await, b"");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_gone_ends_it_for_a_caller_who_would_go_on() {
        let (mut caller, mut server, carrying) = carried(ROOM, pending());
        server.write_all(&frame(0x81, b"last")).await.unwrap();
        drop(server);
        assert_eq!(rest(&mut caller).await, frame(0x81, b"last"));
        assert!(matches!(carrying.await.unwrap(), Ended::Regularly));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_nobody_has_sent_anything_for_ten_minutes() {
        let begun = Instant::now();
        let (mut caller, mut server, carrying) = carried(ROOM, pending());
        for _ in 0..2 {
            sleep(Duration::from_mins(9)).await;
            caller.write_all(b"a").await.unwrap();
            takes(&mut server, b"a").await;
            sleep(Duration::from_mins(9)).await;
            server.write_all(&frame(0x89, b"")).await.unwrap();
            takes(&mut caller, &frame(0x89, b"")).await;
        }
        assert_eq!(rest(&mut caller).await, Ended::Idle.close_frame().unwrap());
        assert_eq!(begun.elapsed().as_secs(), 46 * 60);
        drop(caller);
        assert!(matches!(carrying.await.unwrap(), Ended::Idle));
        assert_eq!(rest(&mut server).await, b"");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_after_an_hour_although_it_goes_on() {
        let (mut caller, mut server, carrying) = carried(ROOM, pending());
        while server.write_all(&frame(0x89, b"")).await.is_ok() {
            takes(&mut caller, &[0x89]).await;
            takes(&mut caller, &[0]).await;
            sleep(Duration::from_secs(61)).await;
        }
        assert!(matches!(carrying.await.unwrap(), Ended::TooLong));
        assert_eq!(rest(&mut caller).await, Ended::TooLong.close_frame().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_go_on_is_told_so_between_two_frames() {
        let (mut caller, mut server, carrying) = carried(ROOM, stop_in(5));
        server.write_all(&frame(0x81, b"one")).await.unwrap();
        caller.write_all(b"what nobody takes").await.unwrap();
        let back = rest(&mut caller).await;
        let close = frame(0x88, b"\x03\xf0keyfob: the key may not use it any more");
        assert_eq!(back, [frame(0x81, b"one"), close].concat());
        drop(caller);
        assert!(matches!(carrying.await.unwrap(), Ended::NoMore(_)));
        assert_eq!(rest(&mut server).await, b"what nobody takes");
    }

    /// There a client would take the frame for the rest of the other one.
    #[tokio::test(start_paused = true)]
    async fn nobody_is_told_anything_within_a_frame() {
        for half in [&frame(0x81, b"one")[..4], &frame(0x02, b"kfb-canary")[..]] {
            let (mut caller, mut server, carrying) = carried(ROOM, stop_in(5));
            server.write_all(half).await.unwrap();
            let back = rest(&mut caller).await;
            assert!(half.starts_with(&back), "{back:?}");
            assert!(matches!(carrying.await.unwrap(), Ended::NoMore(_)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_and_servers_that_take_nothing_do_not_keep_it_from_ending() {
        let (caller, mut server, carrying) = carried(16, stop_in(5));
        let sending = tokio::spawn(async move {
            let _ = server.write_all(&frame(0x82, &[b'x'; 1000])).await;
        });
        let begun = Instant::now();
        assert!(matches!(carrying.await.unwrap(), Ended::NoMore(_)));
        assert_eq!(begun.elapsed().as_secs(), 5);
        sending.await.unwrap();
        drop(caller);
        let (mut caller, _server, carrying) = carried(16, stop_in(5));
        caller.write_all(&[b'x'; 40]).await.unwrap();
        // It waits for the caller a second at the most.
        assert!(matches!(carrying.await.unwrap(), Ended::NoMore(_)));
        assert_eq!(begun.elapsed().as_secs(), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn a_credential_that_comes_back_ends_it_before_that() {
        let (mut caller, mut server, carrying) = carried(ROOM, pending());
        let leak = [frame(0x81, b"one"), frame(0x01, b"kfb-"), frame(0x80, b"canary+token")];
        server.write_all(&leak.concat()).await.unwrap();
        let back = rest(&mut caller).await;
        assert_eq!(back, [frame(0x81, b"one"), Ended::Leak.close_frame().unwrap()].concat());
        drop(caller);
        assert!(matches!(carrying.await.unwrap(), Ended::Leak));
    }

    #[test]
    fn only_what_was_asked_for_is_switched_to() {
        let switched = |headers: &[(&'static str, &'static str)]| {
            let mut response = Response::new(());
            for (name, value) in headers {
                response.headers_mut().append(*name, value.parse().unwrap());
            }
            refuse(&response).is_none()
        };
        assert!(switched(&[("upgrade", "WebSocket"), ("sec-websocket-protocol", "chat")]));
        assert!(!switched(&[]));
        assert!(!switched(&[("upgrade", "h2c")]));
        assert!(!switched(&[("upgrade", "websocket, h2c")]));
        assert!(!switched(&[("upgrade", "websocket"), ("upgrade", "h2c")]));
        assert!(!switched(&[("upgrade", "websocket"), ("sec-websocket-extensions", "")]));
    }
}
