//! Who can write the database, and has not the master key, hides nothing of the trail: neither by writing it anew,
//! nor by having Keyfob sign or remove for him.

use std::{io, time::Duration};

use keyfob_core::{
    audit::{AuditKey, Birth, Checkpoint, Hash, Head},
    crypto::MasterKey,
    time::Timestamp,
};
use keyfob_server::{audit, random::SystemRandom};
use keyfob_store::{StoreError, data_key, event::Stored, trail};
use serde_json::json;

use crate::{
    app::TestApp,
    event_chain::{kinds, look, own, public, signed},
};

const DAY: Duration = Duration::from_hours(24);
/// A day, and what a checkpoint is rounded up by.
const LONG: u64 = 86_401 + 3600;

fn count(app: &TestApp, table: &str) -> i64 {
    app.database().number(&format!("SELECT count(*) FROM {table}"))
}

/// Goes on so much later, with an event that is signed.
async fn go_on(app: &TestApp, seconds: u64) {
    app.clock.advance_seconds(seconds);
    app.entry_with(json!({"label": format!("after {seconds}")})).await;
    app.broker().sign_events().await.unwrap();
}

/// A key of somebody's own.
fn forgers_key() -> AuditKey {
    let text = data_encoding::BASE64.encode(&[7; 32]);
    MasterKey::parse(&text.into()).unwrap().audit_key()
}

/// Replaces the log by one checkpoint of each number up to `last`, signed with another key, which vouch for the
/// trail as it is.
async fn replace_log(app: &TestApp, last: i64) {
    let ends = app.store().read(|tx| trail::ends(tx, "", 100)).await.unwrap();
    let mut heads = Vec::new();
    for (chain, position) in ends {
        let wanted = chain.clone();
        let page = app.store().read(move |tx| trail::walk(tx, &wanted, position, 1)).await.unwrap();
        let hash = page.rows[0].linked().unwrap().hash.unwrap();
        heads.push(Head { chain, position, hash, edge_of: None });
    }
    app.database().execute("DELETE FROM event_checkpoint");
    let write = app.store().write(move |tx| {
        let mut previous = Checkpoint::NOTHING;
        for number in 1..=last {
            let mut checkpoint = Checkpoint {
                number,
                created_at: Timestamp::from_millis(1),
                previous,
                heads: heads.clone(),
                key_id: String::new(),
                signature: vec![],
            };
            forgers_key().sign(&mut checkpoint);
            previous = checkpoint.hash();
            trail::insert(tx, &checkpoint)?;
        }
        Ok::<_, StoreError>(tx.commit_unaudited(()))
    });
    write.await.unwrap();
}

#[tokio::test]
async fn a_log_that_another_key_has_signed_is_told_and_nothing_is_signed_after_it() {
    let mut app = signed().await;
    let (own, public) = (own(&mut app), public(&mut app));
    replace_log(&app, 2).await;
    // Neither by a server that has known another one, nor by one that starts with it.
    for _ in 0..2 {
        app.clock.advance_seconds(200);
        app.entry_with(json!({"label": app.clock.seconds().to_string()})).await;
        assert!(app.broker().sign_events().await.is_err());
        // It may find none.
        app.broker().sign_stale_chains().await.ok();
        assert!(app.broker().expire_events(DAY).await.is_err());
        app.broker().finish_events().await;
        assert_eq!(count(&app, "event_checkpoint"), 2);
        for trust in [&own, &public] {
            assert_eq!(kinds(&look(&app, trust, None).await.0)[0], "checkpoint_forged");
        }
        app.restart().await;
    }
}

#[tokio::test]
async fn a_server_signs_nothing_after_a_log_that_was_set_back() {
    let mut app = signed().await;
    go_on(&app, 61).await;
    for change in [
        "UPDATE event_checkpoint SET heads = '' WHERE number = 3",
        "UPDATE event_checkpoint SET heads = 'x' WHERE number = 3",
        "DELETE FROM event_checkpoint WHERE number = 3",
        "DELETE FROM event_checkpoint",
    ] {
        app.database().execute(change);
        app.clock.advance_seconds(61);
        app.entry_with(json!({"label": app.clock.seconds().to_string()})).await;
        let before = count(&app, "event_checkpoint");
        assert!(app.broker().sign_events().await.is_err(), "{change}");
        assert_eq!(count(&app, "event_checkpoint"), before, "{change}");
        // It does not try again and again.
        assert_eq!(app.broker().sign_events().await.unwrap(), 0);
    }
    // Nor does the next one make a first checkpoint where there was one.
    app.restart().await;
    assert_eq!(count(&app, "event_checkpoint"), 0);
    let own = own(&mut app);
    assert_eq!(kinds(&look(&app, &own, None).await.0)[0], "checkpoints_removed");
}

#[tokio::test]
async fn events_that_are_made_to_look_old_are_not_removed() {
    let app = signed().await;
    let before = count(&app, "event");
    app.database().execute("UPDATE event SET created_at = 1");
    assert_eq!(app.broker().expire_events(DAY).await.unwrap(), 0, "they were signed just now");
    go_on(&app, LONG).await;
    assert_eq!(app.broker().expire_events(DAY).await.unwrap(), 0, "they are not as they were");
    assert_eq!(count(&app, "event"), before + 1);
    assert_eq!(
        app.database().number("SELECT count(*) FROM event_checkpoint WHERE heads LIKE '%edge%'"),
        0
    );
}

#[tokio::test]
async fn nothing_is_removed_with_an_event_that_nobody_tagged_or_after_another_birth() {
    for change in [
        "UPDATE event SET tag = NULL WHERE position = 2",
        "UPDATE event SET hash = previous_hash WHERE position = 2",
        "UPDATE event_chain SET node = 'x'",
        "UPDATE event_chain SET checkpoint = 0",
        "DELETE FROM event_chain",
        "DELETE FROM event WHERE position = 2",
        "UPDATE event SET actor_name = 'x' WHERE position = 2",
    ] {
        let app = signed().await;
        go_on(&app, LONG).await;
        app.database().execute(change);
        let before = count(&app, "event");
        assert_eq!(app.broker().expire_events(DAY).await.unwrap(), 0, "{change}");
        assert_eq!(count(&app, "event"), before, "{change}");
    }
}

#[tokio::test]
async fn what_was_not_signed_long_ago_is_not_removed_although_its_server_was_killed_long_ago() {
    let mut app = TestApp::new().await;
    let own = own(&mut app);
    app.entry().await;
    app.restart().await;
    go_on(&app, LONG).await;
    assert!(app.broker().sign_stale_chains().await.unwrap() >= 1);
    assert_eq!(app.broker().expire_events(DAY).await.unwrap(), 0);
    go_on(&app, LONG).await;
    assert!(app.broker().expire_events(DAY).await.unwrap() > 0);
    assert_eq!(look(&app, &own, None).await.0, []);
    // How the chain began stays as it was, although no event follows it.
    app.database().execute("UPDATE event_chain SET node = 'x'");
    assert_eq!(kinds(&look(&app, &own, None).await.0)[0], "birth_changed");
}

#[tokio::test]
async fn a_clock_that_is_wrong_removes_nothing() {
    let app = signed().await;
    let before = count(&app, "event");
    app.clock.advance_seconds(400 * 86_400);
    assert_eq!(app.broker().expire_events(DAY).await.unwrap(), 0);
    assert_eq!(count(&app, "event"), before);
}

#[tokio::test]
async fn earlier_chains_cannot_be_removed_with_their_checkpoints() {
    let mut app = signed().await;
    let (own, public) = (own(&mut app), public(&mut app));
    let earlier = "(SELECT id FROM event_chain WHERE checkpoint = 1)";
    app.restart().await;
    go_on(&app, 61).await;
    app.broker().finish_events().await;
    for trust in [&own, &public] {
        assert_eq!(look(&app, trust, None).await.0, []);
    }
    app.database().execute(&format!("DELETE FROM event WHERE chain IN {earlier}"));
    app.database().execute(&format!("DELETE FROM event_chain WHERE id IN {earlier}"));
    app.database().execute("DELETE FROM event_checkpoint WHERE number > 1");
    for trust in [&own, &public] {
        assert_eq!(kinds(&look(&app, trust, None).await.0)[0], "orphaned");
    }
    app.database().execute("DELETE FROM event_checkpoint");
    for trust in [&own, &public] {
        assert_eq!(kinds(&look(&app, trust, None).await.0)[0], "checkpoints_removed");
    }
}

#[tokio::test]
async fn an_invented_event_is_told_whatever_its_chain_is_called() {
    let mut app = signed().await;
    let (own, public) = (own(&mut app), public(&mut app));
    let mut event: Stored = app.events().await.pop().unwrap();
    let source = event.id.to_string();
    event.id = keyfob_core::id::EventId::from_stored("evt_x");
    for name in ["", "!", "chn-x", "\u{10ffff}", "zzz"] {
        // With a birth and hashes that look right.
        let birth = Birth {
            chain: name.into(),
            started_at: event.created_at,
            node: "x".into(),
            checkpoint: (0, Checkpoint::NOTHING),
        };
        let hash = event.record().hash(name, 1, &birth.hash());
        let bytes = |hash: Hash| app.database().bytes(&hash.to_string());
        let (nothing, previous) = (bytes(Checkpoint::NOTHING), bytes(birth.hash()));
        app.database().execute(&format!(
            "INSERT INTO event_chain (id, started_at, node, checkpoint, checkpoint_hash)
                 VALUES ('{name}', {}, 'x', 0, {nothing});
             INSERT INTO event (id, account_id, created_at, actor_type, actor_id, actor_name, action,
                 object_type, object_id, contact_id, result, reason, ip, request_id, chain, position,
                 previous_hash, hash)
             SELECT 'evt_x', account_id, created_at, actor_type, actor_id, actor_name, action,
                 object_type, object_id, contact_id, result, reason, ip, request_id, '{name}', 1,
                 {previous}, {} FROM event WHERE id = '{source}'",
            birth.started_at.as_millis(),
            bytes(hash),
        ));
        assert_eq!(kinds(&look(&app, &own, None).await.0), ["birth_changed", "forged"], "{name}");
        assert_eq!(kinds(&look(&app, &public, None).await.0), ["birth_changed"], "{name}");
        app.database().execute(&format!(
            "DELETE FROM event WHERE id = 'evt_x'; DELETE FROM event_chain WHERE id = '{name}'"
        ));
    }
    // Before the first position, and twice at one of no chain.
    let copy = |id: &str, chain: &str, position: i64| {
        app.database().execute(&format!(
            "INSERT INTO event (id, account_id, created_at, actor_type, actor_id, actor_name, action,
                 object_type, object_id, result, request_id, chain, position)
             SELECT '{id}', account_id, created_at, actor_type, actor_id, actor_name, action,
                 object_type, object_id, result, request_id, {chain}, {position}
             FROM event WHERE id = '{source}'"
        ));
    };
    let chain = format!("'{}'", event.place.as_ref().unwrap().chain);
    copy("evt_x", &chain, -5);
    copy("evt_y", &chain, i64::MIN + 1);
    copy("evt_z", "NULL", 0);
    let found = look(&app, &own, None).await.0;
    assert_eq!(kinds(&found), ["doubled", "doubled", "unchained"]);
}

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

/// Writes an edge into the log as soon as a chain is exported.
struct Meanwhile<'a>(&'a TestApp, Vec<u8>);

impl io::Write for Meanwhile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_before = !self.1.windows(7).any(|part| part == b"\"chain\"");
        self.1.extend(bytes);
        if is_before && self.1.windows(7).any(|part| part == b"\"chain\"") {
            let hash = "ab".repeat(32);
            self.0.database().execute(&format!(
                "INSERT INTO event_checkpoint (number, created_at, previous, heads, key_id, signature)
                 SELECT number + 1, created_at, previous, 'edge x 1 {hash} {hash}', key_id, signature
                 FROM event_checkpoint WHERE number = 2"
            ));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_export_in_which_retention_has_removed_something_meanwhile_ends_with_an_error() {
    let app = signed().await;
    let mut out = Meanwhile(&app, Vec::new());
    let error = audit::export(app.store(), &mut out).await.unwrap_err().to_string();
    assert!(error.contains("export it again"), "{error}");
    assert!(!String::from_utf8(out.1).unwrap().contains("\"end\""));
}

#[tokio::test]
async fn findings_are_told_although_somebody_pretends_that_retention_was_at_work() {
    let mut app = signed().await;
    let own = own(&mut app);
    app.database().execute("UPDATE event SET actor_name = 'x' WHERE action = 'totp.create'");
    let mut found = Vec::new();
    let mut tell = |told| {
        if let audit::Told::Found(finding) = told {
            if found.is_empty() {
                let hash = "ab".repeat(32);
                app.database().execute(&format!(
                    "INSERT INTO event_checkpoint (number, created_at, previous, heads, key_id, signature)
                     SELECT 3, created_at, previous, 'edge x 1 {hash} {hash}', key_id, signature
                     FROM event_checkpoint WHERE number = 2"
                ));
            }
            found.push(finding);
        }
    };
    audit::verify(app.store(), &own, None, &mut tell).await.unwrap();
    assert_eq!(kinds(&found), ["changed", "checkpoint_changed"]);
}
