//! What the audit trail tells of requests that are passed on, and what it never does.

use data_encoding::BASE64;
use keyfob_core::policy::Role;
use serde_json::{Value, json};

use crate::{
    app::{Setup, TestApp},
    guard::{CANARY, logs},
    passed_on::{Back, Scene, ask, call},
    secret,
    upstream::{Speaks, Upstream, answer},
};

/// In the URL that a caller asks for.
const OF_THE_CALLER: &str = "QUERYcanary9f8e7d6c5b4a";

impl Scene {
    /// What comes of a request in JSON, and with the URL in the path.
    async fn each_way(&self) -> [Back; 2] {
        let agent = self.app.agent();
        let in_json = self.send(&agent, json!({"url": self.url("/")})).await;
        [in_json, self.pass(&agent, "GET", "/", &[], "").await]
    }
}

#[tokio::test]
async fn a_url_that_holds_the_key_that_is_shown_is_refused_and_in_no_event() {
    let scene = Scene::new().await;
    let (agent, key) = (scene.app.agent(), scene.app.key_of(Role::Agent));
    let secret = key.token.rsplit('_').next().unwrap();
    let digits = data_encoding::HEXUPPER.encode(secret.as_bytes()).into_bytes();
    let digits = digits.chunks(2).flat_map(|byte| [b"%", byte].concat());
    let encoded = String::from_utf8(digits.collect()).unwrap();
    for path in [
        format!("/bot{}/getMe", key.token),
        format!("/bot{secret}/getMe"),
        format!("/bot{encoded}/getMe"),
        format!("/?key={secret}"),
    ] {
        let sent = scene.send(&agent, json!({"url": scene.url(&path)})).await;
        let passed = scene.pass(&agent, "GET", &path, &[], "").await;
        for back in [sent, passed] {
            assert!(back.error(400, "bad_request").contains("of the URL holds the key"), "{path}");
        }
    }
    let events = scene.app.events().await;
    let mut reasons = events.iter().filter_map(|event| event.reason.as_deref());
    assert!(!reasons.any(|reason| reason.contains("getMe")));
    assert_eq!(scene.upstream.requests().len(), 0);
}

/// It fails closed: what cannot be told is not done.
#[tokio::test]
async fn what_the_trail_cannot_take_is_not_sent() {
    for was_sent_lately in [false, true] {
        let scene = Scene::new().await;
        if was_sent_lately {
            assert_eq!(scene.each_way().await.map(|back| back.status.as_u16()), [200, 200]);
            scene.until_events("answered", 2).await;
        }
        let sent = scene.upstream.requests().len();
        scene.app.database().execute("ALTER TABLE event RENAME TO event_away");
        for back in scene.each_way().await {
            back.error(500, "internal_server_error");
        }
        // Nor is a refusal hidden that nobody could tell of.
        let body = json!({"url": "https://elsewhere.example/"});
        let back = scene.send(&scene.app.agent(), body).await;
        back.error(500, "internal_server_error");
        assert_eq!(scene.upstream.requests().len(), sent);
        scene.app.database().execute("ALTER TABLE event_away RENAME TO event");
        assert_eq!(scene.each_way().await.map(|back| back.status.as_u16()), [200, 200]);
        assert_eq!(scene.upstream.requests().len(), sent + 2);
    }
}

#[tokio::test]
async fn what_was_sent_is_told_with_who_sent_it_for_whom_and_outlives_a_restart() {
    let mut scene = Scene::new().await;
    for back in scene.each_way().await {
        assert_eq!(back.status, 200);
    }
    scene.until_events("answered", 2).await;
    scene.app.restart().await;
    let events = scene.app.events().await.into_iter();
    let events: Vec<_> = events.filter(|event| event.action == "connection.proxy").collect();
    let agent = scene.app.key_of(Role::Agent).id.clone();
    for event in &events {
        assert_eq!((&*event.actor.0, &event.actor.1), ("key", &agent));
        assert_eq!(event.object, ("secret".to_owned(), scene.secret.clone()));
        assert_eq!(event.contact_id.as_ref(), Some(&scene.contact));
        assert_eq!(event.ip.as_deref(), Some(crate::call::PEER));
        let told = event.reason.as_deref().unwrap();
        assert!(told.starts_with(&format!("GET {}", scene.url("/"))), "{told}");
    }
    let mut results: Vec<_> = events.iter().map(|event| event.result.as_str()).collect();
    results.sort_unstable();
    assert_eq!(results, ["answered", "answered", "sending", "sending"]);
    assert_eq!(scene.each_way().await.map(|back| back.status.as_u16()), [200, 200]);
}

/// A rival's logs had credentials that were in a query. The guard looks into logs, metrics, answers and the
/// database for the credential.
#[tokio::test]
async fn a_credential_in_a_query_is_in_no_event_log_metric_or_error() {
    let scene = Scene::new().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let open = format!("127.0.0.1:{}", scene.upstream.port());
    let hosts = json!([open, closed.to_string()]);
    let config = json!({"hosts": hosts, "inject": {"query": "key"}});
    let body = json!({"type": "plain", "value": CANARY, "config": config});
    let secret = secret::create(&scene.app.backend(), body).await;
    let agent = scene.app.agent();
    for (host, status) in [(open, 200), (closed.to_string(), 502), ("a.example".into(), 400)] {
        let url = format!("http://{host}/v1?{OF_THE_CALLER}=1");
        for back in [
            ask(&agent, &secret::path(&secret, "proxy"), &json!({"url": url})).await,
            call(&agent, "GET", &format!("/proxy/-/{secret}/{url}"), &[], "").await,
        ] {
            assert_eq!(back.status, status, "{}", back.text());
            for (name, value) in &back.headers {
                assert_eq!(scene.app.guard().find_in(value.as_bytes()), None, "{name}");
            }
            assert_eq!(scene.app.guard().find_in(&back.body), None);
            assert!(!back.text().contains(OF_THE_CALLER));
        }
    }
    let sent = format!("/v1?{OF_THE_CALLER}=1&key={CANARY}");
    assert_eq!(scene.got().uri.to_string(), sent, "it was there to be told");
    scene.app.operator().get("/metrics").await;
    let events = format!("{:?}", scene.app.events().await);
    assert!(events.contains("/v1") && !events.contains(OF_THE_CALLER), "{events}");
    scene.app.guard().check("the events", events.as_bytes());
    assert!(!logs().contains(OF_THE_CALLER));
}

/// A server that sends everything back, in every part of an answer: the credential is told of nowhere.
#[tokio::test]
async fn a_credential_that_came_back_is_in_no_event_and_no_log() {
    let upstream = Upstream::start(Speaks::Clear, |request| {
        let got = request.headers()["authorization"].to_str().unwrap().to_owned();
        let mut back = answer(format!("{got} {}", BASE64.encode(got.as_bytes())));
        back.headers_mut().insert("x-got", got.parse().unwrap());
        async { back }
    });
    let app = TestApp::with(Setup::default()).await;
    let scene = Scene::of(app, upstream.await, json!({})).await;
    let value = json!({"value": CANARY});
    let (contact, secret) = (&scene.contact, &scene.secret);
    crate::connection::connect(&scene.app.backend(), contact, secret, value).await.ok();
    for back in scene.each_way().await {
        assert_eq!(back.status, 200);
        assert_eq!(back.headers["x-got"], "Bearer [redacted by keyfob]");
        assert_eq!(scene.app.guard().find_in(&back.body), None, "{}", back.text());
        let encoded = BASE64.encode(format!("Bearer {CANARY}").as_bytes());
        assert!(!back.text().contains(&encoded[12..40]), "{}", back.text());
    }
    assert_eq!(scene.got().headers["authorization"], format!("Bearer {CANARY}"));
    scene.until_events("redacted", 2).await;
    let events: Value = scene.app.backend().get("/api/v1/event/list?result=redacted").await.ok();
    let events = events["items"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    for event in events {
        let told = event["reason"].as_str().unwrap();
        assert!(told.contains("the credential was taken out in 3 places"), "{told}");
    }
}
