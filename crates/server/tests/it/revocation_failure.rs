//! Revocations that a provider does not make easy: how clients prove who they are, what is tried again, and
//! what is told when it does not work.

use keyfob_testkit::{Answer, AuthMethod, Client, Endpoint, Fault, Options, Provider};
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    connection::{connect, path, verified_contact},
    provider::{Jobs, config, connected, grant, personal, provider, tokens},
    revocation::{events, told, until_told},
};

/// Connects a secret with this config, and revokes it.
async fn revoke(app: &TestApp, provider: &Provider, config: Value) {
    let backend = app.backend();
    let secret = personal(&backend, config).await;
    let (contact, _) = connected(app, &backend, provider, &secret).await;
    backend.post(path(&contact, &secret, "revoke"), json!({})).await.ok();
}

fn revoking_methods(provider: &Provider) -> Vec<Option<AuthMethod>> {
    provider.ledger().at(Endpoint::Revoke).map(|request| request.auth_method).collect()
}

#[tokio::test]
async fn a_client_proves_who_it_is_as_it_does_for_tokens() {
    let app = TestApp::new().await;
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    for (done, method, client, more) in [
        (
            1,
            AuthMethod::ClientSecretBasic,
            Client::confidential("app", "s3cret:ü"),
            json!({
                "clientSecret": "s3cret:ü", "tokenEndpointAuthMethod": "client_secret_basic",
            }),
        ),
        (2, AuthMethod::None, Client::public("app"), json!({"clientSecret": null})),
    ] {
        let provider = Provider::start(Options::default().with_client(client)).await.unwrap();
        let secret = personal(&backend, config(&provider, more)).await;
        let contact = verified_contact(&backend).await;
        let grant = grant(&app, &provider, "app");
        connect(&backend, &contact, &secret, tokens(&grant)).await.ok();
        backend.post(path(&contact, &secret, "revoke"), json!({})).await.ok();
        until_told(&backend, "revoked", done).await;
        assert_eq!(revoking_methods(&provider), [Some(method); 2]);
    }
}

#[tokio::test]
async fn a_client_that_signs_signs_for_the_token_endpoint() {
    let (private, public) = key_pair();
    let client = Client::signing("app", keyfob_testkit::Algorithm::ES256, &public);
    let provider = Provider::start(Options::default().with_client(client)).await.unwrap();
    let app = TestApp::new().await;
    // The provider's clock is the machine's: an assertion of the past would have expired.
    let now = provider.now().as_millis().cast_signed();
    app.clock.set(keyfob_core::time::Timestamp::from_millis(now));
    let _jobs = Jobs::of(&app);
    let more = json!({
        "clientSecret": null, "clientKey": private, "clientKeyAlgorithm": "ES256",
        "tokenEndpointAuthMethod": "private_key_jwt",
    });
    revoke(&app, &provider, config(&provider, more)).await;
    until_told(&app.backend(), "revoked", 1).await;
    assert_eq!(revoking_methods(&provider), [Some(AuthMethod::PrivateKeyJwt); 2]);
}

/// A key on P-256, as PEM: the private one (PKCS #8), and the public one (SPKI).
fn key_pair() -> (String, String) {
    use aws_lc_rs::{
        encoding::{AsDer, PublicKeyX509Der},
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let pem = |label: &str, der: &[u8]| {
        let text = data_encoding::BASE64.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    let private = pair.to_pkcs8v1().unwrap();
    (pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", public.as_ref()))
}

#[tokio::test]
async fn each_of_a_clients_secrets_is_tried() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let _jobs = Jobs::of(&app);
    let more = json!({"clientSecret": "not-yet-known", "clientSecrets": ["app-secret"]});
    revoke(&app, &provider, config(&provider, more)).await;
    until_told(&app.backend(), "revoked", 1).await;
    assert_eq!(provider.ledger().at(Endpoint::Revoke).count(), 4);
}

#[tokio::test]
async fn a_token_that_the_provider_does_not_know_counts_as_revoked() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let _jobs = Jobs::of(&app);
    let gone = Fault::status(400, "application/json", r#"{"error":"invalid_token"}"#);
    provider.script(Endpoint::Revoke, gone).times(2);
    revoke(&app, &provider, config(&provider, json!({}))).await;
    until_told(&app.backend(), "revoked", 1).await;
}

#[tokio::test]
async fn a_provider_that_is_busy_is_asked_again_when_it_says() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    let busy = Fault::too_many_requests(std::time::Duration::from_mins(10));
    provider.script(Endpoint::Revoke, busy);
    revoke(&app, &provider, config(&provider, json!({}))).await;
    provider.until(|ledger| ledger.at(Endpoint::Revoke).count() == 1).await.unwrap();
    let now = app.clock.seconds() * 1000;
    until_attempts(&app, 1).await;
    let waiting = told(&backend, "?status=pending").await;
    assert_eq!(waiting[0]["problem"], "the provider answered HTTP 429");
    assert_eq!(waiting[0]["nextAttemptAt"], now + 600_000);
    app.clock.advance_seconds(599);
    assert_eq!(app.broker().revoke_due().await.unwrap(), 0);
    app.clock.advance_seconds(1);
    let revoked = until_told(&backend, "revoked", 1).await;
    assert_eq!((&revoked[0]["attempts"], &revoked[0]["problem"]), (&json!(1), &Value::Null));
}

async fn until_attempts(app: &TestApp, attempts: i64) {
    let reached = async {
        let query = "SELECT COALESCE(SUM(attempts), 0)";
        let query = format!("SELECT CAST(({query} FROM revocation) AS BIGINT)");
        while app.database().number(&query) < attempts {
            app.broker().revoke_due().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let reached = tokio::time::timeout(std::time::Duration::from_secs(20), reached).await;
    assert!(reached.is_ok(), "it was not tried {attempts} times");
}

#[tokio::test]
async fn after_a_day_without_an_answer_it_has_failed_and_everybody_is_told() {
    let (mut app, provider) = (TestApp::new().await, provider().await);
    let backend = app.backend();
    for fault in [Fault::internal_error(), Fault::DropBefore, Fault::internal_error()] {
        provider.script(Endpoint::Revoke, fault);
    }
    provider.script(Endpoint::Revoke, Fault::bad_gateway()).always();
    let begun = app.clock.seconds();
    revoke(&app, &provider, config(&provider, json!({}))).await;
    for attempt in 1..40 {
        until_attempts(&app, attempt).await;
        let next = told(&backend, "").await[0]["nextAttemptAt"].as_i64().unwrap();
        app.clock.set(keyfob_core::time::Timestamp::from_millis(next));
    }
    app.broker().revoke_due().await.unwrap();
    let failed = until_told(&backend, "failed", 1).await;
    let problem = "it was tried for a day, in the end: the provider answered HTTP 502";
    assert_eq!(failed[0]["problem"], problem);
    let hours = (app.clock.seconds() - begun) / 3600;
    assert!((14..=30).contains(&hours), "{hours} hours");
    let expected = ("not_revoked_at_provider".to_owned(), Some(problem.to_owned()));
    assert_eq!(events(&app, "connection.revoke").await, [expected]);
    let counted = async {
        let line = "keyfob_revocations_total{outcome=\"failed\"} 1";
        while !app.operator().get("/metrics").await.text().contains(line) {
            tokio::task::yield_now().await;
        }
    };
    let counted = tokio::time::timeout(std::time::Duration::from_secs(10), counted).await;
    assert!(counted.is_ok(), "the metrics do not say that one has failed");
    let findings = crate::doctor::findings(&mut app).await;
    let finding = findings.iter().find(|finding| finding.what == "revocations").unwrap();
    let text = finding.result.clone().unwrap_err();
    assert!(text.contains("1 grant") && text.contains(problem), "{text}");
}

#[tokio::test]
async fn a_refusal_is_told_without_the_tokens_that_the_provider_repeats() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let (backend, _jobs) = (app.backend(), Jobs::of(&app));
    let secret = personal(&backend, config(&provider, json!({}))).await;
    let (contact, grant) = connected(&app, &backend, &provider, &secret).await;
    let body = json!({
        "error": "unauthorized_client",
        "error_description": format!("no rights on {}", grant.refresh_token),
    });
    let answer = Answer { status: 403, body: body.to_string(), ..Answer::default() };
    provider.script(Endpoint::Revoke, Fault::Answer(answer)).always();
    backend.post(path(&contact, &secret, "revoke"), json!({})).await.ok();
    let failed = until_told(&backend, "failed", 1).await;
    let problem = failed[0]["problem"].as_str().unwrap();
    let begin = "the provider refused: unauthorized_client (no rights on ";
    assert!(problem.starts_with(begin) && !problem.contains(&grant.refresh_token), "{problem}");
}

#[tokio::test]
async fn where_nothing_is_known_that_revokes_it_says_so() {
    let (app, provider) = (TestApp::new().await, provider().await);
    let _jobs = Jobs::of(&app);
    revoke(&app, &provider, config(&provider, json!({"revokeUrl": null}))).await;
    let told = until_told(&app.backend(), "unsupported", 1).await;
    let problem = told[0]["problem"].as_str().unwrap();
    assert!(problem.contains("set \"config.revokeUrl\""), "{problem}");
    let events = events(&app, "connection.revoke").await;
    assert_eq!(events[0].0, "not_revoked_at_provider");
}
