//! The background job that renews grants before anybody waits for it.

use keyfob_testkit::{Endpoint, Fault};
use serde_json::json;

use crate::{
    call::{Caller, Key},
    connection::{connect, verified_contact},
    scene::{LIFE, Scene, config, tokens},
    secret,
};

#[tokio::test]
async fn the_background_job_renews_what_will_end_before_anybody_waits_for_it() {
    let (scene, grant) = Scene::connected().await;
    scene.app.broker().renew_due().await.unwrap();
    assert_eq!(scene.asked(), 0);
    // A tenth of its life before the end at the latest.
    scene.app.clock.advance(LIFE * 9 / 10);
    scene.app.broker().renew_due().await.unwrap();
    scene.until_asked(1).await;
    scene.app.broker().finish_requests().await;
    assert_ne!(scene.token().await, grant.access_token);
    assert_eq!(scene.asked(), 1);
}

/// Gives contacts of the caller grants of a secret, so many.
async fn connect_many(scene: &Scene, caller: &Caller, secret: &str, count: usize) {
    for _ in 0..count {
        let contact = verified_contact(caller).await;
        let grant = scene.provider.issue_grant("app", LIFE).unwrap();
        connect(caller, &contact, secret, tokens(&grant)).await.ok();
    }
}

/// A scene with forty contacts whose grants are due.
async fn with_forty_due() -> Scene {
    let scene = Scene::new().await;
    connect_many(&scene, &scene.app.backend(), &scene.secret, 40).await;
    scene.outlive();
    scene
}

#[tokio::test]
async fn a_provider_is_asked_for_a_few_at_a_time_by_the_job() {
    let scene = with_forty_due().await;
    scene.provider.script(Endpoint::Token, Fault::HoldBefore).times(8);
    scene.app.broker().renew_due().await.unwrap();
    scene.until_asked(8).await;
    // Nobody begins another job for a provider that is being asked.
    scene.app.broker().renew_due().await.unwrap();
    scene.provider.release();
    scene.until_asked(40).await;
    scene.app.broker().finish_requests().await;
    let ledger = scene.provider.ledger();
    assert_eq!(ledger.highest_in_flight(Endpoint::Token), 8);
    assert_eq!((ledger.at(Endpoint::Token).count(), ledger.reuses()), (40, 0));
}

#[tokio::test]
async fn a_stop_waits_for_what_is_under_way_and_begins_nothing_more() {
    let scene = with_forty_due().await;
    scene.provider.script(Endpoint::Token, Fault::HoldBefore).times(8);
    scene.app.broker().renew_due().await.unwrap();
    scene.until_asked(8).await;
    // The stop is polled first.
    let release = async { scene.provider.release() };
    futures_util::future::join(scene.app.broker().finish_requests(), release).await;
    let renewals = scene.renewals().await;
    assert_eq!(renewals, vec![("ok".to_owned(), String::new()); 8]);
    assert_eq!(scene.asked(), 8);
}

#[tokio::test]
async fn a_thousand_hosts_that_cannot_be_asked_now_hide_no_other() {
    let (scene, _) = Scene::connected().await;
    scene.outlive();
    let (account, now) = (scene.app.account().await, scene.app.clock.seconds() * 1000);
    let until = now + 100_000;
    for n in 0..1000 {
        // Somebody is at each of them, in front of the provider in every order.
        scene.app.database().execute(&format!(
            "INSERT INTO refresh (account_id, contact_id, secret_id, host, due_at, fence, leased_until, failures)
             VALUES ('{account}', 'con_{n}', 'sec_{n}', '0{n:04}.example', {now}, 1, {until}, 1)",
        ));
    }
    for _ in 0..2 {
        scene.app.broker().renew_due().await.unwrap();
    }
    scene.until_asked(1).await;
    scene.app.broker().finish_requests().await;
}

#[tokio::test]
async fn an_account_whose_renewals_all_fail_does_not_hold_up_another_one_at_the_same_provider() {
    let scene = Scene::new().await;
    let answer =
        scene.app.owner().post("/api/v1/account/create", json!({"email": "c@example.com"}));
    let child = scene.app.anonymous().with_token(&Key::from_answer(&answer.await.ok()["key"]));
    // It names another place of the same host, which does not work.
    let mut elsewhere = config(&scene.provider);
    elsewhere["tokenUrl"] = json!(scene.provider.url("/revoke"));
    let body = json!({"kind": "personal", "type": "oauth", "name": "Mail", "config": elsewhere});
    let bad = secret::create(&child, body).await;
    connect_many(&scene, &child, &bad, 40).await;
    connect_many(&scene, &scene.app.backend(), &scene.secret, 1).await;
    scene.provider.script(Endpoint::Revoke, Fault::internal_error()).always();
    scene.outlive();
    assert_eq!(scene.app.broker().renew_due().await.unwrap(), 1);
    scene.until_asked(1).await;
    scene.app.broker().finish_requests().await;
}
