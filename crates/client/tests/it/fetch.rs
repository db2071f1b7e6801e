//! Any path, with every option.

use std::{convert::Infallible, time::Duration};

use http::Method;
use keyfob_client::{Answer, Error, File};
use serde_json::{Value, json};
use tower::{ServiceBuilder, service_fn};

use crate::server::{Reply, Server};

async fn ok() -> Server {
    Server::always(Reply::json("{}")).await
}

#[tokio::test]
async fn a_path_alone_is_a_get() {
    let server = ok().await;
    let _: Value = server.client().fetch("/api/v1/x?a=b").await.unwrap();
    let seen = server.only();
    assert_eq!((&*seen.method, &*seen.target, &*seen.body), ("GET", "/api/v1/x?a=b", ""));
    assert_eq!(seen.header("content-type"), None);
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_eq!(
        seen.header("user-agent"),
        Some(concat!("keyfob-client/", env!("CARGO_PKG_VERSION")))
    );
}

#[tokio::test]
async fn a_record_is_a_post_of_json() {
    let server = ok().await;
    let _: Value = server.client().fetch("/x").record(&json!({"a": [1, null]})).await.unwrap();
    let seen = server.only();
    assert_eq!((&*seen.method, &*seen.body), ("POST", r#"{"a":[1,null]}"#));
    assert_eq!(seen.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_buffer_is_a_post_of_bytes() {
    let server = ok().await;
    let _: Value = server.client().fetch("/x").buffer("bytes").await.unwrap();
    let seen = server.only();
    assert_eq!((&*seen.method, &*seen.body), ("POST", "bytes"));
    assert_eq!(seen.header("content-type"), Some("application/octet-stream"));
}

#[tokio::test]
async fn a_file_is_a_post_of_a_form() {
    let server = ok().await;
    let file = File::new("data").name("a.txt").media_type("text/plain");
    let _: Value = server.client().fetch("/x").file(&file).await.unwrap();
    let seen = server.only();
    let media_type = seen.header("content-type").unwrap();
    let mark = media_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let wanted = format!(
        "--{mark}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\ndata\r\n--{mark}--\r\n"
    );
    assert_eq!((&*seen.method, &*seen.body), ("POST", &*wanted));
}

#[tokio::test]
async fn method_query_and_headers_are_as_they_are_said() {
    let server = ok().await;
    let query = json!({"take": 5, "meta": {"team": "a b", "none": null}, "flag": true});
    let request = server.client().fetch::<Value>("/x?first=1").query(&query).method(Method::PUT);
    request.header("X-One", "1").header("authorization", "Bearer other").await.unwrap();
    let seen = server.only();
    assert_eq!(
        (&*seen.method, &*seen.target),
        ("PUT", "/x?first=1&flag=true&meta.team=a+b&take=5")
    );
    assert_eq!(
        (seen.header("x-one"), seen.header("authorization")),
        (Some("1"), Some("Bearer other"))
    );
}

#[tokio::test]
async fn an_endpoint_that_was_replaced_is_asked_in_its_place() {
    let (server, other) = (ok().await, ok().await);
    let client =
        server.builder().endpoint("/a", "/b").endpoint("named", format!("{}/c", other.url));
    let client = client.build().unwrap();
    let _: Value = client.fetch("/a").await.unwrap();
    assert_eq!(server.only().target, "/b");
    let _: Value = client.fetch("/x").endpoint("named").await.unwrap();
    assert_eq!(other.only().target, "/c");
}

#[tokio::test]
async fn another_server_gets_no_key_and_is_asked_only_where_that_is_said() {
    let (server, other) = (ok().await, ok().await);
    let client = server.builder().run_as_user_id("child").header("x-own", "1").timezone("UTC");
    let client = client.build().unwrap();
    let url = format!("{}/x", other.url);
    let refused = client.fetch::<Value>(&url).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)), "{refused}");
    assert_eq!(other.seen().len(), 0);
    let _: Value = client.fetch(&url).external().await.unwrap();
    let seen = other.only();
    for name in ["authorization", "x-runas-user-id", "x-own"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn an_answer_can_be_had_as_it_came() {
    let server =
        Server::always(Reply::answer(200, "content-type: text/plain\r\nx-a: b\r\n", "text")).await;
    let answer: Answer = server.client().fetch("/x").await.unwrap();
    assert_eq!((answer.status.as_u16(), &*answer.text()), (200, "text"));
    assert_eq!(answer.headers["x-a"], "b");
}

#[tokio::test]
async fn it_may_take_as_long_as_is_said() {
    let server = Server::always(Reply::Hold(Vec::new())).await;
    let request =
        server.client().fetch::<Value>("/x").timeout(Duration::from_millis(20)).retries(0);
    let error = request.await.unwrap_err();
    assert_eq!(error.to_string(), "no answer within 0.02 s");
}

#[tokio::test]
async fn a_service_of_ones_own_sends_it() {
    let server = ok().await;
    let own = service_fn(async |request: reqwest::Request| {
        let body = json!({"seen": request.url().path(), "by": request.headers()["authorization"].to_str().unwrap()});
        Ok::<_, Infallible>(reqwest::Response::from(http::Response::new(body.to_string())))
    });
    let answer: Value = server.client().fetch("/x").fetch_with(own).await.unwrap();
    assert_eq!(answer, json!({"seen": "/x", "by": "Bearer kft_SECRET"}));
    let mark = |mut request: reqwest::Request| {
        request.url_mut().set_path("/layered");
        request
    };
    let layered = ServiceBuilder::new().map_request(mark).service(own);
    let client = server.builder().http_client(layered).build().unwrap();
    let answer: Value = client.fetch("/y").await.unwrap();
    assert_eq!(answer["seen"], "/layered");
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn what_a_service_of_ones_own_fails_with_is_told() {
    let server = ok().await;
    let own =
        service_fn(async |_: reqwest::Request| Err::<reqwest::Response, _>("the mesh is down"));
    let error = server.client().fetch::<Value>("/x").fetch_with(own).retries(0).await.unwrap_err();
    assert_eq!(error.to_string(), "the server could not be reached: the mesh is down");
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_and_nothing_is() {
    let server = ok().await;
    let fetch = || server.client().fetch::<Value>("/x");
    let wrong = [
        fetch().header("a b", "1"),
        fetch().header("a", "1\r\nb: 2"),
        fetch().query(&[1]),
        fetch().file(&File::new("").media_type("a\n")),
        server.client().fetch("x"),
        server.client().fetch("ftp://h/x"),
    ];
    for request in wrong {
        let error = request.await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
    }
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn an_answer_can_be_had_as_soon_as_it_begins_whatever_its_status() {
    let begun = b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nbe".to_vec();
    let server = Server::always(Reply::Hold(begun)).await;
    let mut opened = server.client().fetch::<Answer>("/x").open().await.unwrap();
    assert_eq!(opened.status.as_u16(), 404);
    assert_eq!(opened.body.try_next().await.unwrap().unwrap(), "be");

    let refusal = r#"{"code":"SOME_CODE","message":"No","request_id":"r-1"}"#;
    let server = Server::always(Reply::answer(503, "retry-after: 7\r\n", refusal)).await;
    let answer = server.client().fetch::<Answer>("/x").open().await.unwrap().whole().await.unwrap();
    assert_eq!(answer.text(), refusal);
    let error = answer.accepted().unwrap_err();
    assert_eq!((error.code(), error.request_id()), (Some("SOME_CODE"), Some("r-1")));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_goes_on_may_not_be_silent_for_longer_than_a_stream() {
    let server =
        Server::always(Reply::Hold(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbe".to_vec()));
    let server = server.await;
    let client = server.builder().idle_timeout(Duration::from_millis(50)).build().unwrap();
    let opened = client.fetch::<Answer>("/x").open().await.unwrap();
    assert!(matches!(opened.whole().await, Err(Error::TimedOut(_))));
}

#[tokio::test]
async fn an_answer_has_a_limit() {
    let server = Server::always(Reply::answer(200, "", &"x".repeat(1000))).await;
    let with = |most| server.builder().largest_answer(most).build().unwrap();
    assert!(with(1000).fetch::<Answer>("/x").await.is_ok());
    let error = with(999).fetch::<Answer>("/x").await.unwrap_err();
    assert!(matches!(error, Error::TooLarge(999)), "{error}");
}
