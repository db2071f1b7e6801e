//! A stream of a million items takes no more memory than one of a hundred thousand. A process of its own: what it
//! takes is the whole process's.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "in a test, what must not be is a failure")]

use keyfob_client::{
    Client,
    types::{Contact, Page},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const ITEMS: usize = 1_000_000;
/// After so many, all that is kept has been taken.
const SETTLED: usize = 100_000;
/// What an allocator may take on top, in KiB. All items would be some 300 MiB.
const SLACK: u64 = 8 * 1024;

const ITEM: &str = "{\"type\":\"item\",\"data\":{\"id\":\"c9qzy1f0o0002l8j5s7d3k4mn\",\"name\":\"Zoë\",\"description\":\"\",\"fingerprint\":\"customer:00000042\",\"email\":\"zoe@example.com\",\"phone\":null,\"nick\":null,\"preferences\":null,\"verifiedAt\":1790000000000,\"meta\":{\"team\":\"sales\"},\"createdAt\":1790000000000,\"updatedAt\":1790000000000}}\n";

/// The most memory that the process has ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn serve(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut head).await.unwrap();
    }
    let length = ITEMS * ITEM.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    // Pieces that end anywhere in a line.
    let thousand = ITEM.repeat(1000);
    for _ in 0..ITEMS / 1000 {
        for piece in thousand.as_bytes().chunks(7919) {
            stream.write_all(piece).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_million_items_take_no_more_memory_than_a_hundred_thousand() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(listener));
    let client = Client::builder().base_url(url).build().unwrap();
    let mut contacts = client.fetch::<Page<Contact>>("/api/v1/contact/list").stream();
    let (mut count, mut settled) = (0, 0);
    while let Some(contact) = contacts.try_next().await.unwrap() {
        assert_eq!(contact.name, "Zoë");
        count += 1;
        if count == SETTLED {
            settled = peak();
        }
    }
    server.await.unwrap();
    assert_eq!(count, ITEMS);
    // The kernel counts a little behind.
    let grown = peak().saturating_sub(settled);
    assert!(grown < SLACK, "{grown} KiB more than after {SETTLED} items");
}
