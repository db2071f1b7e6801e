//! JSON Lines.

use std::time::Duration;

use futures_util::TryStreamExt;
use keyfob_client::{Client, Error, Items, types::Page};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::server::{Reply, Server};

const ITEM: &str = "{\"type\":\"item\",\"data\":{\"name\":\"Zoë 🗝\"}}\n";

fn named(client: &Client) -> Items<Value> {
    client.fetch::<Page<Value>>("/list").stream()
}

/// A server that sends the beginning of a stream, and then what the test writes.
async fn open() -> (Client, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (Client::builder().base_url(url).build().unwrap(), listener)
}

async fn begin(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut head).await.unwrap();
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\nconnection: close\r\n\r\n";
    stream.write_all(answer).await.unwrap();
    stream
}

#[tokio::test]
async fn it_asks_for_lines_and_has_what_is_in_them() {
    let server = Server::always(Reply::lines(&ITEM.repeat(2))).await;
    let items: Vec<_> = named(&server.client()).try_collect().await.unwrap();
    assert_eq!(items, [json!({"name": "Zoë 🗝"}), json!({"name": "Zoë 🗝"})]);
    assert_eq!(server.only().header("accept"), Some("application/jsonl"));
}

#[tokio::test]
async fn a_line_may_come_in_pieces_cut_anywhere_also_within_a_character() {
    let (client, listener) = open().await;
    let server = tokio::spawn(async move {
        let mut stream = begin(&listener).await;
        for byte in ITEM.repeat(2).as_bytes() {
            stream.write_all(&[*byte]).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let items: Vec<_> = named(&client).try_collect().await.unwrap();
    assert_eq!(items, [json!({"name": "Zoë 🗝"}), json!({"name": "Zoë 🗝"})]);
    server.await.unwrap();
}

#[tokio::test]
async fn blank_lines_and_those_that_say_nothing_are_left_out_and_the_last_one_needs_no_end() {
    let nop = "{\"type\":\"nop\",\"data\":{}}\n";
    let lines = format!("\n{nop}{ITEM} \r\n\n{nop}{}", ITEM.trim_end());
    let server = Server::always(Reply::lines(&lines)).await;
    assert_eq!(named(&server.client()).try_collect::<Vec<_>>().await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_item_that_is_null_is_one_and_one_that_is_nothing_is_an_error() {
    let null = "{\"type\":\"item\",\"data\":null}\n";
    let server = Server::always(Reply::lines(&format!("{null}{{\"type\":\"item\"}}\n"))).await;
    let mut items = server.client().fetch::<Page<Option<u8>>>("/x").stream();
    assert_eq!(items.try_next().await.unwrap(), Some(None));
    assert!(matches!(items.try_next().await, Err(Error::Foreign { .. })));
}

#[tokio::test]
async fn what_it_is_may_be_said_in_any_case() {
    let headers = "content-type: Application/JSONL; charset=utf-8\r\n";
    let server = Server::always(Reply::answer(200, headers, ITEM)).await;
    assert!(named(&server.client()).try_next().await.unwrap().is_some());
}

#[tokio::test]
async fn an_empty_list_is_no_line() {
    let server = Server::always(Reply::lines("")).await;
    assert!(named(&server.client()).try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_line_that_says_so_ends_it_with_what_the_server_says() {
    let error =
        "{\"type\":\"error\",\"data\":{\"code\":\"LIMITS_REACHED\",\"message\":\"Enough\"}}\n";
    let server = Server::always(Reply::lines(&format!("{ITEM}{error}{ITEM}"))).await;
    let mut items = named(&server.client());
    assert!(items.try_next().await.unwrap().is_some());
    let ended = items.try_next().await.unwrap_err();
    assert_eq!(ended.code(), Some("LIMITS_REACHED"));
    assert_eq!(ended.to_string(), "the stream broke off: Enough");
    assert!(items.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn lines_of_any_type_can_be_had_as_they_are() {
    let server = Server::always(Reply::lines(
        "{\"type\":\"token\",\"data\":\"a\"}\n{\"type\":\"result\"}\n",
    ))
    .await;
    let lines: Items<Value> = server.client().fetch::<()>("/x").lines();
    let lines: Vec<_> = lines.try_collect().await.unwrap();
    assert_eq!(lines, [json!({"type": "token", "data": "a"}), json!({"type": "result"})]);
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_one_that_says_nothing_in_lines_is_not() {
    let (client, listener) = open().await;
    let client = client.to_builder().idle_timeout(Duration::from_secs(1)).build().unwrap();
    let server = tokio::spawn(async move {
        let mut stream = begin(&listener).await;
        for _ in 0..5 {
            stream.write_all(b"\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        stream.write_all(ITEM.as_bytes()).await.unwrap();
        // Until the client has enough of waiting.
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    });
    let mut items = named(&client);
    assert!(items.try_next().await.unwrap().is_some());
    let error = items.try_next().await.unwrap_err();
    assert!(matches!(error, Error::BrokenOff { .. }), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_line_without_end_is_given_up() {
    let (client, listener) = open().await;
    let server = tokio::spawn(async move {
        let mut stream = begin(&listener).await;
        let piece = vec![b' '; 1 << 20];
        let mut sent = 0;
        while stream.write_all(&piece).await.is_ok() {
            sent += 1;
            assert!(sent < 64, "{sent} MiB were taken");
        }
    });
    let error = named(&client).try_next().await.unwrap_err();
    assert!(error.to_string().contains("longer than 16 MiB"), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_is_read_no_faster_than_items_are_taken_and_left_when_they_are_dropped() {
    let (client, listener) = open().await;
    let (sent, taken) = tokio::sync::watch::channel(0_usize);
    let server = tokio::spawn(async move {
        let mut stream = begin(&listener).await;
        let piece = ITEM.repeat(1000);
        while stream.write_all(piece.as_bytes()).await.is_ok() {
            sent.send_modify(|sent| *sent += piece.len());
        }
    });
    let mut items = named(&client);
    items.try_next().await.unwrap().unwrap();
    // It goes on until nothing more fits between the two.
    let mut before = 0;
    while *taken.borrow() != before {
        before = *taken.borrow();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(before < 32 << 20, "{before} bytes were taken although nobody wanted them");
    drop(items);
    server.await.unwrap();
}
