//! Faults of the connection and of time.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use keyfob_testkit::{Endpoint, Fault};
use reqwest::StatusCode;

use crate::app::{App, ID, SECRET, Told};

/// What the provider itself decided for the first request at the token endpoint.
fn decided(app: &App) -> Option<u16> {
    app.provider.ledger().at(Endpoint::Token).next().unwrap().status
}

#[tokio::test]
async fn a_lost_answer_has_used_the_token_up() {
    let app = App::start().await;
    let grant = app.grant();
    app.provider.script(Endpoint::Token, Fault::LostAnswer);
    app.try_refresh(&grant.refresh_token).await.unwrap_err();
    assert_eq!(decided(&app), Some(200));
    let ledger = app.provider.ledger();
    assert_eq!(ledger.refreshes(grant.family), 1);
    assert_eq!(ledger.requests[0].fault, Some(Fault::LostAnswer));
    app.refresh(&grant.refresh_token).await.assert_refused("invalid_grant");
    assert_eq!(app.provider.ledger().reuses(), 1);
}

#[tokio::test]
async fn a_request_that_is_dropped_has_changed_nothing() {
    let app = App::start().await;
    let grant = app.grant();
    app.provider.script(Endpoint::Token, Fault::DropBefore);
    app.try_refresh(&grant.refresh_token).await.unwrap_err();
    assert_eq!(decided(&app), None);
    assert_eq!(app.provider.ledger().requests[0].family, Some(grant.family));
    app.refresh(&grant.refresh_token).await.assert_ok();
}

#[tokio::test]
async fn a_truncated_answer_breaks_in_its_body() {
    let app = App::start().await;
    let grant = app.grant();
    app.provider.script(Endpoint::Token, Fault::Truncate);
    let answer = app.try_refresh(&grant.refresh_token).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.unwrap_err();
    assert_eq!(app.provider.ledger().refreshes(grant.family), 1);
}

#[tokio::test]
async fn a_truncated_answer_without_a_body_is_lost() {
    let app = App::start().await;
    app.provider.script(Endpoint::Revoke, Fault::Truncate);
    let grant = app.grant();
    let form =
        [("client_id", ID), ("client_secret", SECRET), ("token", grant.refresh_token.as_str())];
    app.post("/revoke", &form).await.unwrap_err();
    assert_eq!(app.provider.ledger().requests[0].status, Some(200));
}

#[tokio::test]
async fn a_dripping_answer_is_whole_in_the_end() {
    let app = App::start().await;
    let grant = app.grant();
    let pause = Duration::from_millis(1);
    app.provider.script(Endpoint::Token, Fault::SlowDrip { bytes: 20, pause });
    let mut answer = app.try_refresh(&grant.refresh_token).await.unwrap();
    let mut pieces = Vec::new();
    while let Some(piece) = answer.chunk().await.unwrap() {
        pieces.push(piece);
    }
    assert!(pieces.len() > 1);
    let body: serde_json::Value = serde_json::from_slice(&pieces.concat()).unwrap();
    assert!(app.provider.is_valid(body["access_token"].as_str().unwrap()));
}

#[tokio::test]
async fn a_delay_keeps_the_caller_waiting() {
    for (fault, refreshed) in [
        (Fault::DelayBefore { duration: Duration::from_mins(5) }, 0),
        (Fault::DelayAfter { duration: Duration::from_mins(5) }, 1),
    ] {
        let app = App::start().await;
        let grant = app.grant();
        app.provider.script(Endpoint::Token, fault);
        let wanted = move |ledger: &keyfob_testkit::Ledger| {
            ledger.in_flight.now == 1 && ledger.refreshes(grant.family) == refreshed
        };
        tokio::select! {
            answer = app.try_refresh(&grant.refresh_token) => panic!("{answer:?}"),
            reached = app.provider.until(wanted) => reached.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_short_delay_ends_by_itself() {
    let app = App::start().await;
    for fault in [
        Fault::DelayBefore { duration: Duration::from_millis(5) },
        Fault::DelayAfter { duration: Duration::from_millis(5) },
    ] {
        app.provider.script(Endpoint::Token, fault);
        app.refresh(&app.grant().refresh_token).await.assert_ok();
    }
}

#[tokio::test]
async fn a_held_request_goes_on_when_it_is_released() {
    for (fault, before) in [(Fault::HoldBefore, 0), (Fault::HoldAfter, 1)] {
        let app = App::start().await;
        let grant = app.grant();
        app.provider.script(Endpoint::Token, fault);
        let (told, ()) = tokio::join!(app.refresh(&grant.refresh_token), async {
            let held = |ledger: &keyfob_testkit::Ledger| {
                ledger.in_flight.now == 1 && ledger.refreshes(grant.family) == before
            };
            app.provider.until(held).await.unwrap();
            app.provider.release();
        });
        told.assert_ok();
    }
}

#[tokio::test]
async fn what_was_begun_goes_on_when_the_caller_hangs_up() {
    let app = App::start().await;
    let grant = app.grant();
    app.provider.script(Endpoint::Token, Fault::HoldBefore);
    tokio::select! {
        answer = app.try_refresh(&grant.refresh_token) => panic!("{answer:?}"),
        held = app.provider.until(|ledger| ledger.in_flight.now == 1) => held.unwrap(),
    }
    app.provider.release();
    app.provider.until(|ledger| ledger.refreshes(grant.family) == 1).await.unwrap();
    app.provider.until(|ledger| ledger.in_flight.now == 0).await.unwrap();
}

#[tokio::test]
async fn faults_take_turns_in_the_order_of_the_script() {
    let app = App::start().await;
    app.provider.script(Endpoint::Token, Fault::internal_error()).times(2);
    app.provider.script(Endpoint::Token, Fault::Pass);
    app.provider.script(Endpoint::Token, Fault::bad_gateway());
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(app.refresh(&app.grant().refresh_token).await.status.as_u16());
    }
    assert_eq!(statuses, [500, 500, 200, 502, 200]);
}

#[tokio::test]
async fn a_fault_is_for_its_endpoint_grant_type_and_client_only() {
    let app = App::start().await;
    let token = Endpoint::Token;
    app.provider.script(Endpoint::Revoke, Fault::internal_error());
    app.provider.script(token, Fault::bad_gateway()).for_grant_type("client_credentials").always();
    app.provider.script(token, Fault::bad_gateway()).for_client("other");
    app.refresh(&app.grant().refresh_token).await.assert_ok();
    for _ in 0..2 {
        let told = app.ask("/token", &[("grant_type", "client_credentials")]).await;
        assert_eq!(told.status, StatusCode::BAD_GATEWAY);
    }
}

#[tokio::test]
async fn a_fault_lasts_while_its_condition_holds_or_until_it_is_cleared() {
    let app = App::start().await;
    let down = Arc::new(AtomicBool::new(true));
    let is_down = down.clone();
    app.provider
        .script(Endpoint::Token, Fault::internal_error())
        .always()
        .while_holds(move |_| is_down.load(Ordering::SeqCst));
    let refresh = async || app.refresh(&app.grant().refresh_token).await.status.as_u16();
    assert_eq!([refresh().await, refresh().await], [500, 500]);
    down.store(false, Ordering::SeqCst);
    assert_eq!(refresh().await, 200);

    let always = app.provider.script(Endpoint::Token, Fault::bad_gateway()).always();
    assert_eq!([refresh().await, refresh().await], [502, 502]);
    always.clear();
    assert_eq!(refresh().await, 200);

    app.provider.script(Endpoint::Token, Fault::bad_gateway()).always();
    app.provider.clear_script();
    assert_eq!(refresh().await, 200);
}

#[tokio::test]
async fn every_endpoint_fails_as_scripted() {
    let app = App::start().await;
    for (endpoint, path) in [
        (Endpoint::Authorize, "/authorize"),
        (Endpoint::Token, "/token"),
        (Endpoint::DeviceAuthorization, "/device_authorization"),
        (Endpoint::Device, "/device"),
        (Endpoint::Revoke, "/revoke"),
        (Endpoint::Introspect, "/introspect"),
        (Endpoint::Userinfo, "/userinfo"),
        (Endpoint::Resource, "/resource"),
        (Endpoint::Register, "/register"),
        (Endpoint::Metadata, "/.well-known/oauth-authorization-server"),
        (Endpoint::Metadata, "/jwks"),
        (Endpoint::Other, "/elsewhere"),
    ] {
        app.provider.script(endpoint, Fault::status(599, "text/plain", path));
        let told = Told::of(app.post(path, &[]).await.unwrap()).await;
        assert_eq!((told.status.as_u16(), told.body), (599, path.into()));
    }
}

#[tokio::test]
async fn a_provider_that_is_dropped_listens_no_more() {
    let app = App::start().await;
    let address = app.provider.address();
    tokio::net::TcpStream::connect(address).await.unwrap();
    drop(app);
    // The task that listens ends at its next turn.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let refused = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}
