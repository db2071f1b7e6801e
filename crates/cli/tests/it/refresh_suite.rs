//! The suite of `keyfob-testkit` against the binary: grants are refreshed once, and none is lost that the
//! provider still holds.

use std::sync::Arc;

use keyfob_testkit::suite::{self, Checked, HttpBroker, Settings, Verdict};

use crate::{database::Kind, process::Server, vault::Vault};

/// A vault with servers that reach a provider on this machine, and what asks them.
pub(crate) fn broker(vault: &Vault, processes: usize) -> (Vec<Server>, Arc<HttpBroker>) {
    let token = vault.key("backend").token;
    let servers: Vec<_> = (0..processes).map(|_| serve(vault)).collect();
    let urls = servers.iter().map(|server| server.url.clone()).collect();
    (servers, Arc::new(HttpBroker::new(urls, &token).unwrap()))
}

/// A server that reaches a provider on this machine.
pub(crate) fn serve(vault: &Vault) -> Server {
    vault.serve_with(&[("KEYFOB_EGRESS_ALLOW", "127.0.0.1")])
}

async fn judge(kind: Kind, processes: usize) -> Vec<Checked> {
    let vault = Vault::new(kind);
    let (servers, broker) = broker(&vault, processes);
    let checked = suite::run(broker, Settings::default(), &[]).await;
    for server in servers {
        assert_eq!(server.stop().status, Some(0));
    }
    checked
}

#[track_caller]
fn assert_all(checked: &[Checked], verdicts: &[Verdict]) {
    let others = checked.iter().filter(|checked| !verdicts.contains(&checked.verdict));
    let others: Vec<_> = others.map(ToString::to_string).collect();
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_sqlite_keeps_grants_as_the_suite_demands() {
    let checked = judge(Kind::Sqlite, 1).await;
    assert_all(&checked, &[Verdict::Passed, Verdict::NotMade]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_postgresql_keep_grants_as_the_suite_demands() {
    assert_all(&judge(Kind::Postgres, 2).await, &[Verdict::Passed]);
}
