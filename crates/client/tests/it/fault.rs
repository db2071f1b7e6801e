//! What becomes of each call when its server, or something on the way, goes wrong: one table of faults for all calls.

use std::time::Duration;

use futures_util::{StreamExt, future::join_all, stream};
use http::StatusCode;
use keyfob_client::Error;

use crate::{
    calls::{CALLS, Call, Kind},
    server::{Reply, Server},
};

const RETRIES: u32 = 2;
/// What has to be longer than what never comes.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(30);

const JSON: &str = "content-type: application/json\r\n";
const HTML: &str = "content-type: text/html; charset=utf-8\r\n";
const REFUSAL: &str =
    r#"{"message":"No","code":"SOME_CODE","error":"some_code","request_id":"r-1"}"#;
const NOT_UTF8: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n\xff\xfe";
const STATUSES: [u16; 24] = [
    400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 413, 415, 418, 422, 425, 429, 431, 451, 500,
    501, 502, 503, 504, 599,
];

/// What a call should make of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Transport,
    TimedOut,
    Foreign,
    Redirected,
    /// With the server's own code, or that of an answer that says none.
    Refused(u16, &'static str),
    /// It is what came that counts: a success, or of a stream one that broke off.
    Came,
    BrokenOff,
}

impl Expected {
    fn fits(self, outcome: &Result<(), Error>) -> bool {
        match (self, outcome) {
            (Self::Transport, Err(Error::Transport(_)))
            | (Self::TimedOut, Err(Error::TimedOut(_)))
            | (Self::Foreign, Err(Error::Foreign { .. }))
            | (Self::BrokenOff, Err(Error::BrokenOff { .. }))
            | (Self::Came, Ok(())) => true,
            (Self::Redirected, Err(Error::Redirected { status, location })) => {
                *status == StatusCode::FOUND && location.as_deref() == Some("http://127.0.0.1:1")
            }
            (Self::Refused(status, code), Err(Error::Refused(refusal))) => {
                refusal.status.as_u16() == status && refusal.code == code
            }
            _ => false,
        }
    }

    /// How often a call is sent.
    fn attempts(self, kind: Kind) -> usize {
        let may_help = match self {
            Self::Transport | Self::TimedOut => true,
            Self::Refused(status, _) => [408, 429, 500, 502, 503, 504].contains(&status),
            _ => false,
        };
        if may_help && !kind.is_once() { RETRIES as usize + 1 } else { 1 }
    }
}

struct Fault {
    name: String,
    reply: Reply,
    timeout: Duration,
    expected: fn(Kind) -> Expected,
}

fn fault(name: &str, reply: Reply, expected: fn(Kind) -> Expected) -> Fault {
    Fault { name: name.into(), reply, timeout: LONG, expected }
}

/// An answer that says that it is longer than it is.
fn cut(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{head}content-length: 9999\r\n\r\n{body}").into_bytes()
}

fn is_raw(kind: Kind) -> bool {
    matches!(kind, Kind::Raw | Kind::RawOnce)
}

/// The faults, but for the refusals.
fn faults() -> Vec<Fault> {
    // Once a stream has begun, what it lacks is an error of its own.
    let broken = |kind| if kind == Kind::Lines { Expected::BrokenOff } else { Expected::Transport };
    let silent = |kind| if kind == Kind::Lines { Expected::BrokenOff } else { Expected::TimedOut };
    let foreign = |kind| if is_raw(kind) { Expected::Came } else { Expected::Foreign };
    let lines = "content-type: application/jsonl\r\n";
    let redirect = "location: http://127.0.0.1:1/else?token=HIDDEN#x\r\n";
    let begun = b"HTTP/1.1 200 OK\r\ncontent-type: app".to_vec();
    let mut all = vec![
        fault("closed at once", Reply::Send(Vec::new()), |_| Expected::Transport),
        fault("reset at once", Reply::Reset(Vec::new()), |_| Expected::Transport),
        fault("reset in the head", Reply::Reset(begun), |_| Expected::Transport),
        fault("no HTTP", Reply::Send(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), |_| Expected::Transport),
        fault("reset in the body", Reply::Reset(cut(lines, "{\"type\":")), broken),
        fault("truncated body", Reply::Send(cut(lines, "{\"type\":")), broken),
        fault("malformed JSON", Reply::answer(200, JSON, "{\"id\":"), foreign),
        fault("other JSON", Reply::answer(200, JSON, "[7]"), foreign),
        fault("not UTF-8", Reply::Send(NOT_UTF8.to_vec()), foreign),
        fault("HTML page", Reply::answer(200, HTML, "<html>Sign in</html>"), foreign),
        fault("no content", Reply::answer(204, "", ""), foreign),
        fault("nothing in it", Reply::answer(200, JSON, ""), foreign),
        fault("redirect", Reply::answer(302, redirect, ""), |_| Expected::Redirected),
        fault("not modified", Reply::answer(304, "", ""), |_| {
            Expected::Refused(304, "GENERIC_ERROR")
        }),
        fault("truncated refusal", Reply::Send(cut(JSON, "{")), |kind| {
            if kind == Kind::Lines { Expected::Foreign } else { Expected::Transport }
        }),
    ];
    let never =
        [("no answer", Reply::Hold(Vec::new())), ("slow body", Reply::Hold(cut(lines, "{")))];
    for (name, reply) in never {
        let is_body = name == "slow body";
        let expected = if is_body { silent } else { |_| Expected::TimedOut };
        all.push(Fault { name: name.into(), reply, timeout: SHORT, expected });
    }
    all
}

async fn outcome(call: &Call, fault: &Fault) -> Option<String> {
    let server = Server::always(fault.reply.clone()).await;
    let client =
        server.builder().retries(RETRIES).timeout(fault.timeout).idle_timeout(fault.timeout);
    let result = (call.make)(&client.build().unwrap()).await;
    check(call, &fault.name, (fault.expected)(call.kind), &result, &server)
}

/// What is wrong with how a call ended, if anything is.
fn check(
    call: &Call,
    fault: &str,
    expected: Expected,
    result: &Result<(), Error>,
    server: &Server,
) -> Option<String> {
    let (sent, attempts) = (server.seen().len(), expected.attempts(call.kind));
    let shown = format!("{result:?}");
    let is_right = expected.fits(result) && sent == attempts && !shown.contains("HIDDEN");
    let (name, kind) = (call.name, call.kind);
    (!is_right).then(|| {
        format!(
            "{name} ({kind:?}), {fault}: sent {sent} of {attempts} times, {expected:?}, {shown}"
        )
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_makes_the_same_of_each_fault() {
    let faults = faults();
    for fault in &faults {
        // Not all at once: a request that is late is no answer that is.
        let outcomes = stream::iter(CALLS).map(|call| outcome(call, fault)).buffer_unordered(16);
        let wrong: Vec<_> = outcomes.filter_map(std::future::ready).collect().await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[tokio::test]
async fn every_call_tells_each_status_with_what_the_server_says() {
    for status in STATUSES {
        let unsaid = if status == 413 { "CONTENT_TOO_LARGE" } else { "GENERIC_ERROR" };
        let forms = [(JSON, REFUSAL, "SOME_CODE"), (HTML, "<html>No</html>", unsaid)];
        for (headers, body, code) in forms {
            let wrong = join_all(CALLS.iter().map(async |call| {
                let server = Server::always(Reply::answer(status, headers, body)).await;
                let client = server.builder().retries(RETRIES).build().unwrap();
                let result = (call.make)(&client).await;
                let expected = Expected::Refused(status, code);
                check(call, &format!("{status} {body}"), expected, &result, &server)
            }));
            let wrong: Vec<_> = wrong.await.into_iter().flatten().collect();
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_and_asked_again_by_every_call() {
    let url = Server::always(Reply::json("{}")).await.url.clone();
    let client = keyfob_client::Client::builder().base_url(&url).secret("kft_SECRET");
    let client = client.retries(1).retry_delay(Duration::from_millis(1)).build().unwrap();
    for call in CALLS {
        let result = (call.make)(&client).await;
        assert!(matches!(result, Err(Error::Transport(_))), "{}: {result:?}", call.name);
    }
}

#[tokio::test]
async fn what_an_upstream_answers_is_no_fault_whatever_its_status() {
    for status in STATUSES {
        let upstream = "x-keyfob-answer: upstream\r\ncontent-type: text/html\r\n";
        let server = Server::always(Reply::answer(status, upstream, "<html>")).await;
        for call in CALLS.iter().filter(|call| is_raw(call.kind)) {
            let before = server.seen().len();
            let result = (call.make)(&server.client()).await;
            assert!(result.is_ok(), "{} {status}: {result:?}", call.name);
            assert_eq!(server.seen().len(), before + 1, "{} {status}", call.name);
        }
    }
}
