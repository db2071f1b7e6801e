//! The way out whose bodies pass as they come: what is sent, and what is known when nothing comes back.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full, StreamBody as Frames};
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Frame,
    header::{AUTHORIZATION, CONNECTION, EXPECT, HOST, HeaderValue},
};
use keyfob_server::egress::{
    Arriving, BodyError, BrokenOff, Egress, SendError, StreamBody, StreamLimits,
};
use tokio::{net::TcpListener, time::interval};

use crate::{
    egress::egress,
    endpoint::{Endpoint, Step, ok},
    guard::{Guard, logs},
    listening::within_patience,
    lossy::End,
    upstream::{self, Speaks, Upstream, answer},
};

/// Longer than anything takes on this machine.
const LONG: Duration = Duration::from_secs(15);
/// How long a test waits for what does not come.
pub(crate) const SHORT: Duration = Duration::from_millis(300);
pub(crate) const LIMITS: StreamLimits = StreamLimits { connect: LONG, headers: LONG, idle: LONG };

pub(crate) fn get(url: impl AsRef<str>) -> Request<StreamBody> {
    Request::get(url.as_ref()).body(StreamBody::empty()).unwrap()
}

pub(crate) fn post(url: impl AsRef<str>, body: &'static str) -> Request<StreamBody> {
    let body = StreamBody::new(Full::new(Bytes::from_static(body.as_bytes())));
    Request::post(url.as_ref()).body(body).unwrap()
}

pub(crate) async fn stream(
    egress: &Egress,
    request: Request<StreamBody>,
) -> Result<Response<Arriving>, SendError> {
    within_patience(Box::pin(egress.stream(request, LIMITS))).await
}

/// The whole of an answer's body.
pub(crate) async fn read(response: Response<Arriving>) -> Result<Bytes, BrokenOff> {
    within_patience(response.into_body().collect()).await.map(Collected::to_bytes)
}

pub(crate) async fn read_text(response: Response<Arriving>) -> String {
    String::from_utf8(read(response).await.unwrap().to_vec()).unwrap()
}

#[track_caller]
pub(crate) fn not_sent<T>(result: Result<T, SendError>) -> String {
    match result {
        Err(SendError::NotSent(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("there is an answer"),
    }
}

#[track_caller]
pub(crate) fn no_answer<T>(result: Result<T, SendError>) -> String {
    match result {
        Err(SendError::NoAnswer(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("there is an answer"),
    }
}

/// What comes of a request to a server that does this.
async fn after(step: Step, limits: StreamLimits) -> Result<Response<Arriving>, SendError> {
    let server = Endpoint::start([step]).await;
    let request = post(server.url("/token"), "grant_type=x");
    let result = within_patience(Box::pin(egress().stream(request, limits))).await;
    assert_eq!((server.requests().len(), server.connections()), (1, 1), "it came once");
    result
}

#[tokio::test]
async fn a_request_goes_out_as_it_is_and_to_the_host_that_its_url_names() {
    let server = Endpoint::start([ok("")]).await;
    let mut request = post(server.url("/a%20b?c=d%20e&f"), "some text");
    *request.version_mut() = Version::HTTP_10;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("other.example"));
    headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    read(stream(&egress(), request).await.unwrap()).await.unwrap();
    let mut sent: Vec<_> = server.requests()[0].lines().map(str::to_owned).collect();
    assert_eq!(sent.remove(0), "POST /a%20b?c=d%20e&f HTTP/1.1");
    sent.sort();
    let host = format!("host: 127.0.0.1:{}", server.port());
    let expected = ["", "authorization: Bearer x", "content-length: 9", &host, "some text"];
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_request_says_the_same_in_every_version() {
    for speaks in Speaks::ALL {
        let server = Upstream::start(speaks, |_| async { answer("in") }).await;
        let mut request = get(server.url("/a?b=c"));
        request.headers_mut().insert("x-mine", HeaderValue::from_static("d"));
        let response = stream(&server.egress(), request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(read(response).await.unwrap(), "in");
        let came = &server.requests()[0];
        let version = if speaks == Speaks::Http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        assert_eq!((came.version, &came.method), (version, &Method::GET));
        assert_eq!(came.uri.path_and_query().unwrap(), "/a?b=c");
        let host = format!("{}:{}", upstream::NAME, server.port());
        let authority = came.uri.authority().map(ToString::to_string);
        let said = came.headers.get(HOST).map(|host| host.to_str().unwrap().to_owned());
        assert_eq!(authority.or(said), Some(host), "{speaks:?}");
        assert_eq!(came.headers["x-mine"], "d");
    }
}

#[tokio::test]
async fn one_connection_serves_requests_one_after_the_other() {
    for speaks in Speaks::ALL {
        let server = Upstream::start(speaks, |_| async { answer("x".repeat(100_000)) }).await;
        let egress = server.egress();
        for _ in 0..20 {
            let response = stream(&egress, post(server.url("/"), "y")).await.unwrap();
            assert_eq!(read(response).await.unwrap().len(), 100_000);
        }
        assert_eq!((server.requests().len(), server.connections()), (20, 1), "{speaks:?}");
    }
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_to_the_next_request() {
    for speaks in Speaks::ALL {
        let server = Upstream::start(speaks, |request| async move {
            let mut response = answer("");
            *response.status_mut() = match request.uri().path() {
                "/204" => StatusCode::NO_CONTENT,
                "/304" => StatusCode::NOT_MODIFIED,
                _ => StatusCode::OK,
            };
            if request.method() == Method::HEAD {
                response.headers_mut().insert("content-length", HeaderValue::from_static("12345"));
            }
            response
        })
        .await;
        let egress = server.egress();
        for (method, path) in [("HEAD", "/"), ("GET", "/204"), ("GET", "/304"), ("GET", "/")] {
            let request = Request::builder().method(method).uri(server.url(path));
            let response = stream(&egress, request.body(StreamBody::empty()).unwrap()).await;
            let response = response.unwrap();
            if method == "HEAD" {
                assert_eq!(response.headers()["content-length"], "12345", "it passes");
            }
            assert_eq!(read(response).await.unwrap(), "");
        }
        assert_eq!(server.connections(), 1, "{speaks:?}");
    }
}

#[tokio::test]
async fn a_connection_whose_answer_is_still_read_serves_nobody_else() {
    let unread = Step::SayAndHang("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na".into());
    let server = Endpoint::start([unread, ok("other")]).await;
    let egress = egress();
    let first = stream(&egress, get(server.url("/"))).await.unwrap();
    let second = stream(&egress, get(server.url("/"))).await.unwrap();
    assert_eq!(read(second).await.unwrap(), "other");
    assert_eq!(server.connections(), 2);
    drop(first);
}

#[tokio::test]
async fn unused_connections_are_closed_after_a_while() {
    let server = Upstream::start(Speaks::Http1, |_| async { answer("") }).await;
    let egress = server.egress();
    read(stream(&egress, get(server.url("/"))).await.unwrap()).await.unwrap();
    server.until_ended(1).await;
    read(stream(&egress, get(server.url("/"))).await.unwrap()).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_a_caller_has_logged_on_to_serves_nobody_else() {
    let server = Upstream::start(Speaks::Http1, |_| async { answer("") }).await;
    let egress = server.egress();
    for value in ["Negotiate YII", "NTLM TlR", "ntlm TlR", "Bearer x", "Basic YTpi"] {
        let mut request = get(server.url("/"));
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static(value));
        read(stream(&egress, request).await.unwrap()).await.unwrap();
    }
    server.until_ended(3).await;
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn a_connection_that_ends_when_it_is_used_again_sends_nothing_twice() {
    let server = Endpoint::start([ok("first"), Step::End(End::Close), ok("third")]).await;
    let egress = egress();
    read(stream(&egress, post(server.url("/"), "first")).await.unwrap()).await.unwrap();
    no_answer(stream(&egress, post(server.url("/"), "second")).await);
    assert_eq!((server.requests().len(), server.connections()), (2, 1), "nothing came twice");
    read(stream(&egress, post(server.url("/"), "third")).await.unwrap()).await.unwrap();
    assert_eq!(server.connections(), 2);
}

/// The server closes each connection right after its answer, without saying so: sometimes before the
/// next request, sometimes while it is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ended_while_it_was_unused_loses_nothing_and_sends_nothing_twice() {
    let said = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let server = Endpoint::start(vec![Step::SayAndClose(said.into()); 400]).await;
    let egress = egress();
    for number in 0..200 {
        let body = format!("number={number};");
        let body = StreamBody::new(Full::new(Bytes::from(body)));
        let request = Request::post(server.url("/").as_str()).body(body).unwrap();
        let result = match stream(&egress, request).await {
            Ok(response) => Ok(read(response).await.unwrap()),
            Err(error) => Err(error),
        };
        let requests = server.requests();
        let came = requests.iter().filter(|request| request.ends_with(&format!("={number};")));
        match (came.count(), result) {
            (1, Ok(_)) | (0 | 1, Err(SendError::NoAnswer(_))) | (0, Err(SendError::NotSent(_))) => {
            }
            (came, result) => panic!("{number} came {came} times, and told {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_has_seen_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https"] {
        let request = post(format!("{scheme}://{address}/?code=1"), "x");
        let text = not_sent(stream(&egress(), request).await);
        assert_eq!(text, "Connection refused (os error 111)");
    }
}

#[tokio::test]
async fn a_server_that_never_agrees_on_tls_has_seen_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let request = post(format!("https://{}/", listener.local_addr().unwrap()), "x");
    let limits = StreamLimits { connect: SHORT, ..LIMITS };
    let result = within_patience(Box::pin(egress().stream(request, limits))).await;
    assert_eq!(not_sent(result), "it took too long");
}

#[tokio::test]
async fn a_server_that_ends_the_connection_may_have_seen_the_request() {
    no_answer(after(Step::End(End::Close), LIMITS).await);
    assert!(no_answer(after(Step::End(End::Reset), LIMITS).await).contains("reset"));
    let no_http = Step::SayAndClose("SSH-2.0-OpenSSH\r\n\r\n".into());
    no_answer(after(no_http, LIMITS).await);
}

#[tokio::test]
async fn a_server_that_never_answers_may_have_seen_the_request() {
    let limits = StreamLimits { headers: SHORT, ..LIMITS };
    let silent = Step::SayAndHang(String::new());
    assert_eq!(no_answer(after(silent, limits).await), "it took too long");
    let without_end = Step::SayAndHang("HTTP/1.1 200 OK\r\nx: ".into());
    assert_eq!(no_answer(after(without_end, limits).await), "it took too long");
}

#[tokio::test]
async fn headers_without_end_are_read_no_further() {
    let many = "x-many: y\r\n".repeat(101);
    let large = format!("x: {}\r\n", "y".repeat(128 * 1024));
    for headers in [many, large] {
        let said = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n");
        no_answer(after(Step::SayAndClose(said), LIMITS).await);
    }
}

#[tokio::test]
async fn a_body_that_passes_slowly_does_not_make_the_server_slow() {
    let server = Upstream::start(Speaks::Clear, |request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        answer(body)
    })
    .await;
    let parts =
        futures_util::stream::unfold((interval(SHORT / 2), 0), |(mut due, sent)| async move {
            due.tick().await;
            let part = Ok::<_, BodyError>(Frame::data(Bytes::from_static(b".")));
            (sent < 6).then_some((part, (due, sent + 1)))
        });
    let body = StreamBody::new(Frames::new(Box::pin(parts)));
    let request = Request::post(server.url("/")).body(body).unwrap();
    let limits = StreamLimits { headers: SHORT, ..LIMITS };
    let response =
        within_patience(Box::pin(server.egress().stream(request, limits))).await.unwrap();
    assert_eq!(read(response).await.unwrap(), "......");
}

#[tokio::test]
async fn a_body_of_the_caller_that_breaks_off_says_nothing_of_itself() {
    for speaks in Speaks::ALL {
        let server = Upstream::start(speaks, |request| async {
            let _ = request.into_body().collect().await;
            answer("")
        })
        .await;
        let parts =
            [Ok(Frame::data(Bytes::from_static(b"."))), Err::<_, BodyError>("CANARY".into())];
        let body = StreamBody::new(Frames::new(futures_util::stream::iter(parts)));
        let request = Request::post(server.url("/")).body(body).unwrap();
        let text = no_answer(stream(&server.egress(), request).await);
        assert!(!text.contains("CANARY"), "{speaks:?}: {text}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_has_no_end() {
    let heads = [
        "content-length: 10\r\n\r\n{\"a\"",
        "transfer-encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n",
        "transfer-encoding: chunked\r\n\r\n4\r\n{\"a",
    ];
    for head in heads {
        let said = format!("HTTP/1.1 200 OK\r\n{head}");
        let response = after(Step::SayAndClose(said.clone()), LIMITS).await.unwrap();
        let broken_off = read(response).await.unwrap_err();
        assert!(matches!(broken_off, BrokenOff::Lost(_)), "{broken_off}");
        let limits = StreamLimits { idle: SHORT, ..LIMITS };
        let server = Endpoint::start([Step::SayAndHang(said)]).await;
        let response = egress().stream(get(server.url("/")), limits).await.unwrap();
        assert_eq!(read(response).await, Err(BrokenOff::Idle), "{head}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    for head in ["HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\nconnection: close", "HTTP/1.0 200 OK"] {
        let said = Step::SayAndClose(format!("{head}\r\n\r\nall of it"));
        assert_eq!(read(after(said, LIMITS).await.unwrap()).await.unwrap(), "all of it");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_wants_any_more_is_broken_off() {
    let said = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let server = Endpoint::start([Step::SayWithoutEnd(said)]).await;
    drop(stream(&egress(), get(server.url("/"))).await.unwrap());
    server.until_broken_off().await;
}

#[tokio::test]
async fn what_a_server_says_of_a_connection_is_heeded() {
    let server = Upstream::start(Speaks::Http1, |_| async {
        let mut response = answer("");
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    })
    .await;
    let egress = server.egress();
    for _ in 0..3 {
        read(stream(&egress, get(server.url("/"))).await.unwrap()).await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn nothing_that_is_secret_is_logged() {
    let guard = Guard::new();
    for speaks in Speaks::ALL {
        let server = Upstream::start(speaks, |_| async {
            let mut response = answer("CANARYANSWERED");
            let value = HeaderValue::from_static("CANARYTOLD");
            response.headers_mut().insert("x-told", value);
            response
        })
        .await;
        let closed = "http://127.0.0.1:1/CANARYPATH?CANARYQUERY".to_owned();
        for url in [server.url("/CANARYPATH?CANARYQUERY"), closed] {
            let mut request = post(url, "CANARYBODY");
            request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("CANARYHEADER"));
            let body = format!("{:?}", request.body());
            assert!(!body.contains("CANARY"), "{body}");
            match stream(&server.egress(), request).await {
                Ok(response) => assert!(!format!("{:?}", read(response).await).is_empty()),
                Err(error) => assert!(!format!("{error} {error:?}").contains("CANARY")),
            }
        }
    }
    let logs = logs();
    for canary in ["ANSWERED", "PATH", "QUERY", "BODY", "HEADER", "TOLD"] {
        assert!(!logs.contains(&format!("CANARY{canary}")), "{canary}");
    }
    assert!(logs.contains("answered method=POST host=\"api.example\" status=200"));
    drop(guard);
}
