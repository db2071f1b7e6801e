//! What the SDK tells of its calls. A process of its own: what is wanted of spans is the whole process's.

#![expect(clippy::unwrap_used, reason = "in a test, what must not be is a failure")]

#[path = "../it/server.rs"]
#[expect(dead_code, reason = "some of it is for other tests")]
mod server;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tracing_subscriber::fmt::format::FmtSpan;

use crate::server::{Reply, Server};

const HIDDEN: &str = "HIDDEN";

/// What was written to the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_call_is_a_span_that_tells_its_endpoint_and_how_it_ended_and_no_id_and_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let refusal = r#"{"message":"No","code":"NOT_FOUND","request_id":"r-17"}"#;
    let server =
        Server::says(vec![Reply::Reset(Vec::new()), Reply::answer(404, "", refusal)]).await;
    let client = server.builder().secret(HIDDEN).retries(1).retry_delay(Duration::ZERO);
    let client = client.build().unwrap();
    client.contact("c_0001").secrets().mint("s_0001").await.unwrap_err();
    client.contact("c_0001").secrets().list().stream().try_next().await.unwrap_err();
    drop(guard);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<_> = log.lines().filter(|line| line.contains("keyfob")).collect();
    let ours = ours.join(
        "
",
    );
    for part in [
        "keyfob.call",
        "http.request.method=POST",
        "url.template=\"/api/v1/contact/{contact}/secret/{secret}/mint\"",
        "http.response.status_code=404",
        "http.request.resend_count=1",
        "keyfob.request_id=\"r-17\"",
    ] {
        assert!(ours.contains(part), "{part} is not in:\n{ours}");
    }
    for hidden in [HIDDEN, "c_0001", "s_0001"] {
        assert!(!ours.contains(hidden), "{hidden} is in:\n{ours}");
    }
}
