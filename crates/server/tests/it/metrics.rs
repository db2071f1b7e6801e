//! `GET /metrics`, on the second listener only.

use serde_json::json;

use crate::app::{SECRETS, TestApp, code_path, entry_path};

async fn metrics(app: &TestApp) -> String {
    let answer = app.operator().get("/metrics").await;
    let kind = answer.header("content-type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    answer.text()
}

#[tokio::test]
async fn every_route_is_counted_by_its_pattern() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = app.entry().await;
    let (key, _) = app.new_caller("agent").await;
    app.other_account().await;
    let path = |action| format!("/api/v1/key/{}/{action}", key.id);
    for call in [
        owner.get(SECRETS),
        owner.get(code_path(&id, "?include=next")),
        owner.get(entry_path(&id)),
        owner.patch(entry_path(&id), json!({})),
        owner.delete(entry_path(&id)),
        owner.get("/api/v1/key/list"),
        owner.post("/api/v1/key/list", json!({})),
        owner.get(path("fetch")),
        owner.post(path("fetch"), json!({})),
        owner.post(path("update"), json!({"name": "n"})),
        owner.post(path("revoke"), json!({})),
    ] {
        call.await.ok();
    }
    let text = metrics(&app).await;
    for (method, route) in [
        ("POST", SECRETS),
        ("GET", SECRETS),
        ("GET", "/api/v2/totp/code/{id}"),
        ("GET", "/api/v2/totp/secrets/{id}"),
        ("PATCH", "/api/v2/totp/secrets/{id}"),
        ("DELETE", "/api/v2/totp/secrets/{id}"),
        ("POST", "/api/v1/account/create"),
        ("POST", "/api/v1/key/create"),
        ("GET", "/api/v1/key/list"),
        ("POST", "/api/v1/key/list"),
        ("GET", "/api/v1/key/{id}/fetch"),
        ("POST", "/api/v1/key/{id}/fetch"),
        ("POST", "/api/v1/key/{id}/update"),
        ("POST", "/api/v1/key/{id}/revoke"),
    ] {
        let labels = format!(r#"{{method="{method}",route="{route}",status="200"}} 1"#);
        assert!(text.contains(&labels), "{labels}\n{text}");
    }
    assert!(!text.contains(r#"route="other""#), "{text}");
    assert!(text.contains("keyfob_totp_codes_total 1"), "{text}");
    assert!(!text.contains(&id) && !text.contains(&key.id), "{text}");
}

#[tokio::test]
async fn callers_cannot_invent_labels() {
    let app = TestApp::new().await;
    for n in 0..5 {
        let call = app.owner().call("BREW", &format!("/invented/{n}"), Vec::new());
        call.await.error(404, "not_found");
    }
    let text = metrics(&app).await;
    assert!(!text.contains("invented") && !text.contains("BREW"), "{text}");
    assert!(text.contains(r#"{method="other",route="other",status="404"} 5"#), "{text}");
}

#[tokio::test]
async fn waiting_callers_are_counted_while_they_wait() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(25);
    let call = app.agent().get(code_path(&id, "?min_validity=10"));
    let call = tokio::spawn(call.into_future());
    app.clock.waiters(1).await;
    assert!(metrics(&app).await.contains("keyfob_totp_waiting 1\n"));
    app.clock.advance_seconds(5);
    call.await.unwrap().ok();
    assert!(metrics(&app).await.contains("keyfob_totp_waiting 0\n"));
}

#[tokio::test]
async fn metrics_are_not_on_the_listener_of_the_api() {
    let app = TestApp::new().await;
    app.owner().get("/metrics").await.error(404, "not_found");
    app.operator().get("/readyz").await.ok();
    app.operator().get(SECRETS).await.error(404, "not_found");
}
