//! Renewing grants: exactly once, and never so that one is lost that the provider still holds.

use std::{collections::BTreeSet, time::Duration};

use keyfob_testkit::{Cause, Endpoint, Fault};
use serde_json::json;

use crate::{
    app::TestApp,
    connection::path,
    scene::{LIFE, Scene},
};

#[tokio::test]
async fn a_token_that_is_about_to_end_is_renewed_before_it_is_handed_out() {
    let (scene, grant) = Scene::connected().await;
    assert_eq!(scene.token().await, grant.access_token);
    // A tenth of its life is left, which is a minute.
    scene.outlive_but(Duration::from_secs(61));
    assert_eq!(scene.token().await, grant.access_token);
    scene.app.clock.advance_seconds(1);
    let token = scene.token().await;
    assert_ne!(token, grant.access_token);
    assert!(scene.provider.is_valid(&token));
    assert_eq!(scene.renewals().await, [("ok".to_owned(), String::new())]);
}

#[tokio::test]
async fn of_many_callers_at_once_one_asks_and_all_get_its_token() {
    let (scene, grant) = Scene::connected().await;
    scene.outlive();
    let backend = scene.app.backend();
    let calls = (0..50).map(|_| scene.call(&backend, "mint").into_future());
    let answers = futures_util::future::join_all(calls).await;
    let tokens: BTreeSet<_> =
        answers.into_iter().map(|answer| answer.ok()["token"].to_string()).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(scene.asked(), 1);
    let ledger = scene.provider.ledger();
    assert_eq!((ledger.refreshes(grant.family), ledger.reuses()), (1, 0));
}

#[tokio::test]
async fn callers_of_two_nodes_have_one_renewal_together() {
    let (mut scene, grant) = Scene::connected().await;
    let there = scene.app.on_another_node(scene.app.backend()).await;
    let here = scene.app.backend();
    for round in 1..=5 {
        scene.outlive();
        let callers = [&here, &there];
        let calls = (0..20).map(|n| scene.call(callers[n % 2], "mint").into_future());
        let answers = futures_util::future::join_all(calls).await;
        let tokens: BTreeSet<_> =
            answers.into_iter().map(|answer| answer.ok()["token"].to_string()).collect();
        assert_eq!((tokens.len(), scene.asked()), (1, round));
    }
    let ledger = scene.provider.ledger();
    assert_eq!((ledger.refreshes(grant.family), ledger.reuses()), (5, 0));
    assert_eq!(ledger.highest_in_flight(Endpoint::Token), 1);
}

#[tokio::test]
async fn a_rotated_refresh_token_is_stored_each_time() {
    let (scene, grant) = Scene::connected().await;
    for _ in 0..5 {
        scene.outlive();
        assert!(scene.provider.is_valid(&scene.token().await));
    }
    let ledger = scene.provider.ledger();
    assert_eq!((ledger.refreshes(grant.family), ledger.reuses()), (5, 0));
    assert!(ledger.family(grant.family).unwrap().death.is_none());
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_keeps_the_old_one() {
    let (scene, _) =
        Scene::connected_with(|options| options.omit_refresh_token_on_refresh = true).await;
    for _ in 0..3 {
        scene.outlive();
        assert!(scene.provider.is_valid(&scene.token().await));
    }
}

#[tokio::test]
async fn an_answer_without_expires_in_ends_with_its_jwt_or_after_the_configured_time() {
    let (scene, _) = Scene::connected_with(|options| {
        options.omit_expires_in = true;
        options.jwt_access_tokens = true;
    })
    .await;
    let ends = async |scene: &Scene| {
        let minted = scene.call(&scene.app.backend(), "mint").await.ok();
        minted["expiresAt"].as_i64().unwrap() / 1000 - scene.app.clock.seconds()
    };
    scene.outlive();
    assert_eq!(ends(&scene).await, 600);
    scene.provider.change(|options| options.jwt_access_tokens = false);
    scene.outlive();
    assert_eq!(ends(&scene).await, 3600, "an hour where nobody says anything");
    scene.configure(&json!({"expiresInSeconds": 90})).await.ok();
    scene.app.clock.advance_seconds(3600);
    assert_eq!(ends(&scene).await, 90);
}

#[tokio::test]
async fn a_refresh_token_that_says_when_it_ends_is_used_until_then() {
    let (scene, _) = Scene::connected_with(|options| {
        options.refresh_token_life = Some(3 * LIFE);
        options.tell_refresh_token_life = true;
    })
    .await;
    scene.outlive();
    scene.token().await;
    let verified = scene.verify().await;
    let end = verified["expiresAt"].as_i64().unwrap();
    assert_eq!(end / 1000 - scene.app.clock.seconds(), 1800);
    scene.app.clock.advance(3 * LIFE);
    let verified = scene.verify().await;
    assert_eq!(verified["status"], "unauthenticated");
    assert_eq!(verified["reason"], "it has expired");
    assert_eq!(scene.asked(), 1, "what has ended is not sent");
}

/// The provider may renew a grant although the caller has hung up.
#[tokio::test]
async fn a_caller_who_goes_away_does_not_end_the_renewal() {
    let (scene, grant) = Scene::connected().await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
    scene.provider.release();
    assert!(scene.provider.is_valid(&scene.token().await));
    let ledger = scene.provider.ledger();
    assert_eq!((ledger.refreshes(grant.family), ledger.reuses()), (1, 0));
}

#[tokio::test]
async fn an_outage_keeps_the_grant_and_is_left_alone_for_a_while() {
    let (scene, grant) = Scene::connected().await;
    scene.outlive();
    for (fault, says) in [
        (Fault::internal_error(), "HTTP 500"),
        (Fault::bad_gateway(), "HTTP 502"),
        (Fault::DropBefore, "may have had the request"),
        (Fault::malformed_json(), "HTTP 200"),
        (Fault::empty(), "HTTP 200"),
        (Fault::no_content(), "HTTP 204"),
        (Fault::redirect("http://127.0.0.1:9/"), "HTTP 302"),
        (Fault::HugeBody { bytes: 1 << 20 }, "larger than 256 KiB"),
        (Fault::status(400, "text/plain", "Bad Request"), "HTTP 400"),
        (Fault::status(403, "text/html", "<h1>Blocked</h1>"), "HTTP 403"),
    ] {
        let outage = scene.provider.script(Endpoint::Token, fault).always();
        let before = scene.asked();
        let answer = scene.call(&scene.app.backend(), "mint").await;
        assert_eq!(answer.error(503, "provider_unavailable")["code"], "PROVIDER_UNAVAILABLE");
        let verified = scene.verify().await;
        assert_eq!(verified["status"], "authenticated", "{verified}");
        let reason = verified["reason"].as_str().unwrap();
        assert!(reason.contains(says), "{says}: {reason}");
        assert_eq!(scene.asked(), before + 1, "the second look waits: {says}");
        outage.clear();
        scene.app.clock.advance_seconds(301);
    }
    assert!(scene.provider.is_valid(&scene.token().await));
    assert_eq!(scene.provider.ledger().refreshes(grant.family), 1);
}

#[tokio::test]
async fn a_provider_that_names_a_time_is_left_alone_until_then() {
    let (scene, _) = Scene::connected().await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::too_many_requests(Duration::from_secs(90)));
    let mint = async || scene.call(&scene.app.backend(), "mint").await;
    mint().await.error(503, "provider_unavailable");
    scene.app.clock.advance_seconds(89);
    mint().await.error(503, "provider_unavailable");
    assert_eq!(scene.asked(), 1);
    scene.app.clock.advance_seconds(1);
    mint().await.ok();
}

#[tokio::test]
async fn a_token_that_still_lives_is_handed_out_while_the_provider_is_away() {
    let (scene, grant) = Scene::connected().await;
    scene.outlive_but(Duration::from_secs(30));
    scene.provider.script(Endpoint::Token, Fault::unavailable(Duration::from_secs(5))).always();
    assert_eq!(scene.token().await, grant.access_token);
    assert_eq!(scene.token().await, grant.access_token);
    assert_eq!(scene.asked(), 1);
}

#[tokio::test]
async fn only_a_grant_that_the_provider_has_ended_is_broken_and_nobody_asks_again() {
    let (scene, grant) = Scene::connected().await;
    assert!(scene.provider.withdraw(grant.family));
    scene.outlive();
    let answer = scene.call(&scene.app.backend(), "mint").await;
    let error = answer.error(409, "authorization_required");
    assert!(error["message"].as_str().unwrap().contains("invalid_grant"), "{error}");
    assert!(error["url"].as_str().unwrap().starts_with("https://keyfob.example.com/connect/"));
    for _ in 0..3 {
        scene.app.clock.advance_seconds(3600);
        let verified = scene.verify().await;
        assert_eq!(verified["status"], "unauthenticated");
        assert!(verified["reason"].as_str().unwrap().contains("the grant has ended"), "{verified}");
        assert!(verified["action"]["url"].is_string());
    }
    scene.app.broker().renew_due().await.unwrap();
    let list = scene.app.agent().get(format!("/api/v1/contact/{}/secret/list", scene.contact));
    assert_eq!(list.await.ok()["items"][0]["status"], "broken");
    assert_eq!(scene.asked(), 1);
    // Connected anew it works again.
    let grant = scene.import(LIFE).await;
    assert_eq!(scene.token().await, grant.access_token);
    assert_eq!(scene.verify().await["status"], "authenticated");
}

/// A provider that answered a request whose sender had died keeps nothing of it back if it tolerates that.
#[tokio::test]
async fn after_a_lost_answer_the_old_token_is_sent_once_more() {
    let (scene, grant) =
        Scene::connected_with(|options| options.reuse_grace = Duration::from_hours(1)).await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::LostAnswer);
    scene.call(&scene.app.backend(), "mint").await.error(503, "provider_unavailable");
    scene.app.clock.advance_seconds(301);
    assert!(scene.provider.is_valid(&scene.token().await));
    assert!(scene.provider.ledger().family(grant.family).unwrap().death.is_none());
}

#[tokio::test]
async fn where_a_lost_answer_has_cost_the_grant_the_connection_says_so_and_asks_no_more() {
    let (scene, grant) = Scene::connected().await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::LostAnswer);
    scene.call(&scene.app.backend(), "mint").await.error(503, "provider_unavailable");
    scene.app.clock.advance_seconds(301);
    let answer = scene.call(&scene.app.backend(), "mint").await;
    let error = answer.error(409, "authorization_required");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("the answer to a renewal of 2026-04-05T12:10:00Z was lost"),
        "{message}"
    );
    let ledger = scene.provider.ledger();
    assert_eq!(ledger.family(grant.family).unwrap().death.unwrap().cause, Cause::Reuse);
    scene.app.clock.advance_seconds(3600);
    scene.verify().await;
    assert_eq!(scene.asked(), 2);
}

/// The process dies between the provider's answer and the write.
#[tokio::test]
async fn a_crash_after_the_provider_has_answered_is_seen_by_whoever_comes_next() {
    for tolerates in [true, false] {
        let (mut scene, grant) = Scene::connected_with(|options| {
            options.reuse_grace = Duration::from_secs(if tolerates { 3600 } else { 0 });
        })
        .await;
        scene.outlive();
        scene.provider.script(Endpoint::Token, Fault::HoldAfter);
        let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
        scene.until_asked(1).await;
        scene.app.restart().await;
        call.abort();
        // As long as the lease lasts, the answer may still come, and for five seconds more be stored.
        let verified = tokio::spawn(scene.call(&scene.app.agent(), "verify").into_future());
        tokio::task::yield_now().await;
        assert_eq!(scene.asked(), 1);
        scene.app.clock.advance_seconds(35);
        assert_eq!(verified.await.unwrap().status, 200);
        assert_eq!(scene.asked(), 2);
        if tolerates {
            assert!(scene.provider.is_valid(&scene.token().await));
        } else {
            let answer = scene.call(&scene.app.backend(), "mint").await;
            let error = answer.error(409, "authorization_required");
            assert!(error["message"].as_str().unwrap().contains("was lost"), "{error}");
            let death = scene.provider.ledger().family(grant.family).unwrap().death;
            assert_eq!(death.unwrap().cause, Cause::Reuse);
        }
        scene.provider.release();
    }
}

/// What the database cannot take is kept until it can, and not asked for again.
#[tokio::test]
async fn new_tokens_wait_for_a_database_that_is_busy() {
    let (scene, grant) = Scene::connected().await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    let held = scene.app.hold_writers().await;
    scene.provider.release();
    scene.app.until_depth(1).await;
    drop(held);
    let token = call.await.unwrap().ok()["token"].as_str().unwrap().to_owned();
    assert!(scene.provider.is_valid(&token));
    assert_eq!(scene.provider.ledger().refreshes(grant.family), 1);
}

/// The provider counts from when it issues them, and not from when they arrive.
#[tokio::test]
async fn the_life_of_new_tokens_begins_when_they_were_asked_for() {
    let (scene, _) = Scene::connected().await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    let end = scene.app.clock.seconds() + LIFE.as_secs().cast_signed();
    scene.app.clock.advance_seconds(5);
    scene.provider.release();
    let minted = call.await.unwrap().ok();
    assert_eq!(minted["expiresAt"].as_i64().unwrap() / 1000, end);
}

#[tokio::test]
async fn a_renewal_that_is_asked_for_never_harms_what_works() {
    let (scene, grant) = Scene::connected().await;
    let refresh = async || scene.call(&scene.app.backend(), "refresh").await.ok();
    let refreshed = refresh().await;
    assert_eq!(refreshed["status"], "authenticated");
    let token = scene.token().await;
    assert_ne!(token, grant.access_token);
    scene.app.clock.advance_seconds(10);
    scene.provider.script(Endpoint::Token, Fault::internal_error());
    assert_eq!(refresh().await["status"], "authenticated");
    assert_eq!(scene.token().await, token);
    assert!(scene.provider.withdraw(grant.family));
    let refreshed = refresh().await;
    assert_eq!(refreshed["status"], "authenticated", "its token lives: {refreshed}");
    assert!(refreshed["reason"].as_str().unwrap().contains("invalid_grant"), "{refreshed}");
    assert_eq!(scene.token().await, token);
    scene.outlive();
    assert_eq!(scene.verify().await["status"], "unauthenticated");
}

/// A caller who asks in a loop must not have the provider asked as often.
#[tokio::test]
async fn a_renewal_that_is_asked_for_again_within_ten_seconds_asks_nobody() {
    let (scene, grant) = Scene::connected().await;
    let refresh = async || scene.call(&scene.app.backend(), "refresh").await.ok();
    refresh().await;
    let token = scene.token().await;
    scene.app.clock.advance(Duration::from_millis(9_999));
    assert_eq!(refresh().await["status"], "authenticated");
    assert_eq!((scene.token().await, scene.asked()), (token, 1));
    scene.app.clock.advance(Duration::from_millis(1));
    refresh().await;
    assert_eq!(scene.provider.ledger().refreshes(grant.family), 2);
    // What is about to end is renewed, whenever it was obtained.
    scene.provider.change(|options| options.access_token_life = Duration::from_secs(5));
    scene.app.clock.advance_seconds(10);
    refresh().await;
    scene.app.clock.advance_seconds(5);
    refresh().await;
    assert_eq!(scene.provider.ledger().refreshes(grant.family), 4);
}

#[tokio::test]
async fn a_renewal_for_a_contact_who_is_not_verified_is_refused_before_anybody_is_asked() {
    let (scene, _) = Scene::connected().await;
    let contact = format!("/api/v1/contact/{}/update", scene.contact);
    scene.app.backend().post(contact, json!({"verifiedAt": null})).await.ok();
    scene.call(&scene.app.backend(), "refresh").await.error(409, "conflict");
    assert_eq!(scene.asked(), 0);
}

#[tokio::test]
async fn what_is_not_oauth_has_nothing_to_renew() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = crate::connection::verified_contact(&backend).await;
    let secret = crate::connection::personal(&backend, "bearer").await;
    let call = backend.post(path(&contact, &secret, "refresh"), json!({}));
    call.await.error(409, "not_refreshable");
    let call = backend.post(path(&contact, &secret, "mint"), json!({}));
    call.await.error(409, "not_mintable");
}
