//! What is from before there were chains is sealed once, when the log of checkpoints begins.

use keyfob_core::crypto::MasterKey;
use keyfob_server::{audit, random::SystemRandom};
use keyfob_store::{StoreError, data_key};
use serde_json::json;

use std::time::Duration;

use crate::{
    app::TestApp,
    event_attack::{DAY, LONG, count, go_on},
    event_chain::{kinds, look, own, public, signed},
};

/// Makes a trail look as if it were from before there were chains, as far as somebody can who has not the master
/// key.
const UNCHAIN: &str = "DELETE FROM event_chain; DELETE FROM event_checkpoint;
    UPDATE event SET chain = NULL, position = NULL, previous_hash = NULL, hash = NULL, tag = NULL";

/// Wraps the data keys as they were before there were chains.
async fn unanchor(app: &mut TestApp) {
    let master = std::fs::read_to_string(app.config().key_file()).unwrap();
    let master = MasterKey::parse(&master.into()).unwrap();
    let write = app.store().write(move |tx| {
        for key in data_key::list(tx, None, 100)?.rows {
            let data_key::Stored { account, id, wrapped } = key;
            let wrapped = master.anchor_data_key(&account, id, &wrapped, None, &SystemRandom);
            let wrapped = wrapped.unwrap();
            data_key::replace(tx, &data_key::Stored { account, id, wrapped })?;
        }
        Ok::<_, StoreError>(tx.commit_unaudited(()))
    });
    write.await.unwrap();
}

/// A trail of which all events were written before there were chains, and its service, that starts then.
async fn upgraded() -> (TestApp, u64) {
    let mut app = signed().await;
    let old = upgrade(&mut app).await;
    (app, old)
}

/// Makes the trail one from before there were chains, and starts the service with it; how many events there are.
async fn upgrade(app: &mut TestApp) -> u64 {
    unanchor(app).await;
    app.close();
    app.database().execute(UNCHAIN);
    let old = count(app, "event");
    app.restart().await;
    u64::try_from(old).unwrap()
}

#[tokio::test]
async fn a_log_begins_once_and_not_over_a_past_that_somebody_has_written() {
    let mut app = signed().await;
    let own = own(&mut app);
    app.close();
    app.database().execute(UNCHAIN);
    app.database().execute("UPDATE event SET actor_name = 'somebody else'");
    for _ in 0..2 {
        app.restart().await;
        app.entry_with(json!({"label": app.clock.seconds().to_string()})).await;
        app.clock.advance_seconds(200);
        assert!(app.broker().sign_events().await.is_err());
        assert_eq!(count(&app, "event_checkpoint"), 0);
        assert_eq!(kinds(&look(&app, &own, None).await.0)[0], "checkpoints_removed");
        // Also where nothing but that is left of it.
        app.close();
        app.database().execute("DELETE FROM event_chain");
        app.database().execute("DELETE FROM event WHERE chain IS NOT NULL");
    }
    // Data keys that are away for so long, and those that are no keys, change nothing.
    for hide in ["DELETE FROM data_key", "UPDATE data_key SET wrapped = created_bytes"] {
        let hide = hide.replace("created_bytes", &app.database().bytes(&"00".repeat(60)));
        app.database().execute(
            "DROP TABLE IF EXISTS kept_key; CREATE TABLE kept_key AS SELECT * FROM data_key",
        );
        app.database().execute(&hide);
        app.restart().await;
        assert_eq!(count(&app, "event_checkpoint"), 0, "{hide}");
        app.close();
        app.database().execute("DELETE FROM data_key; INSERT INTO data_key SELECT * FROM kept_key");
    }
}

#[tokio::test]
async fn a_log_that_begins_anew_while_all_that_it_could_be_known_by_is_away_is_told() {
    let mut app = signed().await;
    let own = own(&mut app);
    let first = look(&app, &own, None).await.1.first;
    app.close();
    app.database().execute("CREATE TABLE kept_key AS SELECT * FROM data_key; DELETE FROM data_key");
    app.database()
        .execute("DELETE FROM event; DELETE FROM event_chain; DELETE FROM event_checkpoint");
    app.clock.advance_seconds(1);
    app.restart().await;
    app.close();
    app.database().execute("INSERT INTO data_key SELECT * FROM kept_key");
    app.restart().await;
    go_on(&app, 61).await;
    let (found, report) = look(&app, &own, None).await;
    assert_eq!(kinds(&found), ["begun_anew"]);
    assert_ne!(report.first.map(|(hash, _)| hash), first.map(|(hash, _)| hash));
}

#[tokio::test]
async fn a_first_start_or_an_upgrade_that_was_killed_begins_the_log_the_next_time() {
    let mut app = TestApp::new().await;
    let own = own(&mut app);
    // All that a first start has stored before it.
    app.close();
    app.database()
        .execute("DELETE FROM event; DELETE FROM event_chain; DELETE FROM event_checkpoint");
    app.database().execute("CREATE TABLE kept_key AS SELECT * FROM data_key; DELETE FROM data_key");
    app.restart().await;
    assert_eq!(count(&app, "event_checkpoint"), 1);
    app.database().execute("INSERT INTO data_key SELECT * FROM kept_key");
    unanchor(&mut app).await;
    app.close();
    app.database().execute(UNCHAIN);
    app.restart().await;
    app.other_account().await;
    assert_eq!(look(&app, &own, None).await.0, [], "all data keys say the same");
}

#[tokio::test]
async fn what_was_there_before_there_were_chains_is_sealed_once() {
    let (mut app, old) = upgraded().await;
    let (own, public) = (own(&mut app), public(&mut app));
    go_on(&app, 61).await;
    app.restart().await;
    go_on(&app, 61).await;
    for trust in [&own, &public] {
        let (found, report) = look(&app, trust, None).await;
        assert_eq!((found, report.unchained), (vec![], old));
    }
    let mut lines = Vec::new();
    audit::export(app.store(), &mut lines).await.unwrap();
    let mut tell = |_| ();
    let report = audit::verify_lines(&mut &lines[..], Some(&public), None, &mut tell).unwrap();
    assert_eq!((report.findings, report.unchained), (0, old));
    app.database().execute("CREATE TABLE kept AS SELECT * FROM event");
    for change in [
        "UPDATE event SET actor_name = 'x' WHERE position IS NULL AND action = 'totp.create'",
        "DELETE FROM event WHERE position IS NULL AND action = 'totp.create'",
        "UPDATE event SET created_at = 5 WHERE position IS NULL AND action = 'totp.create'",
        "INSERT INTO event (id, account_id, created_at, actor_type, actor_id, actor_name, action,
             object_type, object_id, result, request_id)
         SELECT 'evt_x', account_id, 5, actor_type, actor_id, actor_name, action, object_type, object_id,
             result, request_id FROM event WHERE position IS NULL AND action = 'totp.create'",
    ] {
        app.database().execute(change);
        for trust in [&own, &public] {
            assert_eq!(kinds(&look(&app, trust, None).await.0), ["seal_broken"], "{change}");
        }
        app.clock.advance_seconds(LONG);
        app.entry_with(json!({"label": app.clock.seconds().to_string()})).await;
        app.broker().sign_events().await.unwrap();
        app.broker().expire_events(DAY).await.unwrap();
        let left = app.database().number("SELECT count(*) FROM event WHERE position IS NULL");
        assert!(u64::try_from(left).unwrap() >= old - 1, "{change}");
        app.database().execute(
            "DELETE FROM event WHERE position IS NULL;
             INSERT INTO event SELECT * FROM kept WHERE position IS NULL",
        );
    }
    assert_eq!(look(&app, &own, None).await.0, []);
}

#[tokio::test]
async fn what_was_there_before_there_were_chains_goes_when_it_is_old_enough() {
    let (mut app, old) = upgraded().await;
    let (own, public) = (own(&mut app), public(&mut app));
    assert_eq!(app.broker().expire_events(DAY).await.unwrap(), 0, "it was sealed just now");
    go_on(&app, LONG).await;
    assert_eq!(app.broker().expire_events(DAY).await.unwrap(), old);
    for trust in [&own, &public] {
        let (found, report) = look(&app, trust, None).await;
        assert_eq!((found, report.unchained, report.expired), (vec![], 0, old));
    }
    // Nothing comes back in its place, however old it says it is.
    app.database().execute(
        "INSERT INTO event (id, account_id, created_at, actor_type, actor_id, actor_name, action,
             object_type, object_id, result, request_id)
         SELECT 'evt_x', account_id, 5, actor_type, actor_id, actor_name, action, object_type, object_id,
             result, request_id FROM event WHERE action = 'totp.create'",
    );
    assert_eq!(kinds(&look(&app, &own, None).await.0), ["unchained"]);
}

#[tokio::test]
async fn two_nodes_remove_what_was_sealed_at_the_same_time_and_the_seal_holds() {
    let mut app = signed().await;
    let (account, own) = (app.account().await, own(&mut app));
    let now = app.clock.seconds() * 1000;
    for (id, at, events) in
        [(1, 1, 1000), (2, now + 2 * i64::try_from(LONG).unwrap() * 1000 - 5000, 500)]
    {
        app.database().execute(&format!(
            "INSERT INTO event (account_id, id, created_at, actor_type, actor_id, actor_name, action,
                                object_type, object_id, result, request_id)
             WITH RECURSIVE n (i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < {})
             SELECT '{account}', 'evt_{id}' || i, {at}, 'key', 'k', 'k', 'totp.list', 'totp', 'x', 'ok', 'r'
             FROM n",
            10_000 + events - 1,
        ));
    }
    let old = upgrade(&mut app).await;
    app.on_another_node(app.agent()).await;
    app.clock.advance_seconds(LONG);
    go_on(&app, LONG).await;
    let (one, held) = (app.broker().clone(), app.hold_writers().await);
    let mut removed = Box::pin(one.expire_events(Duration::from_secs(1)));
    // It has hashed its first page, and its removal is on its way.
    tokio::select! {
        biased;
        _ = &mut removed => panic!("it was not held"),
        () = app.until_depth(1) => {}
    }
    drop(held);
    let left = || app.database().number("SELECT count(*) FROM event WHERE position IS NULL");
    while left() > i64::try_from(old).unwrap() - 500 {
        tokio::task::yield_now().await;
    }
    // It stands still while the other one, which keeps more, removes what it keeps no longer.
    let other = app.other_broker().expire_events(DAY).await.unwrap();
    assert!(other >= 500 && left() >= 500, "{other}, {}", left());
    assert_eq!(removed.await.unwrap() + other, old);
    let (found, report) = look(&app, &own, None).await;
    assert_eq!((found, report.expired, report.unchained), (vec![], old, 0));
}
