//! `kill -9` at any moment under load, on both databases, fifty times each: every create that was
//! answered is there after the restart, every code that was released has its event, and nothing is
//! half-written.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    api::Api,
    database::Kind,
    hotp::secret_of,
    ledger::Ledger,
    load::{Load, Random},
    on_both_databases,
    process::Server,
    vault::Vault,
};

const KILLS: u64 = 50;
/// The server is killed after this many answers at most.
const MOST_ANSWERS: u64 = 200;

on_both_databases!(
    nothing_answered_is_lost_by_kill_9,
    a_buffered_event_is_stored_within_a_second_and_survives_kill_9,
    a_deletion_that_kill_9_interrupts_goes_on_at_the_next_start,
);

async fn nothing_answered_is_lost_by_kill_9(kind: Kind) {
    let vault = Vault::new(kind);
    let token = vault.key("backend").token;
    let mut ledger = Ledger::default();
    // What the vault held after the last restart: also creates whose answers were cut off.
    let mut known = Arc::new(BTreeMap::new());
    let mut random = Random(0x6b65_7966_6f62);
    let api = Api::new("", &token);
    let mut server = vault.serve();
    for round in 1..=KILLS {
        let mut load = Load::start(&api.at(&server.url), round, &known);
        // Some are killed right at the first answer.
        let wanted = if round % 10 == 1 { 1 } else { 1 + random.below(MOST_ANSWERS) };
        let mut told = load.wait_for(wanted).await;
        kill(server);
        told.extend(load.rest().await);
        ledger.note(told, &known);

        server = vault.serve();
        let api = api.at(&server.url);
        let listed = ledger.check(&vault, &api).await;
        Ledger::check_codes(&api, listed.iter().filter(|(id, _)| !known.contains_key(*id))).await;
        if round % 10 == 0 {
            vault.check_health();
            vault.check_trail();
        }
        known = Arc::new(listed);
    }
    let answers = ledger.entries.len() + ledger.released();
    assert!(answers > usize::try_from(KILLS * MOST_ANSWERS / 4).unwrap(), "{answers} answers");
    assert!(ledger.released() > answers / 4, "{} codes", ledger.released());
    Ledger::check_codes(&api.at(&server.url), &*known).await;
    let ended = server.stop();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
}

fn kill(server: Server) {
    let ended = server.kill();
    assert_eq!(ended.status, None, "it was still running: {}", ended.stderr);
    for word in ["panicked", "ERROR"] {
        assert!(!ended.stderr.contains(word), "{}", ended.stderr);
    }
}

async fn a_buffered_event_is_stored_within_a_second_and_survives_kill_9(kind: Kind) {
    const AT_MOST: Duration = Duration::from_secs(1);
    let vault = Vault::new(kind);
    let token = vault.key("backend").token;
    let server = vault.serve_with(&[("KEYFOB_AUDIT", "buffered")]);
    let api = server.api(&token);
    let id = api.store("buffered", &secret_of("buffered"), 30).await;
    let events = || {
        let events = "SELECT count(*) FROM event WHERE action = 'totp.code' AND result = 'ok'";
        vault.database.rows(events)[0][0].parse::<u32>().unwrap()
    };
    for released in 1..=3 {
        api.code(&id).await;
        let answered = Instant::now();
        loop {
            // Looked at after the second is over, it must be there.
            let late = answered.elapsed() > AT_MOST;
            if events() == released {
                break;
            }
            assert!(!late, "event {released} is not there after {AT_MOST:?}");
        }
    }
    server.kill();
    let _server = vault.serve();
    assert_eq!(events(), 3);
}

async fn a_deletion_that_kill_9_interrupts_goes_on_at_the_next_start(kind: Kind) {
    /// Far more than one unit removes.
    const CONNECTIONS: u32 = 30_000;
    let vault = Vault::new(kind);
    let token = vault.key("backend").token;
    let server = vault.serve();
    let api = server.api(&token);
    let body = json!({"kind": "personal", "alias": "mail", "config": {"x": 1}});
    let secret = api.post("/api/v1/secret/create", &body).await.ok();
    let secret = secret["id"].as_str().unwrap().to_owned();
    let numbers = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {CONNECTIONS})"
    );
    vault.database.rows(&format!(
        "INSERT INTO contact (account_id, id, name, description, fingerprint, created_at, updated_at)
         {numbers} SELECT account_id, 'con_' || i, '', '', i || '', 1, 1 FROM n, secret"
    ));
    vault.database.rows(&format!(
        "INSERT INTO connection (account_id, contact_id, secret_id, id, type, value, created_at, updated_at)
         {numbers} SELECT account_id, 'con_' || i, id, i || '', 'plain', config, 1, 1 FROM n, secret"
    ));
    let count = |table: &str| {
        let count = vault.database.rows(&format!("SELECT count(*) FROM {table}"));
        count[0][0].parse::<u32>().unwrap()
    };
    let delete = {
        let (api, path) = (api.at(&server.url), format!("/api/v1/secret/{secret}/delete"));
        tokio::spawn(async move { drop(api.send(Method::POST, &path, Some(&json!({})), "").await) })
    };
    until("the deletion is begun", async || count("deletion") == 1).await;
    server.kill();
    delete.await.unwrap();
    assert!(count("connection") > 0, "nothing was interrupted");
    let server = vault.serve();
    let fetch = server.api(&token).get("/api/v1/secret/@mail/fetch").await;
    assert_eq!(fetch.status, 404);
    until("all is removed", async || count("deletion") == 0).await;
    assert_eq!(count("connection"), 0);
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < end, "{what}");
        tokio::task::yield_now().await;
    }
}
