//! Control over HTTP.

use keyfob_testkit::{Endpoint, IssuedGrant};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, Told};

async fn control(app: &App, path: &str, body: &Value) -> Told {
    let request = app.http.post(app.provider.url(&format!("/control/{path}"))).json(body);
    Told::of(request.send().await.unwrap()).await
}

async fn grant(app: &App) -> IssuedGrant {
    let told = control(app, "grant", &json!({ "client": "app", "accessTokenLife": 0.5 })).await;
    serde_json::from_value(told.body).unwrap()
}

#[tokio::test]
async fn a_grant_is_issued_and_looked_up() {
    let app = App::start().await;
    let issued = grant(&app).await;
    assert_eq!(issued.expires_at.as_millis(), app.provider.now().as_millis() + 500);
    let told = control(&app, "token", &json!({ "accessToken": issued.access_token })).await;
    assert_eq!(
        (&told.body["valid"], &told.body["issued"]["generation"]),
        (&true.into(), &0.into())
    );
    let told = control(&app, "token", &json!({ "accessToken": "unknown" })).await;
    assert_eq!(told.body, json!({ "valid": false, "issued": null }));
    let told = control(&app, "withdraw", &json!({ "family": issued.family })).await;
    assert_eq!(told.body["found"], true);
    assert!(!app.provider.is_valid(&issued.access_token));
    let told = control(&app, "grant", &json!({ "client": "nobody" })).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn faults_are_scripted_and_cleared() {
    let app = App::start().await;
    let answer = json!({ "kind": "answer", "status": 503, "headers": { "retry-after": "1" } });
    let script = json!({ "endpoint": "token", "fault": answer, "always": true });
    assert_eq!(control(&app, "script", &script).await.status, StatusCode::NO_CONTENT);
    let issued = grant(&app).await;
    for _ in 0..2 {
        assert_eq!(app.refresh(&issued.refresh_token).await.status.as_u16(), 503);
    }
    let url = app.provider.url("/control/script");
    app.http.request(Method::DELETE, url).send().await.unwrap();
    let drip = json!({ "kind": "slowDrip", "bytes": 100, "pause": 0.001 });
    control(&app, "script", &json!({ "endpoint": "token", "fault": drip })).await;
    app.refresh(&issued.refresh_token).await.assert_ok();
}

#[tokio::test]
async fn a_held_request_is_released() {
    let app = App::start().await;
    let hold = json!({ "endpoint": "token", "fault": { "kind": "holdBefore" }, "times": 1 });
    control(&app, "script", &hold).await;
    let issued = grant(&app).await;
    let (told, ()) = tokio::join!(app.refresh(&issued.refresh_token), async {
        app.provider.until(|ledger| ledger.in_flight.now == 1).await.unwrap();
        control(&app, "release", &json!({})).await;
    });
    told.assert_ok();
}

#[tokio::test]
async fn what_cannot_be_scripted_is_refused() {
    let app = App::start().await;
    for script in [
        json!({ "endpoint": "nowhere", "fault": { "kind": "lostAnswer" } }),
        json!({ "endpoint": "token", "fault": { "kind": "unknown" } }),
        json!({ "endpoint": "token", "fault": { "kind": "answer", "status": 100 } }),
        json!({ "endpoint": "token", "fault": { "kind": "delayBefore", "duration": -1 } }),
        json!({ "endpoint": "token", "fault": { "kind": "pass" }, "times": 1, "always": true }),
        json!({ "endpoint": "token", "fault": { "kind": "lostAnswer" }, "times": 0 }),
        json!({ "endpoint": "token", "fault": { "kind": "answer", "status": 200, "headers": { "a b": "" } } }),
    ] {
        let told = control(&app, "script", &script).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{script}");
    }
    app.refresh(&app.grant().refresh_token).await.assert_ok();
}

#[tokio::test]
async fn the_ledger_is_read_and_reset() {
    let app = App::start().await;
    let issued = grant(&app).await;
    app.refresh(&issued.refresh_token).await.assert_ok();
    app.refresh(&issued.refresh_token).await.assert_refused("invalid_grant");
    let ledger = app.get("/control/ledger").await.body;
    assert_eq!(ledger["reuses"], 1);
    assert_eq!(ledger["requests"][1]["error"], "invalid_grant");
    assert_eq!(ledger["requests"][1]["authMethod"], "client_secret_post");
    assert_eq!(
        ledger["families"][issued.family.to_string().trim_start_matches('f')]["death"]["cause"],
        "reuse"
    );
    assert_eq!(ledger["inFlightAt"]["token"]["highest"], 1);
    assert_eq!(control(&app, "reset", &json!({})).await.status, StatusCode::NO_CONTENT);
    let ledger = app.provider.ledger();
    assert!(ledger.requests.is_empty() && ledger.families().is_empty());
}

#[tokio::test]
async fn options_are_read_and_changed_one_by_one() {
    let app = App::start().await;
    let before = app.get("/control/options").await.body;
    assert_eq!((&before["accessTokenLife"], &before["rotation"]), (&3600.0.into(), &true.into()));
    let told =
        control(&app, "options", &json!({ "accessTokenLife": 0.25, "answerStyle": "textNumbers" }))
            .await;
    told.assert_ok();
    assert_eq!(told.body["clients"], before["clients"]);
    assert_eq!(app.refresh(&app.grant().refresh_token).await.body["expires_in"], "0");
    let told = control(&app, "options", &json!({ "unknown": 1 })).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn devices_are_decided_on_and_secrets_retired() {
    let app = App::start().await;
    let code = app.ask("/device_authorization", &[]).await.text("user_code");
    let decision = json!({ "userCode": code, "approve": true });
    assert_eq!(control(&app, "device", &decision).await.body["found"], true);
    assert_eq!(control(&app, "device", &decision).await.body["found"], false);
    let secret = json!({ "client": "app", "secret": crate::app::SECRET });
    assert_eq!(control(&app, "secret/retire", &secret).await.body["found"], true);
    app.refresh(&app.grant().refresh_token).await.assert_refused("invalid_client");
    assert_eq!(app.provider.ledger().at(Endpoint::Token).count(), 1);
}
