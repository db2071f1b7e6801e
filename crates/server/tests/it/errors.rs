//! What all calls have in common when they go wrong: paths, methods, credentials, bodies, ids.

use serde_json::{Value, json};

use crate::{
    app::{SECRETS, TestApp, code_path},
    call::Caller,
    guard::CANARY,
};

const KEYS: &str = "/api/v1/key/list";

#[tokio::test]
async fn an_unknown_path_is_not_found_in_its_own_dialect_with_and_without_a_key() {
    let app = TestApp::new().await;
    // The fields of each dialect are checked of every error.
    for caller in [app.anonymous(), app.owner()] {
        for path in [
            "/api/v2/totp",
            "/api/v2/totp/codes",
            "/api/v2/totp/code/",
            "/api/v2/totp/secrets/a/b",
            "/api/v1/nothing",
            "/api/v1/key",
            "/api/v3/totp/secrets",
            "/nothing",
            "/",
        ] {
            caller.get(path).await.error(404, "not_found");
            caller.post(path, json!({})).await.error(404, "not_found");
        }
    }
}

#[tokio::test]
async fn a_known_path_with_another_method_is_405() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let code = code_path(&id, "");
    let owner = app.owner();
    for (method, path) in [
        ("PUT", SECRETS),
        ("DELETE", SECRETS),
        ("POST", &code),
        ("DELETE", &code),
        ("OPTIONS", SECRETS),
        ("TRACE", SECRETS),
        ("GET", "/api/v1/key/create"),
        ("DELETE", KEYS),
    ] {
        let answer = owner.call(method, path, b"{}".to_vec()).await;
        answer.error(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn a_405_names_the_methods_that_the_path_does_have() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    for (path, allowed) in [
        (SECRETS, "GET,POST"),
        (&format!("{SECRETS}/{id}"), "GET,PATCH,DELETE"),
        (&code_path(&id, ""), "GET"),
        ("/api/v1/key/create", "POST"),
    ] {
        let mut methods = vec!["PUT", "TRACE"];
        if path.starts_with("/api/v2") {
            methods.extend(["HEAD", "OPTIONS"]);
        }
        for method in methods {
            let answer = app.owner().call(method, path, Vec::new()).await;
            assert_eq!(answer.header("allow"), allowed, "{method} {path}");
            answer.error(405, "method_not_allowed");
        }
    }
}

#[tokio::test]
async fn no_credentials_are_403_in_v2_and_401_in_v1() {
    let app = TestApp::new().await;
    let v2 = app.anonymous().get(SECRETS).await;
    let v2 = v2.error(403, "missing_credentials");
    assert_eq!(v2["message"], "Did not get inputs for authorization");
    let v1 = app.anonymous().get(KEYS).await;
    let v1 = v1.error(401, "not_authenticated");
    assert_eq!(v1["message"], "Not authenticated");
}

/// One answer for all that can be wrong.
#[tokio::test]
async fn wrong_credentials_are_401() {
    let app = TestApp::new().await;
    let (good, other) = (app.new_caller("agent").await.0, app.new_caller("agent").await.0);
    let mistyped = |text: &str| {
        let last = if text.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &text[..text.len() - 1])
    };
    let bearer = |value: &str| app.anonymous().with("Authorization", value);
    let pair = |id: &str, secret: &str| {
        let caller = app.anonymous().with("sb-api-key-id", id);
        caller.with("sb-api-secret-key", secret)
    };
    let unknown = "key_00000000000000000000000000";
    let callers: Vec<Caller> = vec![
        bearer(""),
        bearer("Bearer"),
        bearer(&good.token),
        bearer("Bearer nonsense"),
        bearer(&format!("Bearer {}", mistyped(&good.token))),
        bearer(&format!("Bearer {}", good.secret)),
        pair(&good.id, &other.secret),
        pair(&good.id, &mistyped(&good.secret)),
        pair(unknown, &good.secret),
        pair(&good.id, ""),
        pair("", &good.secret),
        pair(&good.id, &good.token),
        app.anonymous().with("sb-api-key-id", &good.id),
        app.anonymous().with("sb-api-secret-key", &good.secret),
        // The pair counts where both forms are there.
        pair(&good.id, &other.secret).with_token(&good),
    ];
    for (index, caller) in callers.iter().enumerate() {
        let v2 = caller.get(SECRETS).await;
        assert_eq!(v2.status, 401, "caller {index}");
        let v2 = v2.error(401, "invalid_credentials");
        assert_eq!(v2["message"], "Invalid Credentials");
        caller.get(KEYS).await.error(401, "not_authenticated");
    }
}

#[tokio::test]
async fn credentials_are_looked_at_before_the_body() {
    let app = TestApp::new().await;
    let call = app.anonymous().call("POST", SECRETS, b"{".to_vec());
    call.await.error(403, "missing_credentials");
}

#[tokio::test]
async fn a_body_of_64_kib_is_taken_and_one_byte_more_is_not() {
    let app = TestApp::new().await;
    let body = |length: usize| {
        let start = format!(r#"{{"label":"x","secret":"{CANARY}""#);
        format!("{start}{}}}", " ".repeat(length - start.len() - 1))
    };
    let fits = body(64 * 1024);
    assert_eq!(fits.len(), 64 * 1024);
    let fits = app.backend().call("POST", SECRETS, fits.into());
    fits.await.ok();
    let larger = app.backend().call("POST", SECRETS, body(64 * 1024 + 1).into());
    larger.await.error(413, "too_large");
    let far_larger = app.backend().call("POST", SECRETS, vec![b'x'; 1024 * 1024]);
    far_larger.await.error(413, "too_large");
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_refused_everywhere() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let entry = format!("{SECRETS}/{id}");
    let deep = "[".repeat(60_000);
    for (method, path) in [
        ("POST", SECRETS),
        ("PATCH", entry.as_str()),
        ("POST", "/api/v1/key/create"),
        ("POST", "/api/v1/account/create"),
    ] {
        for body in [
            "",
            "null",
            "{",
            "[]",
            "7",
            "\"x\"",
            "label=x&secret=y",
            "{\"label\":}",
            "{\"label\":\"a\",\"label\":\"b\"}",
            "{\"label\":\"\\ud800\"}",
            "{} {}",
            "\u{feff}{}",
            deep.as_str(),
        ] {
            let answer = app.owner().call(method, path, body.into()).await;
            let short = body.get(..20).unwrap_or(body);
            assert_eq!(answer.status, 400, "{method} {path} {short}");
            let error = answer.json()["error"].clone();
            // One half of a surrogate pair is no string, which is the label's own error there.
            assert!(["bad_request", "invalid_label"].contains(&error.as_str().unwrap()));
        }
        let answer = app.owner().call(method, path, vec![0xff, 0xfe, b'{']).await;
        answer.error(400, "bad_request");
    }
}

#[tokio::test]
async fn a_field_that_is_there_twice_is_named_and_its_values_are_not_repeated() {
    let app = TestApp::new().await;
    let entry = format!("{SECRETS}/{}", app.entry().await);
    let (key, _) = app.new_caller("agent").await;
    let update = format!("/api/v1/key/{}/update", key.id);
    let twice = |field: &str| format!(r#"{{"{field}":"{CANARY}","{field}":"{CANARY}"}}"#);
    for (method, path, body, field) in [
        ("POST", SECRETS, twice("label"), "label"),
        ("POST", SECRETS, twice("secret"), "secret"),
        ("POST", SECRETS, twice("uri"), "uri"),
        ("POST", SECRETS, r#"{"label":"x","digits":6,"digits":null}"#.into(), "digits"),
        ("PATCH", &entry, twice("label"), "label"),
        ("PATCH", &entry, twice("issuer"), "issuer"),
        ("PATCH", &entry, r#"{"policy":{"unique":true,"unique":false}}"#.into(), "unique"),
        ("POST", "/api/v1/key/create", twice("role"), "role"),
        ("POST", "/api/v1/key/create", r#"{"expiresAt":1,"expiresAt":2}"#.into(), "expiresAt"),
        ("POST", &update, twice("name"), "name"),
        ("POST", "/api/v1/account/create", twice("email"), "email"),
    ] {
        // The guard looks for the canary in the answer.
        let answer = app.owner().call(method, path, body.into()).await;
        let message = answer.error(400, "bad_request")["message"].clone();
        let text = format!("`{field}` is in the body more than once; send it once");
        assert_eq!(message, text, "{method} {path}");
    }
    let list = app.agent().get(SECRETS).await.ok();
    assert_eq!(list["totp_secrets"][0]["label"], "GitHub");
    assert_eq!(list["totp_secrets"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn request_line_and_headers_have_16_kib_at_most() {
    const LIMIT: usize = 16 * 1024;
    let app = TestApp::new().await;
    for path in [SECRETS, "/api/v2/nothing", KEYS, "/healthz", "/nothing"] {
        let head = format!("GET {path} HTTP/1.1\r\nx: \r\n\r\n").len();
        let call = |length: usize| app.anonymous().get(path).header("x", &"a".repeat(length));
        let fits = call(LIMIT - head).await;
        assert_ne!(fits.status, 431, "{path}");
        call(LIMIT - head + 1).await.error(431, "headers_too_large");
    }
    let long = format!("{SECRETS}/{}", "a".repeat(LIMIT));
    for caller in [app.anonymous(), app.owner()] {
        caller.get(&long).await.error(431, "headers_too_large");
        caller.get(format!("{KEYS}?cursor={long}")).await.error(431, "headers_too_large");
    }
    let many = (0..90).fold(app.owner(), |caller, n| caller.with(&format!("x-{n}"), &long[..200]));
    many.post(SECRETS, json!({"label": "x"})).await.error(431, "headers_too_large");
    assert_eq!(app.owner().get(SECRETS).await.ok()["totp_secrets"], json!([]));
}

#[tokio::test]
async fn a_bodys_content_type_does_not_matter() {
    let app = TestApp::new().await;
    let call = app.backend().post(SECRETS, json!({"label": "x"}));
    call.header("Content-Type", "text/plain").await.ok();
}

#[tokio::test]
async fn a_callers_request_id_is_echoed() {
    let app = TestApp::new().await;
    for id in ["a", "req_1-2.3:4", "0".repeat(128).as_str()] {
        let good = app.agent().get(SECRETS).header("X-Request-Id", id).await;
        assert_eq!(good.header("x-request-id"), id);
        let bad = app.agent().get("/api/v2/x").header("X-Request-Id", id).await;
        assert_eq!(bad.header("x-request-id"), id);
    }
}

#[tokio::test]
async fn an_odd_request_id_is_replaced() {
    let app = TestApp::new().await;
    for id in ["", "a b", "a\tb", "<script>", "{\"a\":1}", "0".repeat(129).as_str()] {
        let answer = app.agent().get(SECRETS).header("X-Request-Id", id).await;
        let made = answer.header("x-request-id");
        assert!(!made.is_empty() && made != id, "{id:?}");
    }
}

#[tokio::test]
async fn every_request_has_another_id() {
    let app = TestApp::new().await;
    let one = app.agent().get(SECRETS).await;
    let two = app.agent().get(SECRETS).await;
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}

#[tokio::test]
async fn head_on_a_code_releases_nothing() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let before = app.events().await.len();
    let head = app.agent().call("HEAD", &code_path(&id, ""), Vec::new());
    head.await.error(405, "method_not_allowed");
    assert_eq!(app.events().await.len(), before);
    // The step was not used up either.
    let unique = code_path(&id, "?unique=true");
    app.agent().get(unique).await.ok();
}

#[tokio::test]
async fn head_and_options_of_v1_answer_without_a_key() {
    let app = TestApp::new().await;
    let head = app.anonymous().call("HEAD", KEYS, Vec::new()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let options = app.anonymous().call("OPTIONS", KEYS, Vec::new()).await;
    assert_eq!(options.ok(), json!({}));
}

#[tokio::test]
async fn head_outside_the_api_says_what_get_would_say() {
    let app = TestApp::new().await;
    let head = |caller: &Caller, path: &str| caller.call("HEAD", path, Vec::new());
    for path in ["/healthz", "/readyz"] {
        for caller in [app.anonymous(), app.operator()] {
            let answer = head(&caller, path).await;
            assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        }
    }
    assert_eq!(head(&app.operator(), "/metrics").await.status, 200);
    for path in ["/metrics", "/", "/nothing", "/api", "/api/v3/x", "/api/v1x", "/api/v2/x"] {
        head(&app.anonymous(), path).await.error(404, "not_found");
    }
    app.close();
    assert_eq!(head(&app.anonymous(), "/healthz").await.status, 200);
    for caller in [app.anonymous(), app.operator()] {
        head(&caller, "/readyz").await.error(503, "service_unavailable");
    }
}

#[tokio::test]
async fn options_outside_the_api_is_a_method_like_any_other() {
    let app = TestApp::new().await;
    let options = |path: &str| app.anonymous().call("OPTIONS", path, Vec::new());
    options("/readyz").await.error(405, "method_not_allowed");
    options("/nothing").await.error(404, "not_found");
}

#[tokio::test]
async fn health_needs_no_key() {
    let app = TestApp::new().await;
    let healthy: Value = json!({"status": "OK"});
    assert_eq!(app.anonymous().get("/healthz").await.ok(), healthy);
    assert_eq!(app.anonymous().get("/readyz").await.ok(), healthy);
}

#[tokio::test]
async fn a_server_whose_database_is_away_answers_503_and_never_a_code() {
    for audit in [keyfob_server::config::Audit::Durable, keyfob_server::config::Audit::Buffered] {
        let setup = crate::app::Setup { audit, ..Default::default() };
        let app = TestApp::with(setup).await;
        let id = app.entry().await;
        app.agent().get(code_path(&id, "")).await.ok();
        app.close();
        let code = app.agent().get(code_path(&id, "")).await;
        code.error(503, "service_unavailable");
        let create = app.backend().post(SECRETS, json!({"label": "x"})).await;
        create.error(503, "service_unavailable");
    }
}

#[tokio::test]
async fn a_whole_number_may_have_a_fraction_of_zero_and_no_other() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let search = |take: f64| {
        owner.post("/api/v1/platform/secret/search", json!({"search": "s", "take": take}))
    };
    assert_eq!(search(2.0).await.ok()["items"].as_array().unwrap().len(), 2);
    for wrong in [2.5, 0.0, 101.0, -1.0, 1e300] {
        search(wrong).await.error(400, "bad_request");
    }
    let key = json!({"role": "agent", "rate": 60.0, "expiresAt": 4_102_444_800_000.0});
    let key = owner.post("/api/v1/key/create", key).await.ok();
    let path = format!("/api/v1/key/{}/fetch", key["id"].as_str().unwrap());
    let key = owner.get(path).await.ok();
    assert_eq!((&key["rate"], &key["expiresAt"]), (&json!(60), &json!(4_102_444_800_000_i64)));
    let entry = json!({"label": "x", "digits": 8.0, "period": 60.0});
    let entry = owner.post("/api/v2/totp/secrets", entry).await.ok();
    let entry = &entry["totp_secret"];
    assert_eq!((&entry["digits"], &entry["period"]), (&json!(8), &json!(60)));
    let entry = json!({"label": "x", "digits": 6.5});
    owner.post("/api/v2/totp/secrets", entry).await.error(400, "invalid_digits");
}
