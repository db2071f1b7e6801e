//! Help texts, as people see them on a terminal of 100 columns.

use crate::process::{keyfob, run};

fn help(args: &[&str]) -> String {
    let mut command = keyfob(args);
    command.env("COLUMNS", "100");
    let ended = run(command);
    assert_eq!(ended.stderr, "");
    ended.ok().to_owned()
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    let commands = [
        ("keyfob", &["--help"][..]),
        ("serve", &["serve", "--help"]),
        ("key", &["key", "--help"]),
        ("key_create", &["key", "create", "--help"]),
        ("key_list", &["key", "list", "--help"]),
        ("totp", &["totp", "--help"]),
        ("totp_add", &["totp", "add", "--help"]),
        ("totp_code", &["totp", "code", "--help"]),
        ("contact", &["contact", "--help"]),
        ("contact_create", &["contact", "create", "--help"]),
        ("contact_ensure", &["contact", "ensure", "--help"]),
        ("contact_list", &["contact", "list", "--help"]),
        ("contact_fetch", &["contact", "fetch", "--help"]),
        ("contact_update", &["contact", "update", "--help"]),
        ("contact_delete", &["contact", "delete", "--help"]),
        ("contact_export", &["contact", "export", "--help"]),
        ("secret", &["secret", "--help"]),
        ("secret_create", &["secret", "create", "--help"]),
        ("secret_list", &["secret", "list", "--help"]),
        ("secret_fetch", &["secret", "fetch", "--help"]),
        ("secret_update", &["secret", "update", "--help"]),
        ("secret_delete", &["secret", "delete", "--help"]),
        ("secret_verify", &["secret", "verify", "--help"]),
        ("secret_authenticate", &["secret", "authenticate", "--help"]),
        ("secret_refresh", &["secret", "refresh", "--help"]),
        ("secret_mint", &["secret", "mint", "--help"]),
        ("secret_revoke", &["secret", "revoke", "--help"]),
        ("secret_templates", &["secret", "templates", "--help"]),
        ("connection", &["connection", "--help"]),
        ("connection_list", &["connection", "list", "--help"]),
        ("connection_verify", &["connection", "verify", "--help"]),
        ("connection_authenticate", &["connection", "authenticate", "--help"]),
        ("connection_connect", &["connection", "connect", "--help"]),
        ("connection_refresh", &["connection", "refresh", "--help"]),
        ("connection_mint", &["connection", "mint", "--help"]),
        ("connection_revoke", &["connection", "revoke", "--help"]),
        ("connection_revocations", &["connection", "revocations", "--help"]),
        ("account", &["account", "--help"]),
        ("account_fetch", &["account", "fetch", "--help"]),
        ("account_update", &["account", "update", "--help"]),
        ("account_delete", &["account", "delete", "--help"]),
        ("event", &["event", "--help"]),
        ("event_list", &["event", "list", "--help"]),
        ("event_verify", &["event", "verify", "--help"]),
        ("event_export", &["event", "export", "--help"]),
        ("event_public_key", &["event", "public-key", "--help"]),
        ("doctor", &["doctor", "--help"]),
        ("mcp", &["mcp", "--help"]),
    ];
    for (name, args) in commands {
        insta::assert_snapshot!(name, help(args));
    }
}

#[test]
fn help_shows_no_secret_of_the_environment() {
    let secrets = [
        ("KEYFOB_TOKEN", "kft_hunter2"),
        ("KEYFOB_DATABASE_URL", "postgres://me:hunter2@localhost/keyfob"),
        ("KEYFOB_MASTER_KEY", "hunter2"),
    ];
    for args in
        [&["serve", "--help"][..], &["key", "create", "--help"], &["totp", "code", "--help"]]
    {
        let mut command = keyfob(args);
        let ended = run({
            command.envs(secrets);
            command
        });
        assert!(!ended.ok().contains("hunter2"), "{}", ended.stdout);
    }
}

#[test]
fn the_version_is_the_packages() {
    let version = concat!("keyfob ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(help(&["--version"]), version);
}
