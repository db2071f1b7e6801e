//! The audit trail proves itself: whatever somebody changes in the database is found and named.

use keyfob_core::audit::{Finding, Report};
use keyfob_server::audit::{self, Expected, Told, Trust};
use serde_json::json;

use crate::{
    app::{TestApp, code_path},
    guard::CANARY,
};

/// The chain that has most of the events: PostgreSQL has two writers.
pub(crate) const LONGEST: &str = "(SELECT chain FROM event WHERE chain IS NOT NULL GROUP BY chain ORDER BY count(*) DESC, chain LIMIT 1)";

/// What a trail is stored in.
const TABLES: [&str; 3] = ["event", "event_chain", "event_checkpoint"];

/// The position of an event there that is about a code: it says why.
const CODE: i64 = 9;

/// A service with a trail that is signed to its end, and a copy of it.
pub(crate) async fn signed() -> TestApp {
    let app = TestApp::new().await;
    let id = app.entry().await;
    for _ in 0..25 {
        app.agent().get(code_path(&id, "")).await.ok();
    }
    app.broker().sign_events().await.unwrap();
    for table in TABLES {
        app.database().execute(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"));
    }
    app
}

/// Puts the trail back as it was.
fn restore(app: &TestApp) {
    for table in TABLES {
        app.database().execute(&format!(
            "DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}"
        ));
    }
}

pub(crate) async fn look(
    app: &TestApp,
    trust: &Trust,
    expected: Option<Expected>,
) -> (Vec<Finding>, Report) {
    let mut found = Vec::new();
    let mut tell = |told| {
        if let Told::Found(finding) = told {
            found.push(finding);
        }
    };
    let report = audit::verify(app.store(), trust, expected, &mut tell).await.unwrap();
    assert_eq!(report.findings, found.len() as u64);
    (found, report)
}

pub(crate) fn own(app: &mut TestApp) -> Trust {
    let config = app.config().clone();
    Trust::find(None, &config).unwrap()
}

pub(crate) fn public(app: &mut TestApp) -> Trust {
    let config = app.config().clone();
    Trust::public(&audit::public_key(&config).unwrap()).unwrap()
}

pub(crate) fn kinds(found: &[Finding]) -> Vec<&str> {
    found.iter().map(Finding::kind).collect()
}

#[tokio::test]
async fn a_trail_as_it_was_written_has_no_findings() {
    let mut app = signed().await;
    for trust in [own(&mut app), public(&mut app)] {
        let (found, report) = look(&app, &trust, None).await;
        assert_eq!(found, []);
        assert!(report.events >= 30, "{report:?}");
        assert_eq!((report.uncovered, report.unchained, report.checkpoints), (0, 0, 2));
        assert!(report.chains <= app.database().writers() as u64, "{report:?}");
    }
}

#[tokio::test]
async fn each_column_of_an_event_that_is_changed_is_found_in_that_event() {
    let mut app = signed().await;
    let (own, public) = (own(&mut app), public(&mut app));
    for change in [
        "account_id = 'acc_other'",
        "id = 'evt_other'",
        "created_at = created_at - 1",
        "actor_type = 'link'",
        "actor_id = 'key_other'",
        "actor_name = 'another'",
        "action = 'totp.list'",
        "object_type = 'key'",
        "object_id = 'another'",
        "contact_id = 'con_1'",
        "contact_id = ''",
        "result = 'denied'",
        "reason = NULL",
        "reason = 'another'",
        "ip = NULL",
        "request_id = 'req_other'",
        "previous_hash = hash",
        "hash = previous_hash",
        "hash = NULL",
        "previous_hash = NULL",
    ] {
        let of = format!("WHERE position = {CODE} AND chain = {LONGEST}");
        app.database().execute(&format!("UPDATE event SET {change} {of}"));
        for trust in [&own, &public] {
            let (found, _) = look(&app, trust, None).await;
            assert_eq!(kinds(&found), ["changed"], "{change}");
            assert_eq!(found[0].at().unwrap().position, CODE, "{change}");
        }
        restore(&app);
    }
    app.database()
        .execute(&format!("UPDATE event SET tag = NULL WHERE position = 5 AND chain = {LONGEST}"));
    assert_eq!(kinds(&look(&app, &own, None).await.0), ["forged"]);
    restore(&app);
    assert_eq!(look(&app, &own, None).await.0, []);
}

#[tokio::test]
async fn events_that_are_removed_swapped_or_taken_out_of_their_chain_are_found() {
    let mut app = signed().await;
    let (own, public) = (own(&mut app), public(&mut app));
    let last = format!("(SELECT max(position) FROM event WHERE chain = {LONGEST})");
    for (change, expected) in [
        (format!("DELETE FROM event WHERE position = 5 AND chain = {LONGEST}"), vec!["removed"]),
        (format!("DELETE FROM event WHERE position = 1 AND chain = {LONGEST}"), vec!["removed"]),
        (
            format!("DELETE FROM event WHERE position = {last} AND chain = {LONGEST}"),
            vec!["removed"],
        ),
        (
            format!(
                "UPDATE event SET position = -5 WHERE position = 5 AND chain = {LONGEST};
                 UPDATE event SET position = 5 WHERE position = 7 AND chain = {LONGEST};
                 UPDATE event SET position = 7 WHERE position = -5 AND chain = {LONGEST}"
            ),
            vec!["moved", "moved"],
        ),
        (
            format!("UPDATE event SET chain = NULL WHERE position = 5 AND chain = {LONGEST}"),
            vec!["removed", "unchained"],
        ),
        (
            format!("UPDATE event SET position = NULL WHERE position = 5 AND chain = {LONGEST}"),
            vec!["removed", "unchained"],
        ),
    ] {
        app.database().execute(&change);
        for trust in [&own, &public] {
            assert_eq!(kinds(&look(&app, trust, None).await.0), expected, "{change}");
        }
        restore(&app);
    }
}

#[tokio::test]
async fn chains_that_are_removed_or_begin_otherwise_are_found() {
    let mut app = signed().await;
    let (own, public) = (own(&mut app), public(&mut app));
    for (change, expected) in [
        (
            format!(
                "DELETE FROM event_chain WHERE id = {LONGEST};
                 DELETE FROM event WHERE chain = {LONGEST}"
            ),
            "chain_removed",
        ),
        (format!("DELETE FROM event WHERE chain = {LONGEST}"), "chain_removed"),
        (format!("DELETE FROM event_chain WHERE id = {LONGEST}"), "birth_changed"),
        (format!("UPDATE event_chain SET node = 'x' WHERE id = {LONGEST}"), "birth_changed"),
        (format!("UPDATE event_chain SET started_at = 1 WHERE id = {LONGEST}"), "birth_changed"),
    ] {
        app.database().execute(&change);
        for trust in [&own, &public] {
            let found = look(&app, trust, None).await.0;
            assert_eq!(kinds(&found)[0], expected, "{change}: {found:?}");
        }
        restore(&app);
    }
}

#[tokio::test]
async fn an_event_that_is_added_is_found_also_with_a_hash_that_looks_right() {
    let mut app = signed().await;
    let (own, public) = (own(&mut app), public(&mut app));
    let columns = "account_id, created_at, actor_type, actor_id, actor_name, action, object_type,
                   object_id, contact_id, result, reason, ip, request_id";
    let copy = |id: &str, more: &str, values: &str| {
        format!(
            "INSERT INTO event (id, {columns}{more}) SELECT '{id}', {columns}{values} FROM event
             WHERE chain = {LONGEST} ORDER BY position DESC LIMIT 1"
        )
    };
    // In no chain, in a chain of its own, and at the end of a chain.
    let later = "UPDATE event SET created_at = created_at + 1000 WHERE id = 'evt_x'";
    app.database().execute(&format!("{}; {later}", copy("evt_x", "", "")));
    for trust in [&own, &public] {
        let found = look(&app, trust, None).await.0;
        assert_eq!(kinds(&found), ["unchained"]);
        assert_eq!(found[0].at().unwrap().event, "evt_x");
    }
    restore(&app);
    let place = ", chain, position, previous_hash, hash";
    app.database().execute(&copy("evt_x", place, ", 'chn_x', 1, previous_hash, hash"));
    assert_eq!(kinds(&look(&app, &own, None).await.0), ["birth_changed", "changed"]);
    restore(&app);
    // The hash that whoever knows how gives it.
    let (chain, position, previous) = {
        let events = app.events().await;
        let mut places: Vec<_> = events.into_iter().filter_map(|event| event.place).collect();
        places.sort_by_key(|place| place.position);
        let last = places.pop().unwrap();
        (last.chain, last.position, last.hash.unwrap())
    };
    let mut event = app.events().await.pop().unwrap();
    event.id = keyfob_core::id::EventId::from_stored("evt_x");
    let hash = event.record().hash(&chain, position + 1, &previous);
    let bytes = |hash: &str| {
        if app.database().writers() == 1 {
            format!("X'{hash}'")
        } else {
            format!("'\\x{hash}'::bytea")
        }
    };
    let values = format!(
        ", '{chain}', {}, {}, {}",
        position + 1,
        bytes(&previous.to_string()),
        bytes(&hash.to_string())
    );
    let id = event.id.to_string();
    let source = app.events().await.pop().unwrap().id;
    app.database().execute(&format!(
        "INSERT INTO event (id, {columns}{place}) SELECT '{id}', {columns}{values} FROM event
         WHERE id = '{source}'"
    ));
    let found = look(&app, &own, None).await.0;
    assert_eq!(kinds(&found), ["forged"]);
    assert_eq!(found[0].at().unwrap().position, position + 1);
    // Without the key it is told that nothing signs it.
    let (found, report) = look(&app, &public, None).await;
    assert_eq!((found, report.uncovered), (vec![], 1));
    // And the service goes on, in another chain.
    app.entry_with(json!({"label": "next"})).await;
    assert_eq!(kinds(&look(&app, &own, None).await.0), ["forged"]);
}

#[tokio::test]
async fn checkpoints_that_are_changed_removed_or_used_again_are_found() {
    let mut app = signed().await;
    let id = app.entry_with(json!({"label": "second"})).await;
    for _ in 0..2 {
        app.clock.advance_seconds(61);
        app.agent().get(code_path(&id, "")).await.ok();
        assert!(app.broker().sign_events().await.unwrap() > 0);
    }
    for table in TABLES {
        app.database().execute(&format!("DROP TABLE kept_{table}"));
    }
    for table in TABLES {
        app.database().execute(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"));
    }
    let (own, public) = (own(&mut app), public(&mut app));
    assert_eq!(look(&app, &public, None).await.0, []);
    for (change, expected) in [
        ("UPDATE event_checkpoint SET created_at = created_at + 1 WHERE number = 2", "checkpoint_changed"),
        ("UPDATE event_checkpoint SET heads = '' WHERE number = 2", "checkpoint_changed"),
        ("UPDATE event_checkpoint SET signature = previous WHERE number = 2", "checkpoint_changed"),
        ("UPDATE event_checkpoint SET key_id = 'x' WHERE number = 2", "checkpoint_forged"),
        ("UPDATE event_checkpoint SET heads = 'x' WHERE number = 2", "damaged"),
        ("DELETE FROM event_checkpoint WHERE number = 2", "checkpoints_removed"),
        ("DELETE FROM event_checkpoint WHERE number = 1", "checkpoints_removed"),
        ("UPDATE event_checkpoint SET number = 5 WHERE number = 1", "checkpoints_removed"),
        (
            "INSERT INTO event_checkpoint (number, created_at, previous, heads, key_id, signature)
             SELECT 5, created_at, previous, heads, key_id, signature FROM event_checkpoint WHERE number = 1",
            "checkpoint_changed",
        ),
    ] {
        app.database().execute(change);
        for trust in [&own, &public] {
            let found = look(&app, trust, None).await.0;
            assert_eq!(kinds(&found).first(), Some(&expected), "{change}: {found:?}");
        }
        restore(&app);
    }
}

#[tokio::test]
async fn a_trail_that_is_set_back_is_found_by_whoever_noted_a_checkpoint() {
    let mut app = signed().await;
    let own = own(&mut app);
    app.clock.advance_seconds(61);
    app.entry_with(json!({"label": "later"})).await;
    app.broker().sign_events().await.unwrap();
    let (number, hash, _) = look(&app, &own, None).await.1.newest.unwrap();
    let noted = Expected::parse(&format!("{number}:{hash}")).unwrap();
    assert_eq!(look(&app, &own, Some(noted)).await.0, []);
    restore(&app);
    assert_eq!(look(&app, &own, None).await.0, [], "nobody can tell by the database alone");
    assert_eq!(kinds(&look(&app, &own, Some(noted)).await.0), ["set_back"]);
    for bad in ["", "1", "x:y", "1:abcd"] {
        assert!(Expected::parse(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn nothing_of_the_trail_holds_a_secret() {
    let app = signed().await;
    let mut lines = Vec::new();
    audit::export(app.store(), &mut lines).await.unwrap();
    let text = String::from_utf8(lines).unwrap();
    assert!(!text.contains(CANARY) && text.contains("totp.create"));
}

/// SQLite stores a value of any type anywhere.
#[tokio::test]
async fn a_row_of_another_type_hides_nothing_and_holds_nothing_up() {
    let mut app = signed().await;
    if app.database().writers() > 1 {
        return;
    }
    let own = own(&mut app);
    let copy = "INSERT INTO event (id, account_id, created_at, actor_type, actor_id, actor_name, action,
            object_type, object_id, result, request_id, chain, position)
        SELECT 'evt_x', account_id, created_at, actor_type, actor_id, actor_name, action, object_type,
            object_id, result, request_id,";
    for change in [
        &format!("{copy} chain, 'x' FROM event WHERE position = 1"),
        &format!("{copy} chain, 1.5 FROM event WHERE position = 1"),
        &format!("{copy} X'00', 1 FROM event WHERE position = 1"),
        &format!(
            "{copy} NULL, NULL FROM event WHERE position = 1; UPDATE event SET created_at = 't' WHERE id = 'evt_x'"
        ),
        "UPDATE event SET position = 'x' WHERE position = 6",
        "INSERT INTO event_chain SELECT X'00', started_at, node, checkpoint, checkpoint_hash FROM event_chain",
        "INSERT INTO event_checkpoint SELECT 'zz', created_at, previous, heads, key_id, signature
         FROM event_checkpoint WHERE number = 1",
    ] {
        app.database().execute("UPDATE event SET actor_name = 'x' WHERE position = 3");
        app.database().execute(change);
        let found = look(&app, &own, None).await.0;
        let kinds = kinds(&found);
        assert!(kinds.contains(&"changed") && kinds.contains(&"damaged"), "{change}: {found:?}");
        assert!(!kinds.contains(&"miscounted"), "{change}: {found:?}");
        if !change.contains("event_c") {
            let exported = audit::export(app.store(), &mut Vec::new()).await;
            assert!(exported.is_err(), "{change}");
        }
        restore(&app);
    }
    // Others' chains are signed all the same.
    app.database().execute(
        "INSERT INTO event_chain SELECT X'00', started_at, node, checkpoint, checkpoint_hash FROM event_chain",
    );
    app.entry_with(json!({"label": "of a process that is killed"})).await;
    app.restart().await;
    app.clock.advance_seconds(181);
    assert_eq!(app.broker().sign_stale_chains().await.unwrap(), 1);
}
