//! The background job that renews grants before anybody waits for it.

use keyfob_testkit::{Endpoint, Fault};
use serde_json::json;

use crate::{
    connection::path,
    scene::{LIFE, Scene},
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

#[tokio::test]
async fn a_provider_is_asked_for_a_few_at_a_time_by_the_job() {
    let scene = Scene::new().await;
    let backend = scene.app.backend();
    for _ in 0..40 {
        let contact = crate::connection::verified_contact(&backend).await;
        let grant = scene.provider.issue_grant("app", LIFE).unwrap();
        let body = json!({
            "accessToken": grant.access_token, "refreshToken": grant.refresh_token,
            "expiresAt": grant.expires_at.as_millis(),
        });
        backend.post(path(&contact, &scene.secret, "connect"), body).await.ok();
    }
    scene.outlive();
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
