//! A list whose filter looks through many rows and finds nothing: what others notice of it.

use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    app::TestApp,
    call::Key,
    connections::check_health,
    contact::{LIST, create},
    listening::Server,
};

/// Enough rows that a scan takes many times as long as a few calls of others.
const ROWS: u32 = 40_000;
/// The most rows that are looked through without a break.
const PART: u32 = 500;

/// An app with so many contacts, and a key that may list them.
async fn filled() -> (TestApp, Key) {
    let app = TestApp::new().await;
    create(&app.backend(), json!({})).await;
    app.database().execute(&format!(
        "INSERT INTO contact (account_id, id, name, description, fingerprint, meta, created_at,
                              updated_at)
         WITH RECURSIVE n (i) AS (SELECT 10000000 UNION ALL SELECT i + 1 FROM n
                                  WHERE i < 10000000 + {ROWS})
         SELECT account_id, substr(id, 1, 22) || i, '', '', 'fingerprint-' || i,
                '{{\"team\":\"x\"}}', created_at, updated_at FROM contact, n"
    ));
    let (key, _) = app.new_caller("backend").await;
    (app, key)
}

/// Asks for what no contact has.
async fn scan(stream: &mut TcpStream, key: &Key) {
    let head = format!("authorization: Bearer {}", key.token);
    let request = format!("GET {LIST}?meta.team=nobody HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Everything runs on one thread here, so who keeps it keeps everybody waiting.
#[tokio::test]
async fn others_have_a_turn_after_each_part_that_a_list_looks_through() {
    let (app, key) = filled().await;
    let caller = app.anonymous().with_token(&key);
    for accept in ["application/json", "application/jsonl"] {
        let call = caller.get(format!("{LIST}?meta.team=nobody")).header("Accept", accept);
        let scan = tokio::spawn(call.into_future());
        let mut turns = 0;
        while !scan.is_finished() {
            tokio::task::yield_now().await;
            turns += 1;
        }
        assert_eq!(scan.await.unwrap().status, 200);
        assert!(turns >= ROWS / PART, "{turns}");
    }
}

#[tokio::test]
async fn a_scan_ends_when_its_caller_has_gone() {
    let (app, key) = filled().await;
    let server = Server::start(&app, 10);
    let mut other = server.connect().await;
    let mut scanning = server.connect().await;
    scan(&mut scanning, &key).await;
    check_health(&mut other).await;
    drop((scanning, other));
    // What is being answered is finished first.
    server.stop().await;
    let metrics = app.operator().get("/metrics").await.text();
    assert!(metrics.contains(r#"route="other",status="200""#), "{metrics}");
    assert!(!metrics.contains(&format!("route=\"{LIST}\"")), "{metrics}");
}
