//! As whom a client asks.

use keyfob_client::{Client, Error};
use serde_json::Value;

use crate::server::{Reply, Seen, Server};

const V1: &str = "/api/v1/contact/list";
const V2: &str = "/api/v2/totp/secrets";

async fn asked(
    with: impl FnOnce(keyfob_client::ClientBuilder) -> keyfob_client::ClientBuilder,
    path: &str,
) -> Seen {
    let server = Server::always(Reply::json("{}")).await;
    let client = with(Client::builder().base_url(&server.url)).build().unwrap();
    let _: Value = client.fetch(path).await.unwrap();
    server.only()
}

/// `Authorization`, and the two of a pair.
fn shown(seen: &Seen) -> [Option<&str>; 3] {
    ["authorization", "sb-api-key-id", "sb-api-secret-key"].map(|name| seen.header(name))
}

#[tokio::test]
async fn a_token_goes_to_every_path() {
    for path in [V1, V2] {
        let seen = asked(|client| client.secret("kft_a"), path).await;
        assert_eq!(shown(&seen), [Some("Bearer kft_a"), None, None]);
    }
}

#[tokio::test]
async fn a_pair_goes_to_every_path_if_there_is_no_token() {
    for path in [V1, V2] {
        let seen = asked(|client| client.key_pair("id", "kfs_a"), path).await;
        assert_eq!(shown(&seen), [None, Some("id"), Some("kfs_a")]);
    }
}

#[tokio::test]
async fn of_both_the_pair_goes_to_one_time_passwords_and_the_token_elsewhere() {
    let both =
        |client: keyfob_client::ClientBuilder| client.secret("kft_a").key_pair("id", "kfs_a");
    assert_eq!(shown(&asked(both, V1).await), [Some("Bearer kft_a"), None, None]);
    assert_eq!(shown(&asked(both, V2).await), [None, Some("id"), Some("kfs_a")]);
}

#[tokio::test]
async fn children_time_zones_and_headers_go_along() {
    let with = |client: keyfob_client::ClientBuilder| {
        let client = client.run_as_user_id("u1").run_as_child_user_email("a@example.com");
        client.timezone("Europe/Berlin").header("x-gateway", "g")
    };
    let seen = asked(with, V1).await;
    let names = ["x-runas-user-id", "x-runas-child-user-email", "x-timezone", "x-gateway"];
    let values = names.map(|name| seen.header(name).unwrap());
    assert_eq!(values, ["u1", "a@example.com", "Europe/Berlin", "g"]);
}

#[tokio::test]
async fn a_client_like_another_differs_in_what_is_said() {
    let server = Server::always(Reply::json("{}")).await;
    let client = server.builder().run_as_user_id("u1").build().unwrap();
    let other = client.to_builder().run_as_user_id("u2").build().unwrap();
    let _: Value = client.fetch(V1).await.unwrap();
    let _: Value = other.fetch(V1).await.unwrap();
    let accounts: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.header("x-runas-user-id").map(str::to_owned))
        .collect();
    assert_eq!(accounts, [Some("u1".into()), Some("u2".into())]);
}

#[test]
fn what_no_header_can_hold_is_refused_when_the_client_is_built() {
    let wrong = [
        Client::builder().secret("a\nb"),
        Client::builder().key_pair("a\nb", "c"),
        Client::builder().key_pair("a", "b\nc"),
        Client::builder().run_as_user_id("a\nb"),
        Client::builder().header("a b", "c"),
        Client::builder().base_url("nowhere"),
        Client::builder().base_url("http://user:password@h"),
        Client::builder().protocol("ftp"),
        Client::builder().host("a/b"),
    ];
    for builder in wrong {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
    }
}
