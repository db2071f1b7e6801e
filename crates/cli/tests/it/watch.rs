//! `keyfob totp code --watch`

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    api::Api,
    database::Kind,
    hotp::{code, secret_of},
    process::{Running, Server, keyfob},
    vault::Vault,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server with an entry whose code changes every `period` seconds.
async fn with_entry(period: u32) -> (Vault, Server, String, Api, String) {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve_with(&[("KEYFOB_ADMIN_LISTEN", "127.0.0.1:0")]);
    let token = vault.key("backend").token;
    let api = server.api(&token);
    let id = api.store("watched", &secret_of("watched"), period).await;
    (vault, server, token, api, id)
}

fn on(mut command: Command, server: &Server, token: &str) -> Command {
    command.env("KEYFOB_URL", &server.url).env("KEYFOB_TOKEN", token);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_each_new_code_is_a_line() {
    let (_vault, server, token, api, id) = with_entry(1).await;
    let first = api.code(&id).await.step;
    let (tell, told) = mpsc::channel();
    let command = on(keyfob(&["totp", "code", &id, "--watch"]), &server, &token);
    let on_line = move |line: &str| drop(tell.send(line.trim_end().to_owned()));
    let watching = Running::start(command, on_line, |_| ());
    let lines: Vec<_> = (0..3).map(|_| told.recv_timeout(PATIENCE).unwrap()).collect();
    let last = api.code(&id).await.step;
    let mut codes = (first..=last).map(|step| code(&secret_of("watched"), step, 6));
    for line in &lines {
        assert!(codes.any(|code| code == *line), "{lines:?} are not codes of {first} to {last}");
    }
    let ended = watching.signal(Signal::INT);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_watch_that_waits_for_its_code() {
    let (_vault, server, token, api, id) = with_entry(30).await;
    let now = api.get(&format!("/api/v2/totp/code/{id}")).await.ok()["server_time"].clone();
    // A period in whose middle we are, so that a code that is valid for all of it is yet to come.
    let period =
        [47, 51].into_iter().find(|period| (3..40).contains(&(now.as_i64().unwrap() % period)));
    let period = u32::try_from(period.unwrap_or(53)).unwrap();
    let id = api.store("waited for", &secret_of("waited for"), period).await;
    let whole = period.to_string();
    let args = ["totp", "code", &id, "--watch", "--min-validity", &whole];
    let watching = Running::start(on(keyfob(&args), &server, &token), |_| (), |_| ());
    let admin = Api::new(server.admin.as_ref().unwrap(), "");
    while !admin.get("/metrics").await.text.contains("keyfob_totp_waiting 1\n") {}
    let ended = watching.signal(Signal::INT);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_terminal_a_countdown_runs_and_nothing_stays_on_the_screen() {
    let (_vault, server, token, api, id) = with_entry(5).await;
    let first = api.code(&id).await.step;
    // `script` gives it a terminal; what is typed goes to the terminal. Ctrl-C reaches everyone in
    // there: a shell that stayed as its parent would end of it too, and with 130 (dash does stay,
    // bash does not).
    let binary = env!("CARGO_BIN_EXE_keyfob");
    let mut script = on(Command::new("script"), &server, &token);
    script.env("SHELL", "/bin/sh");
    script.args(["-qec", &format!("exec '{binary}' totp code {id} --watch"), "/dev/null"]);
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = script.spawn().expect("script (util-linux) is installed");
    let (mut keyboard, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let (mut shown, mut piece) = (String::new(), [0; 1024]);
    let mut ended = false;
    // Two codes, with a countdown in between; then Ctrl-C.
    loop {
        let length = screen.read(&mut piece).unwrap();
        if length == 0 {
            break;
        }
        shown.push_str(&String::from_utf8_lossy(&piece[..length]));
        if !ended && codes(&shown).len() >= 2 {
            keyboard.write_all(b"\x03").unwrap();
            ended = true;
        }
    }
    assert_eq!(script.wait().unwrap().code(), Some(0), "{shown:?}");
    let last = api.code(&id).await.step;
    let right: Vec<_> = (first..=last).map(|step| code(&secret_of("watched"), step, 6)).collect();
    assert!(codes(&shown).iter().all(|code| right.contains(code)), "{shown:?}, not {right:?}");
    assert!(shown.contains('█') && shown.contains(" s"), "{shown:?}");
    assert!(!shown.contains("\r\n") || shown.ends_with("\r\n"), "it stays on its line: {shown:?}");
    let visible = shown.rsplit("\r\x1b[K").next().unwrap();
    assert!(!visible.chars().any(|c| c.is_ascii_digit()), "{visible:?} stays on the screen");
}

/// The codes drawn so far, each once.
fn codes(shown: &str) -> Vec<String> {
    let drawn = shown.split("\r\x1b[K").filter_map(|line| line.split_once("  "));
    let mut codes: Vec<_> = drawn.map(|(code, _)| code.to_owned()).collect();
    codes.dedup();
    codes
}
