//! What is sent again, when, and as what.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use keyfob_client::{
    Client, FromAnswer, Request,
    types::{ContactFields, CreateAccount, CreateKey, CreateTotp, SecretFields},
};
use tokio::time::Instant;

use crate::{
    calls::Outcome,
    server::{Reply, Server},
};

const REFUSED: Reply = Reply::Reset(Vec::new());

fn busy(headers: &str) -> Reply {
    Reply::answer(503, &format!("content-type: application/json\r\n{headers}"), "{}")
}

fn creates(client: &Client) -> Vec<Outcome> {
    fn done<T: FromAnswer + 'static>(request: Request<T>) -> Outcome {
        Box::pin(async { request.await.map(drop) })
    }
    vec![
        done(client.contacts().create(&ContactFields::default())),
        done(client.secrets().create(&SecretFields::default())),
        done(client.totp().secrets().create(&CreateTotp::default())),
        done(client.keys().create(&CreateKey::default())),
        done(client.account().create(&CreateAccount::default())),
    ]
}

#[tokio::test]
async fn every_create_has_an_idempotency_key_of_its_own_and_keeps_it_when_it_is_sent_again() {
    let server = Server::always(busy("retry-after-ms: 1\r\n")).await;
    let client = server.builder().retries(2).build().unwrap();
    let mut keys = Vec::new();
    for create in creates(&client) {
        let before = server.seen().len();
        create.await.unwrap_err();
        let sent = server.seen().split_off(before);
        let named: Vec<_> =
            sent.iter().map(|seen| seen.header("idempotency-key").unwrap()).collect();
        assert_eq!(named, [named[0]; 3]);
        keys.push(named[0].to_owned());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5);
}

#[tokio::test]
async fn a_callers_own_idempotency_key_goes_in_the_place_of_the_one_that_is_made() {
    let server = Server::always(Reply::json(r#"{"id":"c1"}"#)).await;
    server
        .client()
        .contacts()
        .create(&ContactFields::default())
        .idempotency_key("mine")
        .await
        .unwrap();
    assert_eq!(server.only().header("idempotency-key"), Some("mine"));
}

#[tokio::test]
async fn what_was_lost_is_sent_again_as_it_was_until_it_is_answered() {
    let server = Server::says(vec![REFUSED, busy(""), Reply::json(r#"{"id":"c1"}"#)]).await;
    let ann = ContactFields { name: Some("Ann".into()), ..ContactFields::default() };
    let id = server.client().contacts().create(&ann).await.unwrap().id;
    assert_eq!(id, "c1");
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for again in &seen {
        assert_eq!((&*again.method, &*again.target), ("POST", "/api/v1/contact/create"));
        assert_eq!(again.body, r#"{"name":"Ann"}"#);
        assert_eq!(again.header("authorization"), Some("Bearer kft_SECRET"));
    }
}

#[tokio::test]
async fn as_often_as_the_client_or_the_request_says() {
    let server = Server::always(REFUSED).await;
    let sent = async |client: Client, retries: Option<u32>| {
        let before = server.seen().len();
        let request = client.account().fetch();
        let request = match retries {
            Some(retries) => request.retries(retries),
            None => request,
        };
        request.await.unwrap_err();
        server.seen().len() - before
    };
    assert_eq!(sent(server.client(), None).await, 4);
    assert_eq!(sent(server.builder().retries(1).build().unwrap(), None).await, 2);
    assert_eq!(sent(server.builder().retries(1).build().unwrap(), Some(0)).await, 1);
}

#[tokio::test]
async fn after_a_timeout_only_where_that_is_wanted() {
    let server = Server::always(Reply::Hold(Vec::new())).await;
    let client = server.builder().timeout(Duration::from_millis(30)).retries(1);
    client.clone().build().unwrap().account().fetch().await.unwrap_err();
    assert_eq!(server.seen().len(), 2);
    client.retry_timeout(false).build().unwrap().account().fetch().await.unwrap_err();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn what_the_server_says_counts_more_than_the_status() {
    let never = busy("x-should-retry: false\r\n");
    let server = Server::says(vec![never]).await;
    server.client().account().fetch().await.unwrap_err();
    assert_eq!(server.seen().len(), 1);

    let always = Reply::answer(409, "x-should-retry: true\r\n", "{}");
    let server = Server::says(vec![always]).await;
    server.client().account().fetch().await.unwrap_err();
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn not_before_the_server_says_and_not_at_all_if_that_is_longer_than_a_minute() {
    let moments = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&moments);
    let server = Server::scripted(move |_, _| {
        noted.lock().unwrap().push(Instant::now());
        busy("retry-after-ms: 80\r\n")
    });
    let server = server.await;
    server.client().account().fetch().retries(1).await.unwrap_err();
    let moments = moments.lock().unwrap().clone();
    assert!(moments[1] - moments[0] >= Duration::from_millis(80), "{moments:?}");

    let server = Server::always(busy("retry-after: 61\r\n")).await;
    let error = server.client().account().fetch().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(61)));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_stream_is_opened_again_but_not_once_it_has_begun() {
    let item = "{\"type\":\"item\",\"data\":1}\n";
    let cut = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\ncontent-length: 999\r\n\r\n{item}"
    );
    let server = Server::says(vec![busy(""), Reply::Send(cut.into_bytes())]).await;
    let mut items = server.client().fetch::<keyfob_client::types::Page<u8>>("/x").stream();
    assert_eq!(items.try_next().await.unwrap(), Some(1));
    assert!(items.try_next().await.is_err());
    assert!(items.try_next().await.unwrap().is_none());
    assert_eq!(server.seen().len(), 2);
}
