//! Several who write at the same moment: whoever was late notices, and nothing that is newer is lost.
//!
//! On PostgreSQL the other one commits between two statements of a unit. SQLite has one writer at a time, so
//! there it commits before the unit begins, but after the unit's caller has looked.

use std::{collections::BTreeSet, time::Duration};

use keyfob_testkit::{Cause, Endpoint, Fault, IssuedGrant};

use crate::{
    database::Database,
    provider::Jobs,
    rival::Rival,
    scene::{LIFE, Scene},
};

/// What a node stores that has renewed the grant, or connected it anew.
const STORE: &str = "UPDATE connection SET value = (SELECT value FROM newer), broken = NULL;
    UPDATE refresh SET fence = fence + 1, leased_until = NULL, unanswered_since = NULL, failures = 0";

/// A scene in which another node is about to [`STORE`] a newer grant: that which there is, and the newer one.
async fn with_newer() -> (Scene, IssuedGrant, IssuedGrant) {
    let (scene, older) = Scene::connected().await;
    let database = scene.app.database();
    database.execute("CREATE TABLE older AS SELECT value FROM connection");
    let newer = scene.import(100 * LIFE).await;
    database.execute(
        "CREATE TABLE newer AS SELECT value FROM connection;
         UPDATE connection SET value = (SELECT value FROM older)",
    );
    (scene, older, newer)
}

/// A refresh token that was replaced must not be sent, or the provider ends the grant.
#[tokio::test]
async fn what_another_node_stores_while_the_lease_is_taken_is_handed_out_and_not_renewed() {
    let (scene, _, newer) = with_newer().await;
    scene.outlive();
    let rival = Rival::begin(&scene.app, STORE).await;
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    rival.commit_when_in_the_way(&scene.app).await;
    assert_eq!(call.await.unwrap().ok()["token"], newer.access_token);
    assert_eq!(scene.asked(), 0);
    assert_eq!(scene.renewals().await, []);
}

/// The grant and its lease are two rows: with the old grant and the new lease, the used token would be sent.
#[tokio::test]
async fn no_lease_is_taken_for_a_grant_that_was_read_before_another_node_stored_a_newer_one() {
    let (scene, _, newer) = with_newer().await;
    scene.outlive();
    let mint = || tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    let (call, rival) = match scene.app.database() {
        // Nobody commits between two reads of the one writer: it begins when the other is done.
        Database::Sqlite(_) => {
            let rival = Rival::begin(&scene.app, STORE).await;
            (mint(), rival)
        }
        // The other one commits while the unit waits to read the lease: nobody reads a locked table.
        Database::Postgres { .. } => {
            let unread = format!("LOCK TABLE refresh IN ACCESS EXCLUSIVE MODE; {STORE}");
            let held = scene.app.hold_writers().await;
            let call = mint();
            scene.app.until_depth(1).await;
            let rival = Rival::begin(&scene.app, &unread).await;
            drop(held);
            (call, rival)
        }
    };
    rival.commit_when_in_the_way(&scene.app).await;
    assert_eq!(call.await.unwrap().ok()["token"], newer.access_token);
    assert_eq!(scene.asked(), 0);
}

/// The row that leases are taken of is made by one of the two.
#[tokio::test]
async fn of_two_nodes_that_find_a_grant_without_a_row_one_renews_it() {
    let (mut scene, grant) =
        Scene::connected_with(|options| options.reuse_grace = Duration::from_hours(1)).await;
    let there = scene.app.on_another_node(scene.app.backend()).await;
    let here = scene.app.backend();
    for round in 1..=20 {
        scene.app.database().execute("DELETE FROM refresh");
        scene.outlive();
        let calls = [&here, &there].map(|caller| scene.call(caller, "mint").into_future());
        let answers = futures_util::future::join_all(calls).await;
        let tokens: BTreeSet<_> =
            answers.into_iter().map(|answer| answer.ok()["token"].to_string()).collect();
        assert_eq!((tokens.len(), scene.asked()), (1, round));
        assert_eq!(scene.app.database().number("SELECT count(*) FROM refresh"), 1);
    }
    let ledger = scene.provider.ledger();
    assert_eq!((ledger.refreshes(grant.family), ledger.reuses()), (20, 0));
}

#[tokio::test]
async fn a_refusal_does_not_break_what_another_node_stores_at_the_same_moment() {
    let (scene, older, newer) = with_newer().await;
    assert!(scene.provider.withdraw(older.family));
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldBefore);
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    let rival = Rival::begin(&scene.app, STORE).await;
    scene.provider.release();
    rival.commit_when_in_the_way(&scene.app).await;
    assert_eq!(call.await.unwrap().ok()["token"], newer.access_token);
    assert_eq!(scene.verify().await["status"], "authenticated");
    assert_eq!(scene.renewals().await, []);
    // And it is kept alive from now on.
    assert_eq!(scene.app.database().number("SELECT count(*) FROM refresh"), 1);
}

/// Of a grant that was renewed a moment ago, only the newest tokens end it at the provider.
#[tokio::test]
async fn a_revoke_revokes_what_another_node_stores_at_the_same_moment() {
    let (scene, older, newer) = with_newer().await;
    let rival = Rival::begin(&scene.app, STORE).await;
    let call = tokio::spawn(scene.call(&scene.app.backend(), "revoke").into_future());
    rival.commit_when_in_the_way(&scene.app).await;
    call.await.unwrap().ok();
    assert!(scene.app.open_connection(&scene.contact, &scene.secret).await.is_none());
    let _jobs = Jobs::of(&scene.app);
    let is_dead = |family| {
        move |ledger: &keyfob_testkit::Ledger| ledger.family(family).unwrap().death.is_some()
    };
    scene.provider.until(is_dead(newer.family)).await.unwrap();
    let ledger = scene.provider.ledger();
    let death = ledger.family(newer.family).unwrap().death.unwrap();
    assert_eq!((death.cause, ledger.at(Endpoint::Revoke).count()), (Cause::Revoked, 1));
    assert!(ledger.family(older.family).unwrap().death.is_none());
}

/// Somebody was faster: what the provider says is of tokens that are not there any more.
#[tokio::test]
async fn a_refusal_of_tokens_that_were_replaced_meanwhile_breaks_nothing() {
    let (scene, _) = Scene::connected().await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldBefore);
    scene.provider.script(Endpoint::Token, Fault::false_invalid_grant());
    let call = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    scene.provider.clear_script();
    let newer = scene.import(LIFE).await;
    let family = scene.provider.was_issued(&newer.access_token).unwrap().family;
    assert!(scene.provider.withdraw(family));
    scene.provider.release();
    assert_eq!(call.await.unwrap().ok()["token"], newer.access_token);
    assert_eq!(scene.verify().await["status"], "authenticated");
}

/// A node that stood still for longer than its lease must not overwrite what a later one has stored.
#[tokio::test]
async fn the_tokens_of_a_node_that_was_late_do_not_replace_newer_ones() {
    let (mut scene, grant) =
        Scene::connected_with(|options| options.reuse_grace = Duration::from_hours(1)).await;
    let there = scene.app.on_another_node(scene.app.backend()).await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let late = tokio::spawn(scene.call(&scene.app.backend(), "mint").into_future());
    scene.until_asked(1).await;
    scene.app.clock.advance_seconds(35);
    let newer = scene.token_of(&there).await;
    scene.provider.release();
    assert_eq!(late.await.unwrap().ok()["token"].as_str(), Some(newer.as_str()));
    assert_eq!(scene.token().await, newer);
    let renewals = scene.renewals().await;
    let results: BTreeSet<_> = renewals.iter().map(|(result, _)| result.as_str()).collect();
    assert_eq!(results, ["discarded", "ok"].into());
    assert!(scene.provider.ledger().family(grant.family).unwrap().death.is_none());
}
