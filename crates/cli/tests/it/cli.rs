//! `keyfob totp` and `keyfob doctor`: data on stdout, words on stderr, and the exit statuses
//! 0 done, 1 failed, 2 wrong usage, 3 not authenticated or not permitted, 4 not found.

use std::{io::Read, process::Stdio};

use serde_json::{Value, json};

use crate::{
    database::Kind,
    hotp::{code, secret_of},
    on_both_databases,
    process::{Ended, Server, keyfob, run, run_with},
    vault::Vault,
};

const NOBODY: &str = "550e8400-e29b-41d4-a716-446655440000";

on_both_databases!(the_doctor_finds_a_vault_well_and_says_what_is_wrong);

/// A server, and a backend key to use it with.
struct Shell {
    vault: Vault,
    server: Server,
    token: String,
}

impl Shell {
    fn new() -> Self {
        let vault = Vault::new(Kind::Sqlite);
        let server = vault.serve();
        let token = vault.key("backend").token;
        Self { vault, server, token }
    }

    fn totp(&self, args: &[&str]) -> Ended {
        self.typed(args, "")
    }

    /// With something on stdin.
    fn typed(&self, args: &[&str], stdin: &str) -> Ended {
        let mut command = keyfob(&[&["totp"], args].concat());
        command.env("KEYFOB_URL", &self.server.url).env("KEYFOB_TOKEN", &self.token);
        run_with(command, stdin)
    }

    /// Stores this secret; the entry's id.
    fn add(&self, label: &str) -> String {
        let secret = secret_of(label);
        let added = self.typed(&["add", "--label", label, "--secret", "-"], &secret);
        added.ok().trim_end().to_owned()
    }

    /// The entry's code and time step, from its JSON.
    fn code(&self, id: &str) -> (Value, i64) {
        let body = self.totp(&["code", id, "--json"]).json();
        let step = body["valid_from"].as_i64().unwrap() / body["period"].as_i64().unwrap();
        (body, step)
    }
}

#[test]
fn a_secret_is_stored_from_stdin_and_its_code_is_all_that_is_printed() {
    let shell = Shell::new();
    let label = "GitHub - agent@example.com";
    let secret = format!("  {}\n\n", secret_of(label).to_lowercase());
    let added = shell.typed(&["add", "--label", label, "--secret", "-"], &secret);
    let id = added.ok().strip_suffix('\n').unwrap();
    assert_eq!(id.len(), NOBODY.len(), "the id alone: {id}");
    assert!(added.stderr.contains(label), "{}", added.stderr);
    assert!(!added.stderr.contains(secret.trim()), "{}", added.stderr);

    let (_, before) = shell.code(id);
    let printed = shell.totp(&["code", id]);
    let (_, after) = shell.code(id);
    let right: Vec<_> =
        (before..=after).map(|step| format!("{}\n", code(&secret_of(label), step, 6))).collect();
    assert!(right.contains(&printed.ok().to_owned()), "{} is not of {right:?}", printed.stdout);
    assert_eq!(printed.stderr, "");
}

#[test]
fn a_uri_is_stored_from_the_command_line_and_from_stdin() {
    let shell = Shell::new();
    let secret = secret_of("uri");
    let uri =
        format!("otpauth://totp/ACME:me@x.org?secret={secret}&issuer=ACME&digits=8&period=60");
    let added = [shell.totp(&["add", "--uri", &uri]), shell.typed(&["add", "--uri", "-"], &uri)];
    for added in added {
        let (body, step) = shell.code(added.ok().trim_end());
        assert_eq!(body["code"], code(&secret, step, 8));
        assert_eq!(body["period"], 60);
    }
    let named = shell.totp(&["add", "--uri", &uri, "--json"]).json();
    assert_eq!((&named["label"], &named["issuer"]), (&json!("ACME - me@x.org"), &json!("ACME")));
}

#[test]
fn a_secret_that_the_server_made_is_shown_once_and_only_as_json() {
    let shell = Shell::new();
    let plain = shell.totp(&["add", "--label", "made"]);
    assert!(plain.stderr.contains("--json"), "{}", plain.stderr);
    let made = shell.totp(&["add", "--label", "made", "--digits", "8", "--period", "45", "--json"]);
    let entry = made.json();
    let secret = entry["secret"].as_str().unwrap();
    assert!(!made.stderr.contains(secret));
    let (body, step) = shell.code(entry["id"].as_str().unwrap());
    assert_eq!(body["code"], code(secret, step, 8));
    for listed in shell.totp(&["list", "--json"]).json().as_array().unwrap() {
        assert_eq!(listed.get("secret"), None);
    }
    let weak = shell.totp(&["add", "--label", "weak", "--secret", "JBSWY3DPEHPK3PXP"]);
    weak.ok();
    assert!(weak.stderr.contains("128 bits"), "{}", weak.stderr);
}

#[test]
fn the_next_code_is_a_second_line() {
    let shell = Shell::new();
    let id = shell.add("next");
    let (_, before) = shell.code(&id);
    let printed = shell.totp(&["code", &id, "--next"]);
    let (_, after) = shell.code(&id);
    let right: Vec<_> = (before..=after)
        .map(|step| [step, step + 1].map(|step| code(&secret_of("next"), step, 6)).join("\n"))
        .collect();
    assert!(right.iter().any(|right| *right == printed.ok().trim_end()), "{}", printed.stdout);
    let json = shell.totp(&["code", &id, "--next", "--json"]).json();
    assert_eq!(json["next_valid_from"], json["valid_until"]);
}

#[test]
fn entries_are_listed_as_a_table_that_no_label_can_break() {
    let shell = Shell::new();
    let ids = [shell.add("first"), shell.add("zweites, mit Ümläuten")];
    let uri =
        "otpauth://totp/x:y?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&algorithm=SHA256&period=60";
    shell.totp(&["add", "--uri", uri]).ok();
    let table = shell.totp(&["list"]);
    let lines: Vec<_> = table.ok().lines().collect();
    assert_eq!(lines.len(), 4, "{}", table.stdout);
    let column = |name: &str| lines[0].find(name).unwrap();
    for (line, (id, label)) in
        lines[1..].iter().zip([(&ids[0], "first"), (&ids[1], "zweites, mit Ümläuten")])
    {
        assert!(line.starts_with(id.as_str()), "{line}");
        assert_eq!(line[column("LABEL")..].trim_end(), label);
        assert!(line[column("CODE")..].starts_with("6 digits, 30 s, SHA1"), "{line}");
    }
    assert!(lines[3].contains("6 digits, 60 s, SHA256"), "{}", lines[3]);
    assert_eq!(table.stderr, "");
    let labels: Vec<_> = shell
        .totp(&["list", "--json"])
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["label"].clone())
        .collect();
    assert_eq!(labels, ["first", "zweites, mit Ümläuten", "x - y"]);
}

#[test]
fn a_removed_entry_is_gone() {
    let shell = Shell::new();
    let id = shell.add("removed");
    let removed = shell.totp(&["remove", &id]);
    assert_eq!(removed.ok(), "");
    assert!(removed.stderr.contains(&id), "{}", removed.stderr);
    for args in [["code", &id], ["remove", &id]] {
        assert_eq!(shell.totp(&args).status, Some(4), "{args:?}");
    }
    assert_eq!(shell.totp(&["list", "--json"]).json(), json!([]));
}

#[test]
fn failures_have_their_exit_statuses_and_print_no_data() {
    let mut shell = Shell::new();
    let id = shell.add("statuses");
    let cases: &[(i32, &[&str])] = &[
        (1, &["add", "--label", "x", "--secret", "not base32!"]),
        (1, &["add", "--uri", "otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP&counter=1"]),
        (1, &["add", "--label", "x", "--digits", "7"]),
        (1, &["code", &id, "--min-validity", "31"]),
        (2, &[]),
        (2, &["add"]),
        (2, &["add", "--label", "x", "--digits", "six"]),
        (2, &["add", "--label", "x", "--uri", "y", "--secret", "z"]),
        (2, &["code"]),
        (2, &["code", &id, "--next", "--unique"]),
        (2, &["code", &id, "--watch", "--json"]),
        (2, &["code", &id, "--token"]),
        (2, &["list", "--url", "ftp://127.0.0.1"]),
        (4, &["code", NOBODY]),
        (4, &["code", "../secrets"]),
        (4, &["remove", "nonsense"]),
    ];
    for (status, args) in cases {
        let ended = shell.totp(args);
        assert_eq!(ended.status, Some(*status), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(!ended.stderr.is_empty(), "{args:?}");
        assert!(!ended.stderr.contains("JBSWY3DP"), "{args:?}: {}", ended.stderr);
    }
    let backend = std::mem::replace(&mut shell.token, "kft_wrong".into());
    let wrong = shell.totp(&["list"]);
    assert_eq!(wrong.status, Some(3));
    assert!(wrong.stderr.contains("KEYFOB_TOKEN"), "{}", wrong.stderr);
    let agent = shell.vault.key("agent");
    shell.token = agent.token;
    assert_eq!(shell.totp(&["add", "--label", "x"]).status, Some(3), "an agent stores nothing");
    shell.totp(&["code", &id]).ok();
    shell.token = format!("{backend}\r");
    let torn = shell.totp(&["list"]);
    assert_eq!(torn.status, Some(2));
    assert!(torn.stderr.contains("copy it again"), "{}", torn.stderr);

    shell.token = String::new();
    for without in [run(keyfob(&["totp", "list"])), shell.totp(&["list"])] {
        assert_eq!(without.status, Some(2));
        assert!(without.stderr.contains("set KEYFOB_TOKEN"), "{}", without.stderr);
    }
    shell.token = backend;
    let Shell { server, token, vault: _vault } = shell;
    let mut command = keyfob(&["totp", "list"]);
    command.env("KEYFOB_URL", &server.url).env("KEYFOB_TOKEN", token);
    drop(server);
    let gone = run(command);
    assert_eq!(gone.status, Some(1));
    for words in ["could not be reached: Connection refused", "KEYFOB_URL", "keyfob serve"] {
        assert!(gone.stderr.contains(words), "{}", gone.stderr);
    }
}

#[test]
fn nobody_is_asked_for_a_secret_that_cannot_be_stored() {
    let mut command = keyfob(&["totp", "add", "--label", "x", "--secret", "-"]);
    // Whoever types never ends.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let typing = child.stdin.take();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("set KEYFOB_TOKEN"), "{said}");
    assert_eq!(child.wait().unwrap().code(), Some(2));
    drop(typing);
}

#[test]
fn a_reader_that_has_gone_is_told_nothing() {
    let shell = Shell::new();
    let mut command = keyfob(&["totp", "list"]);
    command.env("KEYFOB_URL", &shell.server.url).env("KEYFOB_TOKEN", &shell.token);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

async fn the_doctor_finds_a_vault_well_and_says_what_is_wrong(kind: Kind) {
    let vault = Vault::new(kind);
    let new = vault.run(&["doctor"]);
    assert_eq!(new.status, Some(1), "{}", new.stdout);
    assert!(new.stdout.contains("keyfob serve"), "{}", new.stdout);
    assert!(!vault.data_dir().exists(), "it makes nothing");
    let server = vault.serve();
    let api = server.api(&vault.key("backend").token);
    api.store("examined", &secret_of("examined"), 30).await;
    let findings = vault.run(&["doctor", "--json"]).json();
    let findings = findings.as_array().unwrap();
    assert!(findings.len() >= 5 && findings.iter().all(|one| one["ok"] == true), "{findings:?}");
    let text = vault.run(&["doctor"]);
    assert!(text.ok().contains("1 sealed values open"), "{}", text.stdout);
    assert_eq!(text.stderr, "");
}
