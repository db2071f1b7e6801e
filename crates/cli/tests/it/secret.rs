//! `keyfob secret`: what it prints, what it stores, and how it ends.

use std::{collections::HashSet, fs};

use serde_json::{Value, json};

use crate::{
    database::Kind,
    on_both_databases,
    process::{Ended, Server, keyfob, run_with},
    vault::Vault,
};

on_both_databases!(
    a_secret_is_stored_fetched_changed_and_deleted,
    a_secret_is_named_by_id_alias_or_name_everywhere,
    a_config_comes_whole_from_an_argument_a_file_or_stdin_or_key_by_key,
    keys_of_the_meta_are_set_and_taken_away_one_by_one,
    a_list_is_filtered_ordered_and_goes_on_beyond_a_page,
    what_is_run_as_a_child_account_is_done_there,
    a_value_is_replaced_taken_away_and_seen_nowhere,
    templates_are_listed_for_people_and_for_programs,
    failures_have_their_exit_statuses_and_print_no_data,
);

const NOBODY: &str = "sec_00000000000000000000000000";
const CANARY: &str = "CANARY234567CANA";

/// A server, and a key to use it with.
struct Shell {
    vault: Vault,
    server: Server,
    token: String,
}

impl Shell {
    fn new(kind: Kind) -> Self {
        let vault = Vault::new(kind);
        let server = vault.serve_with(&[("KEYFOB_LOG", "trace")]);
        let token = vault.key("owner").token;
        Self { vault, server, token }
    }

    fn secret(&self, args: &[&str]) -> Ended {
        self.piped(args, "")
    }

    /// With something on stdin.
    fn piped(&self, args: &[&str], stdin: &str) -> Ended {
        let mut command = keyfob(&[&["secret"], args].concat());
        command.env("KEYFOB_URL", &self.server.url).env("KEYFOB_TOKEN", &self.token);
        run_with(command, stdin)
    }

    /// The id of a new secret, alone, as the command prints it.
    #[track_caller]
    fn create(&self, args: &[&str]) -> String {
        let printed = self.secret(&[&["create"], args].concat());
        let id = printed.ok().strip_suffix('\n').unwrap();
        assert!(id.starts_with("sec_") && !id.contains(char::is_whitespace), "{id}");
        id.to_owned()
    }

    #[track_caller]
    fn fetch(&self, at: &str) -> Value {
        self.secret(&["fetch", at, "--json"]).json()
    }

    /// The names that a list prints as JSON.
    #[track_caller]
    fn names(&self, args: &[&str]) -> Vec<String> {
        let list = self.secret(&[&["list", "--json"], args].concat()).json();
        let name = |secret: &Value| secret["name"].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(name).collect()
    }

    /// What is stored as the value of the one secret that there is; empty for nothing.
    fn stored_value(&self) -> String {
        self.vault.database.rows("SELECT value FROM secret").concat().concat()
    }
}

async fn a_secret_is_stored_fetched_changed_and_deleted(kind: Kind) {
    let shell = Shell::new(kind);
    let names = ["--alias", "mail", "--name", "Zoë's mail 日本", "--description", "of\nSales"];
    let kinds = ["--kind", "personal", "--type", "oauth", "--visibility", "protected"];
    let id = shell.create(&[&names[..], &kinds, &["--blueprint-id", "b 1"]].concat());
    let stored = shell.fetch(&id);
    let expected = json!({
        "id": id, "alias": "mail", "name": "Zoë's mail 日本", "description": "of\nSales",
        "blueprintId": "b 1", "kind": "personal", "type": "oauth", "visibility": "protected",
        "config": null, "meta": null,
        "createdAt": stored["createdAt"], "updatedAt": stored["updatedAt"],
    });
    assert_eq!(stored, expected);
    let shown = shell.secret(&["fetch", &id]);
    for line in ["name         Zoë's mail 日本\n", "type         oauth\n", "blueprint    b 1\n"]
    {
        assert!(shown.ok().contains(line), "{}", shown.stdout);
    }
    assert!(shown.stdout.contains("of\u{fffd}Sales"), "a line of its own for each field");
    assert!(!shown.stdout.contains("meta"), "nothing is said of nothing: {}", shown.stdout);

    let changed = shell.secret(&["update", &id, "--description", "", "--blueprint-id", ""]);
    assert_eq!((changed.ok(), &changed.stderr), ("", &format!("{id} is changed\n")));
    let mut expected = stored.clone();
    let now = shell.fetch(&id);
    (expected["description"], expected["blueprintId"]) = (json!(""), Value::Null);
    expected["updatedAt"] = now["updatedAt"].clone();
    assert_eq!(now, expected);
    let renamed = shell.secret(&["update", &id, "--name", "Mail", "--json"]);
    assert_eq!(renamed.json(), json!({ "id": id }));

    let table = shell.secret(&["list"]);
    let lines: Vec<_> = table.ok().lines().collect();
    assert_eq!(lines.len(), 2, "{}", table.stdout);
    assert_eq!(lines[1], format!("{id}  personal  oauth  protected   mail   Mail"));

    let deleted = shell.secret(&["delete", &id]);
    assert_eq!((deleted.ok(), &deleted.stderr), ("", &format!("{id} is deleted\n")));
    for args in [&["fetch", &id][..], &["update", &id, "--name", "x"], &["delete", &id]] {
        assert_eq!(shell.secret(args).status, Some(4), "{args:?}");
    }
    assert_eq!(shell.secret(&["list", "--json"]).json(), json!([]));
    let bare = shell.secret(&["create", "--json"]).json();
    let bare = shell.fetch(bare["id"].as_str().unwrap());
    assert_eq!([&bare["kind"], &bare["type"], &bare["visibility"]], ["shared", "plain", "private"]);
}

async fn a_secret_is_named_by_id_alias_or_name_everywhere(kind: Kind) {
    let shell = Shell::new(kind);
    for (alias, name) in [("a-1", "A/b (ü) ?#%"), ("a_2", ".."), ("3", "@a-1")] {
        let id = shell.create(&["--alias", alias, "--name", name]);
        let [alias, name] = [format!("@{alias}"), format!("({name})")];
        for at in [&id, &alias, &name] {
            assert_eq!(shell.fetch(at)["id"], id.as_str(), "{at}");
            let changed = shell.secret(&["update", at, "--description", at]);
            assert_eq!(changed.stderr, format!("{id} is changed\n"), "{at}");
            assert_eq!(shell.fetch(&id)["description"], at.as_str());
        }
        let deleted = shell.secret(&["delete", &name, "--json"]);
        assert_eq!(deleted.json(), json!({ "id": id }));
        for at in [&id, &alias, &name] {
            assert_eq!(shell.secret(&["fetch", at]).status, Some(4), "{at}");
        }
    }
}

async fn a_config_comes_whole_from_an_argument_a_file_or_stdin_or_key_by_key(kind: Kind) {
    let shell = Shell::new(kind);
    let config = |id: &str| shell.fetch(id)["config"].clone();
    let jwt = ["--type", "jwt", "--config", r#"{"expiresInSeconds":60,"schema":"Token"}"#];
    let id = shell.create(&[&jwt[..], &["--set", "algorithm=ES256", "--set", "schema="]].concat());
    assert_eq!(config(&id), json!({"expiresInSeconds": 60, "algorithm": "ES256"}));
    let id = shell.create(&["--set", "note=a=b"]);
    assert_eq!(config(&id), json!({"note": "a=b"}));

    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("mail ü.json");
    let text = json!({"clientId": "me", "clientSecret": CANARY, "hosts": ["mail.example.com"]});
    fs::write(&file, text.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let id = shell.create(&["--type", "oauth", "--config-file", file, "--set", "scope=read"]);
    let mut masked = json!({
        "clientId": "me", "clientSecret": "********", "hosts": ["mail.example.com"], "scope": "read",
    });
    assert_eq!(config(&id), masked);
    let sealed = || {
        let query = format!("SELECT config FROM secret WHERE id = '{id}'");
        shell.vault.database.rows(&query).concat().concat()
    };
    let before = sealed();
    shell.secret(&["update", &id, "--set", "scope=write", "--set", "clientId="]).ok();
    masked["scope"] = json!("write");
    masked.as_object_mut().unwrap().remove("clientId");
    assert_eq!(config(&id), masked, "the others stay, the masked one too");
    assert_ne!(sealed(), before);
    let piped = shell.piped(&["update", &id, "--config-file", "-"], r#"{"clientSecret":null}"#);
    piped.ok();
    assert_eq!(config(&id), json!({"clientSecret": null}), "a whole config replaces the other");
    shell.secret(&["update", &id, "--config", "{}"]).ok();
    assert_eq!(config(&id), json!({}));
}

async fn keys_of_the_meta_are_set_and_taken_away_one_by_one(kind: Kind) {
    let shell = Shell::new(kind);
    let id = shell.create(&["--meta", "team=x=y", "--meta", "vip=true"]);
    shell.secret(&["update", &id, "--meta", "team=", "--meta", "since=2026"]).ok();
    assert_eq!(shell.fetch(&id)["meta"], json!({"vip": "true", "since": "2026"}));
    shell.secret(&["update", &id, "--meta-json", r#"{"plan":{"name":"gold"}}"#]).ok();
    assert_eq!(shell.fetch(&id)["meta"], json!({"plan": {"name": "gold"}}));
}

async fn a_list_is_filtered_ordered_and_goes_on_beyond_a_page(kind: Kind) {
    const MANY: usize = 130;
    let shell = Shell::new(kind);
    let api = shell.server.api(&shell.token);
    for number in 0..MANY {
        let blueprint = if number % 2 == 1 { "odd ones" } else { "even ones" };
        let meta = json!({"five": {"divides": number % 5 == 0}});
        let body =
            json!({"name": format!("Ünal {number}"), "blueprintId": blueprint, "meta": meta});
        api.post("/api/v1/secret/create", &body).await.ok();
    }
    // Within one millisecond the order is of the ids, which are random.
    let all = shell.names(&["--oldest-first"]);
    let stored: HashSet<_> = (0..MANY).map(|number| format!("Ünal {number}")).collect();
    assert_eq!(all.iter().cloned().collect::<HashSet<_>>(), stored);
    assert_eq!(all.len(), MANY);
    assert_eq!(shell.names(&["--oldest-first", "--take", "101"]), all[..101]);
    let newest = all.iter().rev();
    assert!(shell.names(&[]).iter().eq(newest.clone()));
    let odd = newest.filter(|name| name.ends_with(['1', '3', '5', '7', '9']));
    assert!(shell.names(&["--blueprint-id", "odd ones"]).iter().eq(odd.clone()));
    let both = ["--blueprint-id", "odd ones", "--meta", "five.divides=true"];
    assert!(shell.names(&both).iter().eq(odd.filter(|name| name.ends_with('5'))));
    assert_eq!(shell.names(&["--blueprint-id", "nobody's"]), [""; 0]);
}

async fn what_is_run_as_a_child_account_is_done_there(kind: Kind) {
    let shell = Shell::new(kind);
    let api = shell.server.api(&shell.token);
    let child = json!({"email": "child@example.com"});
    let child = api.post("/api/v1/account/create", &child).await.ok()["id"].clone();
    let child = child.as_str().unwrap();
    let id = shell.create(&["--alias", "mine", "--name", "theirs", "--run-as", child]);
    for account in [child, "child@example.com"] {
        assert_eq!(shell.names(&["--run-as", account]), ["theirs"]);
    }
    for at in [&id, "@mine", "(theirs)"] {
        assert_eq!(shell.secret(&["fetch", at]).status, Some(4), "{at}");
        assert_eq!(shell.secret(&["delete", at]).status, Some(4), "{at}");
        shell.secret(&["update", at, "--set", "a=b", "--run-as", child]).ok();
    }
    assert_eq!(shell.names(&["--run-as", ""]), [""; 0], "an empty variable is one left empty");
    let stranger = shell.secret(&["list", "--run-as", "nobody@example.com"]);
    assert_eq!(stranger.status, Some(3));
}

async fn a_value_is_replaced_taken_away_and_seen_nowhere(kind: Kind) {
    let shell = Shell::new(kind);
    let value = |number: u8| format!("{CANARY}{number}\n");
    let mut said = Vec::new();
    let mut piped = |args: &[&str], stdin: &str| {
        let ended = shell.piped(args, stdin);
        let status = ended.status;
        said.extend([ended.stdout, ended.stderr]);
        status
    };
    assert_eq!(piped(&["create", "--alias", "one", "--value-stdin"], &value(1)), Some(0));
    let first = shell.stored_value();
    assert!(first.len() > 2 * CANARY.len(), "{first}");
    assert_eq!(piped(&["update", "@one", "--name", "One"], &value(2)), Some(0));
    assert_eq!(shell.stored_value(), first, "it is read where it is asked for only");
    assert_eq!(piped(&["update", "@one", "--value-stdin", "--json"], &value(3)), Some(0));
    assert!(!["", &first].contains(&&*shell.stored_value()));
    assert_eq!(
        piped(&["update", "@one", "--kind", "personal", "--value-stdin"], &value(4)),
        Some(1)
    );
    assert_eq!(piped(&["create", "--alias", "one", "--value-stdin"], &value(5)), Some(1));
    assert_eq!(piped(&["create", "--alias", "A", "--value-stdin"], &value(6)), Some(1));
    assert_eq!(piped(&["update", "@two", "--value-stdin"], &value(7)), Some(4));
    for args in
        [&["fetch", "@one"][..], &["fetch", "@one", "--json"], &["list", "--json"], &["list"]]
    {
        assert_eq!(piped(args, ""), Some(0));
    }
    assert!(!shell.stored_value().is_empty());
    assert_eq!(piped(&["update", "@one", "--no-value"], ""), Some(0));
    assert_eq!(shell.stored_value(), "");

    let written = match kind {
        Kind::Postgres => shell.vault.database.dump(),
        Kind::Sqlite => fs::read_dir(shell.vault.data_dir())
            .unwrap()
            .fold(Vec::new(), |all, file| [all, fs::read(file.unwrap().path()).unwrap()].concat()),
    };
    let Shell { server, vault: _vault, .. } = shell;
    let log = server.stop();
    assert!(log.stderr.contains("/api/v1/secret"), "the log is there, and is searched");
    said.extend([log.stdout, log.stderr, String::from_utf8_lossy(&written).into_owned()]);
    assert!(!said.iter().any(|text| text.contains(CANARY)), "a value is seen");
}

async fn templates_are_listed_for_people_and_for_programs(kind: Kind) {
    let shell = Shell::new(kind);
    let table = shell.secret(&["templates"]);
    assert!(table.ok().starts_with("TEMPLATE "), "{}", table.stdout);
    let has = |words: [&str; 5]| {
        let is_row = |line: &str| line.split_whitespace().eq(words);
        assert!(table.stdout.lines().any(is_row), "{words:?}: {}", table.stdout);
    };
    has(["zendesk", "personal", "oauth", "subdomain", "Zendesk"]);
    has(["datadog", "shared", "plain", "site", "Datadog"]);
    let list = shell.secret(&["templates", "--json"]).json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len() + 1, table.stdout.lines().count());
    assert!(list.iter().any(|template| template["id"] == "gmail"));
}

async fn failures_have_their_exit_statuses_and_print_no_data(kind: Kind) {
    let mut shell = Shell::new(kind);
    let id = shell.create(&["--alias", "taken"]);
    let other = shell.create(&["--kind", "personal"]);
    let hidden = format!(r#"{{"clientSecret":"{CANARY}"#);
    let text = format!(r#""{CANARY}""#);
    let cases: &[(i32, &[&str], &str)] = &[
        (1, &["create", "--alias", "Not one"], "Alias must contain only"),
        (1, &["create", "--alias", "taken"], "Unique constraint"),
        (1, &["update", &other, "--alias", "taken"], "Unique constraint"),
        (1, &["update", &other, "--value-stdin"], "Personal secrets cannot have a value"),
        (1, &["create", "--type", "template", "--config", "{}"], "config.template"),
        (1, &["create", "--type", "jwt", "--set", "algorithm=none"], "config.algorithm"),
        (1, &["update", &id, "--set", "token=********"], "send the value itself"),
        (1, &["update", &id, "--meta", "_x=y"], "underscore"),
        (1, &["create", "--config-file", "/nowhere/x.json"], "opening /nowhere/x.json"),
        (2, &[], "Usage"),
        (2, &["update", &id], "--name NAME"),
        (2, &["create", "--value", CANARY], "unexpected argument '--value'"),
        (2, &["create", "--kind", "mine"], "possible values: shared, personal"),
        (2, &["create", "--type", "totp"], "possible values: plain, basic"),
        (2, &["create", "--visibility", "secret"], "possible values: private"),
        (2, &["create", "--config", &hidden], "line 1, column"),
        (2, &["create", "--config", &text], "--config is no JSON object"),
        (2, &["create", "--config", "{}", "--config-file", "-"], "cannot be used with"),
        (2, &["create", "--config-file", "-"], "--config-file is no JSON object"),
        (2, &["create", "--value-stdin", "--config-file", "-"], "stdin is the value"),
        (2, &["update", &id, "--value-stdin", "--no-value"], "cannot be used with"),
        (2, &["create", "--set", "schema"], "write KEY=TEXT"),
        (4, &["fetch", NOBODY], "Not found"),
        (4, &["fetch", "@nobody"], "Not found"),
        (4, &["fetch", "(nobody)"], "Not found"),
        (4, &["fetch", "../list"], "Not found"),
        (2, &["fetch", ".."], "path of dots"),
        (4, &["update", "@nobody", "--set", "a=b"], "Not found"),
        (4, &["delete", "nonsense"], "Not found"),
    ];
    for (status, args, words) in cases {
        let ended = shell.piped(args, CANARY);
        assert_eq!(ended.status, Some(*status), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(ended.stderr.contains(words), "{args:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains(CANARY), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(shell.names(&[]).len(), 2, "nothing was stored");
    shell.token = shell.vault.key("agent").token;
    shell.fetch("@taken");
    for args in [&["create"][..], &["update", "@taken", "--set", "a=b"], &["delete", "@taken"]] {
        assert_eq!(shell.secret(args).status, Some(3), "{args:?}: an agent changes nothing");
    }
    shell.token = "kft_wrong".into();
    assert_eq!(shell.secret(&["fetch", &id]).status, Some(3));
}
