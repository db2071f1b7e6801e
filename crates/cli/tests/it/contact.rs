//! `keyfob contact`: what it prints, what it sends, and how it ends.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    net::{Shutdown, TcpListener},
    thread,
};

use serde_json::{Value, json};

use crate::{
    database::Kind,
    on_both_databases,
    process::{Ended, Server, keyfob, run},
    vault::Vault,
};

on_both_databases!(
    a_contact_is_stored_fetched_changed_and_deleted,
    ensuring_a_contact_again_prints_the_same_id,
    keys_of_the_meta_are_set_found_and_taken_away_one_by_one,
    a_list_and_an_export_go_on_beyond_a_page,
    what_is_run_as_a_child_account_is_done_there,
    failures_have_their_exit_statuses_and_print_no_data,
);

const NOBODY: &str = "con_00000000000000000000000000";
const FINGERPRINT: &str = "customer:00000042";

/// A server, and a key to use it with.
struct Shell {
    vault: Vault,
    server: Server,
    token: String,
}

impl Shell {
    fn new(kind: Kind) -> Self {
        let vault = Vault::new(kind);
        let server = vault.serve();
        let token = vault.key("owner").token;
        Self { vault, server, token }
    }

    fn contact(&self, args: &[&str]) -> Ended {
        contact(&self.server.url, &self.token, args)
    }

    /// The id alone, as a command prints it.
    #[track_caller]
    fn id(&self, args: &[&str]) -> String {
        let printed = self.contact(args);
        let id = printed.ok().strip_suffix('\n').unwrap();
        assert!(id.starts_with("con_") && !id.contains(char::is_whitespace), "{id}");
        id.to_owned()
    }

    #[track_caller]
    fn fetch(&self, id: &str) -> Value {
        self.contact(&["fetch", id, "--json"]).json()
    }

    /// The names that a list prints as JSON.
    #[track_caller]
    fn names(&self, args: &[&str]) -> Vec<String> {
        names(&self.contact(&[&["list", "--json"], args].concat()).json())
    }
}

fn contact(url: &str, token: &str, args: &[&str]) -> Ended {
    let mut command = keyfob(&[&["contact"], args].concat());
    command.env("KEYFOB_URL", url).env("KEYFOB_TOKEN", token);
    run(command)
}

fn names(list: &Value) -> Vec<String> {
    let name = |contact: &Value| contact["name"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(name).collect()
}

async fn a_contact_is_stored_fetched_changed_and_deleted(kind: Kind) {
    let shell = Shell::new(kind);
    let fields = ["--name", "Zoë 日本", "--phone", "(202) 456-1111", "--email", "zoe@example.com"];
    let more = ["--fingerprint", FINGERPRINT, "--verified-at", "2026-04-05T12:00:00Z"];
    let id = shell.id(&[&["create"][..], &fields, &more].concat());
    let stored = shell.fetch(&id);
    assert_eq!(stored["phone"], "+12024561111");
    assert_eq!(stored["verifiedAt"], 1_775_390_400_000_i64);
    let shown = shell.contact(&["fetch", &id]);
    for line in ["name         Zoë 日本\n", "verified     2026-04-05 12:00:00Z\n"] {
        assert!(shown.ok().contains(line), "{}", shown.stdout);
    }
    assert!(!shown.stdout.contains("nick"), "nothing is said of nothing: {}", shown.stdout);

    let changed = shell.contact(&["update", &id, "--phone", "", "--verified-at", "never"]);
    assert_eq!((changed.ok(), &changed.stderr), ("", &format!("{id} is changed\n")));
    let mut expected = stored.clone();
    let now = shell.fetch(&id);
    (expected["phone"], expected["verifiedAt"]) = (Value::Null, Value::Null);
    expected["updatedAt"] = now["updatedAt"].clone();
    assert_eq!(now, expected);
    let renamed = shell.contact(&["update", &id, "--name", "Zoe", "--json"]);
    assert_eq!(renamed.json(), json!({ "id": id }));

    let table = shell.contact(&["list"]);
    let lines: Vec<_> = table.ok().lines().collect();
    assert_eq!(lines.len(), 2, "{}", table.stdout);
    assert!(
        lines[1].starts_with(&format!("{id}  no        Zoe   zoe@example.com  ")),
        "{}",
        lines[1]
    );

    let deleted = shell.contact(&["delete", &id]);
    assert_eq!((deleted.ok(), &deleted.stderr), ("", &format!("{id} is deleted\n")));
    for args in [&["fetch", &id][..], &["update", &id, "--name", "x"], &["delete", &id]] {
        assert_eq!(shell.contact(args).status, Some(4), "{args:?}");
    }
    assert_eq!(shell.contact(&["list", "--json"]).json(), json!([]));
}

async fn ensuring_a_contact_again_prints_the_same_id(kind: Kind) {
    let shell = Shell::new(kind);
    let id = shell.id(&["ensure", "--fingerprint", FINGERPRINT, "--name", "Ann"]);
    assert_eq!(shell.id(&["ensure", "--fingerprint", FINGERPRINT, "--name", "Bob"]), id);
    let contact = shell.fetch(&id);
    assert_eq!(contact["name"], "Ann");
    assert!(contact["verifiedAt"].is_i64());

    let unknown = shell.contact(&["ensure", "--email", "bob@example.com", "--json"]);
    assert!(unknown.stderr.contains("not verified"), "{}", unknown.stderr);
    let unknown = unknown.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(shell.id(&["ensure", "--email", "bob@example.com"]), unknown);
    assert_eq!(shell.fetch(&unknown)["verifiedAt"], Value::Null);
}

async fn keys_of_the_meta_are_set_found_and_taken_away_one_by_one(kind: Kind) {
    let shell = Shell::new(kind);
    let ann = shell.id(&["create", "--name", "Ann", "--meta", "team=x=y", "--meta", "vip=true"]);
    let nested = r#"{"team":"x=y","plan":{"name":"gold"}}"#;
    let bob = shell.id(&["create", "--name", "Bob", "--meta-json", nested]);
    assert_eq!(shell.fetch(&ann)["meta"], json!({"team": "x=y", "vip": "true"}));
    assert_eq!(shell.names(&["--meta", "team=x=y"]), ["Bob", "Ann"]);
    assert_eq!(shell.names(&["--meta", "team=x=y", "--meta", "vip=true"]), ["Ann"]);
    assert_eq!(shell.names(&["--meta", "plan.name=gold"]), ["Bob"]);

    shell.contact(&["update", &bob, "--meta", "team=", "--meta", "since=2026"]).ok();
    assert_eq!(shell.fetch(&bob)["meta"], json!({"plan": {"name": "gold"}, "since": "2026"}));
    shell.contact(&["update", &bob, "--meta-json", "{}"]).ok();
    assert_eq!(shell.fetch(&bob)["meta"], json!({}));
}

async fn a_list_and_an_export_go_on_beyond_a_page(kind: Kind) {
    const MANY: usize = 230;
    let shell = Shell::new(kind);
    let api = shell.server.api(&shell.token);
    for number in 0..MANY {
        let meta = json!({"odd": number % 2 == 1});
        let body = json!({"name": format!("Ünal {number}"), "meta": meta});
        api.post("/api/v1/contact/create", &body).await.ok();
    }
    // Within one millisecond the order is of the ids, which are random.
    let all = shell.names(&["--oldest-first"]);
    let stored: HashSet<_> = (0..MANY).map(|number| format!("Ünal {number}")).collect();
    assert_eq!(all.iter().cloned().collect::<HashSet<_>>(), stored);
    assert_eq!(all.len(), MANY);
    assert_eq!(shell.names(&["--oldest-first", "--take", "101"]), all[..101]);
    let newest = all.iter().rev();
    assert!(shell.names(&[]).iter().eq(newest.clone()));
    let odd = newest.clone().filter(|name| name.ends_with(['1', '3', '5', '7', '9']));
    assert!(shell.names(&["--meta", "odd=true"]).iter().eq(odd));

    let lines = shell.contact(&["export"]);
    let lines = lines.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(names(&Value::Array(lines)).iter().eq(newest));
    let list = shell.contact(&["export", "--json", "--oldest-first"]).json();
    assert_eq!(names(&list), all);
    assert_eq!(shell.contact(&["export", "--json", "--meta", "odd=maybe"]).json(), json!([]));
    assert_eq!(shell.contact(&["export", "--meta", "odd=maybe"]).ok(), "");
}

async fn what_is_run_as_a_child_account_is_done_there(kind: Kind) {
    let shell = Shell::new(kind);
    let api = shell.server.api(&shell.token);
    let child = json!({"email": "child@example.com"});
    let child =
        api.post("/api/v1/account/create", &child).await.ok()["id"].as_str().unwrap().to_owned();
    let id = shell.id(&["create", "--name", "theirs", "--run-as", &child]);
    for account in [&child, "child@example.com"] {
        assert_eq!(shell.names(&["--run-as", account]), ["theirs"]);
    }
    assert_eq!(shell.contact(&["fetch", &id]).status, Some(4));
    assert_eq!(shell.names(&["--run-as", ""]), [""; 0], "an empty variable is one left empty");

    let stranger = shell.contact(&["list", "--run-as", "nobody@example.com"]);
    assert_eq!(stranger.status, Some(3));
    assert!(stranger.stderr.contains("--run-as"), "{}", stranger.stderr);
    assert_eq!(shell.contact(&["list", "--run-as", "a\nb"]).status, Some(2));
    let local = shell.vault.run(&["key", "list", "--run-as", &child]);
    assert_eq!(local.status, Some(2), "it is not done in the parent instead");
    assert!(local.stderr.contains("over HTTP only"), "{}", local.stderr);
}

async fn failures_have_their_exit_statuses_and_print_no_data(kind: Kind) {
    let mut shell = Shell::new(kind);
    let id = shell.id(&["create", "--fingerprint", FINGERPRINT]);
    let cases: &[(i32, &[&str], &str)] = &[
        (1, &["create", "--email", "nobody"], "\"email\" must be a valid email"),
        (1, &["create", "--fingerprint", "short"], "too short"),
        (1, &["create", "--fingerprint", FINGERPRINT], "Unique constraint"),
        (1, &["ensure"], "is required"),
        (1, &["update", &id, "--meta", "_x=y"], "underscore"),
        (2, &[], "Usage"),
        (2, &["update", &id], "--name NAME"),
        (2, &["create", "--meta", "team"], "write KEY=TEXT"),
        (2, &["create", "--meta-json", "[1]"], "write a JSON object"),
        (2, &["create", "--meta", "a=b", "--meta-json", "{}"], "cannot be used with"),
        (2, &["create", "--verified-at", "soon"], "--verified-at"),
        (2, &["list", "--meta", "team="], "write KEY=VALUE"),
        (4, &["fetch", NOBODY], "Not found"),
        (4, &["fetch", "../list"], "Not found"),
        (2, &["fetch", ".."], "path of dots"),
        (4, &["update", NOBODY, "--name", "x"], "Not found"),
        (4, &["delete", "nonsense"], "Not found"),
    ];
    for (status, args, words) in cases {
        let ended = shell.contact(args);
        assert_eq!(ended.status, Some(*status), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(ended.stderr.contains(words), "{args:?}: {}", ended.stderr);
    }
    shell.token = shell.vault.key("backend").token;
    assert_eq!(shell.contact(&["export"]).status, Some(3), "an export wants an owner");
    shell.contact(&["list"]).ok();
    shell.token = shell.vault.key("agent").token;
    assert_eq!(shell.contact(&["list"]).status, Some(3), "an agent lists no contacts");
    shell.token = "kft_wrong".into();
    assert_eq!(shell.contact(&["fetch", &id]).status, Some(3));
}

/// A server that answers one request with these pieces, each a chunk of its own, and is gone.
fn answers_once(pieces: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = BufReader::new(stream.try_clone().unwrap()).lines();
        assert!(head.map(Result::unwrap).any(|line| line.is_empty()));
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for piece in pieces {
            write!(stream, "{:x}\r\n{piece}\r\n", piece.len()).unwrap();
        }
        stream.shutdown(Shutdown::Both).unwrap();
    });
    url
}

/// A line of a list, in two pieces.
const LINE: [&str; 2] = [
    r#"{"type":"item","data":{"id":"con_1","name":"A"#,
    "nn\",\"description\":\"\",\"fingerprint\":\"f\",\"email\":null,\"phone\":null,\"nick\":null,\"preferences\":null,\"verifiedAt\":null,\"meta\":null,\"createdAt\":1,\"updatedAt\":1}}\n",
];

#[test]
fn an_export_that_breaks_off_says_so_after_what_came() {
    const ERROR: &str = "{\"type\":\"error\",\"data\":{\"code\":\"X\",\"message\":\"no disk\"}}\n";
    let cases: [(&[&str], &str); 4] = [
        (&[LINE[0], LINE[1], " ", ERROR], "broke off: no disk"),
        (&[LINE[0], LINE[1], " "], "broke off"),
        (&[LINE[0], LINE[1], LINE[0]], "broke off"),
        (&[LINE[0], LINE[1], "<html>\n"], "not as this API does"),
    ];
    for (pieces, words) in cases {
        let ended = contact(&answers_once(pieces), "kft_any", &["export"]);
        assert_eq!(ended.status, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
        assert!(ended.stdout.contains("\"name\":\"Ann\""), "{}", ended.stdout);
    }
}

#[test]
fn an_export_that_waits_for_what_it_finds_ends_well() {
    // The empty piece is the end.
    let ended =
        contact(&answers_once(&[" ", LINE[0], LINE[1], " ", " ", ""]), "kft_any", &["export"]);
    assert_eq!(ended.ok().lines().count(), 1, "{}", ended.stdout);
}
