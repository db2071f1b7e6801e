//! `/api/v1/event/list`: the audit trail as its account sees it.

use keyfob_core::policy::Role;
use serde_json::{Value, json};

use crate::app::{TestApp, code_path, entry_path};

const LIST: &str = "/api/v1/event/list";

async fn list(app: &TestApp, query: &str) -> Vec<Value> {
    let answer = app.backend().get(format!("{LIST}{query}")).await.ok();
    answer["items"].as_array().unwrap().clone()
}

fn texts<'a>(events: &'a [Value], name: &str) -> Vec<&'a str> {
    events.iter().map(|event| event[name].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_event_says_who_did_what_to_which_object_with_what_result() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(1);
    let code = app.agent().get(code_path(&id, "")).await;
    let events = list(&app, "?take=1").await;
    let key = &app.key_of(Role::Agent).id;
    let chain = events[0]["chain"].as_str().unwrap();
    let position = events[0]["position"].as_i64().unwrap();
    assert!(chain.starts_with("chn_") && position >= 1, "{}", events[0]);
    for hash in ["hash", "previousHash"] {
        assert_eq!(events[0][hash].as_str().unwrap().len(), 64);
    }
    let expected = json!({
        "id": events[0]["id"],
        "createdAt": app.clock.seconds() * 1000,
        "accountId": app.account().await.as_str(),
        "actor": {"type": "key", "id": key, "name": "agent"},
        "action": "totp.code",
        "object": {"type": "totp", "id": id},
        "result": "ok",
        "reason": events[0]["reason"],
        "ip": crate::call::PEER,
        "requestId": code.header("x-request-id"),
        "chain": chain,
        "position": position,
        "hash": events[0]["hash"],
        "previousHash": events[0]["previousHash"],
    });
    assert_eq!(events[0], expected);
}

#[tokio::test]
async fn events_are_listed_newest_first_or_oldest_first_page_by_page() {
    let app = TestApp::new().await;
    for _ in 0..5 {
        app.clock.advance_seconds(1);
        app.entry_with(json!({"label": app.clock.seconds().to_string()})).await;
    }
    app.clock.advance_seconds(11);
    let newest = list(&app, "").await;
    let mut oldest = list(&app, "?order=asc").await;
    let times: Vec<_> = newest.iter().map(|event| event["createdAt"].as_i64().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    oldest.reverse();
    assert_eq!(newest, oldest);
    for order in ["desc", "asc"] {
        let (mut cursor, mut seen) = (String::new(), Vec::new());
        loop {
            let query = format!("{LIST}?take=2&order={order}&cursor={cursor}");
            let page = app.backend().get(query).await.ok();
            let items = page["items"].as_array().unwrap();
            if items.is_empty() {
                break;
            }
            assert!(items.len() <= 2);
            seen.extend(items.clone());
            page["cursor"].as_str().unwrap().clone_into(&mut cursor);
        }
        if order == "asc" {
            seen.reverse();
        }
        assert_eq!(seen, newest, "{order}");
    }
}

#[tokio::test]
async fn events_are_found_by_when_by_whom_and_to_what_they_were_done() {
    let app = TestApp::new().await;
    app.clock.advance_seconds(10);
    let since = app.clock.seconds() * 1000;
    let id = app.entry().await;
    app.clock.advance_seconds(10);
    app.agent().get(code_path(&id, "")).await.ok();
    let until = app.clock.seconds() * 1000;
    app.clock.advance_seconds(10);
    app.backend().delete(entry_path(&id)).await.ok();
    let contact = app.backend().post("/api/v1/contact/create", json!({"name": "Ann"})).await.ok();
    let contact = contact["id"].as_str().unwrap();
    app.clock.advance_seconds(11);
    let (agent, backend) = (&app.key_of(Role::Agent).id, &app.key_of(Role::Backend).id);
    for (query, actions) in [
        (format!("since={since}"), "contact.create totp.delete totp.code totp.create"),
        (format!("since={since}&until={until}"), "totp.code totp.create"),
        (format!("since={until}&until={until}"), "totp.code"),
        (format!("since={}", until + 10_001), ""),
        (format!("actor={agent}"), "totp.code"),
        (format!("actor={backend}&action=totp"), "totp.delete totp.create"),
        ("action=totp.code".into(), "totp.code"),
        ("action=contact".into(), "contact.create"),
        (format!("object={id}"), "totp.delete totp.code totp.create"),
        (format!("object=totp:{id}"), "totp.delete totp.code totp.create"),
        (format!("object=key:{id}"), ""),
        (format!("object=contact:{contact}"), "contact.create"),
        ("object=contact:".into(), "contact.create"),
        (format!("contact={contact}"), ""),
        (format!("since={since}&result=ok"), "contact.create totp.delete totp.code totp.create"),
        ("result=denied".into(), ""),
        ("action=&since=&object=&result=denied".into(), ""),
    ] {
        for order in ["desc", "asc"] {
            let mut found = list(&app, &format!("?{query}&order={order}")).await;
            if order == "asc" {
                found.reverse();
            }
            // Events of one millisecond are in no order.
            let mut found: Vec<_> = texts(&found, "action");
            found.sort_unstable();
            let mut wanted: Vec<_> = actions.split_whitespace().collect();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{query} {order}");
        }
    }
}

#[tokio::test]
async fn a_filter_looks_through_many_parts() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    for _ in 0..30 {
        app.clock.advance_seconds(1);
        app.agent().get(code_path(&id, "")).await.ok();
    }
    let account = app.account().await;
    // More than one part has: copies of one that is not asked for.
    app.database().execute(&format!(
        "INSERT INTO event (account_id, id, created_at, actor_type, actor_id, actor_name, action,
                            object_type, object_id, result, request_id)
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
         SELECT '{account}', 'evt_7' || i, 1, 'key', 'k', 'k', 'totp.list', 'totp', 'x', 'ok', 'r'
         FROM n"
    ));
    assert_eq!(list(&app, "?action=totp.code").await.len(), 30);
    assert_eq!(list(&app, "?action=totp.create&order=asc").await.len(), 1);
    let lines = app.backend().get(format!("{LIST}?action=totp.code&take=20"));
    let lines = lines.header("accept", "application/jsonl").await;
    assert_eq!(lines.text().lines().count(), 20);
}

#[tokio::test]
async fn a_page_ends_where_a_filter_has_looked_through_enough_and_the_next_goes_on() {
    let app = TestApp::new().await;
    app.entry().await;
    let account = app.account().await;
    app.database().execute(&format!(
        "INSERT INTO event (account_id, id, created_at, actor_type, actor_id, actor_name, action,
                            object_type, object_id, result, request_id)
         WITH RECURSIVE n (i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM n WHERE i < 160000)
         SELECT '{account}', 'evt_7000000000000000000' || i || '0', 1, 'key', 'k', 'k', 'totp.list',
                'totp', 'x', 'ok', 'r'
         FROM n"
    ));
    let page = async |cursor: &str| {
        let query = format!("{LIST}?action=totp.create&cursor={cursor}");
        let page = app.backend().get(query).await.ok();
        (page["items"].as_array().unwrap().len(), page["cursor"].as_str().unwrap().to_owned())
    };
    let (items, cursor) = page("").await;
    assert_eq!(items, 0);
    assert!(cursor.starts_with("evt_7"), "{cursor}");
    let (items, cursor) = page(&cursor).await;
    assert_eq!(items, 1);
    assert_eq!(page(&cursor).await, (0, String::new()));
    // Whoever takes one item after the other notices nothing of it.
    let lines = app.backend().get(format!("{LIST}?action=totp.create"));
    let lines = lines.header("accept", "application/jsonl").await;
    assert_eq!(lines.text().trim().lines().count(), 1);
}

/// Ids begin with when it happened, and what happened first may be stored last: by another writer, for one.
#[tokio::test]
async fn who_goes_on_after_the_last_event_misses_none_of_two_writers() {
    let mut app = TestApp::new().await;
    let other = app.on_another_node(app.backend()).await;
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    let go_on = async |cursor: &mut String, seen: &mut Vec<String>| {
        loop {
            let query = format!("{LIST}?order=asc&cursor={cursor}");
            let page = app.backend().get(query).await.ok();
            let ids = page["items"].as_array().unwrap().iter();
            let ids: Vec<_> = ids.map(|event| event["id"].as_str().unwrap().to_owned()).collect();
            let Some(last) = ids.last() else { return };
            last.clone_into(cursor);
            seen.extend(ids);
        }
    };
    let account = app.account().await;
    for number in 0..20 {
        let contact = |who: &str| json!({"name": format!("{who} {number}")});
        let (one, two) = (app.backend(), &other);
        let both = futures_util::future::join(
            one.post("/api/v1/contact/create", contact("one")).into_future(),
            two.post("/api/v1/contact/create", contact("two")).into_future(),
        );
        both.await;
        go_on(&mut cursor, &mut seen).await;
        // What a third one was slow with.
        let at = app.clock.seconds() * 1000 - 8000;
        let id = keyfob_core::id::EventId::from_bits({
            let mut bits = [number; 16];
            bits[..6].copy_from_slice(&at.to_be_bytes()[2..]);
            bits
        });
        app.database().execute(&format!(
            "INSERT INTO event (account_id, id, created_at, actor_type, actor_id, actor_name, action,
                                object_type, object_id, result, request_id)
             VALUES ('{account}', '{id}', {at}, 'key', 'k', 'k', 'totp.list', 'totp', 'x', 'ok', 'r')"
        ));
        go_on(&mut cursor, &mut seen).await;
        app.clock.advance_seconds(3);
    }
    app.clock.advance_seconds(10);
    go_on(&mut cursor, &mut seen).await;
    let lines = app.backend().get(LIST).header("accept", "application/jsonl").await.text();
    let mut all: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["data"]["id"].clone())
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    all.reverse();
    assert!(all.len() >= 60);
    assert_eq!(seen, all);
}

#[tokio::test]
async fn what_no_list_can_be_asked_for_is_refused() {
    let app = TestApp::new().await;
    for query in [
        "since=x",
        "since=-1",
        "until=1.5",
        "until=99999999999999999999",
        "until=253402300800000",
        "action=nonsense",
        "action=totp.",
        "cursor=nonsense",
    ] {
        let refused = app.backend().get(format!("{LIST}?{query}")).await;
        refused.error(400, "bad_request");
    }
    let csv = app.backend().get(LIST).header("accept", "text/csv").await;
    csv.error(400, "bad_request");
}

#[tokio::test]
async fn a_backend_lists_events_and_an_agent_does_not() {
    let app = TestApp::new().await;
    app.backend().get(LIST).await.ok();
    app.owner().get(LIST).await.ok();
    app.agent().get(LIST).await.error(403, "not_authorized");
    app.anonymous().get(LIST).await.error(401, "not_authenticated");
}

#[tokio::test]
async fn reading_the_trail_writes_none() {
    let app = TestApp::new().await;
    let before = list(&app, "").await;
    assert_eq!(list(&app, "").await, before);
}

#[tokio::test]
async fn an_account_sees_its_own_events_only() {
    let app = TestApp::new().await;
    let other = app.other_account().await;
    app.entry().await;
    let own = other.get(LIST).await.ok();
    let own = own["items"].as_array().unwrap();
    let first = app.account().await;
    assert!(!own.is_empty());
    for event in own {
        assert_ne!(event["accountId"], first.as_str());
        assert_ne!(event["action"], "totp.create");
    }
    let id = list(&app, "?action=totp.create").await[0]["object"]["id"].clone();
    let found = other.get(format!("{LIST}?object={}", id.as_str().unwrap())).await.ok();
    assert_eq!(found["items"], json!([]));
    // A cursor is a place in one's own list, whoever had it from where.
    let cursor = list(&app, "").await[0]["id"].as_str().unwrap().to_owned();
    let page = other.get(format!("{LIST}?order=asc&cursor={cursor}")).await.ok();
    let is_own = |event: &Value| event["accountId"] != first.as_str();
    assert!(page["items"].as_array().unwrap().iter().all(is_own));
}
