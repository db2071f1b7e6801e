//! The blocking front: no runtime, and the same answers.

#![cfg(feature = "blocking")]
#![expect(clippy::unwrap_used, reason = "in a test, what must not be is a failure")]

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread,
};

use keyfob_client::{
    Client, Error,
    blocking::Wait,
    types::{Id, Page},
};

/// A server that gives one answer after the other.
fn serves(answers: &'static [(&'static str, &'static str)]) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (media_type, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while !lines.next().unwrap().unwrap().is_empty() {}
            let length = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        }
    });
    Client::builder().base_url(url).retries(0).build().unwrap()
}

#[test]
fn a_request_is_waited_for() {
    let client = serves(&[("application/json", r#"{"id":"a"}"#), ("text/html", "<html>")]);
    assert_eq!(client.fetch::<Id>("/a").wait().unwrap().id, "a");
    assert!(matches!(client.fetch::<Id>("/a").wait(), Err(Error::Foreign { .. })));
}

#[test]
fn a_remembered_answer_is_waited_for_too() {
    let client = serves(&[("application/json", r#"{"id":"a"}"#)]);
    for _ in 0..2 {
        assert_eq!(client.fetch::<Id>("/a").cached("k").wait().unwrap().id, "a");
    }
}

#[test]
fn a_stream_is_a_for_loop() {
    let lines = "{\"type\":\"item\",\"data\":1}\n{\"type\":\"item\",\"data\":2}\n{\"type\":\"error\",\"data\":{}}\n";
    let client = serves(Box::leak(Box::new([("application/jsonl", lines)])));
    let mut seen = Vec::new();
    for item in client.fetch::<Page<u8>>("/a").stream() {
        seen.push(item.ok());
    }
    assert_eq!(seen, [Some(1), Some(2), None]);
}

#[test]
fn several_threads_wait_at_the_same_time() {
    let client = serves(&[("application/json", r#"{"id":"a"}"#); 8]);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.fetch::<Id>("/a").wait().unwrap().id)
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap() == "a"));
}
