//! `kill -9` at any moment under load, on both databases, fifty times each: every create that was
//! answered is there after the restart, every code that was released has its event, and nothing is
//! half-written.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    api::Api,
    database::Kind,
    ledger::Ledger,
    load::{Load, Random},
    on_both_databases,
    process::Server,
    vault::Vault,
};

const KILLS: u64 = 50;
/// The server is killed after this many answers at most.
const MOST_ANSWERS: u64 = 200;

on_both_databases!(nothing_answered_is_lost_by_kill_9);

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
        told.into_iter().for_each(|told| ledger.note(told, &known));

        server = vault.serve();
        let api = api.at(&server.url);
        let listed = ledger.check(&vault, &api).await;
        Ledger::check_codes(&api, listed.iter().filter(|(id, _)| !known.contains_key(*id))).await;
        if round % 10 == 0 {
            vault.check_health();
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
