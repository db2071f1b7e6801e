//! What is shown of a client, its requests, answers and errors: no secret.

use keyfob_client::{
    Client, ProxyRequest,
    types::{Connect, CreateTotp, Minted, SecretFields},
};

use crate::server::{Reply, Server};

const HIDDEN: &str = "HIDDEN";

fn client(url: &str) -> Client {
    Client::builder()
        .base_url(url)
        .secret(HIDDEN)
        .key_pair("id", HIDDEN)
        .header("x-gateway", HIDDEN)
        .retries(0)
        .build()
        .unwrap()
}

#[test]
fn no_client_and_no_request_shows_a_secret() {
    let client = client("http://127.0.0.1:1");
    let connect = Connect { value: Some(HIDDEN.into()), ..Connect::default() };
    let totp = CreateTotp { secret: Some(HIDDEN.into()), ..CreateTotp::default() };
    let secret = SecretFields { value: Some(HIDDEN.into()), ..SecretFields::default() };
    let proxied =
        ProxyRequest::post(format!("https://a/?key={HIDDEN}"), HIDDEN).header("x", HIDDEN);
    let shown = format!(
        "{client:?} {:?} {:?} {connect:?} {totp:?} {secret:?} {:?} {proxied:?} {:?} {:?} {:?}",
        client.to_builder(),
        client.contacts(),
        client.contact("c1").secrets().connect("s1", &connect),
        client.contact("c1").secrets().proxy("s1", &proxied),
        client
            .fetch::<()>("/x")
            .header("x", HIDDEN)
            .query(&[("q", HIDDEN)].into_iter().collect::<std::collections::HashMap<_, _>>()),
        client.fetch::<()>(&format!("https://user:{HIDDEN}@hooks.example/{HIDDEN}")).external(),
    );
    assert!(!shown.contains(HIDDEN), "{shown}");
}

#[tokio::test]
async fn no_answer_and_no_error_shows_a_secret() {
    let body = format!(r#"{{"token":"{HIDDEN}","expiresAt":null}}"#);
    let server = Server::always(Reply::json(&body)).await;
    let minted: Minted = client(&server.url).secrets().mint("s1").await.unwrap();
    let answer =
        client(&server.url).secrets().proxy("s1", &ProxyRequest::get("https://a")).await.unwrap();
    assert!(!format!("{minted:?} {answer:?}").contains(HIDDEN));

    let refusal =
        format!(r#"{{"message":"No","code":"AUTHORIZATION_REQUIRED","url":"https://a/{HIDDEN}"}}"#);
    let server = Server::always(Reply::answer(409, "", &refusal)).await;
    let error = client(&server.url).secrets().mint("s1").await.unwrap_err();
    assert!(error.authorization_url().is_some());
    assert!(!format!("{error:?} {error}").contains(HIDDEN), "{error:?}");
    let gone = client("http://127.0.0.1:1").fetch::<()>(&format!("/{HIDDEN}")).await.unwrap_err();
    assert!(!format!("{gone:?} {gone}").contains(HIDDEN), "{gone:?}");
}
