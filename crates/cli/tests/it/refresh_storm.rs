//! Callers who want tokens without a pause, of grants that live for a second: each is refreshed once, and no
//! `kill -9` costs one whose answer it did not take with it. `bench refresh_storm` is the same for longer.

use std::time::Duration;

use keyfob_testkit::suite::{Kills, Storm};

use crate::{
    database::Kind,
    load::Random,
    refresh_suite::{broker, serve},
    vault::Vault,
};

const STORM: Storm = Storm {
    holders: 1,
    callers: 16,
    life: Duration::from_secs(1),
    duration: Duration::from_secs(8),
    // Other tests run at the same time, in debug builds.
    pause: Duration::from_millis(50),
};
const KILLS: usize = 6;

async fn weather(kind: Kind, processes: usize, storm: Storm) {
    let vault = Vault::new(kind);
    let (servers, broker) = broker(&vault, processes);
    let report = storm.run(broker).await.unwrap();
    assert!(report.is_good(), "{}\n{report:#?}", report.problems().join("\n"));
    for server in servers {
        assert_eq!(server.stop().status, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_three_processes_on_postgresql_have_each_refresh_once() {
    weather(Kind::Postgres, 3, STORM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_one_process_on_sqlite_have_each_refresh_once() {
    weather(Kind::Sqlite, 1, Storm { callers: 48, ..STORM }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_costs_no_grant_but_those_whose_new_tokens_it_took_with_it() {
    let vault = Vault::new(Kind::Postgres);
    let (mut servers, broker) = broker(&vault, 2);
    let (kills, mut random) = (Kills::default(), Random(7));
    let nodes = broker.clone();
    let trouble = async || {
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(700 + random.below(600))).await;
            let node = usize::try_from(random.below(2)).unwrap();
            let ended = std::mem::replace(&mut servers[node], serve(&vault)).kill();
            kills.note();
            assert_eq!(ended.status, None, "it was still running: {}", ended.stderr);
            nodes.set_node(node, &servers[node].url);
        }
    };
    let storm = Storm { holders: 30, callers: 8, ..STORM };
    let report = storm.run_with(broker, &kills, trouble).await.unwrap();
    assert!(report.is_good(), "{}\n{report:#?}", report.problems().join("\n"));
    assert_eq!(report.kills, KILLS);
    for server in servers {
        assert_eq!(server.stop().status, Some(0));
    }
    vault.check_health();
}
