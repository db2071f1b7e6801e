//! How `keyfob secret` takes a value: from stdin, whole, and past the process list.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
    thread::{self, JoinHandle},
};

use serde_json::Value;

use crate::process::{Ended, keyfob, run_with};

const CANARY: &str = "CANARY234567CANA";

/// A server that takes one request, answers that it is done, and tells what it took.
fn takes_once() -> (String, JoinHandle<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taken = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(stream.try_clone().unwrap());
        let mut length = 0;
        let mut line = String::new();
        while request.read_line(&mut line).unwrap() > 2 {
            if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        request.read_exact(&mut body).unwrap();
        let answer = r#"{"id":"sec_1"}"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all((head + answer).as_bytes()).unwrap();
        serde_json::from_slice(&body).unwrap()
    });
    (url, taken)
}

fn create(url: &str) -> Command {
    let mut command = keyfob(&["secret", "create", "--value-stdin"]);
    command.env("KEYFOB_URL", url).env("KEYFOB_TOKEN", "kft_any");
    command
}

fn refused(stdin: &str) -> Ended {
    run_with(create("http://127.0.0.1:1"), stdin)
}

#[test]
fn a_value_is_stored_as_it_comes_without_the_line_break_at_its_end() {
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    let long = "ü".repeat(32 * 1024 - 1);
    for (stdin, value) in [
        ("plain", "plain"),
        ("a line\n", "a line"),
        ("of DOS\r\n", "of DOS"),
        ("  blanks stay \t\n", "  blanks stay \t"),
        ("only the last\n\n", "only the last\n"),
        (&format!("{key}\n"), key),
        ("Zoë:日本 \"\\\u{0}", "Zoë:日本 \"\\\u{0}"),
        (&format!("{long}\n"), &*long),
    ] {
        let (url, taken) = takes_once();
        assert_eq!(run_with(create(&url), stdin).ok(), "sec_1\n");
        assert_eq!(taken.join().unwrap(), serde_json::json!({ "value": value }));
    }
}

#[test]
fn what_cannot_be_a_value_is_not_sent() {
    for empty in ["", "\n", "\r\n"] {
        let ended = refused(empty);
        assert_eq!(ended.status, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("no value came on stdin"), "{}", ended.stderr);
    }
    let long = refused(&CANARY.repeat(4097));
    assert_eq!(long.status, Some(2), "a part of it is not stored instead");
    assert!(long.stderr.contains("more than 65536 bytes"), "{}", long.stderr);
    assert!(!long.stderr.contains(CANARY));
}

#[test]
fn a_value_is_in_no_list_of_processes() {
    let (url, taken) = takes_once();
    let mut command = create(&url);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds: when the last of it is written, the first has been read.
    let value = CANARY.repeat(4096);
    stdin.write_all(value.as_bytes()).unwrap();
    for file in ["cmdline", "environ", "comm"] {
        let seen = fs::read(format!("/proc/{}/{file}", child.id())).unwrap();
        assert!(!String::from_utf8_lossy(&seen).contains(CANARY), "it is in {file}");
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "sec_1\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(taken.join().unwrap()["value"], value.as_str());
}

#[test]
fn nobody_is_asked_for_a_value_that_cannot_be_stored() {
    let mut command = create("http://127.0.0.1:1");
    command.env_remove("KEYFOB_TOKEN");
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
