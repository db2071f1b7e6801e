//! The background job that renews grants before anybody waits for it.

use keyfob_testkit::{Endpoint, Fault};

use crate::{
    connection::{connect, verified_contact},
    scene::{LIFE, Scene, tokens},
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

/// A scene with forty contacts whose grants are due.
async fn with_forty_due() -> Scene {
    let scene = Scene::new().await;
    let backend = scene.app.backend();
    for _ in 0..40 {
        let contact = verified_contact(&backend).await;
        let grant = scene.provider.issue_grant("app", LIFE).unwrap();
        connect(&backend, &contact, &scene.secret, tokens(&grant)).await.ok();
    }
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
