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
