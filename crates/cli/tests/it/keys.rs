//! `keyfob key`: straight on the database while the server runs, and over HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    database::Kind,
    on_both_databases,
    process::{Ended, Server, keyfob, run},
    vault::{Key, Vault},
};

on_both_databases!(
    a_key_made_on_the_database_works_at_once_on_the_running_server,
    a_key_revoked_on_the_database_ends_within_a_second_on_the_running_server,
    a_key_revoked_over_http_ends_at_once,
    keys_are_listed_both_ways_alike,
    where_there_is_no_vault_none_is_made_to_list_or_revoke_keys,
);

const LIST: &str = "/api/v2/totp/secrets";

/// `keyfob key …` over HTTP.
fn remote(server: &Server, token: &str, args: &[&str]) -> Ended {
    let mut command = keyfob(&[&["key"], args].concat());
    command.env("KEYFOB_URL", &server.url).env("KEYFOB_TOKEN", token);
    run(command)
}

async fn a_key_made_on_the_database_works_at_once_on_the_running_server(kind: Kind) {
    let vault = Vault::new(kind);
    let server = vault.serve();
    for role in ["owner", "backend", "agent"] {
        let key = vault.key(role);
        assert_eq!((key.role.as_str(), key.name.as_str()), (role, "a test's"));
        assert!(key.id.starts_with("key_") && key.secret.starts_with("kfs_"));
        server.api(&key.token).get(LIST).await.ok();
    }
}

async fn a_key_revoked_on_the_database_ends_within_a_second_on_the_running_server(kind: Kind) {
    const AT_MOST: Duration = Duration::from_secs(1);
    let vault = Vault::new(kind);
    let server = vault.serve();
    let key = vault.key("agent");
    let api = server.api(&key.token);
    api.get(LIST).await.ok();
    let ended = vault.run(&["key", "revoke", &key.id]);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    let revoked = Instant::now();
    loop {
        let asked = revoked.elapsed();
        match api.get(LIST).await.status {
            401 => break,
            status => assert!(status == 200 && asked < AT_MOST, "{status} after {asked:?}"),
        }
    }
    // Again changes nothing.
    vault.run(&["key", "revoke", &key.id]).ok();
}

async fn a_key_revoked_over_http_ends_at_once(kind: Kind) {
    let vault = Vault::new(kind);
    let server = vault.serve();
    let owner = vault.key("owner");
    let made = remote(&server, &owner.token, &["create", "--role", "agent", "--json"]);
    let agent: Key = serde_json::from_value(made.json()).unwrap();
    let api = server.api(&agent.token);
    api.get(LIST).await.ok();
    remote(&server, &owner.token, &["revoke", &agent.id]).ok();
    assert_eq!(api.get(LIST).await.status, 401);
}

async fn keys_are_listed_both_ways_alike(kind: Kind) {
    let vault = Vault::new(kind);
    let server = vault.serve();
    let owner = vault.key("owner");
    let agent = vault.key("agent");
    vault.run(&["key", "revoke", &agent.id]).ok();
    let here = vault.run(&["key", "list", "--json"]).json();
    let there = remote(&server, &owner.token, &["list", "--json"]).json();
    assert_eq!(here, there);
    let ids: Vec<_> = here.as_array().unwrap().iter().map(|key| &key["id"]).collect();
    assert_eq!(ids[..2], [&Value::from(agent.id.as_str()), &owner.id.as_str().into()]);
    assert_eq!(ids.len(), 3, "and the first owner key");

    let table = vault.run(&["key", "list"]);
    assert_eq!(table.ok(), remote(&server, &owner.token, &["list"]).ok());
    let lines: Vec<_> = table.stdout.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[0].ends_with("NAME"), "{}", lines[0]);
    assert!(lines[1].starts_with(&agent.id) && lines[1].contains("revoked"), "{}", lines[1]);
    assert!(lines[2].starts_with(&owner.id) && lines[2].contains("live"), "{}", lines[2]);
    for hidden in [&owner.secret, &owner.token] {
        assert!(!table.stdout.contains(hidden.as_str()) && !here.to_string().contains(hidden));
    }
}

const NO_KEY: &str = "key_00000000000000000000000000";

async fn where_there_is_no_vault_none_is_made_to_list_or_revoke_keys(kind: Kind) {
    let vault = Vault::new(kind);
    for args in [&["key", "list"][..], &["key", "list", "--json"], &["key", "revoke", NO_KEY]] {
        let ended = vault.run(args);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""), "{args:?}");
        let advice =
            ["there is no vault in", "keyfob serve", "--data-dir", "KEYFOB_URL", "KEYFOB_TOKEN"];
        for words in advice {
            assert!(ended.stderr.contains(words), "{args:?}: {}", ended.stderr);
        }
        assert!(!ended.stderr.contains("postgres://"), "{}", ended.stderr);
        assert!(!vault.data_dir().exists(), "{args:?}");
        if kind == Kind::Postgres {
            let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
            assert_eq!(vault.database.rows(tables), Vec::<Vec<String>>::new());
        }
    }
    // But with its first key it is.
    let made = vault.run(&["key", "create", "--role", "owner", "--json"]);
    assert!(made.stderr.contains("this is a new one"), "{}", made.stderr);
    assert!(!made.stderr.contains("postgres://"), "{}", made.stderr);
    let made: Key = serde_json::from_value(made.json()).unwrap();
    let second = vault.run(&["key", "create", "--role", "owner", "--json"]);
    assert_eq!((second.status, second.stderr.as_str()), (Some(0), ""));
    assert!(vault.run(&["key", "list"]).ok().contains(&made.id));
}

#[test]
fn without_a_token_and_a_vault_nothing_is_made_in_the_working_directory() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut command = keyfob(&["key", "list"]);
    command.current_dir(dir.path());
    let ended = run(command);
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("no vault in ./keyfob-data/keyfob.db"), "{}", ended.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// As the README's quick start makes a key in a shell that has the token of another one.
#[test]
fn with_an_empty_token_a_key_is_made_on_the_vault_in_the_working_directory() {
    let dir = tempfile::TempDir::new().unwrap();
    let create = |token: Option<&str>| {
        let mut command = keyfob(&["key", "create", "--role", "backend", "--json"]);
        command.current_dir(dir.path()).env("KEYFOB_URL", "http://127.0.0.1:1");
        command.envs(token.map(|token| ("KEYFOB_TOKEN", token)));
        run(command)
    };
    let token = |made: Ended| made.json()["token"].as_str().unwrap().to_owned();
    let first = token(create(None));
    let asked = create(Some(&first));
    assert!(asked.stderr.contains("could not be reached"), "it asks the server: {asked:?}");
    assert_ne!(token(create(Some(""))), first);
}

#[test]
fn a_vault_without_an_account_gets_none_to_list_its_keys() {
    let vault = Vault::new(Kind::Sqlite);
    vault.key("owner");
    for table in ["event", "key", "data_key", "account"] {
        vault.database.rows(&format!("DELETE FROM {table}"));
    }
    for args in [&["key", "list"][..], &["key", "revoke", NO_KEY]] {
        let ended = vault.run(args);
        assert_eq!(ended.status, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("no account yet: `keyfob serve`"), "{}", ended.stderr);
    }
    assert_eq!(vault.database.rows("SELECT id FROM account"), Vec::<Vec<String>>::new());
    // So the server still shows the first key.
    assert!(vault.serve().stop().stdout.contains("token  "));
}

#[test]
fn what_a_key_may_not_do_and_what_is_not_there_have_their_exit_statuses() {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve();
    let (owner, backend) = (vault.key("owner"), vault.key("backend"));
    let status = |token: &str, args: &[&str]| remote(&server, token, args).status;
    assert_eq!(status(&backend.token, &["create", "--role", "agent"]), Some(3));
    assert_eq!(status("kft_wrong", &["list"]), Some(3));
    assert_eq!(status(&owner.token, &["create", "--role", "king"]), Some(2));
    let past = ["create", "--role", "agent", "--expires-at", "2020-01-01T00:00:00Z"];
    assert_eq!(status(&owner.token, &past), Some(1));
    let unknown = ["revoke", NO_KEY];
    for id in [unknown, ["revoke", "nonsense"]] {
        assert_eq!(status(&owner.token, &id), Some(4), "{id:?}");
        let here = vault.run(&["key", id[0], id[1]]);
        assert_eq!(here.status, Some(4), "{id:?}: {}", here.stderr);
    }
    assert_eq!(vault.run(&[&["key"], &past[..]].concat()).status, Some(1));
}

#[test]
fn a_key_whose_time_is_over_is_listed_as_expired() {
    let vault = Vault::new(Kind::Sqlite);
    let id = vault.key("agent").id;
    let state = || {
        let table = vault.run(&["key", "list"]);
        let line = table.ok().lines().find(|line| line.starts_with(&id)).unwrap().to_owned();
        line.split_whitespace().nth(2).unwrap().to_owned()
    };
    for (expires_at, word) in [("NULL", "live"), ("4102444800000", "until"), ("1", "expired")] {
        vault.database.rows(&format!("UPDATE key SET expires_at = {expires_at} WHERE id = '{id}'"));
        assert_eq!(state(), word);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_end_of_a_key_is_listed() {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve();
    let owner = vault.key("owner");
    let key = json!({"role": "agent", "expiresAt": 253_402_300_799_999_i64});
    server.api(&owner.token).post("/api/v1/key/create", &key).await.ok();
    let list = vault.run(&["key", "list"]);
    assert!(list.ok().contains("until 9999-12-31 23:59:59Z"), "{}", list.stdout);
}

#[test]
fn a_key_for_people_is_words_on_stderr_and_data_on_stdout() {
    let vault = Vault::new(Kind::Sqlite);
    let made = vault.run(&["key", "create", "--role", "agent"]);
    let names: Vec<_> = made.ok().lines().map(|line| line.split_once(' ').unwrap().0).collect();
    assert_eq!(names, ["id", "secret", "token"]);
    assert!(made.stderr.contains("shown only now"), "{}", made.stderr);
    assert!(!made.stderr.contains("kfs_") && !made.stderr.contains("kft_"), "{}", made.stderr);
}
