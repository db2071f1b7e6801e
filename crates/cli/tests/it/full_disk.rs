//! A disk that is full, and then is not: what was answered is there, and the rest was refused.
//!
//! The server may write no file beyond the size that SQLite's log has already, which fails as a full
//! disk does.

use std::process::Command;

use tokio::time::Instant;

use crate::{api::Api, database::Kind, hotp::secret_of, process::Server, vault::Vault};

/// For a busy machine.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// A server that is told of a file's limit rather than ended by it.
fn serve(vault: &Vault, audit: &str) -> Server {
    let wanted = vault.server(&[("KEYFOB_AUDIT", audit)]);
    let mut command = Command::new("env");
    command.arg("--ignore-signal=XFSZ").arg(wanted.get_program()).args(wanted.get_args());
    command.current_dir(wanted.get_current_dir().unwrap());
    for (name, value) in wanted.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Server::start(command).expect("the server starts")
}

fn fill_disk(vault: &Vault, server: &Server) {
    let log = vault.data_dir().join("keyfob.db-wal");
    server.limit_files(Some(log.metadata().unwrap().len()));
}

fn events_of_codes(vault: &Vault) -> usize {
    let codes = "SELECT id FROM event WHERE action = 'totp.code' AND result = 'ok'";
    vault.database.rows(codes).len()
}

async fn is_back(api: &Api, path: &str) {
    let since = Instant::now();
    while api.get(path).await.status != 200 {
        assert!(since.elapsed() < WITHIN, "it does not come back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_durable_mode_nothing_is_released_and_nothing_stored() {
    let vault = Vault::new(Kind::Sqlite);
    let server = serve(&vault, "durable");
    let api = server.api(&vault.key("backend").token);
    let id = api.store("full", &secret_of("full"), 30).await;
    let path = format!("/api/v2/totp/code/{id}");
    fill_disk(&vault, &server);
    let new = serde_json::json!({"label": "new"});
    for answer in [api.get(&path).await, api.post("/api/v2/totp/secrets", &new).await] {
        assert_eq!(answer.status, 503, "{}", answer.text);
    }
    assert_eq!((events_of_codes(&vault), api.list().await.len()), (0, 1));
    assert_eq!(api.get("/readyz").await.status, 503);
    api.get("/healthz").await.ok();
    server.limit_files(None);
    is_back(&api, &path).await;
    assert_eq!(events_of_codes(&vault), 1);
    assert_eq!(server.stop().status, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_buffered_mode_no_event_of_an_answered_code_is_lost() {
    let vault = Vault::new(Kind::Sqlite);
    let server = serve(&vault, "buffered");
    let api = server.api(&vault.key("backend").token);
    // Long enough that no step ends meanwhile, which would be noted at once.
    let id = api.store("full", &secret_of("full"), 3600).await;
    let path = format!("/api/v2/totp/code/{id}");
    api.code(&id).await;
    fill_disk(&vault, &server);
    let (mut answered, since) = (1, Instant::now());
    while api.get(&path).await.status == 200 {
        answered += 1;
        assert!(since.elapsed() < WITHIN, "a full disk goes unnoticed");
    }
    server.limit_files(None);
    is_back(&api, &path).await;
    assert_eq!(server.stop().status, Some(0));
    assert_eq!(events_of_codes(&vault), answered + 1);
}
