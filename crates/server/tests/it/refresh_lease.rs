//! The lease of a renewal: who has it, for how long, and what its holder may still do.

use std::{collections::BTreeSet, time::Duration};

use keyfob_server::clock::Clock;
use keyfob_testkit::{Endpoint, Fault};
use serde_json::json;

use crate::{
    connection::connect,
    scene::{LIFE, Scene},
};

/// Whoever has looked before another one was done must look again, or would send what is used up.
#[tokio::test]
async fn what_was_read_before_the_lease_is_read_again_inside_it() {
    let (mut scene, grant) = Scene::connected().await;
    let there = scene.app.on_another_node(scene.app.backend()).await;
    scene.outlive();
    let held = scene.app.hold_writers().await;
    let here = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    let other = tokio::spawn(scene.call(&there, "mint").into_future());
    // Both have seen that it is due.
    scene.app.until_depth(1).await;
    drop(held);
    let tokens: BTreeSet<_> = [here.await.unwrap(), other.await.unwrap()]
        .into_iter()
        .map(|answer| answer.ok()["token"].to_string())
        .collect();
    assert_eq!((tokens.len(), scene.asked()), (1, 1));
    assert_eq!(scene.provider.ledger().reuses(), 0);
    assert_eq!(scene.provider.ledger().refreshes(grant.family), 1);
}

/// The lease outlives the slowest request, so a request that is too late for that is not sent.
#[tokio::test]
async fn a_request_that_could_outlive_its_lease_is_not_sent() {
    let (scene, grant) = Scene::connected().await;
    scene.outlive();
    let held = scene.app.hold_writers().await;
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.app.until_depth(1).await;
    scene.app.clock.advance_seconds(6);
    drop(held);
    call.await.unwrap().error(503, "provider_unavailable");
    assert_eq!(scene.asked(), 0);
    let verified = scene.verify().await;
    let reason = verified["reason"].as_str().unwrap();
    assert!(reason.contains("the database took too long"), "{reason}");
    scene.app.clock.advance_seconds(2);
    assert!(scene.provider.is_valid(&scene.token().await));
    assert_eq!(scene.provider.ledger().refreshes(grant.family), 1);
}

#[tokio::test]
async fn nothing_is_remembered_of_renewals_that_are_over() {
    let (scene, _) = Scene::connected().await;
    scene.provider.script(Endpoint::Token, Fault::HoldBefore);
    scene.outlive();
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    assert_eq!(scene.app.broker().renewals_under_way(), 1);
    scene.provider.release();
    call.await.unwrap().ok();
    assert_eq!(scene.app.broker().renewals_under_way(), 0);
    scene.provider.script(Endpoint::Token, Fault::internal_error());
    scene.outlive();
    scene.call(&scene.app.backend(), "mint").await.error(503, "provider_unavailable");
    assert_eq!(scene.app.broker().renewals_under_way(), 0);
}

/// Where another program renews the same grant, Keyfob is given the access token alone, and lets it be.
#[tokio::test]
async fn a_grant_without_its_refresh_token_is_never_renewed() {
    let scene = Scene::new().await;
    let grant = scene.provider.issue_grant("app", LIFE).unwrap();
    let end = grant.expires_at.as_millis();
    let body = json!({"accessToken": grant.access_token, "expiresAt": end});
    connect(&scene.app.backend(), &scene.contact, &scene.secret, body).await.ok();
    assert_eq!(scene.token().await, grant.access_token);
    assert_eq!(scene.verify().await["expiresAt"], json!(end));
    scene.outlive();
    scene.app.broker().renew_due().await.unwrap();
    let verified = scene.verify().await;
    assert_eq!(
        (&verified["status"], &verified["reason"]),
        (&json!("unauthenticated"), &json!("it has expired"))
    );
    let answer = scene.call(&scene.app.backend(), "mint").await;
    answer.error(409, "authorization_required");
    assert_eq!(scene.asked(), 0);
}

/// A connection that is revoked while its tokens are being renewed is gone, and so are those.
#[tokio::test]
async fn tokens_that_come_after_the_connection_was_revoked_are_queued_to_be_revoked_too() {
    let (scene, _) = Scene::connected().await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    scene.call(&scene.app.backend(), "revoke").await.ok();
    scene.provider.release();
    call.await.unwrap().error(409, "authorization_required");
    assert!(scene.app.open_connection(&scene.contact, &scene.secret).await.is_none());
    let discarded = scene.renewals().await.into_iter().any(|(result, _)| result == "discarded");
    assert!(discarded);
}

/// A lease for a day would be one of a clock that was ahead by as much.
#[tokio::test]
async fn a_lease_that_a_clock_ahead_has_left_behind_holds_nobody_up() {
    let (mut scene, grant) = Scene::connected().await;
    let now = scene.app.clock.now();
    scene.app.clock.advance(Duration::from_hours(24));
    scene.provider.script(Endpoint::Token, Fault::HoldBefore);
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    scene.app.restart().await;
    call.abort();
    scene.app.clock.set(now.plus(LIFE));
    assert!(scene.provider.is_valid(&scene.token().await));
    assert_eq!(scene.provider.ledger().refreshes(grant.family), 1);
    scene.provider.release();
}
