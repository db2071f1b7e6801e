//! The original services: they leave out, or answer null for, what only Keyfob says.

use keyfob_client::types::Secret;

use crate::server::{Reply, Server};

#[tokio::test]
async fn a_contacts_secrets_have_no_state() {
    let item = r#"{"id":"s1","name":null,"type":"oauth","createdAt":1,"updatedAt":2}"#;
    let server =
        Server::always(Reply::json(&format!(r#"{{"items":[{item}],"cursor":"s1"}}"#))).await;
    let page = server.client().contact("c1").secrets().list().await.unwrap();
    let secret = &page.items[0];
    assert_eq!((secret.name.as_str(), secret.status.as_str(), secret.created_at), ("", "", 1));
    assert_eq!((secret.secret_type.as_str(), secret.expires_at), ("oauth", None));
}

#[tokio::test]
async fn the_last_page_has_no_cursor() {
    let server = Server::says(vec![
        Reply::json(
            r#"{"items":[{"id":"c1","createdAt":1,"updatedAt":2,"name":"Ann"}],"cursor":"c1"}"#,
        ),
        Reply::json(r#"{"items":[]}"#),
    ]);
    let server = server.await;
    let contacts = server.client().contacts().list().items().try_take(9).await.unwrap();
    assert_eq!((contacts.len(), contacts[0].name.as_str()), (1, "Ann"));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn secrets_may_say_little() {
    let body =
        r#"{"id":"s1","kind":"shared","type":"plain","createdAt":1,"updatedAt":2,"extra":[]}"#;
    let server = Server::always(Reply::json(body)).await;
    let secret: Secret = server.client().secrets().fetch("s1").await.unwrap();
    assert_eq!((secret.kind.as_str(), secret.visibility.as_str()), ("shared", ""));
}

#[tokio::test]
async fn codes_and_their_entries_say_less() {
    let server =
        Server::always(Reply::json(r#"{"status":"OK","code":"123456","expires_in":17}"#)).await;
    let code = server.client().totp().get_code("t1").await.unwrap();
    assert_eq!((code.code.as_str(), code.expires_in, code.server_time), ("123456", 17, 0));
    let entry = r#"{"id":"t1","label":"GitHub","issuer":null,"algorithm":"SHA1","digits":6,"period":30,"created_at":"2026-11-26T12:00:00Z"}"#;
    let server =
        Server::always(Reply::json(&format!(r#"{{"status":"OK","totp_secrets":[{entry}]}}"#)))
            .await;
    let entries = server.client().totp().secrets().list().await.unwrap().totp_secrets;
    assert_eq!((entries[0].label.as_str(), entries[0].kind.as_str()), ("GitHub", ""));
}

#[tokio::test]
async fn a_refusal_is_read_as_far_as_it_makes_sense() {
    let body = r#"{"message":{"a":1},"code":"RATE_LIMITED","request_id":"r-1"}"#;
    let server =
        Server::always(Reply::answer(400, "content-type: application/json\r\n", body)).await;
    let error = server.client().account().fetch().await.unwrap_err();
    assert_eq!((error.code(), error.request_id()), (Some("RATE_LIMITED"), Some("r-1")));
}

#[tokio::test]
async fn refusals_may_have_neither_code_nor_message() {
    let server = Server::always(Reply::answer(
        409,
        "content-type: application/json\r\n",
        r#"{"error":"not_mintable","message":"It is none"}"#,
    ))
    .await;
    let error = server.client().secrets().mint("s1").await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (Some("ERROR_409"), "It is none"));
}
