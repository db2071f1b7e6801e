//! The way out over TLS: whom it believes.

use std::sync::Arc;

use keyfob_server::egress::{Allow, Answer, Egress, Means, SendError};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::{
    app::LOOPBACK,
    egress::{post, send},
    manual_clock::ManualClock,
};

/// A server with a certificate for one name, and those who trust it.
struct Secure {
    port: u16,
    trusting: RootCertStore,
    /// How many requests it was sent.
    requests: watch::Receiver<usize>,
}

impl Secure {
    async fn start(name: &str) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([name.to_owned()]).unwrap();
        let mut trusting = RootCertStore::empty();
        trusting.add(cert.der().clone()).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (count, requests) = watch::channel(0);
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), count));
        Self { port, trusting, requests }
    }

    /// What comes of a request to it, under this name, of somebody who trusts these.
    async fn ask(&self, name: &str, trusted: RootCertStore) -> Result<Answer, SendError> {
        let means = Means { trusted, ..Means::default() };
        let clock = Arc::new(ManualClock::new());
        let egress = Egress::with(Allow::parse(LOOPBACK).unwrap(), clock, means).unwrap();
        let url = Url::parse(&format!("https://{name}:{}/token", self.port)).unwrap();
        send(&egress, post(url, "x")).await
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, count: watch::Sender<usize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        if stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
            count.send_modify(|count| *count += 1);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_of_a_trusted_authority_is_asked() {
    let server = Secure::start("localhost").await;
    let answer = server.ask("localhost", server.trusting.clone()).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_sent_nothing() {
    let server = Secure::start("localhost").await;
    for trusted in [Means::default().trusted, RootCertStore::empty()] {
        let error = server.ask("localhost", trusted).await.unwrap_err();
        let expected = "invalid peer certificate: UnknownIssuer";
        assert_eq!(error, SendError::NotSent(expected.into()));
    }
    assert_eq!(*server.requests.borrow(), 0);
}

#[tokio::test]
async fn a_server_with_the_certificate_of_another_name_is_sent_nothing() {
    let server = Secure::start("other.example").await;
    let error = server.ask("localhost", server.trusting.clone()).await.unwrap_err();
    let is_meant = |text: &str| text.starts_with("invalid peer certificate: certificate not valid");
    assert!(matches!(&error, SendError::NotSent(text) if is_meant(text)), "{error}");
    assert_eq!(*server.requests.borrow(), 0);
}
