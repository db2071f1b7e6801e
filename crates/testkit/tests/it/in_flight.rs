//! How many requests are in flight at once.

use keyfob_testkit::{Endpoint, Fault, InFlight};

use crate::app::App;

#[tokio::test]
async fn the_busiest_moment_is_remembered_overall_and_for_each_endpoint() {
    let app = App::start().await;
    let (one, other) = (app.grant(), app.grant());
    for endpoint in [Endpoint::Token, Endpoint::Userinfo] {
        app.provider.script(endpoint, Fault::HoldBefore).always();
    }
    let (one, other, _, ()) = tokio::join!(
        app.refresh(&one.refresh_token),
        app.refresh(&other.refresh_token),
        app.userinfo(&one.access_token),
        async {
            app.provider.until(|ledger| ledger.in_flight.now == 3).await.unwrap();
            app.provider.clear_script();
            app.provider.release();
        },
    );
    one.assert_ok();
    other.assert_ok();
    app.provider.until(|ledger| ledger.in_flight.now == 0).await.unwrap();
    app.refresh(&app.grant().refresh_token).await.assert_ok();
    let ledger = app.provider.ledger();
    assert_eq!(ledger.in_flight.highest, 3);
    assert_eq!(ledger.highest_in_flight(Endpoint::Token), 2);
    assert_eq!(ledger.in_flight_at[&Endpoint::Userinfo].highest, 1);
    assert_eq!(ledger.highest_in_flight(Endpoint::Revoke), 0);
}

#[tokio::test]
async fn a_reset_forgets_requests_that_are_still_in_flight() {
    let app = App::start().await;
    let grant = app.grant();
    app.provider.script(Endpoint::Token, Fault::HoldBefore);
    let (told, ()) = tokio::join!(app.refresh(&grant.refresh_token), async {
        app.provider.until(|ledger| ledger.in_flight.now == 1).await.unwrap();
        app.provider.reset();
    });
    told.assert_refused("invalid_grant");
    let ledger = app.provider.ledger();
    assert_eq!((ledger.requests.len(), ledger.in_flight), (0, InFlight::default()));
    assert!(app.provider.was_issued(&grant.access_token).is_none());
    assert!(app.grant().family > grant.family);
}
