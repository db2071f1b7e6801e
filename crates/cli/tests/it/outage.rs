//! A database that goes away, and comes back.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    api::Api,
    database::Kind,
    hotp::{code, secret_of},
    process::Server,
    vault::Vault,
};

/// A unit of work waits for 5 s to begin; the rest is for a busy machine.
const REFUSED_WITHIN: Duration = Duration::from_secs(15);
const BACK_WITHIN: Duration = Duration::from_secs(15);

fn end_connections(vault: &Vault) {
    vault
        .database
        .administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgresql_is_away_callers_are_told_to_come_back_and_then_served_again() {
    let vault = Vault::new(Kind::Postgres);
    let server = vault.serve_with(&[("KEYFOB_ADMIN_LISTEN", "127.0.0.1:0")]);
    let admin = Api::new(server.admin.as_ref().unwrap(), "");
    let api = server.api(&vault.key("backend").token);
    let id = api.store("away", &secret_of("away"), 30).await;
    let path = format!("/api/v2/totp/code/{id}");
    // Twice: what was learnt in the first outage must not spoil the second.
    for _ in 0..2 {
        check_code(&api, &id, "away").await;
        vault.database.administer("ALTER DATABASE {} ALLOW_CONNECTIONS false");
        end_connections(&vault);
        let started = Instant::now();
        for (listener, path) in [(&api, path.as_str()), (&api, "/readyz"), (&admin, "/readyz")] {
            let asked = Instant::now();
            let answer = listener.get(path).await;
            assert_eq!(answer.status, 503, "{path}: {}", answer.text);
            assert_eq!(answer.body["code"], "SERVICE_UNAVAILABLE");
            answer.retry_after();
            assert!(asked.elapsed() < REFUSED_WITHIN, "{path}: {:?}", asked.elapsed());
            // Nobody is told what is wrong inside.
            assert!(!answer.text.contains("database") && !answer.text.contains("postgres"));
        }
        for listener in [&api, &admin] {
            listener.get("/healthz").await.ok();
        }
        assert!(started.elapsed() < REFUSED_WITHIN * 3);

        vault.database.administer("ALTER DATABASE {} ALLOW_CONNECTIONS true");
        let back = Instant::now();
        while api.get(&path).await.status != 200 || admin.get("/readyz").await.status != 200 {
            assert!(back.elapsed() < BACK_WITHIN, "it does not come back");
        }
    }
    check_code(&api, &id, "away").await;
    check_end(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_postgresql_ends_are_made_anew_and_no_caller_notices() {
    let vault = Vault::new(Kind::Postgres);
    let server = vault.serve();
    let api = server.api(&vault.key("backend").token);
    let id = api.store("ended", &secret_of("ended"), 30).await;
    for _ in 0..20 {
        end_connections(&vault);
        check_code(&api, &id, "ended").await;
        api.list().await;
    }
    check_end(server);
}

/// As after a fail-over to a server that only follows another.
#[tokio::test(flavor = "multi_thread")]
async fn while_postgresql_may_only_be_read_nothing_is_released_and_the_server_is_not_ready() {
    let vault = Vault::new(Kind::Postgres);
    let server = vault.serve();
    let api = server.api(&vault.key("backend").token);
    let id = api.store("read", &secret_of("read"), 30).await;
    let path = format!("/api/v2/totp/code/{id}");
    vault.database.administer("ALTER DATABASE {} SET default_transaction_read_only = on");
    end_connections(&vault);
    for path in [path.as_str(), "/readyz"] {
        assert_eq!(api.get(path).await.status, 503, "{path}");
    }
    vault.database.administer("ALTER DATABASE {} RESET default_transaction_read_only");
    end_connections(&vault);
    let back = Instant::now();
    while api.get(&path).await.status != 200 || api.get("/readyz").await.status != 200 {
        assert!(back.elapsed() < BACK_WITHIN, "it does not come back");
    }
    let ended = server.stop();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    // The log tells the operator why.
    assert!(ended.stderr.contains("read-only transaction"), "{}", ended.stderr);
}

async fn check_code(api: &Api, id: &str, label: &str) {
    let released = api.code(id).await;
    assert_eq!(released.code, code(&secret_of(label), released.step, 6));
}

fn check_end(server: Server) {
    let ended = server.stop();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}
