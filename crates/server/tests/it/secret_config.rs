//! The `config` of secrets: what is refused (W18), masked (W17), and kept when a mask comes back.

use keyfob_testkit::Endpoint;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    contact::refused,
    guard::CANARY,
    provider::provider,
    scene::Scene,
    secret::{create, fetch, update},
};

/// The config that is stored.
async fn stored(app: &TestApp, id: &str) -> Value {
    let (_, [_, config]) = app.open_secret(id).await;
    serde_json::from_str(&config.unwrap()).unwrap()
}

fn full() -> Value {
    json!({
        "clientId": "client", "clientSecret": CANARY, "tokenUrl": "https://example.com/token",
        "password": CANARY, "pass": CANARY, "X-Api-KEY": CANARY, "empty_token": "", "pin": "1",
        "credentials": {"user": CANARY, "number": 7, "none": null}, "extra": {"apiToken": CANARY},
    })
}

fn masked() -> Value {
    json!({
        "clientId": "client", "clientSecret": "********", "tokenUrl": "https://example.com/token",
        "password": "********", "pass": "********", "X-Api-KEY": "********", "empty_token": null,
        "pin": "1", "credentials": {"user": "********", "number": "********", "none": null},
        "extra": {"apiToken": "********"},
    })
}

/// W17: whatever looks sensitive is masked, wherever it is; the guard looks at every answer.
#[tokio::test]
async fn what_is_sensitive_is_masked_in_every_answer() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({"type": "oauth", "config": full()})).await;
    for caller in [app.owner(), app.backend(), app.agent()] {
        assert_eq!(fetch(&caller, &id).await["config"], masked());
        let list = caller.get("/api/v1/secret/list").await.ok();
        assert_eq!(list["items"][0]["config"], masked());
    }
}

#[tokio::test]
async fn a_mask_that_comes_back_keeps_the_stored_value_and_the_rest_is_replaced() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({"type": "oauth", "config": full()})).await;
    let mut expected = full();
    update(&app.backend(), &id, json!({"config": masked()})).await.ok();
    expected["empty_token"] = Value::Null;
    assert_eq!(stored(&app, &id).await, expected);

    let (another, second) = (format!("{CANARY} another"), format!("{CANARY} second"));
    let config = json!({
        "clientSecret": "********", "password": another, "credentials": {"user": "********", "new": second},
    });
    update(&app.backend(), &id, json!({"config": config})).await.ok();
    let expected = json!({
        "clientSecret": CANARY, "password": another, "credentials": {"user": CANARY, "new": second},
    });
    assert_eq!(stored(&app, &id).await, expected);
    update(&app.backend(), &id, json!({"name": "x"})).await.ok();
    assert_eq!(stored(&app, &id).await, expected);
}

#[tokio::test]
async fn a_mask_that_stands_for_nothing_is_never_stored() {
    let app = TestApp::new().await;
    let mask = json!({"config": {"extra": {"clientSecret": "********"}}});
    let message = "\"config.extra.clientSecret\" is \"********\", which keeps the stored value, but none is stored: send the value itself";
    refused(app.backend().post("/api/v1/secret/create", mask.clone()).await, message);
    let id = create(&app.backend(), json!({"config": {"clientSecret": CANARY}})).await;
    refused(update(&app.backend(), &id, mask).await, message);
    assert_eq!(stored(&app, &id).await, json!({"clientSecret": CANARY}));
}

/// W18: the rules of each type are tested beside them, in `config_rule`.
#[tokio::test]
async fn a_config_that_its_type_cannot_use_is_refused_and_no_value_repeated() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({"type": "oauth", "config": {"scope": "a"}})).await;
    for (config, key) in [
        (json!({"tokenUrl": format!("http://example.com/{CANARY}")}), "tokenUrl"),
        (
            json!({"authorizationUrl": format!("https://x:{CANARY}@example.com/")}),
            "authorizationUrl",
        ),
        (json!({"clientSecret": [CANARY]}), "clientSecret"),
        (json!({"grantType": CANARY}), "grantType"),
        (json!({"hosts": [format!("https://{CANARY}")]}), "hosts"),
        (json!({"inject": {"query": CANARY, "prefix": CANARY}}), "inject"),
        (json!({"paths": [format!("/{CANARY}/../x")]}), "paths"),
        (json!({"unknown": [CANARY]}), "unknown"),
    ] {
        let body = json!({"type": "oauth", "config": config});
        for call in [
            app.backend().post("/api/v1/secret/create", body.clone()),
            update(&app.backend(), &id, body),
        ] {
            let message = call.await.error(400, "bad_request")["message"].clone();
            let begin = format!("\"config.{key}\" must be ");
            assert!(message.as_str().unwrap().starts_with(&begin), "{message}");
        }
    }
    assert_eq!(stored(&app, &id).await, json!({"scope": "a"}));
}

#[tokio::test]
async fn a_new_type_has_to_suit_the_stored_config() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({"config": {"tokenUrl": "not a URL"}})).await;
    update(&app.backend(), &id, json!({"type": "oauth"})).await.error(400, "bad_request");
    update(&app.backend(), &id, json!({"type": "reference"})).await.error(400, "bad_request");
    assert_eq!(fetch(&app.backend(), &id).await["type"], "plain");
    let both = json!({"type": "reference", "config": {"reference": "@other"}});
    update(&app.backend(), &id, both).await.ok();
}

#[tokio::test]
async fn a_template_or_a_reference_says_what_it_stands_for_also_without_a_config() {
    let app = TestApp::new().await;
    let template = "\"config.template\" is required: the name of a template";
    let reference =
        "exactly one of \"config.reference\", \"config.secretId\" and \"config.id\" is required";
    for (secret_type, message) in [("template", template), ("reference", reference)] {
        for config in [json!({}), json!({"config": null}), json!({"config": {}})] {
            let mut body = config;
            body["type"] = json!(secret_type);
            refused(app.backend().post("/api/v1/secret/create", body.clone()).await, message);
            let id = create(&app.backend(), json!({})).await;
            refused(update(&app.backend(), &id, body).await, message);
        }
    }
}

#[tokio::test]
async fn a_config_that_masks_would_make_too_large_is_refused() {
    let app = TestApp::new().await;
    let large = |name: &str| json!({name: "x".repeat(40_000)});
    let id = create(&app.backend(), json!({"config": large("password")})).await;
    let mut config = large("note");
    config["password"] = json!("********");
    let answer = update(&app.backend(), &id, json!({"config": config})).await;
    refused(answer, "\"config\" must have at most 65536 bytes");
}

/// Whoever may change a config, but was never told the secret, must not get it sent to them.
#[tokio::test]
async fn a_masked_client_secret_is_not_kept_for_another_token_url() {
    let (scene, _) = Scene::connected().await;
    let elsewhere = provider().await;
    let moved = json!({"clientSecret": "********", "tokenUrl": elsewhere.url("/token")});
    let answer = scene.configure(&moved).await.error(400, "bad_request");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("leads elsewhere than before"), "{message}");
    scene.outlive();
    assert!(scene.provider.is_valid(&scene.token().await));
    assert_eq!(elsewhere.ledger().at(Endpoint::Token).count(), 0);
}
