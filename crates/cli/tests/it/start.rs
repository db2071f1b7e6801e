//! Starting on a vault: a new one, an old one, and one that does not fit.

use std::{
    ffi::OsString,
    fs::{self, File, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use data_encoding::BASE64;
use serde_json::Value;

use crate::{
    database::{Database, Kind},
    on_both_databases,
    process::{Ended, Server, keyfob},
    vault::Vault,
};

on_both_databases!(
    a_vault_is_its_owners_only,
    another_master_key_is_refused_and_nothing_changes,
    another_master_key_brings_no_database_to_this_version,
    a_missing_master_key_is_refused_and_no_new_one_is_made,
    a_master_key_that_others_can_read_is_refused,
    the_master_key_can_come_from_the_environment,
    the_first_owner_key_is_printed_once,
    servers_that_start_at_once_on_a_new_vault_agree,
    every_line_of_a_json_log_is_json,
);

/// How a server ended that could not start: with status 1 and without a panic.
#[track_caller]
fn refused(command: Command) -> Ended {
    let Err(ended) = Server::start(command) else { panic!("it started") };
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("keyfob: "), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    ended
}

#[track_caller]
fn says(ended: &Ended, words: &[&str]) {
    for word in words {
        assert!(ended.stderr.contains(word), "not {word:?} in: {}", ended.stderr);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Whatever must not change.
fn stored(vault: &Vault) -> Vec<u8> {
    match &vault.database {
        Database::Sqlite(path) => fs::read(path).unwrap(),
        Database::Postgres(_) => {
            let dump = vault.database.dump();
            // Without a mark of the dump's own, new in each.
            let lines = dump.split(|byte| *byte == b'\n');
            lines.filter(|line| !line.starts_with(b"\\")).flatten().copied().collect()
        }
    }
}

/// The names of the files in the data directory.
fn files(vault: &Vault) -> Vec<OsString> {
    let files = fs::read_dir(vault.data_dir()).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    names.sort();
    names
}

/// A vault that was used, and its server stopped.
fn used(kind: Kind) -> Vault {
    let vault = Vault::new(kind);
    assert_eq!(vault.serve().stop().status, Some(0));
    vault
}

async fn a_vault_is_its_owners_only(kind: Kind) {
    let vault = Vault::new(kind);
    let server = vault.serve();
    vault.key("agent");
    assert_eq!(mode(&vault.data_dir()), 0o700);
    let files: Vec<_> =
        fs::read_dir(vault.data_dir()).unwrap().map(|f| f.unwrap().path()).collect();
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    let wanted: &[&str] = match kind {
        Kind::Sqlite => &["master.key", "keyfob.db", "keyfob.db-wal"],
        Kind::Postgres => &["master.key"],
    };
    for name in wanted {
        assert!(files.contains(&vault.data_dir().join(name)), "{name} is not in {files:?}");
    }
    drop(server);
}

async fn another_master_key_is_refused_and_nothing_changes(kind: Kind) {
    let vault = used(kind);
    let before = stored(&vault);
    let own = fs::read(vault.master_key_file()).unwrap();
    let other = BASE64.encode(&[7; 32]);
    let advice = ["sealed with master key", "KEYFOB_MASTER_KEY_FILE", "Nothing was changed"];

    let ended = refused(vault.server(&[("KEYFOB_MASTER_KEY", &other)]));
    says(&ended, &advice);
    assert!(!ended.stderr.contains(&other), "{}", ended.stderr);
    fs::write(vault.master_key_file(), &other).unwrap();
    says(&refused(vault.server(&[])), &advice);
    let ended = vault.run(&["key", "create", "--role", "owner"]);
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    says(&ended, &advice);
    assert_eq!(vault.run(&["doctor"]).status, Some(1));
    assert!(stored(&vault) == before, "the database was changed");

    fs::write(vault.master_key_file(), own).unwrap();
    vault.serve();
}

async fn another_master_key_brings_no_database_to_this_version(kind: Kind) {
    let vault = used(kind);
    // As before there were migrations: to bring it to this version is to make their table.
    vault.database.rows("DROP TABLE refinery_schema_history");
    let (before, files) = (stored(&vault), files(&vault));
    let other = BASE64.encode(&[7; 32]);
    let advice = ["sealed with master key", "Nothing was changed"];
    says(&refused(vault.server(&[("KEYFOB_MASTER_KEY", &other)])), &advice);
    for args in [&["key", "create", "--role", "owner"][..], &["key", "list"]] {
        let mut command = vault.command(args);
        command.env("KEYFOB_MASTER_KEY", &other);
        says(&refused(command), &advice);
    }
    fs::rename(vault.master_key_file(), vault.data_dir().join("elsewhere")).unwrap();
    says(&refused(vault.server(&[])), &["master.key is missing"]);
    fs::rename(vault.data_dir().join("elsewhere"), vault.master_key_file()).unwrap();
    assert!(stored(&vault) == before, "the database was changed");
    assert_eq!(self::files(&vault), files);
}

async fn a_missing_master_key_is_refused_and_no_new_one_is_made(kind: Kind) {
    let vault = used(kind);
    let before = stored(&vault);
    let away = vault.data_dir().join("elsewhere");
    fs::rename(vault.master_key_file(), &away).unwrap();
    let ended = refused(vault.server(&[]));
    says(&ended, &["master.key is missing", "put that file back", "KEYFOB_MASTER_KEY_FILE"]);
    assert!(!vault.master_key_file().exists());
    assert!(stored(&vault) == before, "the database was changed");
    assert_eq!(vault.run(&["doctor"]).status, Some(1));
    vault.serve_with(&[("KEYFOB_MASTER_KEY_FILE", away.to_str().unwrap())]);
}

async fn a_master_key_that_others_can_read_is_refused(kind: Kind) {
    let vault = used(kind);
    let file = vault.master_key_file();
    for (open, text) in [(0o644, "mode 644"), (0o640, "mode 640"), (0o604, "mode 604")] {
        fs::set_permissions(&file, Permissions::from_mode(open)).unwrap();
        let advice = format!("chmod 600 {}", file.display());
        says(&refused(vault.server(&[])), &[text, &advice]);
        let doctor = vault.run(&["doctor"]);
        assert!(doctor.stdout.contains(&advice), "{}", doctor.stdout);
    }
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    vault.serve();
}

async fn the_master_key_can_come_from_the_environment(kind: Kind) {
    let vault = Vault::new(kind);
    let key = BASE64.encode(&[9; 32]);
    let server = vault.serve_with(&[("KEYFOB_MASTER_KEY", &key)]);
    assert!(!vault.master_key_file().exists());
    drop(server);
    says(&refused(vault.server(&[])), &["master.key is missing"]);
    let ended = refused(vault.server(&[("KEYFOB_MASTER_KEY", "c2hvcnQ=")]));
    says(&ended, &["KEYFOB_MASTER_KEY", "32"]);
    assert!(!ended.stderr.contains("c2hvcnQ="), "{}", ended.stderr);
    vault.serve_with(&[("KEYFOB_MASTER_KEY", &key)]);
}

async fn the_first_owner_key_is_printed_once(kind: Kind) {
    let vault = Vault::new(kind);
    let first = vault.serve().stop();
    let fields: Vec<_> = first.stdout.lines().filter_map(|line| line.split_once("  ")).collect();
    let [("id", id), ("secret", secret), ("token", token)] = fields.as_slice() else {
        panic!("{}", first.stdout);
    };
    assert_eq!(fields.len(), first.stdout.lines().count());
    assert!(!first.stderr.contains(secret.trim()), "{}", first.stderr);
    let server = vault.serve();
    let key = server.api(token.trim()).get(&format!("/api/v1/key/{}/fetch", id.trim())).await;
    assert_eq!(key.ok()["role"], "owner");
    let second = server.stop();
    assert_eq!(second.stdout, "");
    assert!(!second.stderr.contains("owner key"), "{}", second.stderr);
}

async fn servers_that_start_at_once_on_a_new_vault_agree(kind: Kind) {
    for _ in 0..5 {
        let vault = Vault::new(kind);
        let commands = [0; 3].map(|_| vault.server(&[]));
        let started = std::thread::scope(|scope| {
            let start = |command| scope.spawn(|| Server::start(command));
            commands.map(start).map(|started| started.join().unwrap())
        });
        let mut printed = 0;
        for server in started {
            let ended = server.expect("each of them serves").stop();
            assert_eq!(ended.status, Some(0), "{}", ended.stderr);
            assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
            printed += ended.stdout.matches("token  ").count();
        }
        assert!(!files(&vault).iter().any(|name| name.to_string_lossy().starts_with('.')));
        assert_eq!(printed, 1, "there is one first owner key");
        vault.check_health();
        let accounts = vault.database.rows("SELECT id FROM account");
        assert_eq!(accounts.len(), 1);
        vault.database.check_integrity();
    }
}

async fn every_line_of_a_json_log_is_json(kind: Kind) {
    let vault = Vault::new(kind);
    let log = [("KEYFOB_LOG", "debug"), ("KEYFOB_LOG_FORMAT", "json")];
    let server = vault.serve_with(&log);
    let key = vault.key("backend");
    let api = server.api(&key.token);
    let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    let id = api.store("logged", secret, 30).await;
    let code = api.code(&id).await.code;
    api.with_token("kft_wrong").get("/api/v2/totp/secrets").await;
    let ended = server.stop();
    assert!(ended.stderr.contains("/api/v2/totp/code/{id}"), "requests are logged");
    for line in ended.stderr.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        for field in ["timestamp", "level", "message"] {
            assert!(entry[field].is_string(), "no {field}: {line}");
        }
        for hidden in [secret, &key.secret, &key.token, &code, "kft_", "kfs_"] {
            let message =
                entry.as_object().unwrap().iter().filter(|(name, _)| *name != "timestamp");
            for (_, value) in message {
                assert!(!value.to_string().contains(hidden), "{line}");
            }
        }
    }
}

#[test]
fn what_scripts_wait_for_is_said_whatever_the_log_leaves_out() {
    for filter in ["warn", "off", "keyfob=error", "keyfob_server=debug"] {
        for format in ["text", "json"] {
            let vault = Vault::new(Kind::Sqlite);
            // This waits for it.
            let server = vault.serve_with(&[
                ("KEYFOB_LOG", filter),
                ("KEYFOB_LOG_FORMAT", format),
                ("KEYFOB_ADMIN_LISTEN", "127.0.0.1:0"),
            ]);
            assert!(server.admin.is_some(), "{filter} {format}");
            let ended = server.stop();
            assert!(ended.stderr.contains("first owner key"), "{filter}: {}", ended.stderr);
            let says = ended.stderr.contains("stopping");
            assert!(!says, "{filter} {format} lets through more: {}", ended.stderr);
        }
    }
}

#[test]
fn a_first_start_that_cannot_listen_makes_no_vault() {
    let vault = Vault::new(Kind::Sqlite);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for variable in ["KEYFOB_LISTEN", "KEYFOB_ADMIN_LISTEN"] {
        says(&refused(vault.server(&[(variable, &address)])), &["cannot listen on"]);
        assert!(!vault.data_dir().exists(), "{variable}");
    }
    let first = vault.serve().stop();
    assert_eq!(first.stdout.matches("token  ").count(), 1, "{}", first.stdout);
}

#[test]
fn a_first_owner_key_that_cannot_be_shown_is_not_lost_without_a_word() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (_, unread) = std::io::pipe().unwrap();
    for (output, stdout) in [("full", Stdio::from(full)), ("unread", Stdio::from(unread))] {
        let vault = Vault::new(Kind::Sqlite);
        let mut command = vault.server(&[]);
        let ended = command.stdin(Stdio::null()).stdout(stdout).output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{output}: {stderr}");
        let place = vault.data_dir().join("keyfob.db").display().to_string();
        for words in ["could not be written", &place, "`keyfob key create --role owner`"] {
            assert!(stderr.contains(words), "{output}: not {words:?} in: {stderr}");
        }
        assert!(!stderr.contains("kfs_") && !stderr.contains("kft_"), "{stderr}");
        vault.key("owner");
        assert_eq!(vault.serve().stop().stdout, "");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let vault = Vault::new(Kind::Sqlite);
    vault.key("owner");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = refused(vault.server(&[("KEYFOB_LISTEN", &address)]));
    says(&ended, &["cannot listen on", &address, "in use"]);
    let ended = refused(vault.server(&[("KEYFOB_ADMIN_LISTEN", &address)]));
    says(&ended, &["cannot listen on", &address, "in use"]);
}

#[test]
fn a_database_url_that_does_not_work_is_refused_without_its_password() {
    let cases = [
        ("mysql://me:hunter2@localhost/keyfob", "must start with sqlite: or postgres://"),
        ("hunter2", "must start with sqlite: or postgres://"),
        ("postgres://me:hunter2@localhost:port/keyfob", "malformed"),
        ("postgres://me:hunter2@127.0.0.1:1/keyfob", "cannot be opened"),
        ("sqlite:", "names no file"),
        ("sqlite:/nowhere/at/all/hunter2/keyfob.db", "cannot be locked"),
    ];
    for (url, text) in cases {
        for command in [&["serve"][..], &["key", "create", "--role", "agent"]] {
            let vault = Vault::new(Kind::Sqlite);
            let mut command = vault.command(command);
            command.env("KEYFOB_DATABASE_URL", url).env("KEYFOB_LISTEN", "127.0.0.1:0");
            let ended = refused(command);
            says(&ended, &[text]);
            assert_eq!(ended.stderr.matches(text).count(), 1, "{}", ended.stderr);
            let hides = url.starts_with("sqlite:") || !ended.stderr.contains("hunter2");
            assert!(hides, "{url}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_file_that_is_no_database_is_named_and_not_overwritten() {
    let vault = Vault::new(Kind::Sqlite);
    let file = vault.data_dir().join("keyfob.db");
    fs::create_dir(vault.data_dir()).unwrap();
    fs::write(&file, "somebody's notes").unwrap();
    let named = format!("{} is not a database of SQLite", file.display());
    let advice = [named.as_str(), "name another file", "Nothing was changed"];
    says(&refused(vault.server(&[])), &advice);
    says(&refused(vault.command(&["key", "create", "--role", "owner"])), &advice);
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's notes");
    assert_eq!(files(&vault), ["keyfob.db"]);
}

#[test]
fn what_a_start_left_behind_that_was_killed_disturbs_the_next_one_not() {
    let vault = Vault::new(Kind::Sqlite);
    let left = vault.data_dir().join(".master.key.AbCdEf");
    fs::create_dir(vault.data_dir()).unwrap();
    fs::write(&left, "c2hvcnQ").unwrap();
    fs::write(vault.data_dir().join("keyfob.db"), "").unwrap();
    let server = vault.serve();
    vault.key("agent");
    assert_eq!(server.stop().status, Some(0));
    vault.check_health();
    assert_eq!(fs::read_to_string(left).unwrap(), "c2hvcnQ");
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let mut command = keyfob(&["serve"]);
    command.env("KEYFOB_DATA_DIR", "/proc/keyfob").env("KEYFOB_LISTEN", "127.0.0.1:0");
    says(&refused(command), &["data directory", "/proc/keyfob"]);
}

#[test]
fn wrong_values_of_options_are_usage_errors() {
    let wrong = [
        ("KEYFOB_LISTEN", "nowhere"),
        ("KEYFOB_AUDIT", "sometimes"),
        ("KEYFOB_LOG", "keyfob=loud=louder"),
        ("KEYFOB_LOG_FORMAT", "xml"),
        ("KEYFOB_MAX_TOTP", "many"),
    ];
    for (name, value) in wrong {
        let vault = Vault::new(Kind::Sqlite);
        let Err(ended) = Server::start(vault.server(&[(name, value)])) else { panic!("{name}") };
        assert_eq!(ended.status, Some(2), "{name}: {}", ended.stderr);
        assert!(!vault.data_dir().exists(), "{name}: nothing is made");
    }
}
