//! A create whose answer cannot be sent, and the same create once more: one object. Over real sockets.

use std::collections::HashSet;

use futures_util::future::join_all;
use keyfob_server::clock::Clock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    app::SECRETS,
    listening::within_patience,
    lossy::{
        Bench, CONTACT,
        End::{Close, Reset},
        creates, cut, read_id, request_by,
    },
};

#[tokio::test]
async fn a_create_whose_connection_ends_before_it_is_done_is_known_when_it_is_sent_again() {
    for end in [Close, Reset] {
        let bench = Bench::new(1).await;
        for (path, body) in creates() {
            bench.lose(path, &body, end).await;
            let id = bench.create(path, &body).await;
            assert_eq!(bench.create(path, &body).await, id, "for ten seconds");
            assert_eq!(bench.made(path).await, [id]);
        }
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_create_that_is_sent_again_before_the_first_is_done_finds_the_first() {
    for (path, body) in creates() {
        for end in [Close, Reset] {
            let bench = Bench::new(1).await;
            let held = bench.app.hold_writers().await;
            let first = bench.send(&bench.request(path, &body)).await;
            bench.app.until_depth(1).await;
            cut(first, end);
            let mut again = bench.send(&bench.request(path, &body)).await;
            bench.app.until_depth(2).await;
            drop(held);
            let id = read_id(&mut again).await;
            assert_eq!(bench.made(path).await, [id]);
            drop(again);
            bench.stop().await;
        }
    }
}

#[tokio::test]
async fn a_create_that_is_sent_again_before_the_server_knows_of_the_cut_waits_and_finds_the_first()
{
    for (path, body) in creates() {
        let bench = Bench::new(2).await;
        let held = bench.app.hold_writers().await;
        // While it has bytes of a next request, hyper reads no further, and learns of the reset only
        // when it writes.
        let first = bench.request(path, &body) + "GET";
        let first = bench.send(&first).await;
        bench.app.until_depth(1).await;
        cut(first, Reset);
        let mut again = bench.send(&bench.request(path, &body)).await;
        bench.app.until_depth(2).await;
        drop(held);
        let id = read_id(&mut again).await;
        assert_eq!(bench.made(path).await, [id]);
        drop(again);
        bench.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_lost() {
    let bench = Bench::new(1).await;
    let (path, body) = (CONTACT, json!({"name": "Ann"}));
    let held = bench.app.hold_writers().await;
    let first = bench.send(&(bench.request(path, &body) + "GET")).await;
    bench.app.until_depth(1).await;
    cut(first, Reset);
    drop(held);
    bench.until_ended().await;
    let made = bench.made(path).await;
    assert_eq!([bench.create(path, &body).await], made[..]);
    assert_eq!(bench.made(path).await.len(), 1);
    bench.stop().await;
}

#[tokio::test]
async fn ten_seconds_after_an_answer_was_lost_the_same_create_is_another_one() {
    for (path, body) in creates() {
        let bench = Bench::new(1).await;
        bench.lose(path, &body, Close).await;
        bench.app.clock.advance_seconds(10);
        let first = bench.create(path, &body).await;
        bench.app.clock.advance(std::time::Duration::from_millis(1));
        let second = bench.create(path, &body).await;
        assert_ne!(first, second);
        assert_eq!(bench.made(path).await.len(), 2);
        bench.stop().await;
    }
}

#[tokio::test]
async fn the_ten_seconds_begin_when_the_last_answer_was_lost() {
    let mut bench = Bench::new(1).await;
    let (path, body) = (CONTACT, json!({"name": "Ann"}));
    for _ in 0..3 {
        bench.lose(path, &body, Reset).await;
        bench.app.clock.advance_seconds(9);
    }
    let id = bench.create(path, &body).await;
    assert_eq!(bench.made(path).await, std::slice::from_ref(&id));
    let caller = bench.app.anonymous().with_token(&bench.key);
    let elsewhere = bench.app.on_another_node(caller).await;
    assert_eq!(elsewhere.post(path, body).await.ok()["id"], id);
    bench.stop().await;
}

#[tokio::test]
async fn the_ten_seconds_begin_when_the_answer_is_lost_and_not_when_the_create_came_in() {
    let bench = Bench::new(1).await;
    let (path, body) = (CONTACT, json!({"name": "Ann"}));
    let held = bench.app.hold_writers().await;
    let first = bench.send(&bench.request(path, &body)).await;
    bench.app.until_depth(1).await;
    bench.app.clock.advance_seconds(30);
    cut(first, Close);
    bench.until_ended().await;
    drop(held);
    bench.app.clock.advance_seconds(9);
    let id = bench.create(path, &body).await;
    assert_eq!(bench.made(path).await, [id]);
    bench.stop().await;
}

#[tokio::test]
async fn another_key_and_other_content_make_something_else() {
    for (path, body) in creates() {
        let bench = Bench::new(1).await;
        bench.lose(path, &body, Close).await;
        let (other, _) = bench.app.new_caller("backend").await;
        let mut stream = bench.send(&request_by(&other, path, &body)).await;
        let by_another = read_id(&mut stream).await;
        drop(stream);
        let mut changed = body.clone();
        let name = if path == SECRETS { "label" } else { "name" };
        changed[name] = json!("another");
        let of_another = bench.create(path, &changed).await;
        let made: HashSet<_> = bench.made(path).await.into_iter().collect();
        assert_eq!(made.len(), 3);
        assert!(made.contains(&by_another) && made.contains(&of_another));
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_create_that_was_answered_is_followed_by_another_one_however_its_connection_ends() {
    for (path, body) in creates() {
        for end in [Close, Reset] {
            let bench = Bench::new(1).await;
            let mut ids = HashSet::new();
            let mut stream = bench.send("").await;
            // Two over one connection, and two over connections of their own.
            for _ in 0..2 {
                let request = bench.request(path, &body);
                stream.write_all(request.as_bytes()).await.unwrap();
                ids.insert(read_id(&mut stream).await);
            }
            cut(stream, end);
            ids.insert(bench.create(path, &body).await);
            ids.insert(bench.create(path, &body).await);
            assert_eq!(ids.len(), 4);
            assert_eq!(bench.made(path).await.len(), 4);
            bench.stop().await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_sent() {
    let bench = Bench::new(1).await;
    let (path, body) = (CONTACT, json!({"name": "Ann"}));
    let first = bench.send(&bench.request(path, &body)).await;
    // It has come, and is left in the buffer.
    within_patience(first.readable()).await.unwrap();
    cut(first, Reset);
    bench.create(path, &body).await;
    assert_eq!(bench.made(path).await.len(), 2);
    bench.stop().await;
}

#[tokio::test]
async fn a_create_that_was_refused_is_not_taken_for_one_that_was_lost() {
    let bench = Bench::new(1).await;
    let (path, body) = (CONTACT, json!({"fingerprint": "customer:00000042"}));
    let first = bench.create(path, &body).await;
    let mut refused = bench.send(&bench.request(path, &body)).await;
    let mut status = [0; 12];
    within_patience(refused.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 409");
    drop(refused);
    bench.app.backend().post(format!("/api/v1/contact/{first}/delete"), json!({})).await.ok();
    assert_ne!(bench.create(path, &body).await, first);
    bench.stop().await;
}

#[tokio::test]
async fn a_lost_create_that_was_refused_makes_its_object_when_it_is_sent_again_and_may() {
    let bench = Bench::new(1).await;
    let (path, body) = (CONTACT, json!({"fingerprint": "customer:00000042"}));
    let other = json!({"fingerprint": "customer:00000042", "name": "in the way"});
    let first = bench.create(path, &other).await;
    bench.lose(path, &body, Close).await;
    bench.app.backend().post(format!("/api/v1/contact/{first}/delete"), json!({})).await.ok();
    let id = bench.create(path, &body).await;
    assert_eq!(bench.made(path).await, [id]);
    bench.stop().await;
}

#[tokio::test]
async fn what_was_deleted_since_is_made_anew() {
    let bench = Bench::new(1).await;
    let (path, body) = (CONTACT, json!({"name": "Ann"}));
    bench.lose(path, &body, Close).await;
    let first = bench.create(path, &body).await;
    bench.app.backend().post(format!("/api/v1/contact/{first}/delete"), json!({})).await.ok();
    let second = bench.create(path, &body).await;
    assert_ne!(second, first);
    assert_eq!(bench.made(path).await, [second]);
    bench.stop().await;
}

#[tokio::test]
async fn a_lost_create_with_an_idempotency_key_is_known_without_it() {
    let bench = Bench::new(1).await;
    let (path, body) = (CONTACT, json!({"name": "Ann"}));
    let held = bench.app.hold_writers().await;
    let named = bench.request(path, &body).replacen("host: x", "host: x\r\nidempotency-key: 1", 1);
    let first = bench.send(&named).await;
    bench.app.until_depth(1).await;
    cut(first, Close);
    bench.until_ended().await;
    drop(held);
    let id = bench.create(path, &body).await;
    assert_eq!(bench.made(path).await, [id]);
    bench.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_known_after_a_restart_and_on_another_server() {
    for is_done_first in [false, true] {
        let mut bench = Bench::new(1).await;
        let (path, body) = (CONTACT, json!({"name": "Ann"}));
        let held = bench.app.hold_writers().await;
        let trailing = if is_done_first { "GET" } else { "" };
        let first = bench.send(&(bench.request(path, &body) + trailing)).await;
        bench.app.until_depth(1).await;
        cut(first, Reset);
        if !is_done_first {
            bench.until_ended().await;
        }
        drop(held);
        bench.until_ended().await;
        bench.server.stop().await;
        bench.app.restart().await;
        let caller = bench.app.anonymous().with_token(&bench.key);
        let again = caller.post(path, body.clone()).await.ok();
        let elsewhere = bench.app.on_another_node(caller).await;
        assert_eq!(elsewhere.post(path, body.clone()).await.ok(), again);
        bench.app.clock.advance_seconds(11);
        assert_ne!(elsewhere.post(path, body).await.ok(), again);
    }
}

#[tokio::test]
async fn a_lost_create_that_its_repetition_overtook_makes_nothing() {
    let bench = Bench::new(1).await;
    let (path, body) = (CONTACT, json!({"name": "Ann"}));
    let came_in = bench.app.clock.now();
    bench.app.clock.advance_seconds(1);
    // Another server, or the other writer, was faster.
    let repetition = bench.app.anonymous().with_token(&bench.key).post(path, body.clone());
    let id = repetition.await.ok()["id"].clone();
    bench.app.clock.set(came_in);
    bench.lose(path, &body, Close).await;
    bench.create(CONTACT, &json!({"name": "the writer has come so far"})).await;
    let made = bench.made(path).await;
    assert_eq!(made.len(), 2, "{made:?}");
    assert!(made.contains(&id.as_str().unwrap().to_owned()));
    bench.stop().await;
}

/// Many creates whose connections are cut while they wait, and each of them once more at once; the ids
/// in the answers.
async fn cut_and_send_again(bench: &Bench, bodies: &[Value]) -> HashSet<String> {
    let held = bench.app.hold_writers().await;
    let requests: Vec<_> = bodies.iter().map(|body| bench.request(CONTACT, body)).collect();
    let cut_off = join_all(requests.iter().map(|request| bench.send(request))).await;
    bench.app.until_depth(bodies.len()).await;
    for (stream, end) in cut_off.into_iter().zip([Close, Reset].into_iter().cycle()) {
        cut(stream, end);
    }
    let again = join_all(requests.iter().map(|request| bench.send(request))).await;
    bench.app.until_depth(2 * bodies.len()).await;
    drop(held);
    let ids = again.into_iter().map(async |mut stream| read_id(&mut stream).await);
    join_all(ids).await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_creates_that_are_cut_and_sent_again_at_once_each_makes_one_object() {
    let bench = Bench::new(200).await;
    let bodies: Vec<_> = (0..50).map(|number| json!({"nick": format!("{number}")})).collect();
    assert_eq!(cut_and_send_again(&bench, &bodies).await.len(), 50);
    assert_eq!(bench.made(CONTACT).await.len(), 50);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_identical_creates_that_are_cut_and_sent_again_at_once_there_is_one_object() {
    let bench = Bench::new(100).await;
    let bodies = vec![json!({"name": "Ann"}); 16];
    assert_eq!(cut_and_send_again(&bench, &bodies).await.len(), 1);
    assert_eq!(bench.made(CONTACT).await.len(), 1);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn identical_creates_at_once_that_are_all_answered_make_an_object_each() {
    let bench = Bench::new(100).await;
    let (path, body) = (CONTACT, json!({"name": "Ann"}));
    let ids = join_all((0..32).map(|_| bench.create(path, &body))).await;
    assert_eq!(ids.into_iter().collect::<HashSet<_>>().len(), 32);
    assert_eq!(bench.made(path).await.len(), 32);
    bench.stop().await;
}
