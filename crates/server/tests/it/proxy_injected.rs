//! Where in a request a credential goes: where its secret's config says, and nowhere else.

use aws_lc_rs::hmac;
use data_encoding::{BASE64, HEXLOWER};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    app::TestApp,
    connection::path,
    guard::CANARY,
    passed_on::{Back, Scene, TOKEN, ask, call},
    scene, secret,
    upstream::{Came, Speaks, Upstream, answer},
};

/// A shared secret that may be sent to this server.
async fn shared(app: &TestApp, upstream: &Upstream, mut body: Value) -> String {
    body["config"]["hosts"] = json!([format!("127.0.0.1:{}", upstream.port())]);
    secret::create(&app.backend(), body).await
}

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64.encode(pair.as_bytes()))
}

#[tokio::test]
async fn a_credential_is_put_where_its_config_says_and_nowhere_else() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    let pair = json!({"username": "ann", "password": CANARY}).to_string();
    let encoded = basic(&format!("ann:{CANARY}"));
    let token = json!({"basic": "password", "username": "x-access-token"});
    for (kind, value, config, header, expected) in [
        ("plain", CANARY, json!({}), "authorization", CANARY.to_owned()),
        ("bearer", CANARY, json!({}), "authorization", format!("Bearer {CANARY}")),
        ("bearer", CANARY, json!({"schema": "Token"}), "authorization", format!("Token {CANARY}")),
        ("basic", &pair, json!({}), "authorization", encoded.clone()),
        ("plain", CANARY, json!({"inject": {"header": "X-Key"}}), "x-key", CANARY.to_owned()),
        (
            "plain",
            CANARY,
            json!({"inject": {"header": "X-Key", "prefix": "key="}}),
            "x-key",
            format!("key={CANARY}"),
        ),
        ("basic", &pair, json!({"inject": {"header": "X-Key"}}), "x-key", encoded),
        (
            "bearer",
            CANARY,
            json!({"inject": {"basic": "username"}}),
            "authorization",
            basic(&format!("{CANARY}:")),
        ),
        (
            "bearer",
            CANARY,
            json!({"inject": token}),
            "authorization",
            basic(&format!("x-access-token:{CANARY}")),
        ),
    ] {
        let body = json!({"type": kind, "value": value, "config": config});
        let secret = shared(&scene.app, &scene.upstream, body).await;
        let url = scene.url("/v1?x=1");
        // What the caller has there gives way.
        let json = json!({"url": url, "headers": {"X-Key": "mine", "X-Own": "1"}});
        let own = [("x-key", "mine"), ("x-own", "1")];
        for back in [
            ask(&agent, &secret::path(&secret, "proxy"), &json).await,
            call(&agent, "GET", &format!("/proxy/-/{secret}/{url}"), &own, "").await,
        ] {
            assert_eq!(back.status, 200, "{config}: {}", back.text());
        }
        for got in scene.upstream.requests().into_iter().rev().take(2) {
            assert_eq!(got.uri, "/v1?x=1");
            assert_eq!(got.headers[header], expected, "{config}");
            assert_eq!(got.headers.get_all(header).iter().count(), 1);
            let is_authorization = header == "authorization";
            assert_eq!(got.headers.contains_key("authorization"), is_authorization);
            assert_eq!(got.headers["x-key"] == "mine", is_authorization, "{config}");
            assert_eq!(got.headers["x-own"], "1");
        }
    }
}

#[tokio::test]
async fn every_method_is_passed_on_with_the_credential_and_no_other_is() {
    let scene = Scene::new().await;
    let agent = scene.app.agent();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
        let json = json!({"url": scene.url("/v1"), "method": method});
        for back in
            [scene.send(&agent, json).await, scene.pass(&agent, method, "/v1", &[], "").await]
        {
            assert_eq!(back.status, 200, "{method}: {}", back.text());
            let got = scene.got();
            assert_eq!((got.method.as_str(), got.uri.path()), (method, "/v1"));
            assert_eq!(got.headers["authorization"], format!("Bearer {TOKEN}"));
        }
    }
    let sent = scene.upstream.requests().len();
    for method in ["TRACE", "CONNECT", "PROPFIND", "get", "BREW"] {
        let json = json!({"url": scene.url("/v1"), "method": method});
        scene.send(&agent, json).await.error(400, "bad_request");
        let back = scene.pass(&agent, method, "/v1", &[], "").await;
        // RFC 9110, section 15.5.6.
        assert_eq!(back.headers["allow"], "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS");
        back.error(405, "method_not_allowed");
    }
    // Nor is one that asks first whether it may (CORS), which comes without a key.
    let preflight = [("origin", "https://a.example"), ("access-control-request-method", "POST")];
    let anonymous = scene.app.anonymous();
    let back = scene.pass(&anonymous, "OPTIONS", "/v1", &preflight, "").await;
    back.error(401, "not_authenticated");
    assert!(!back.headers.contains_key("access-control-allow-origin"));
    assert_eq!(scene.upstream.requests().len(), sent);
}

#[tokio::test]
async fn a_credential_in_the_query_takes_the_place_of_every_other_of_its_name() {
    let scene = Scene::new().await;
    let value = format!("{CANARY}/+=&# é");
    let encoded = format!("{CANARY}%2F%2B%3D%26%23%20%C3%A9");
    let body = json!({"type": "plain", "value": value, "config": {"inject": {"query": "api key"}}});
    let secret = shared(&scene.app, &scene.upstream, body).await;
    let to = secret::path(&secret, "proxy");
    for (asked, sent) in [
        ("/v1", format!("/v1?api%20key={encoded}")),
        ("/v1?", format!("/v1?api%20key={encoded}")),
        ("/v1?x=%2F&y", format!("/v1?x=%2F&y&api%20key={encoded}")),
        ("/v1?api+key=mine&x=1&api%20key=", format!("/v1?x=1&api%20key={encoded}")),
        ("/v1?%61pi%20key=mine", format!("/v1?api%20key={encoded}")),
    ] {
        let back = ask(&scene.app.agent(), &to, &json!({"url": scene.url(asked)})).await;
        assert_eq!(back.status, 200, "{}", back.text());
        assert_eq!(scene.got().uri.to_string(), sent);
        assert!(!scene.got().headers.contains_key("authorization"));
    }
    let told = scene.app.events().await.into_iter().filter_map(|event| event.reason);
    assert!(!told.collect::<String>().contains("api"), "no event tells a query");
}

/// Others merged what they had for a host, or took the first.
#[tokio::test]
async fn credentials_of_one_host_are_each_sent_where_they_are_asked_for() {
    let (oauth, grant) = scene::Scene::connected().await;
    let upstream = Upstream::start(Speaks::Clear, |_| async { answer("in") }).await;
    let hosts = json!({"hosts": [format!("127.0.0.1:{}", upstream.port())]});
    oauth.configure(&hosts).await.ok();
    let body =
        json!({"type": "plain", "value": CANARY, "config": {"inject": {"header": "X-Api-Key"}}});
    let key = shared(&oauth.app, &upstream, body).await;
    let url = json!({"url": format!("http://127.0.0.1:{}/", upstream.port())});
    for _ in 0..3 {
        for to in [path(&oauth.contact, &oauth.secret, "proxy"), secret::path(&key, "proxy")] {
            assert_eq!(ask(&oauth.app.agent(), &to, &url).await.status, 200);
        }
    }
    let bearer = format!("Bearer {}", grant.access_token);
    for (at, got) in upstream.requests().iter().enumerate() {
        let shown = ["authorization", "x-api-key"]
            .map(|name| got.headers.get(name).map(|value| value.to_str().unwrap()));
        let expected =
            if at % 2 == 0 { [Some(bearer.as_str()), None] } else { [None, Some(CANARY)] };
        assert_eq!(shown, expected);
    }
}

/// W12: whether there is a secret of that name is nobody's business either.
#[tokio::test]
async fn a_placeholder_tells_nothing_of_other_secrets() {
    let scene = Scene::new().await;
    let backend = scene.app.backend();
    secret::create(&backend, json!({"name": "There", "value": CANARY})).await;
    secret::create(&backend, json!({"name": "Empty"})).await;
    let answered = async |name: &str| {
        let placeholder = format!("${{SECRET_{name}}}");
        let body = json!({"url": scene.url("/"), "headers": {"X-Key": placeholder}});
        let in_json = scene.send(&scene.app.agent(), body).await;
        let headers = [("x-key", placeholder.as_str())];
        let passed = scene.pass(&scene.app.agent(), "GET", "/", &headers, "").await;
        [in_json, passed].map(|back: Back| {
            back.error(400, "bad_request");
            let mut body = back.json();
            body["request_id"] = Value::Null;
            body.to_string().replace(name, "NAME")
        })
    };
    let unknown = answered("NOWHERE").await;
    for name in ["THERE", "EMPTY", "THERE_"] {
        assert_eq!(answered(name).await, unknown, "{name}");
    }
    assert!(scene.upstream.requests().is_empty());
}

/// Nothing is replaced in what a caller sends but where a header says so.
#[tokio::test]
async fn a_placeholder_in_a_url_or_a_body_is_sent_as_it_is() {
    let upstream = Upstream::start(Speaks::Clear, |request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        answer(body)
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let url = scene.url("/bot${SECRET_DEFAULT}/x?key={{SECRET_DEFAULT}}");
    let text = "${SECRET_DEFAULT} {{SECRET_MODEL}}";
    let body = json!({"url": url, "method": "POST", "body": text});
    let back = scene.send(&scene.app.agent(), body).await;
    assert_eq!((back.status.as_u16(), back.text()), (200, text.into()));
    let got = scene.got();
    assert_eq!(got.uri, "/bot$%7BSECRET_DEFAULT%7D/x?key={{SECRET_DEFAULT}}");
    assert_eq!(got.headers["authorization"], format!("Bearer {TOKEN}"));
}

/// One request that holds many is one: what is inside it is not looked for, and goes where paths allow.
#[tokio::test]
async fn a_batch_goes_out_as_it_is_with_one_credential() {
    let upstream = Upstream::start(Speaks::Clear, |request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        answer(body)
    });
    let config = json!({"paths": ["/batch/mail/v1", "/mail/v1/"]});
    let scene = Scene::at(upstream.await, config).await;
    let batch = "--b\r\nContent-Type: application/http\r\nContent-ID: <1>\r\n\r\n\
                 GET /mail/v1/users/me HTTP/1.1\r\nAuthorization: Bearer ${SECRET_DEFAULT}\r\n\r\n\
                 --b\r\nContent-Type: application/http\r\n\r\nDELETE /other/v1/x\r\n\r\n--b--\r\n";
    let kind = [("content-type", "multipart/mixed; boundary=b")];
    let agent = scene.app.agent();
    let back = scene.pass(&agent, "POST", "/batch/mail/v1", &kind, batch).await;
    assert_eq!((back.status.as_u16(), back.text()), (200, batch.into()));
    let got = scene.got();
    let shown: Vec<_> = got.headers.get_all("authorization").iter().collect();
    assert_eq!(shown, [&format!("Bearer {TOKEN}")]);
    assert_eq!(got.headers["content-type"], kind[0].1);
    for path in ["/batch", "/batch/other/v1", "/batch/mail/v1/../../../other"] {
        let back = scene.pass(&agent, "POST", path, &kind, batch).await;
        back.error(400, "invalid_destination");
    }
    assert_eq!(scene.upstream.requests().len(), 1);
}

fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

/// The signature that AWS would make of this request, by its own description (Signature Version 4).
fn signature(got: &Came, body: &str, password: &str) -> String {
    let said = got.headers["authorization"].to_str().unwrap();
    let part = |name: &str| {
        let rest = said.split_once(&format!("{name}=")).unwrap().1;
        rest.split(',').next().unwrap()
    };
    let (names, scope) = (part("SignedHeaders"), part("Credential").split_once('/').unwrap().1);
    let line = |name| format!("{name}:{}\n", got.headers[name].to_str().unwrap());
    let headers: String = names.split(';').map(line).collect();
    let (path, query) = (got.uri.path(), got.uri.query().unwrap_or_default());
    let request = format!("{}\n{path}\n{query}\n{headers}\n{names}\n{}", got.method, hash(body));
    let date = got.headers["x-amz-date"].to_str().unwrap();
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hash(&request));
    let sign = |key: &[u8], text: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let key = format!("AWS4{password}").into_bytes();
    let key = scope.split('/').fold(key, |key, part| sign(&key, part));
    HEXLOWER.encode(&sign(&key, &text))
}

#[tokio::test]
async fn a_request_is_signed_and_the_key_that_signs_it_is_not_in_it() {
    let scene = Scene::new().await;
    let pair = json!({"username": "AKIDEXAMPLE", "password": CANARY}).to_string();
    let config = json!({"signing": "sigv4", "region": "eu-west-1", "service": "dynamodb"});
    let body = json!({"type": "basic", "value": pair, "config": config});
    let secret = shared(&scene.app, &scene.upstream, body).await;
    let (agent, url) = (scene.app.agent(), scene.url("/?Action=List&x=1"));
    let text = r#"{"TableName":"x"}"#;
    let target = ("x-amz-target", "DynamoDB_20120810.DescribeTable");
    let headers = json!({"X-Amz-Target": target.1, "Content-Type": "application/x-amz-json-1.0"});
    let json = json!({"url": url, "method": "POST", "headers": headers, "body": text});
    let streaming = format!("/proxy/-/{secret}/{url}");
    // A client of AWS's own has signed with keys that are good for nothing.
    let own = "AWS4-HMAC-SHA256 Credential=mine/20200101/x/x/aws4_request, SignedHeaders=host, Signature=00";
    let given = [target, ("x-amz-date", "20200101T000000Z"), ("authorization", own)];
    let caller =
        scene.app.anonymous().with_pair(scene.app.key_of(keyfob_core::policy::Role::Agent));
    for back in [
        ask(&agent, &secret::path(&secret, "proxy"), &json).await,
        call(&caller, "POST", &streaming, &given, text).await,
    ] {
        assert_eq!(back.status, 200, "{}", back.text());
        let got = scene.got();
        let said = got.headers["authorization"].to_str().unwrap();
        let scope = "AKIDEXAMPLE/20260405/eu-west-1/dynamodb/aws4_request";
        let begin = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=");
        assert!(said.starts_with(&begin), "{said}");
        for name in ["host", "x-amz-date", "x-amz-target"] {
            assert!(said.split([';', '=', ',']).any(|signed| signed == name), "{name}: {said}");
        }
        let expected = signature(&got, text, CANARY);
        assert_eq!(said.split_once("Signature=").unwrap().1, expected, "{got:?}");
        assert_ne!(signature(&got, "another", CANARY), expected);
        assert!(!format!("{got:?}").contains(CANARY));
    }
}
