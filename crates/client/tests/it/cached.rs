//! Answers that are remembered.

use keyfob_client::types::Id;
use serde_json::json;

use crate::server::{Reply, Server};

async fn counting() -> Server {
    Server::scripted(|number, _| Reply::json(&format!("{{\"id\":\"{number}\"}}"))).await
}

#[tokio::test]
async fn the_same_request_under_the_same_key_is_sent_once() {
    let server = counting().await;
    let client = server.client();
    let get = async |key: &str, path: &str| client.fetch::<Id>(path).cached(key).await.unwrap().id;
    assert_eq!(get("k", "/a").await, "0");
    assert_eq!(get("k", "/a").await, "0");
    assert_eq!(get("other", "/a").await, "1");
    assert_eq!(get("k", "/b").await, "2");
    let posted = async |x: u8| {
        client.fetch::<Id>("/a").record(&json!({ "x": x })).cached("k").await.unwrap().id
    };
    assert_eq!(
        (posted(1).await, posted(2).await, posted(1).await),
        ("3".into(), "4".into(), "3".into())
    );
    let headed =
        client.fetch::<Id>("/a").header("x-runas-user-id", "u").cached("k").await.unwrap().id;
    assert_eq!(headed, "5");
    assert_eq!(client.clone().fetch::<Id>("/a").cached("k").await.unwrap().id, "0");
    assert_eq!(
        client.to_builder().build().unwrap().fetch::<Id>("/a").cached("k").await.unwrap().id,
        "6"
    );
    client.forget_cached();
    assert_eq!(get("k", "/a").await, "7");
}

#[tokio::test]
async fn who_asks_and_by_what_makes_a_difference() {
    let server = counting().await;
    let client = server.client();
    assert_eq!(client.fetch::<Id>("/a").cached("k").await.unwrap().id, "0");
    assert_eq!(client.fetch::<Id>("/a").external().cached("k").await.unwrap().id, "1");
    let own = tower::service_fn(async |_: reqwest::Request| {
        let answer = http::Response::new(r#"{"id":"own"}"#);
        Ok::<_, std::convert::Infallible>(reqwest::Response::from(answer))
    });
    assert_eq!(client.fetch::<Id>("/a").fetch_with(own).cached("k").await.unwrap().id, "own");
    assert_eq!(client.fetch::<Id>("/a").cached("k").await.unwrap().id, "0");
}

#[tokio::test]
async fn those_who_want_it_at_the_same_time_wait_for_one_request() {
    let server = counting().await;
    let client = server.client();
    let all = futures_util::future::join_all((0..20).map(|_| client.fetch::<Id>("/a").cached("k")));
    assert!(all.await.into_iter().all(|answer| answer.unwrap().id == "0"));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn failures_are_not_remembered() {
    let server =
        Server::says(vec![Reply::answer(404, "", "{}"), Reply::json(r#"{"id":"a"}"#)]).await;
    let client = server.client();
    client.fetch::<Id>("/a").cached("k").await.unwrap_err();
    assert_eq!(client.fetch::<Id>("/a").cached("k").await.unwrap().id, "a");
}
