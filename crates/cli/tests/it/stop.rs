//! SIGTERM: what was accepted is finished.

use std::collections::{BTreeMap, HashSet};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    api::{Answer, Api, Code},
    database::Kind,
    hotp::{code, secret_of},
    ledger::Ledger,
    load::Load,
    on_both_databases,
    vault::Vault,
};

on_both_databases!(
    a_server_told_to_stop_under_load_answers_all_that_it_did,
    a_server_told_to_stop_still_answers_the_callers_that_wait,
);

async fn a_server_told_to_stop_under_load_answers_all_that_it_did(kind: Kind) {
    let vault = Vault::new(kind);
    let token = vault.key("backend").token;
    let mut ledger = Ledger::default();
    let server = vault.serve();
    let mut load = Load::start(&server.api(&token), 1, &BTreeMap::new());
    let mut told = load.wait_for(100).await;
    let ended = server.stop();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    told.extend(load.rest().await);
    ledger.note(told, &BTreeMap::new());

    let server = vault.serve();
    ledger.check(&vault, &server.api(&token)).await;
    let events = "SELECT request_id FROM event WHERE action IN ('totp.create', 'totp.code')";
    let done = vault.database.rows(events);
    let done: HashSet<_> = done.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(done, ledger.answered(), "what was done was answered");
}

async fn a_server_told_to_stop_still_answers_the_callers_that_wait(kind: Kind) {
    const CALLERS: u64 = 5;
    let vault = Vault::new(kind);
    let token = vault.key("backend").token;
    let server = vault.serve_with(&[("KEYFOB_ADMIN_LISTEN", "127.0.0.1:0")]);
    let (api, admin) = (server.api(&token), Api::new(server.admin.as_ref().unwrap(), ""));
    let body = json!({"label": "waited for", "secret": secret_of("waited for"), "period": 1});
    let id = api.create(&body).await;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (api, path) = (api.clone(), format!("/api/v2/totp/code/{id}?unique=true"));
        callers.spawn(async move { api.send(Method::GET, &path, None, "waiting").await });
    }
    // Until each of them is either answered or waits.
    loop {
        let metrics = admin.get("/metrics").await;
        let waiting = metric(&metrics, "keyfob_totp_waiting");
        if waiting + metric(&metrics, "keyfob_totp_codes_total") == CALLERS {
            assert!(waiting > 0, "they were answered before the server could be stopped");
            break;
        }
    }
    server.ask_to_stop();
    let answers = callers.join_all().await;
    let mut steps = HashSet::new();
    for answer in answers {
        let released = Code::of(&answer.unwrap().ok());
        assert_eq!(released.code, code(&secret_of("waited for"), released.step, 6));
        assert!(steps.insert(released.step), "two callers got step {}", released.step);
    }
    let ended = server.wait();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
}

fn metric(metrics: &Answer, name: &str) -> u64 {
    let value = metrics.text.lines().find_map(|line| line.strip_prefix(name));
    value.expect("there is such a metric").trim().parse().unwrap()
}
