//! `keyfob connection`, and what `keyfob secret` and `keyfob account` have to do with links: what they print,
//! and how they end.

use std::fs;

use serde_json::{Value, json};

use crate::{
    database::Kind,
    on_both_databases,
    process::{Ended, Server, keyfob, run_with},
    vault::Vault,
};

on_both_databases!(
    a_contact_is_connected_verified_listed_and_revoked,
    a_link_begins_with_the_public_url_and_leads_back_to_allowed_origins_only,
    a_shared_secret_is_verified_authenticated_and_revoked,
    a_value_that_was_connected_is_seen_nowhere,
    failures_have_their_exit_statuses_and_print_no_data,
);

const PUBLIC_URL: &str = "https://keyfob.example.com/vault";
const CANARY: &str = "CANARY234567CANA";
const NOBODY: &str = "con_00000000000000000000000000";

/// A server, a key to use it with, a contact that is vouched for, and a personal secret.
struct Shell {
    vault: Vault,
    server: Server,
    token: String,
    contact: String,
    secret: String,
}

impl Shell {
    fn new(kind: Kind) -> Self {
        let vault = Vault::new(kind);
        let variables = [("KEYFOB_LOG", "trace"), ("KEYFOB_PUBLIC_URL", PUBLIC_URL)];
        let server = vault.serve_with(&variables);
        let token = vault.key("owner").token;
        let mut shell =
            Self { vault, server, token, contact: String::new(), secret: String::new() };
        shell.contact = shell.id(&["contact", "create", "--name", "Ann", "--verified-at", "now"]);
        shell.secret = shell.id(&["secret", "create", "--kind", "personal", "--alias", "ci"]);
        shell
    }

    fn keyfob(&self, args: &[&str], stdin: &str) -> Ended {
        let mut command = keyfob(args);
        command.env("KEYFOB_URL", &self.server.url).env("KEYFOB_TOKEN", &self.token);
        run_with(command, stdin)
    }

    /// The id alone, as a command prints it.
    #[track_caller]
    fn id(&self, args: &[&str]) -> String {
        self.keyfob(args, "").ok().trim_end().to_owned()
    }

    /// A command about the contact and the secret.
    fn connection(&self, action: &str, args: &[&str], stdin: &str) -> Ended {
        let of = ["connection", action, &self.contact, "@ci"];
        self.keyfob(&[&of[..], args].concat(), stdin)
    }

    #[track_caller]
    fn list(&self, args: &[&str]) -> Value {
        let list = [&["connection", "list", &self.contact, "--json"], args].concat();
        self.keyfob(&list, "").json()
    }
}

#[track_caller]
fn is_link(text: &str) {
    let state = text.strip_prefix(&format!("{PUBLIC_URL}/connect/"));
    assert_eq!(state.map(str::len), Some(43), "{text}");
}

async fn a_contact_is_connected_verified_listed_and_revoked(kind: Kind) {
    let shell = Shell::new(kind);
    let verified = shell.connection("verify", &[], "");
    assert_eq!(verified.ok(), "unauthenticated\n");
    let (reason, link) = verified.stderr.trim_end().split_once('\n').unwrap();
    assert_eq!(reason, "the contact has not connected it");
    is_link(link.strip_prefix("to connect it: ").unwrap());
    assert_eq!(shell.list(&[]), json!([]));
    assert_eq!(shell.list(&["--all"])[0]["status"], "unauthenticated");

    let connected = shell.connection("connect", &["--value-stdin"], "a key\n");
    assert_eq!(connected.ok(), "");
    assert_eq!(connected.stderr, format!("{} is connected\n", shell.secret));
    assert_eq!(shell.connection("verify", &[], "").ok(), "authenticated\n");
    let verified = shell.connection("verify", &["--json"], "").json();
    assert_eq!(verified, json!({"id": shell.secret, "status": "authenticated"}));
    let list = shell.list(&[]);
    assert_eq!(
        (&list[0]["id"], &list[0]["status"]),
        (&json!(shell.secret), &json!("authenticated"))
    );
    let table = shell.keyfob(&["connection", "list", &shell.contact], "");
    let row: Vec<_> = table.ok().lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, [&shell.secret, "plain", "authenticated"]);

    for _ in 0..2 {
        assert_eq!(shell.connection("revoke", &["--json"], "").json(), json!({"id": shell.secret}));
    }
    assert_eq!(shell.connection("verify", &[], "").ok(), "unauthenticated\n");
    shell.id(&["secret", "update", "@ci", "--type", "basic"]);
    shell.connection("connect", &["--username", "ann", "--value-stdin"], "x").ok();
    assert_eq!(shell.connection("verify", &[], "").ok(), "authenticated\n");
}

async fn a_link_begins_with_the_public_url_and_leads_back_to_allowed_origins_only(kind: Kind) {
    let shell = Shell::new(kind);
    is_link(shell.connection("authenticate", &[], "").ok().trim_end());
    let back = ["--return-url", "https://app.example.com/done"];
    let refused = shell.connection("authenticate", &back, "");
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("is not one that this account allows"), "{}", refused.stderr);
    let allow = ["--allow-origin", "https://app.example.com", "--name", "Acme"];
    let account = shell.keyfob(&[&["account", "update", "--json"], &allow[..]].concat(), "").json();
    assert_eq!(account["allowedOrigins"], json!(["https://app.example.com"]));
    is_link(shell.connection("authenticate", &back, "").ok().trim_end());
    let account = shell.keyfob(&["account", "update", "--no-origins", "--json"], "").json();
    assert_eq!((&account["name"], &account["allowedOrigins"]), (&json!("Acme"), &json!([])));
    assert_eq!(shell.keyfob(&["account", "fetch", "--json"], "").json(), account);
    assert!(shell.keyfob(&["account", "fetch"], "").ok().contains("name         Acme\n"));
}

async fn a_shared_secret_is_verified_authenticated_and_revoked(kind: Kind) {
    let shell = Shell::new(kind);
    shell.id(&["secret", "create", "--alias", "billing"]);
    let verified = shell.keyfob(&["secret", "verify", "@billing"], "");
    assert_eq!(verified.ok(), "unauthenticated\n");
    assert!(verified.stderr.starts_with("it has no value\nto connect it: "), "{}", verified.stderr);
    is_link(shell.keyfob(&["secret", "authenticate", "@billing"], "").ok().trim_end());
    shell.keyfob(&["secret", "update", "@billing", "--value-stdin"], "x").ok();
    assert_eq!(shell.keyfob(&["secret", "verify", "@billing"], "").ok(), "authenticated\n");
    assert_eq!(shell.keyfob(&["secret", "authenticate", "@billing"], "").status, Some(1));
    shell.keyfob(&["secret", "revoke", "@billing"], "").ok();
    assert_eq!(shell.keyfob(&["secret", "verify", "@billing"], "").ok(), "unauthenticated\n");
}

async fn a_value_that_was_connected_is_seen_nowhere(kind: Kind) {
    let shell = Shell::new(kind);
    let mut said = Vec::new();
    for (action, args, stdin) in [
        ("connect", &["--value-stdin"][..], CANARY),
        ("connect", &["--value-stdin", "--json"], CANARY),
        ("connect", &["--username", "ann", "--value-stdin"], CANARY),
        ("verify", &["--json"], ""),
    ] {
        let ended = shell.connection(action, args, stdin);
        said.extend([ended.stdout, ended.stderr]);
    }
    said.push(shell.list(&["--all"]).to_string());
    let written = match kind {
        Kind::Postgres => shell.vault.database.dump(),
        Kind::Sqlite => fs::read_dir(shell.vault.data_dir())
            .unwrap()
            .fold(Vec::new(), |all, file| [all, fs::read(file.unwrap().path()).unwrap()].concat()),
    };
    let Shell { server, vault: _vault, .. } = shell;
    let log = server.stop();
    assert!(log.stderr.contains("/secret/{secret}/connect"), "the log is there, and is searched");
    said.extend([log.stdout, log.stderr, String::from_utf8_lossy(&written).into_owned()]);
    assert!(!said.iter().any(|text| text.contains(CANARY)), "a value is seen");
}

async fn failures_have_their_exit_statuses_and_print_no_data(kind: Kind) {
    let mut shell = Shell::new(kind);
    let contact = shell.contact.clone();
    let stranger = shell.id(&["contact", "create"]);
    let shared = shell.id(&["secret", "create"]);
    let cases: &[(i32, &[&str], &str)] = &[
        (1, &["authenticate", &stranger, "@ci"], "Cannot authenticate secret"),
        (1, &["authenticate", &contact, &shared], "Cannot obtain secret"),
        (
            1,
            &["connect", &contact, "@ci", "--username", "a", "--value-stdin"],
            "\"value\" is required",
        ),
        (2, &[], "Usage"),
        (2, &["verify", &contact], "<SECRET>"),
        (2, &["connect", &contact, "@ci"], "--value-stdin"),
        (2, &["connect", &contact, "@ci", "--value", CANARY], "unexpected argument '--value'"),
        (4, &["verify", NOBODY, "@ci"], "Not found"),
        (4, &["verify", &contact, "@nobody"], "Not found"),
        (4, &["list", NOBODY], "Not found"),
        (4, &["revoke", &contact, "@nobody"], "Not found"),
    ];
    for (status, args, said) in cases {
        let ended = shell.keyfob(&[&["connection"], *args].concat(), "x");
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(*status), ""), "{args:?}");
        assert!(ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    }
    let empty = shell.connection("connect", &["--value-stdin"], "\n");
    assert_eq!((empty.status, empty.stdout.as_str()), (Some(2), ""));
    shell.token = shell.vault.key("agent").token;
    for args in [&["connect", "--value-stdin"][..], &["revoke"]] {
        let ended = shell.connection(args[0], &args[1..], "x");
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(3), ""));
    }
    assert_eq!(shell.keyfob(&["account", "update", "--name", "x"], "").status, Some(3));
}

#[test]
fn a_public_url_that_is_none_is_refused_when_the_server_starts() {
    for url in ["keyfob.example.com", "ftp://a", "https://a/?b", "https://a/#b", "https://u:p@a/"] {
        let mut command = keyfob(&["serve"]);
        command.env("KEYFOB_PUBLIC_URL", url);
        let ended = run_with(command, "");
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{url}");
        assert!(ended.stderr.contains("must be an http or https URL"), "{}", ended.stderr);
    }
}
