//! `keyfob event`: the trail is listed, exported and verified, also after `kill -9`.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    api::Api,
    database::Kind,
    hotp::secret_of,
    load::Load,
    on_both_databases,
    process::{Ended, Running, keyfob, run},
    vault::Vault,
};

on_both_databases!(
    kill_9_under_load_leaves_a_trail_that_is_whole,
    a_trail_that_was_changed_is_told_and_the_exit_status_is_1,
    an_export_is_verified_anywhere_with_the_public_key,
    with_the_public_key_alone_nobody_says_that_what_is_not_signed_is_as_it_was_written,
    a_command_on_the_machine_itself_leaves_nothing_unsigned,
    events_are_listed_for_people_and_for_programs,
    who_follows_the_trail_hears_of_each_event_once_when_it_happens,
    a_stop_signs_the_trail_to_its_end,
    what_is_not_old_enough_is_kept_by_a_server_that_removes_events,
);

async fn kill_9_under_load_leaves_a_trail_that_is_whole(kind: Kind) {
    let vault = Vault::new(kind);
    let token = vault.key("backend").token;
    let api = Api::new("", &token);
    for round in 1..=5 {
        let server = vault.serve();
        let mut load = Load::start(&api.at(&server.url), round, &BTreeMap::new());
        load.wait_for(40 * round).await;
        // Also while it runs.
        assert_eq!(vault.run(&["event", "verify"]).status, Some(0));
        server.kill();
        load.rest().await;
        vault.check_trail();
    }
    let events = vault.database.rows("SELECT count(*) FROM event WHERE hash IS NULL");
    assert_eq!(events[0][0], "0");
}

/// A vault with some events, and its backend's token.
async fn used(kind: Kind) -> (Vault, String) {
    let vault = Vault::new(kind);
    let token = vault.key("backend").token;
    let server = vault.serve();
    let api = server.api(&token);
    let id = api.store("used", &secret_of("used"), 30).await;
    for _ in 0..5 {
        api.code(&id).await;
    }
    let ended = server.stop();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    (vault, token)
}

async fn a_trail_that_was_changed_is_told_and_the_exit_status_is_1(kind: Kind) {
    let (vault, _) = used(kind).await;
    let clean = vault.run(&["event", "verify"]);
    assert!(clean.ok().contains("all of it is as it was written"), "{}", clean.stdout);
    let newest =
        clean.stdout.lines().find_map(|line| line.strip_prefix("the newest checkpoint is "));
    let newest = newest.expect("a stop makes a checkpoint").to_owned();
    assert_eq!(vault.run(&["event", "verify", "--expect", &newest]).status, Some(0));
    vault.database.rows("UPDATE event SET result = 'no' WHERE action = 'totp.create'");
    let changed = vault.run(&["event", "verify"]);
    assert_eq!(changed.status, Some(1));
    assert!(changed.stdout.contains("was changed") && changed.stderr.contains("1 finding"));
    let lines = vault.run(&["event", "verify", "--json"]);
    assert_eq!(lines.status, Some(1));
    let lines: Vec<Value> =
        lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["finding"], &lines[1]["findings"]), (&"changed".into(), &1.into()));
    vault.database.rows("DELETE FROM event_checkpoint");
    let set_back = vault.run(&["event", "verify", "--expect", &newest]);
    assert!(set_back.stdout.contains("set back"), "{}", set_back.stdout);
    assert_eq!(vault.run(&["event", "verify", "--expect", "nonsense"]).status, Some(2));
}

async fn an_export_is_verified_anywhere_with_the_public_key(kind: Kind) {
    let (vault, _) = used(kind).await;
    let key = vault.run(&["event", "public-key"]).ok().trim().to_owned();
    assert_eq!(key.len(), 64);
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("trail.jsonl");
    let export = vault.run(&["event", "export"]);
    std::fs::write(&file, export.ok()).unwrap();
    let verify = |args: &[&str]| {
        let mut command = keyfob(&[&["event", "verify"], args].concat());
        command.current_dir(dir.path());
        run(command)
    };
    let clean = verify(&["trail.jsonl", "--public-key", &key]);
    assert!(clean.ok().contains(" checkpoints"), "{}", clean.stdout);
    let changed = export.stdout.replacen("totp.code", "totp.list", 1);
    std::fs::write(&file, changed).unwrap();
    assert_eq!(verify(&["trail.jsonl", "--public-key", &key]).status, Some(1));
    // Each file counts.
    std::fs::write(dir.path().join("whole.jsonl"), export.ok()).unwrap();
    for files in [["trail.jsonl", "whole.jsonl"], ["whole.jsonl", "trail.jsonl"]] {
        let both = verify(&[&files[..], &["--public-key", &key]].concat());
        assert!(both.stdout.contains("was changed"), "{}", both.stdout);
        assert_eq!(both.status, Some(1));
    }
    for (args, words) in [
        (&["trail.jsonl"][..], "--public-key"),
        (&["nothing.jsonl"][..], "nothing.jsonl"),
        (&["trail.jsonl", "--public-key", "x"][..], "64 hexadecimal digits"),
    ] {
        let failed = verify(args);
        assert_eq!(failed.status, Some(1), "{args:?}");
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
    }
}

async fn with_the_public_key_alone_nobody_says_that_what_is_not_signed_is_as_it_was_written(
    kind: Kind,
) {
    let vault = Vault::new(kind);
    vault.key("backend");
    let key = vault.run(&["event", "public-key"]).ok().trim().to_owned();
    // All of it is as it was written, but for the newest checkpoints, which somebody has left out.
    let export = vault.run(&["event", "export"]);
    let is_left = |line: &&str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["type"] != "checkpoint" || line["data"]["number"] == 1
    };
    let left = export.ok().lines().filter(is_left).collect::<Vec<_>>().join("\n");
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("trail.jsonl");
    let verify = |lines: &str, more: &[&str]| {
        std::fs::write(&file, lines).unwrap();
        let args = ["event", "verify", file.to_str().unwrap(), "--public-key", &key];
        run(keyfob(&[&args[..], more].concat()))
    };
    let whole = verify(export.ok(), &[]);
    assert!(whole.ok().contains("all of it is as it was written"), "{}", whole.stdout);
    let unproved = verify(&left, &[]);
    assert_eq!(unproved.status, Some(5), "{}", unproved.stderr);
    assert!(!unproved.stdout.contains("all of it"), "{}", unproved.stdout);
    assert!(unproved.stdout.contains("are not signed and may be anybody's"), "{}", unproved.stdout);
    let report: Value = serde_json::from_str(&verify(&left, &["--json"]).stdout).unwrap();
    assert!(report["unproved"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["unproved"], report["later"]);
}

async fn a_command_on_the_machine_itself_leaves_nothing_unsigned(kind: Kind) {
    let vault = Vault::new(kind);
    for _ in 0..2 {
        vault.key("owner");
        let report = vault.run(&["event", "verify", "--json"]).json();
        assert_eq!((&report["later"], &report["findings"]), (&0.into(), &0.into()));
    }
}

async fn events_are_listed_for_people_and_for_programs(kind: Kind) {
    let (vault, token) = used(kind).await;
    let server = vault.serve();
    let list = |args: &[&str]| -> Ended {
        let mut command = keyfob(&[&["event", "list"], args].concat());
        command.env("KEYFOB_URL", &server.url).env("KEYFOB_TOKEN", &token);
        run(command)
    };
    let table = list(&["--action", "totp"]);
    let lines: Vec<_> = table.ok().lines().collect();
    assert!(lines[0].starts_with("TIME ") && lines[0].contains("OBJECT"), "{}", lines[0]);
    assert_eq!(lines.len(), 7, "{}", table.stdout);
    assert!(lines[1].contains("totp.code") && lines[6].contains("totp.create"), "{}", table.stdout);
    let codes = list(&["--action", "totp.code", "--json", "--take", "3"]);
    assert_eq!(codes.json().as_array().unwrap().len(), 3);
    let since =
        list(&["--since", "2020-01-01T00:00:00Z", "--until", "2021-01-01T00:00:00Z", "--json"]);
    assert_eq!(since.json(), Value::Array(vec![]));
    assert_eq!(list(&["--action", "nonsense"]).status, Some(1));
    // What a program has of it can be verified.
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("own.jsonl");
    std::fs::write(&file, list(&["--lines"]).ok()).unwrap();
    let verified = run(keyfob(&["event", "verify", file.to_str().unwrap()]));
    assert!(verified.ok().contains("a list cannot show"), "{}", verified.stdout);
    assert!(!verified.stdout.contains("as it was written"), "{}", verified.stdout);
}

async fn who_follows_the_trail_hears_of_each_event_once_when_it_happens(kind: Kind) {
    let vault = Vault::new(kind);
    let server = vault.serve();
    let token = vault.key("backend").token;
    let api = server.api(&token);
    let id = api.store("followed", &secret_of("followed"), 30).await;
    let mut command = keyfob(&["event", "list", "--action", "totp", "--follow", "--json"]);
    command.env("KEYFOB_URL", &server.url).env("KEYFOB_TOKEN", &token);
    let (tell, mut told) = mpsc::unbounded_channel();
    let on_stdout = move |line: &str| tell.send(serde_json::from_str(line).unwrap()).unwrap();
    let follower = Running::start(command, on_stdout, |_| ());
    let mut next = async || -> Value { told.recv().await.expect("it goes on") };
    let created = next().await;
    assert_eq!(created["action"], "totp.create", "{created}");
    // Each time those before it are looked through once more.
    let mut seen = vec![created["id"].clone()];
    for _ in 0..2 {
        api.code(&id).await;
        let code = next().await;
        assert_eq!((&code["action"], &code["object"]["id"]), (&"totp.code".into(), &json!(id)));
        assert!(!seen.contains(&code["id"]), "{code}");
        seen.push(code["id"].clone());
    }
    let ended = follower.signal(Signal::INT);
    assert_eq!((ended.status, &*ended.stderr), (None, ""));
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
}

async fn a_stop_signs_the_trail_to_its_end(kind: Kind) {
    let (vault, _) = used(kind).await;
    let report = vault.run(&["event", "verify", "--json"]).json();
    assert_eq!(report["later"], 0, "{report}");
}

async fn what_is_not_old_enough_is_kept_by_a_server_that_removes_events(kind: Kind) {
    let (vault, _) = used(kind).await;
    let chains = vault.database.rows("SELECT count(*) FROM event_chain");
    let old = vault.database.rows("SELECT count(*) FROM event");
    assert!(old[0][0].parse::<u32>().unwrap() > 5);
    let failed = vault.command(&["serve", "--event-retention", "0"]);
    assert_eq!(run(failed).status, Some(2));
    // A day is the least that can be set: what is there stays, whole and signed.
    let server = vault.serve_with(&[("KEYFOB_EVENT_RETENTION_DAYS", "1")]);
    assert_eq!(server.stop().status, Some(0));
    assert_eq!(vault.database.rows("SELECT count(*) FROM event"), old);
    assert_eq!(vault.database.rows("SELECT count(*) FROM event_chain"), chains);
    vault.check_trail();
}
