//! Rotation and reuse.

use std::time::Duration;

use keyfob_testkit::{Cause, Endpoint};
use reqwest::StatusCode;

use crate::app::{App, HOUR};

#[tokio::test]
async fn a_refresh_makes_new_tokens_and_uses_the_old_one_up() {
    let app = App::start().await;
    let grant = app.grant();
    let told = app.refresh(&grant.refresh_token).await;
    told.assert_ok();
    assert_ne!(told.text("refresh_token"), grant.refresh_token);
    assert_eq!(told.body["expires_in"], 3600);
    assert!(app.provider.is_valid(&told.text("access_token")));
    let ledger = app.provider.ledger();
    assert_eq!((ledger.refreshes(grant.family), ledger.reuses()), (1, 0));
    let request = ledger.at(Endpoint::Token).next().unwrap();
    assert_eq!((request.family, request.generation), (Some(grant.family), Some(0)));
    assert_eq!((request.status, request.client.as_deref()), (Some(200), Some("app")));
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_kills_the_whole_family() {
    let app = App::start().await;
    let grant = app.grant();
    let second = app.refresh(&grant.refresh_token).await;
    app.refresh(&grant.refresh_token).await.assert_refused("invalid_grant");
    app.refresh(&second.text("refresh_token")).await.assert_refused("invalid_grant");
    for access_token in [grant.access_token, second.text("access_token")] {
        assert!(!app.provider.is_valid(&access_token));
        assert!(app.provider.was_issued(&access_token).is_some());
        assert_eq!(app.userinfo(&access_token).await, StatusCode::UNAUTHORIZED);
    }
    let ledger = app.provider.ledger();
    assert_eq!(ledger.family(grant.family).unwrap().death.unwrap().cause, Cause::Reuse);
    assert_eq!((ledger.refreshes(grant.family), ledger.reuses()), (1, 1));
}

#[tokio::test]
async fn another_family_lives_on() {
    let app = App::start().await;
    let (dead, alive) = (app.grant(), app.grant());
    app.refresh(&dead.refresh_token).await.assert_ok();
    app.refresh(&dead.refresh_token).await.assert_refused("invalid_grant");
    app.refresh(&alive.refresh_token).await.assert_ok();
}

#[tokio::test]
async fn within_the_grace_period_a_used_refresh_token_works_again() {
    let app = App::with(|options| options.reuse_grace = Duration::from_secs(30)).await;
    let grant = app.grant();
    app.refresh(&grant.refresh_token).await.assert_ok();
    app.clock.advance(Duration::from_secs(30));
    app.refresh(&grant.refresh_token).await.assert_ok();
    assert_eq!(app.provider.ledger().reuses(), 0);
    app.clock.advance(Duration::from_millis(1));
    app.refresh(&grant.refresh_token).await.assert_refused("invalid_grant");
    assert_eq!(app.provider.ledger().reuses(), 1);
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let app = App::with(|options| options.rotation = false).await;
    let grant = app.grant();
    for _ in 0..2 {
        let told = app.refresh(&grant.refresh_token).await;
        assert_eq!(told.text("refresh_token"), grant.refresh_token);
    }
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_leaves_the_old_one_valid() {
    let app = App::with(|options| options.omit_refresh_token_on_refresh = true).await;
    let grant = app.grant();
    for _ in 0..2 {
        let told = app.refresh(&grant.refresh_token).await;
        told.assert_ok();
        assert!(told.body.get("refresh_token").is_none());
    }
}

#[tokio::test]
async fn tokens_end_when_they_should() {
    let app = App::with(|options| options.refresh_token_life = Some(2 * HOUR)).await;
    let grant = app.grant();
    app.clock.advance(Duration::from_millis(3_599_999));
    assert!(app.provider.is_valid(&grant.access_token));
    app.clock.advance(Duration::from_millis(1));
    assert!(!app.provider.is_valid(&grant.access_token));
    assert_eq!(grant.expires_at, app.provider.now());
    app.clock.advance(HOUR);
    app.refresh(&grant.refresh_token).await.assert_refused("invalid_grant");
    let ledger = app.provider.ledger();
    assert_eq!(ledger.family(grant.family).unwrap().death.unwrap().cause, Cause::Expired);
}

#[tokio::test]
async fn an_access_token_may_live_less_than_a_second() {
    let app = App::start().await;
    let grant = app.provider.issue_grant("app", Duration::from_millis(200)).unwrap();
    app.clock.advance(Duration::from_millis(199));
    assert_eq!(app.userinfo(&grant.access_token).await, StatusCode::OK);
    app.clock.advance(Duration::from_millis(1));
    assert_eq!(app.userinfo(&grant.access_token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_grant_that_was_withdrawn_is_refused() {
    let app = App::start().await;
    let grant = app.grant();
    assert!(app.provider.withdraw(grant.family));
    app.refresh(&grant.refresh_token).await.assert_refused("invalid_grant");
    let ledger = app.provider.ledger();
    assert_eq!(ledger.family(grant.family).unwrap().death.unwrap().cause, Cause::Withdrawn);
    assert_eq!(ledger.at(Endpoint::Token).next().unwrap().error.as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn two_refreshes_at_once_are_a_reuse() {
    let app = App::start().await;
    let grant = app.grant();
    let (one, other) =
        tokio::join!(app.refresh(&grant.refresh_token), app.refresh(&grant.refresh_token));
    assert_eq!([one, other].iter().filter(|told| told.status == StatusCode::OK).count(), 1);
    assert_eq!(app.provider.ledger().reuses(), 1);
}

#[tokio::test]
async fn client_credentials_get_an_access_token_only() {
    let app = App::start().await;
    let told = app.ask("/token", &[("grant_type", "client_credentials"), ("scope", "write")]).await;
    told.assert_ok();
    assert_eq!(told.text("scope"), "write");
    assert!(told.body.get("refresh_token").is_none());
    assert_eq!(app.userinfo(&told.text("access_token")).await, StatusCode::OK);
    app.ask("/token", &[("grant_type", "password")]).await.assert_refused("unsupported_grant_type");
}
