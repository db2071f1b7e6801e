//! Who can write the database, and has not the master key, hides nothing of the trail: neither by writing it anew,
//! nor by having Keyfob sign or remove for him.

use std::{io, time::Duration};

use keyfob_core::{
    audit::{AuditKey, Birth, Checkpoint, Hash, Head},
    crypto::MasterKey,
    time::Timestamp,
};
use keyfob_server::audit;
use keyfob_store::{StoreError, event::Stored, trail};
use serde_json::json;

use crate::{
    app::TestApp,
    event_chain::{kinds, look, own, public, signed},
};

pub(crate) const DAY: Duration = Duration::from_hours(24);
/// A day, and what a checkpoint is rounded up by.
pub(crate) const LONG: u64 = 86_401 + 3600;

pub(crate) fn count(app: &TestApp, table: &str) -> i64 {
    app.database().number(&format!("SELECT count(*) FROM {table}"))
}

/// Goes on so much later, with an event that is signed.
pub(crate) async fn go_on(app: &TestApp, seconds: u64) {
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
