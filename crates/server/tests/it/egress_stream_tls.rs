//! The way out whose bodies pass as they come, over TLS: whom it believes, and what it sends before.

use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderValue};
use keyfob_server::egress::{Allow, BrokenOff, Egress, Means};
use rustls::RootCertStore;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    app::LOOPBACK,
    certificate::{Authority, Issued},
    egress_guard::Names,
    egress_stream::{not_sent, post, read, read_text, stream},
    listening::within_patience,
    manual_clock::ManualClock,
    upstream::NAME,
};

const PROTOCOLS: [&[&[u8]]; 3] = [&[], &[b"http/1.1"], &[b"h2", b"http/1.1"]];

/// A server of bare TLS, which counts what it was sent within it.
struct Secure {
    port: u16,
    /// How many bytes it was sent over connections that are agreed on.
    got: watch::Receiver<usize>,
}

impl Secure {
    async fn start(acceptor: TlsAcceptor, answer: &'static [u8], is_closed_rightly: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (count, got) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let read = stream.read(&mut [0; 4096]).await.unwrap_or(0);
                count.send_modify(|got| *got += read);
                if read > 0 {
                    stream.write_all(answer).await.unwrap();
                    stream.flush().await.unwrap();
                }
                if is_closed_rightly {
                    stream.shutdown().await.unwrap();
                }
            }
        });
        Self { port, got }
    }
}

fn egress(trusted: RootCertStore) -> Egress {
    let names =
        Names::default().with(NAME, &[&["127.0.0.1"]]).with("other.example", &[&["127.0.0.1"]]);
    let means = Means { lookup: Arc::new(names), trusted };
    Egress::with(Allow::parse(LOOPBACK).unwrap(), Arc::new(ManualClock::new()), means).unwrap()
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_is_sent_nothing() {
    let authority = Authority::new();
    let (right, nobody) = (authority.trusting(), RootCertStore::empty());
    let (system, other) = (Means::default().trusted, Authority::new().trusting());
    for (issued, names, trusted, why) in [
        (Issued::ByAuthority, &["other.example"][..], &right, "not valid for name"),
        (Issued::ByAuthority, &["*.api.example"], &right, "not valid for name"),
        (Issued::ByAuthority, &["127.0.0.1"], &right, "not valid for name"),
        (Issued::Expired, &[NAME], &right, "expired"),
        (Issued::NotYet, &[NAME], &right, "not valid yet"),
        (Issued::ByItself, &[NAME], &right, "UnknownIssuer"),
        (Issued::ByAuthority, &[NAME], &nobody, "UnknownIssuer"),
        (Issued::ByAuthority, &[NAME], &system, "UnknownIssuer"),
        // Another authority of the same name.
        (Issued::ByAuthority, &[NAME], &other, "BadSignature"),
    ] {
        for protocols in PROTOCOLS {
            let acceptor = TlsAcceptor::from(authority.server(issued, names, protocols));
            let server = Secure::start(acceptor, b"", true).await;
            let request = post(format!("https://{NAME}:{}/", server.port), "secret");
            let text = not_sent(stream(&egress(trusted.clone()), request).await);
            assert!(text.starts_with("invalid peer certificate"), "{issued:?} {names:?}: {text}");
            assert!(text.contains(why), "{issued:?} {names:?}: {text}");
            assert_eq!(*server.got.borrow(), 0);
        }
    }
}

#[tokio::test]
async fn a_server_is_who_its_url_says_by_name_or_by_address() {
    let authority = Authority::new();
    let config = authority.server(Issued::ByAuthority, &[NAME, "127.0.0.1"], &[]);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let server = Secure::start(TlsAcceptor::from(config), answer, true).await;
    for host in [NAME, "API.example", "127.0.0.1", "0x7f.1"] {
        let request = post(format!("https://{host}:{}/", server.port), "x");
        let response = stream(&egress(authority.trusting()), request).await.unwrap();
        assert_eq!(read_text(response).await, "ok", "{host}");
    }
    let request = post(format!("https://other.example:{}/", server.port), "x");
    not_sent(stream(&egress(authority.trusting()), request).await);
}

/// What comes over the wire, from the first byte until the other side gives up.
async fn wiretap(answer: &'static [u8]) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tapped = tokio::spawn(async move {
        let (mut stream, _): (TcpStream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        stream.write_all(answer).await.unwrap();
        let mut tapped = Vec::new();
        // It may be reset, which is an end too.
        let _ = stream.read_to_end(&mut tapped).await;
        tapped
    });
    (port, tapped)
}

#[tokio::test]
async fn nothing_of_a_request_is_on_the_wire_before_tls_is_agreed_on() {
    for answer in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"\x15\x03\x03\x00\x02\x02\x28"] {
        let (port, tapped) = wiretap(answer).await;
        let mut request =
            post(format!("https://{NAME}:{port}/CANARYPATH?CANARYQUERY"), "CANARYBODY");
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer CANARYTOKEN"));
        not_sent(stream(&egress(RootCertStore::empty()), request).await);
        let tapped = within_patience(tapped).await.unwrap();
        assert_eq!(tapped[0], 0x16, "it is a handshake");
        assert!(memchr::memmem::find(&tapped, b"CANARY").is_none());
        assert!(memchr::memmem::find(&tapped, b"HTTP").is_none());
    }
}

#[tokio::test]
async fn an_answer_that_ends_without_an_end_of_tls_is_cut_off() {
    let authority = Authority::new();
    for (is_closed_rightly, is_whole) in [(true, true), (false, false)] {
        let config = authority.server(Issued::ByAuthority, &[NAME], &[]);
        let answer = b"HTTP/1.1 200 OK\r\n\r\nall of it?";
        let server = Secure::start(TlsAcceptor::from(config), answer, is_closed_rightly).await;
        let request = post(format!("https://{NAME}:{}/", server.port), "x");
        let response = stream(&egress(authority.trusting()), request).await.unwrap();
        match read(response).await {
            Ok(body) => assert!(is_whole && body == "all of it?"),
            Err(error) => assert!(!is_whole && matches!(error, BrokenOff::Lost(_)), "{error}"),
        }
    }
}
