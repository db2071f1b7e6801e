//! `/api/v1/contact/{contact}/secret/{secret}`: connect, verify, authenticate, revoke. Links are in
//! `authentication`, the page at which a contact connects is in `connect_page`, lists are in `connection_list`.

use serde_json::{Value, json};

use crate::{
    app::TestApp,
    call::{Call, Caller},
    contact::{self, refused},
    guard::CANARY,
    secret,
};

pub(crate) fn path(contact: &str, secret: &str, action: &str) -> String {
    format!("/api/v1/contact/{contact}/secret/{secret}/{action}")
}

/// A contact that the account vouches for.
pub(crate) async fn verified_contact(caller: &Caller) -> String {
    contact::create(caller, json!({"name": "Ann", "verifiedAt": 1})).await
}

/// A personal secret of this type.
pub(crate) async fn personal(caller: &Caller, secret_type: &str) -> String {
    secret::create(caller, json!({"kind": "personal", "type": secret_type})).await
}

pub(crate) fn connect(caller: &Caller, contact: &str, secret: &str, body: Value) -> Call {
    caller.post(path(contact, secret, "connect"), body)
}

pub(crate) async fn verify(caller: &Caller, contact: &str, secret: &str) -> Value {
    caller.post(path(contact, secret, "verify"), json!({})).await.ok()
}

async fn value(app: &TestApp, contact: &str, secret: &str) -> Option<String> {
    app.open_connection(contact, secret).await.map(|(_, value)| value)
}

fn conflict(message: &str) -> (u16, &'static str, Value) {
    (409, "conflict", json!(message))
}

#[tokio::test]
async fn what_is_connected_is_sealed_as_it_was_given_and_verified() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    for (secret_type, body, stored) in [
        ("plain", json!({"value": format!(" {CANARY}\n")}), format!(" {CANARY}\n")),
        ("bearer", json!({"value": CANARY}), CANARY.to_owned()),
        (
            "basic",
            json!({"username": "ann@example.com", "password": format!("{CANARY}:\" ü")}),
            json!({"username": "ann@example.com", "password": format!("{CANARY}:\" ü")})
                .to_string(),
        ),
    ] {
        let secret = personal(&backend, secret_type).await;
        let answer = connect(&backend, &contact, &secret, body).await.ok();
        assert_eq!(answer, json!({"id": secret}));
        let (connection, value) = app.open_connection(&contact, &secret).await.unwrap();
        if secret_type == "basic" {
            let [value, stored]: [Value; 2] =
                [&value, &stored].map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(value, stored);
        } else {
            assert_eq!(value, stored);
        }
        assert_eq!(app.guard().find_in(connection.value.as_bytes()), None);
        let verified = verify(&app.agent(), &contact, &secret).await;
        assert_eq!(verified, json!({"id": secret, "status": "authenticated"}));
    }
}

/// Connecting anew takes the old value's place.
#[tokio::test]
async fn a_contact_has_one_value_of_a_secret() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "plain").await);
    connect(&backend, &contact, &secret, json!({"value": format!("1{CANARY}")})).await.ok();
    let (first, _) = app.open_connection(&contact, &secret).await.unwrap();
    app.clock.advance_seconds(5);
    connect(&backend, &contact, &secret, json!({"value": format!("2{CANARY}")})).await.ok();
    let (second, value) = app.open_connection(&contact, &secret).await.unwrap();
    assert_eq!(value, format!("2{CANARY}"));
    assert_eq!((second.id, second.created_at), (first.id, first.created_at));
    assert!(second.updated_at > first.updated_at);
}

#[tokio::test]
async fn a_value_that_its_type_cannot_use_is_refused_and_nothing_changes() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let neither = "\"value\" is required; or \"username\" and \"password\" for a secret of type basic; or \"accessToken\" (with \"refreshToken\", \"expiresAt\" and \"scopes\") for one of type oauth";
    for (secret_type, body, message) in [
        ("plain", json!({}), neither),
        ("plain", json!({"value": null}), neither),
        ("plain", json!({"value": CANARY, "username": "a"}), neither),
        ("plain", json!({"value": 1}), "\"value\" must be a string"),
        ("plain", json!({"value": CANARY, "more": 1}), "\"more\" is not allowed"),
        ("plain", json!({"value": ""}), "the value must not be empty"),
        ("plain", json!({"username": "a", "password": CANARY}), "\"value\" is required"),
        ("plain", json!({"value": "x".repeat(32_769)}), "the value must have at most 32768 bytes"),
        (
            "bearer",
            json!({"value": format!("{CANARY} x")}),
            "a token must consist of visible ASCII characters, without blanks",
        ),
        ("basic", json!({"value": CANARY}), "\"username\" and \"password\" are required"),
        ("basic", json!({"username": "a"}), neither),
        ("basic", json!({"username": "", "password": CANARY}), "the user name must not be empty"),
        ("basic", json!({"username": "a", "password": ""}), "the password must not be empty"),
        (
            "basic",
            json!({"username": "a:b", "password": CANARY}),
            "the user name must not contain a colon",
        ),
        (
            "basic",
            json!({"username": "a", "password": format!("{CANARY}\n")}),
            "the password must not contain control characters",
        ),
        (
            "jwt",
            json!({"value": CANARY}),
            "the key does not sign with RS256: it must be an RSA private key in PEM (PKCS#1 or PKCS#8) of 2048 bits or more",
        ),
    ] {
        let secret = personal(&backend, secret_type).await;
        refused(connect(&backend, &contact, &secret, body).await, message);
        assert_eq!(value(&app, &contact, &secret).await, None);
    }
}

/// JWTs are signed anew for each use: what is stored has to sign as the config says, when it is stored and
/// when it is asked for.
#[tokio::test]
async fn a_key_of_a_jwt_secret_is_tried_and_its_algorithm_counts() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let body = json!({
        "kind": "personal", "type": "jwt",
        "config": {"algorithm": "HS256", "expiresInSeconds": 60, "claims": {"sub": "x"}},
    });
    let secret = secret::create(&backend, body).await;
    connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
    assert_eq!(verify(&backend, &contact, &secret).await["status"], "authenticated");
    let changed = json!({"config": {"algorithm": "ES256"}});
    secret::update(&backend, &secret, changed).await.ok();
    let verified = verify(&backend, &contact, &secret).await;
    assert_eq!(verified["status"], "unauthenticated");
    let reason = "the key does not sign with ES256: it must be a P-256 private key in PEM (PKCS#8)";
    assert_eq!(verified["reason"], reason);
    assert_eq!(verified["action"]["type"], "authenticate");
}

#[tokio::test]
async fn a_value_of_another_type_than_the_secret_has_now_is_of_no_use() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "plain").await);
    connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
    secret::update(&backend, &secret, json!({"type": "basic"})).await.ok();
    let verified = verify(&backend, &contact, &secret).await;
    assert_eq!(verified["status"], "unauthenticated");
    let reason = "the secret's type has changed since the contact connected it";
    assert_eq!(verified["reason"], reason);
}

/// W10: what the official clients send again is answered again.
#[tokio::test]
async fn revoke_takes_the_value_away_and_may_be_repeated() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "plain").await);
    let revoke = || backend.post(path(&contact, &secret, "revoke"), json!({}));
    assert_eq!(revoke().await.ok(), json!({"id": secret}));
    connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
    for _ in 0..2 {
        assert_eq!(revoke().await.ok(), json!({"id": secret}));
        assert_eq!(value(&app, &contact, &secret).await, None);
        assert_eq!(verify(&backend, &contact, &secret).await["status"], "unauthenticated");
    }
    let list = backend.get(format!("/api/v1/contact/{contact}/secret/list")).await.ok();
    assert_eq!(list, json!({"items": [], "cursor": ""}));
}

/// What is stored can be taken away, whatever has become of its secret, and whichever way that is named.
#[tokio::test]
async fn a_connection_of_a_secret_that_is_shared_now_is_taken_away() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    for (alias, name) in [("one", "@one"), ("two", "(Two)")] {
        let body = json!({"kind": "personal", "alias": alias, "name": "Two"});
        let secret = secret::create(&backend, body).await;
        connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
        secret::update(&backend, &secret, json!({"kind": "shared"})).await.ok();
        let revoked = backend.post(path(&contact, name, "revoke"), json!({})).await.ok();
        assert_eq!(revoked, json!({"id": secret}));
        assert_eq!(value(&app, &contact, &secret).await, None);
        backend.post(secret::path(&secret, "delete"), json!({})).await.ok();
    }
}

#[tokio::test]
async fn a_contact_that_nobody_vouches_for_connects_nothing() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = contact::create(&backend, json!({})).await;
    let secret = personal(&backend, "plain").await;
    for (action, body) in
        [("verify", json!({})), ("authenticate", json!({})), ("connect", json!({"value": CANARY}))]
    {
        let answer = backend.post(path(&contact, &secret, action), body).await;
        let body = answer.error(409, "conflict");
        let text = format!("Cannot {action} secret for this secret configuration");
        assert_eq!(body["message"], text);
    }
    // Taking away is always safe.
    backend.post(path(&contact, &secret, "revoke"), json!({})).await.ok();
}

/// W11: a shared value is nothing that a contact takes away.
#[tokio::test]
async fn a_shared_secret_is_verified_through_a_contact_and_nothing_else() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = contact::create(&backend, json!({})).await;
    let without = secret::create(&backend, json!({})).await;
    let with = secret::create(&backend, json!({"value": CANARY})).await;
    let verified = verify(&backend, &contact, &with).await;
    assert_eq!(verified, json!({"id": with, "status": "authenticated"}));
    let text = "Cannot obtain secret for this secret type";
    for (secret, action, body) in [
        (&without, "verify", json!({})),
        (&with, "authenticate", json!({})),
        (&without, "authenticate", json!({})),
        (&with, "connect", json!({"value": CANARY})),
        (&with, "revoke", json!({})),
    ] {
        let answer = backend.post(path(&contact, secret, action), body).await;
        let (status, code, message) = conflict(text);
        assert_eq!(answer.error(status, code)["message"], message, "{action}");
    }
    let (_, [value, _]) = app.open_secret(&with).await;
    assert_eq!(value.as_deref(), Some(CANARY));
}

#[tokio::test]
async fn an_agent_verifies_and_authenticates_but_neither_connects_nor_revokes() {
    let app = TestApp::new().await;
    let (contact, secret) =
        (verified_contact(&app.backend()).await, personal(&app.backend(), "plain").await);
    let agent = app.agent();
    connect(&agent, &contact, &secret, json!({"value": CANARY})).await.error(403, "not_authorized");
    let revoke = agent.post(path(&contact, &secret, "revoke"), json!({}));
    revoke.await.error(403, "not_authorized");
    verify(&agent, &contact, &secret).await;
}

/// W25: every step in the life of a credential is told, for whom and by whom.
#[tokio::test]
async fn each_step_is_an_event_that_names_contact_and_secret() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let (contact, secret) = (verified_contact(&backend).await, personal(&backend, "plain").await);
    let before = app.events().await.len();
    app.clock.advance_seconds(1);
    backend.post(path(&contact, &secret, "authenticate"), json!({})).await.ok();
    app.clock.advance_seconds(1);
    connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
    for _ in 0..2 {
        app.clock.advance_seconds(1);
        backend.post(path(&contact, &secret, "revoke"), json!({})).await.ok();
    }
    let events = app.events().await.split_off(before);
    let told: Vec<_> =
        events.iter().map(|event| (event.action.as_str(), event.result.as_str())).collect();
    let expected = [
        ("connection.authenticate", "ok"),
        ("connection.connect", "ok"),
        ("connection.revoke", "ok"),
        ("connection.revoke", "not_connected"),
    ];
    assert_eq!(told, expected);
    for event in events {
        assert_eq!(event.contact_id.as_deref(), Some(contact.as_str()));
        assert_eq!(event.object, ("secret".to_owned(), secret.clone()));
    }
}

#[tokio::test]
async fn nothing_is_left_of_what_a_deleted_contact_or_secret_was_connected_with() {
    for noun in ["contact", "secret", "neither"] {
        let app = TestApp::new().await;
        let backend = app.backend();
        let (contact, secret) =
            (verified_contact(&backend).await, personal(&backend, "plain").await);
        connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
        let (connection, _) = app.open_connection(&contact, &secret).await.unwrap();
        let id = if noun == "contact" { &contact } else { &secret };
        if noun != "neither" {
            backend.post(format!("/api/v1/{noun}/{id}/delete"), json!({})).await.ok();
            assert_eq!(value(&app, &contact, &secret).await, None);
        }
        let found = memchr::memmem::find(&app.left_behind(), connection.value.as_bytes());
        assert_eq!(found.is_some(), noun == "neither", "{noun}");
    }
}

/// W16, W25: a connection is sealed for its contact and its secret, and what goes wrong inside is told to the
/// log only: copied to another one it does not open.
#[tokio::test]
async fn a_value_that_was_copied_to_another_contact_does_not_open() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let secret = personal(&backend, "plain").await;
    let (one, two) = (verified_contact(&backend).await, verified_contact(&backend).await);
    for contact in [&one, &two] {
        connect(&backend, contact, &secret, json!({"value": CANARY})).await.ok();
    }
    app.database().execute(&format!(
        "UPDATE connection SET value = (SELECT value FROM connection WHERE contact_id = '{one}')
         WHERE contact_id = '{two}'"
    ));
    assert_eq!(verify(&backend, &one, &secret).await["status"], "authenticated");
    let answer = backend.post(path(&two, &secret, "verify"), json!({})).await;
    let body = answer.error(500, "internal_server_error");
    assert_eq!(body["message"], "Internal server error");
}
