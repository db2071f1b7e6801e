//! What a hostile reviewer wants to see.
use std::time::Duration;

use keyfob_testkit::{Endpoint, Fault};
use serde_json::json;

use crate::{
    connection::{connect, path, verified_contact},
    scene::{LIFE, Scene, config},
    secret,
};

struct Held {
    go: std::sync::mpsc::Sender<()>,
    join: std::thread::JoinHandle<()>,
}

impl Held {
    fn new(scene: &Scene, sql: &'static str) -> Self {
        let url = scene.app.database().url();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (tell, ready) = std::sync::mpsc::channel::<()>();
        let join = std::thread::spawn(move || {
            let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
            client.batch_execute(&format!("BEGIN; {sql}")).unwrap();
            tell.send(()).unwrap();
            wait.recv().unwrap();
            client.batch_execute("COMMIT").unwrap();
        });
        ready.recv().unwrap();
        Self { go, join }
    }
    async fn commit(self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.go.send(()).unwrap();
        self.join.join().unwrap();
    }
}

fn is_pg(scene: &Scene) -> bool {
    scene.app.database().url().starts_with("postgres")
}

#[tokio::test]
async fn h1_torn_read_sends_a_used_token() {
    let (scene, _) = Scene::connected().await;
    if !is_pg(&scene) {
        return;
    }
    scene.outlive();
    let held = scene.app.hold_writers().await;
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.app.until_depth(1).await;
    // What another node's settle commits: the new value and a new fence, at once.
    let other = Held::new(
        &scene,
        "LOCK TABLE refresh IN ACCESS EXCLUSIVE MODE; UPDATE connection SET value = '\\x00'; UPDATE refresh SET fence = fence + 1, leased_until = NULL, unanswered_since = NULL, failures = 0, due_at = due_at + 600000",
    );
    drop(held);
    other.commit().await;
    let _ = call.await;
    assert_eq!(scene.asked(), 0, "the old refresh token was sent after it had been replaced");
}

#[tokio::test]
async fn h2_two_nodes_without_a_row() {
    let (mut scene, _) =
        Scene::connected_with(|options| options.reuse_grace = Duration::from_hours(1)).await;
    let there = scene.app.on_another_node(scene.app.backend()).await;
    let here = scene.app.backend();
    let mut twice = 0;
    for _ in 0..20 {
        scene.app.database().execute("DELETE FROM refresh");
        scene.outlive();
        let before = scene.asked();
        let (a, b) = tokio::join!(
            scene.call(&here, "mint").into_future(),
            scene.call(&there, "mint").into_future()
        );
        a.ok();
        b.ok();
        twice += usize::from(scene.asked() - before != 1);
    }
    assert_eq!(
        (twice, scene.provider.ledger().reuses()),
        (0, 0),
        "rounds with more than one request of 20"
    );
}

#[tokio::test]
async fn h3_an_update_of_a_shared_config_takes_the_lease_away() {
    let mut scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let value = json!({"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "accessTokenExpiresAt": grant.expires_at.as_millis()});
    let body =
        json!({"type": "oauth", "value": value.to_string(), "config": config(&scene.provider)});
    let id = secret::create(&scene.app.backend(), body).await;
    let there = scene.app.on_another_node(scene.app.backend()).await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let call =
        tokio::spawn(scene.app.backend().post(secret::path(&id, "mint"), json!({})).into_future());
    scene.until_asked(1).await;
    secret::update(&scene.app.backend(), &id, json!({"config": config(&scene.provider)}))
        .await
        .ok();
    let other = tokio::spawn(there.post(secret::path(&id, "mint"), json!({})).into_future());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (asked, reuses) = (scene.asked(), scene.provider.ledger().reuses());
    scene.provider.release();
    let one = call.await.unwrap();
    let two = other.await.unwrap();
    assert_eq!(
        (asked, reuses),
        (1, 0),
        "sent twice at once; answers {} {}",
        one.text(),
        two.text()
    );
}

#[tokio::test]
async fn h4_one_tenant_stops_the_job_of_all() {
    let (scene, _) = Scene::connected().await;
    let value = json!({"accessToken": "a", "refreshToken": "r", "accessTokenExpiresAt": 9_000_000_000_000_000_i64});
    let body = json!({"type": "oauth", "value": value.to_string(), "config": {"clientId": "x", "clientSecret": "y", "tokenUrl": "https://a.example.com/token"}});
    let stranger = scene.app.other_account().await;
    stranger.post("/api/v1/secret/create", body).await.ok();
    scene.app.clock.advance(LIFE * 9 / 10);
    let done = scene.app.broker().renew_due().await;
    assert!(done.is_ok(), "{done:?}");
}

#[tokio::test]
async fn h4b_a_refresh_end_beyond_dates_damages_the_secret() {
    let scene = Scene::new().await;
    let value = json!({"accessToken": "a", "refreshToken": "r", "refreshTokenExpiresAt": 9_000_000_000_000_000_i64});
    let body =
        json!({"type": "oauth", "value": value.to_string(), "config": config(&scene.provider)});
    let id = secret::create(&scene.app.backend(), body).await;
    let fetched = scene.app.backend().get(secret::path(&id, "fetch")).await;
    let deleted = scene.app.backend().post(secret::path(&id, "delete"), json!({})).await;
    assert_eq!((fetched.status, deleted.status), (200, 200));
}

#[tokio::test]
async fn h5_an_outage_with_validate_url_says_unauthenticated() {
    let (scene, _) = Scene::connected().await;
    let mut config = config(&scene.provider);
    config["validateUrl"] = json!(scene.provider.url("/userinfo"));
    secret::update(&scene.app.backend(), &scene.secret, json!({"config": config})).await.ok();
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::internal_error()).always();
    let verified = scene.verify().await;
    assert_eq!(verified["status"], "authenticated", "{verified}");
}

#[tokio::test]
async fn h6_a_repeated_import_overwrites_rotated_tokens() {
    let scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let body = json!({"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresAt": grant.expires_at.as_millis()});
    connect(&scene.app.backend(), &scene.contact, &scene.secret, body.clone()).await.ok();
    scene.call(&scene.app.backend(), "refresh").await.ok();
    // The client repeats its POST.
    connect(&scene.app.backend(), &scene.contact, &scene.secret, body).await.ok();
    scene.outlive();
    let answer = scene.call(&scene.app.backend(), "mint").await;
    assert_eq!((answer.status, scene.provider.ledger().reuses()), (200, 0), "{}", answer.text());
}

#[tokio::test]
async fn h7_a_lost_swap_in_settle_dead_ends_the_new_row() {
    let (scene, grant) = Scene::connected().await;
    if !is_pg(&scene) {
        return;
    }
    let _ = scene.provider.withdraw(grant.family);
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldBefore);
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    let other = Held::new(
        &scene,
        "UPDATE connection SET value = '\\x00', broken = NULL; UPDATE refresh SET fence = fence + 1, leased_until = NULL, unanswered_since = NULL, due_at = due_at + 600000",
    );
    scene.provider.release();
    other.commit().await;
    let _ = call.await;
    let rows = scene.app.database().number("SELECT count(*) FROM refresh");
    let broken =
        scene.app.database().number("SELECT count(*) FROM connection WHERE broken IS NOT NULL");
    let told = scene.renewals().await;
    assert_eq!((rows, broken, told.len()), (1, 0, 0), "{told:?}");
}

#[tokio::test]
async fn h8_a_revoke_queues_the_newest_grant() {
    let (scene, _) = Scene::connected().await;
    if !is_pg(&scene) {
        return;
    }
    let other = Held::new(&scene, "UPDATE connection SET value = '\\x01'");
    let call = tokio::spawn(scene.call(&scene.app.backend(), "revoke").into_future());
    other.commit().await;
    call.await.unwrap().ok();
    let left = scene.app.database().number("SELECT count(*) FROM connection");
    let newest =
        scene.app.database().number("SELECT count(*) FROM revocation WHERE value = '\\x01'");
    let all = scene.app.database().number("SELECT count(*) FROM revocation");
    assert_eq!((left, newest, all), (0, 1, 1));
}

#[tokio::test]
async fn h9_a_raw_jwt_ends() {
    let scene = Scene::new().await;
    let exp = scene.app.clock.seconds() + 600;
    let claims = data_encoding::BASE64URL_NOPAD.encode(format!("{{\"exp\":{exp}}}").as_bytes());
    let token = format!("e30.{claims}.c2ln");
    let body = json!({"type": "oauth", "value": token, "config": config(&scene.provider)});
    let id = secret::create(&scene.app.backend(), body).await;
    scene.outlive();
    scene.outlive();
    let verified = scene.app.agent().post(secret::path(&id, "verify"), json!({})).await.ok();
    let minted = scene.app.backend().post(secret::path(&id, "mint"), json!({})).await;
    assert_eq!(
        (verified["status"].as_str(), minted.status),
        (Some("unauthenticated"), 409),
        "{verified} {}",
        minted.text()
    );
}

#[tokio::test]
async fn h10_a_broken_shared_secret_is_planned_again() {
    let scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let value = json!({"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "accessTokenExpiresAt": grant.expires_at.as_millis()});
    let body =
        json!({"type": "oauth", "value": value.to_string(), "config": config(&scene.provider)});
    let id = secret::create(&scene.app.backend(), body).await;
    let _ = scene.provider.withdraw(grant.family);
    scene.outlive();
    scene
        .app
        .backend()
        .post(secret::path(&id, "mint"), json!({}))
        .await
        .error(409, "authorization_required");
    secret::update(&scene.app.backend(), &id, json!({"config": config(&scene.provider)}))
        .await
        .ok();
    scene.outlive();
    let mut begun = Vec::new();
    for _ in 0..3 {
        begun.push(scene.app.broker().renew_due().await.unwrap());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let rows = scene.app.database().number("SELECT count(*) FROM refresh");
    assert_eq!((rows, begun), (0, vec![0, 0, 0]));
}

#[tokio::test]
async fn h11_mint_gives_a_link_that_is_withdrawn() {
    let scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let value = json!({"accessToken": grant.access_token, "accessTokenExpiresAt": grant.expires_at.as_millis()});
    let body =
        json!({"type": "oauth", "value": value.to_string(), "config": config(&scene.provider)});
    let id = secret::create(&scene.app.backend(), body).await;
    scene.outlive();
    let error = scene
        .app
        .backend()
        .post(secret::path(&id, "mint"), json!({}))
        .await
        .error(409, "authorization_required");
    let link = format!("/connect/{}", crate::authentication::state(&error["url"]));
    let page = crate::connect_page::Browser::new(&scene.app).open(&link).await;
    assert_eq!(page.status, 200, "the link that mint gave");
}

#[tokio::test]
async fn h12_a_reference_mints_with_anothers_secret() {
    let scene = Scene::new().await;
    secret::update(&scene.app.backend(), &scene.secret, json!({"visibility": "public"})).await.ok();
    let child = scene.app.other_account().await;
    let contact = verified_contact(&child).await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let body = json!({"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresAt": grant.expires_at.as_millis()});
    connect(&child, &contact, &scene.secret, body.clone()).await.ok();
    let direct = child.post(path(&contact, &scene.secret, "mint"), json!({})).await;
    let body2 =
        json!({"kind": "personal", "type": "reference", "config": {"reference": scene.secret}});
    let id = secret::create(&child, body2).await;
    connect(&child, &contact, &id, body).await.ok();
    let by_reference = child.post(path(&contact, &id, "mint"), json!({})).await;
    assert_eq!((direct.status, by_reference.status), (403, 403));
}

#[tokio::test]
async fn h13_a_shared_value_without_an_end_is_renewed_some_time() {
    let scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let value = json!({"accessToken": grant.access_token, "refreshToken": grant.refresh_token});
    let body =
        json!({"type": "oauth", "value": value.to_string(), "config": config(&scene.provider)});
    let id = secret::create(&scene.app.backend(), body).await;
    scene.app.clock.advance_seconds(7200);
    let minted = scene.app.backend().post(secret::path(&id, "mint"), json!({})).await.ok();
    assert!(
        scene.provider.is_valid(minted["token"].as_str().unwrap()),
        "an ended token is handed out"
    );
}

#[tokio::test]
async fn h14_a_clock_that_was_ahead_leaves_a_lease_for_a_day() {
    let (mut scene, _) =
        Scene::connected_with(|options| options.reuse_grace = Duration::from_hours(48)).await;
    scene.app.clock.advance_seconds(86_400);
    scene.provider.script(Endpoint::Token, Fault::HoldBefore);
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    scene.app.restart().await;
    call.abort();
    let now = scene.app.clock.seconds() - 86_400 + 3_600;
    scene.app.clock.set(keyfob_core::time::Timestamp::from_seconds(now));
    let answer = tokio::time::timeout(
        Duration::from_secs(40),
        scene.call(&scene.app.backend(), "mint").into_future(),
    )
    .await;
    scene.provider.release();
    assert_eq!(answer.unwrap().status, 200);
}

#[tokio::test]
async fn h15_a_late_grant_is_not_revoked_beside_a_working_connection() {
    let scene = Scene::new().await;
    scene.import(100 * LIFE).await;
    let link = crate::authorize::link(&scene).await;
    let mut browser = crate::connect_page::Browser::new(&scene.app);
    let url = crate::authorize::go_on(&mut browser, &link).await;
    let back = crate::authorize::agree(&url).await;
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let page = tokio::spawn(async move { browser.open(&back).await });
    scene.until_asked(1).await;
    scene.app.clock.advance_seconds(900);
    scene.provider.release();
    let page = page.await.unwrap();
    let queued = scene.app.database().number("SELECT count(*) FROM revocation");
    let without_config =
        scene.app.database().number("SELECT count(*) FROM revocation WHERE config IS NULL");
    assert_eq!((page.status, queued, without_config), (410, 0, 0));
}

#[tokio::test]
async fn h16_a_stop_begins_no_more_renewals() {
    let scene = Scene::new().await;
    let backend = scene.app.backend();
    for _ in 0..40 {
        let contact = verified_contact(&backend).await;
        let grant = scene.provider.issue_grant("app", LIFE).unwrap();
        let body = json!({"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresAt": grant.expires_at.as_millis()});
        backend.post(path(&contact, &scene.secret, "connect"), body).await.ok();
    }
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldBefore).times(8);
    scene.app.broker().renew_due().await.unwrap();
    scene.until_asked(8).await;
    let broker = scene.app.broker().clone();
    let stop = tokio::spawn(async move { broker.finish_requests().await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    scene.provider.release();
    stop.await.unwrap();
    assert_eq!(scene.asked(), 8, "requests that were begun while stopping");
}

#[tokio::test]
async fn h17_a_client_secret_of_a_header_is_not_repeated() {
    let (scene, _) = Scene::connected().await;
    let mut config = config(&scene.provider);
    config["tokenEndpointAuthMethod"] = json!("client_secret_basic");
    secret::update(&scene.app.backend(), &scene.secret, json!({"config": config})).await.ok();
    scene.outlive();
    let body = r#"{"error":"server_trouble","error_description":"no client with app-secret here"}"#;
    scene.provider.script(Endpoint::Token, Fault::status(400, "application/json", body));
    scene.call(&scene.app.backend(), "mint").await.error(503, "provider_unavailable");
    let verified = scene.verify().await;
    assert!(!verified["reason"].as_str().unwrap().contains("app-secret"), "{verified}");
}

/// Both on one connection that is looked at by an agent, who may not refresh: only its reads.
#[tokio::test]
async fn h18_a_refresh_of_an_unverified_contact_is_refused_before_it_is_done() {
    let (scene, _) = Scene::connected().await;
    let contact = format!("/api/v1/contact/{}/update", scene.contact);
    scene.app.backend().post(contact, json!({"verifiedAt": null})).await.ok();
    let answer = scene.call(&scene.app.backend(), "refresh").await;
    assert_eq!((answer.status, scene.asked()), (409, 0), "{}", answer.text());
}

#[tokio::test]
async fn h19_a_configured_issuer_is_checked() {
    let scene = Scene::new().await;
    let mut config = config(&scene.provider);
    config["issuer"] = json!("https://other.example.com");
    secret::update(&scene.app.backend(), &scene.secret, json!({"config": config})).await.ok();
    let link = crate::authorize::link(&scene).await;
    let mut browser = crate::connect_page::Browser::new(&scene.app);
    let url = crate::authorize::go_on(&mut browser, &link).await;
    let back = crate::authorize::agree(&url).await;
    assert!(back.contains("iss="));
    let page = browser.open(&back).await;
    assert_eq!(page.status, 400);
}

/// A config that points elsewhere gets the masked client secret and the refresh tokens.
#[tokio::test]
async fn h20_a_changed_token_url_does_not_get_what_is_masked() {
    let (scene, grant) = Scene::connected().await;
    let options = keyfob_testkit::Options { auto_approve: true, ..Default::default() };
    let elsewhere = keyfob_testkit::Provider::start(options).await.unwrap();
    let mut config = config(&scene.provider);
    config["clientSecret"] = json!("********");
    config["tokenUrl"] = json!(elsewhere.url("/token"));
    let answer =
        secret::update(&scene.app.backend(), &scene.secret, json!({"config": config})).await;
    scene.outlive();
    let _ = scene.call(&scene.app.backend(), "refresh").await;
    let _ = grant;
    let got = elsewhere.ledger().at(Endpoint::Token).count();
    assert_eq!((answer.status, got), (400, 0));
}
