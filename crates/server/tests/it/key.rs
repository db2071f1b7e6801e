//! `/api/v1/key`.

use keyfob_core::policy::Role;
use serde_json::{Value, json};

use crate::{
    app::{SECRETS, TestApp},
    call::Key,
    guard::CANARY,
    manual_clock::START,
};

const CREATE: &str = "/api/v1/key/create";
const LIST: &str = "/api/v1/key/list";
/// 9999-12-31T23:59:59.999Z
const END_OF_TIME: i64 = 253_402_300_799_999;

fn path(id: &str, action: &str) -> String {
    format!("/api/v1/key/{id}/{action}")
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    items.iter().map(id).collect()
}

/// An app with more keys than its first three; the first 100 of them, oldest first.
async fn with_keys(more: usize) -> (TestApp, Vec<String>) {
    let app = TestApp::new().await;
    for _ in 0..more {
        app.clock.advance_seconds(1);
        app.new_caller("agent").await;
    }
    let all = ids(&app.owner().get(format!("{LIST}?order=asc")).await.ok());
    (app, all)
}

#[tokio::test]
async fn a_new_key_is_shown_once_in_both_forms() {
    let app = TestApp::new().await;
    let body = json!({"role": "backend", "name": "CI"});
    let answer = app.owner().post(CREATE, body).await.ok();
    let text = |name: &str| answer[name].as_str().unwrap();
    assert_eq!((text("role"), text("name")), ("backend", "CI"));
    assert!(text("id").starts_with("key_"));
    assert!(text("secret").starts_with("kfs_"));
    assert!(text("token").starts_with("kft_"));
    assert_eq!(answer.as_object().unwrap().len(), 5);
    // The guard looks for the secret in this answer.
    let fetched = app.owner().get(path(text("id"), "fetch")).await.ok();
    let expected = json!({
        "id": text("id"), "name": "CI", "role": "backend", "createdAt": START * 1000,
        "expiresAt": null, "revokedAt": null,
    });
    assert_eq!(fetched, expected);
}

#[tokio::test]
async fn the_pair_and_the_token_both_work_on_both_apis() {
    let app = TestApp::new().await;
    let owner = app.key_of(Role::Owner);
    let pair = app.anonymous().with_pair(owner);
    let token = app.anonymous().with_token(owner);
    let scheme = app.anonymous().with("authorization", &format!("bearer  {}", owner.token));
    for caller in [pair, token, scheme] {
        caller.get(SECRETS).await.ok();
        caller.get(LIST).await.ok();
    }
}

#[tokio::test]
async fn each_role_may_do_what_the_contract_says() {
    let app = TestApp::new().await;
    for (role, may_list, may_create, may_keys) in
        [("owner", true, true, true), ("backend", true, true, false), ("agent", true, false, false)]
    {
        let (_, caller) = app.new_caller(role).await;
        let entry = json!({"label": "x", "secret": CANARY});
        let key = json!({"role": "agent"});
        for (answer, may) in [
            (caller.get(SECRETS).await, may_list),
            (caller.post(SECRETS, entry).await, may_create),
            (caller.post(CREATE, key).await, may_keys),
            (caller.get(LIST).await, may_keys),
        ] {
            let expected = if may { 200 } else { 403 };
            assert_eq!(answer.status, expected, "{role}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn only_an_owner_can_make_a_key_so_no_key_makes_a_wider_one() {
    let app = TestApp::new().await;
    for caller in [app.backend(), app.agent()] {
        for role in ["owner", "backend", "agent"] {
            let refused = caller.post(CREATE, json!({"role": role})).await;
            refused.error(403, "not_authorized");
        }
    }
}

#[tokio::test]
async fn wrong_fields_are_refused() {
    let app = TestApp::new().await;
    for (body, error) in [
        (json!({"role": "root"}), "invalid_role"),
        (json!({"role": "Owner"}), "invalid_role"),
        (json!({"role": ""}), "invalid_role"),
        (json!({}), "bad_request"),
        (json!({"role": 7}), "bad_request"),
        (json!({"role": "agent", "limits": {}}), "bad_request"),
        (json!({"role": "agent", "name": CANARY.repeat(8)}), "invalid_name"),
        (json!({"role": "agent", "name": "a\nb"}), "invalid_name"),
        (json!({"role": "agent", "name": [CANARY]}), "bad_request"),
        (json!({"role": "agent", "expiresAt": "soon"}), "bad_request"),
        (json!({"role": "agent", "expiresAt": START * 1000}), "invalid_expires_at"),
        (json!({"role": "agent", "expiresAt": -1}), "invalid_expires_at"),
        (json!({"role": "agent", "expiresAt": END_OF_TIME + 1}), "invalid_expires_at"),
        (json!({"role": "agent", "expiresAt": i64::MAX}), "invalid_expires_at"),
        (json!({"role": "agent", "expiresAt": i64::MIN}), "invalid_expires_at"),
    ] {
        app.owner().post(CREATE, body).await.error(400, error);
    }
}

#[tokio::test]
async fn a_key_ends_with_the_year_9999_at_the_latest() {
    let app = TestApp::new().await;
    let body = json!({"role": "agent", "expiresAt": END_OF_TIME});
    let key = Key::from_answer(&app.owner().post(CREATE, body).await.ok());
    let fetched = app.owner().get(path(&key.id, "fetch")).await.ok();
    assert_eq!(fetched["expiresAt"], END_OF_TIME);
    app.anonymous().with_token(&key).get(SECRETS).await.ok();
}

#[tokio::test]
async fn an_update_renames_a_key() {
    let app = TestApp::new().await;
    let (key, caller) = app.new_caller("agent").await;
    let update = app.owner().post(path(&key.id, "update"), json!({"name": "new"}));
    assert_eq!(update.await.ok(), json!({"id": key.id}));
    let fetched = app.owner().get(path(&key.id, "fetch")).await.ok();
    assert_eq!(fetched["name"], "new");
    caller.get(SECRETS).await.ok();
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_stays_listed() {
    let app = TestApp::new().await;
    let (key, caller) = app.new_caller("agent").await;
    caller.get(SECRETS).await.ok();
    app.clock.advance_seconds(5);
    let revoke = app.owner().post(path(&key.id, "revoke"), json!({}));
    assert_eq!(revoke.await.ok(), json!({"id": key.id}));
    let refused = caller.get(SECRETS).await;
    refused.error(401, "invalid_credentials");
    let fetched = app.owner().get(path(&key.id, "fetch")).await.ok();
    assert_eq!(fetched["revokedAt"], (START + 5) * 1000);
}

#[tokio::test]
async fn revoking_again_changes_nothing() {
    let app = TestApp::new().await;
    let (key, _) = app.new_caller("agent").await;
    let revoke = || app.owner().post(path(&key.id, "revoke"), json!({}));
    revoke().await.ok();
    app.clock.advance_seconds(5);
    revoke().await.ok();
    let fetched = app.owner().get(path(&key.id, "fetch")).await.ok();
    assert_eq!(fetched["revokedAt"], START * 1000);
}

#[tokio::test]
async fn a_revoked_key_is_refused_on_another_server_within_a_second() {
    let mut app = TestApp::new().await;
    let (key, caller) = app.new_caller("agent").await;
    let there = app.on_another_node(caller).await;
    there.get(SECRETS).await.ok();
    let revoke = app.owner().post(path(&key.id, "revoke"), json!({}));
    revoke.await.ok();
    app.clock.advance_seconds(1);
    let refused = there.get(SECRETS).await;
    refused.error(401, "invalid_credentials");
}

#[tokio::test]
async fn a_revoked_key_stays_revoked_after_a_restart() {
    let mut app = TestApp::new().await;
    let (key, _) = app.new_caller("agent").await;
    let revoke = app.owner().post(path(&key.id, "revoke"), json!({}));
    revoke.await.ok();
    app.restart().await;
    let refused = app.anonymous().with_pair(&key).get(SECRETS).await;
    refused.error(401, "invalid_credentials");
}

#[tokio::test]
async fn an_expired_key_is_refused_from_that_moment_on() {
    let app = TestApp::new().await;
    let body = json!({"role": "agent", "expiresAt": (START + 60) * 1000});
    let key = app.owner().post(CREATE, body).await.ok();
    let caller = app.anonymous().with_token(&Key::from_answer(&key));
    app.clock.advance(std::time::Duration::from_millis(59_999));
    caller.get(SECRETS).await.ok();
    app.clock.advance(std::time::Duration::from_millis(1));
    let refused = caller.get(SECRETS).await;
    refused.error(401, "invalid_credentials");
}

#[tokio::test]
async fn a_list_has_the_newest_first_unless_it_is_asked_for_the_oldest() {
    let (app, mut all) = with_keys(4).await;
    for query in ["?order=desc", "?order=", ""] {
        let mut listed = ids(&app.owner().get(format!("{LIST}{query}")).await.ok());
        listed.reverse();
        assert_eq!(listed, all);
    }
    all.sort();
    let asc = app.owner().get(format!("{LIST}?order=asc")).await.ok();
    assert_eq!(ids(&asc), all);
}

#[tokio::test]
async fn a_list_is_read_page_by_page_until_a_page_is_empty() {
    let (app, all) = with_keys(4).await;
    for order in ["asc", "desc"] {
        let (mut read, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("{LIST}?order={order}&take=3&cursor={cursor}");
            let page = app.owner().get(query).await.ok();
            cursor = page["cursor"].as_str().unwrap().to_owned();
            let page = ids(&page);
            if page.is_empty() {
                break;
            }
            assert_eq!(page.last(), Some(&cursor));
            read.extend(page);
        }
        assert_eq!(cursor, "");
        if order == "desc" {
            read.reverse();
        }
        assert_eq!(read, all);
    }
}

#[tokio::test]
async fn a_list_may_be_asked_for_by_post() {
    let (app, all) = with_keys(1).await;
    let query = format!("{LIST}?order=asc");
    let list = app.owner().post(query, json!({})).await.ok();
    assert_eq!(ids(&list), all);
}

#[tokio::test]
async fn a_list_as_lines_is_whole() {
    let (app, all) = with_keys(4).await;
    for (take, expected) in [("", all.len()), ("&take=2", 2)] {
        let query = format!("{LIST}?order=asc{take}");
        let lines = app.owner().get(query).header("Accept", "application/jsonl");
        let lines = lines.await;
        assert_eq!(lines.header("content-type"), "application/jsonl");
        let text = lines.text();
        let id = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["type"], "item");
            line["data"]["id"].as_str().unwrap().to_owned()
        };
        assert_eq!(text.lines().map(id).collect::<Vec<_>>(), all[..expected]);
    }
}

#[tokio::test]
async fn take_is_1_to_100_and_more_is_100() {
    let (app, _) = with_keys(102).await;
    for (take, count) in [("1", 1), ("100", 100), ("101", 100), ("", 100)] {
        let list = app.owner().get(format!("{LIST}?take={take}")).await.ok();
        assert_eq!(ids(&list).len(), count, "{take}");
    }
    // The original takes what it can make something of.
    for (query, count) in [("take=0", 100), ("take=-1", 100), ("take=x", 100), ("take=1.5", 1)] {
        let list = app.owner().get(format!("{LIST}?{query}&order=up")).await.ok();
        assert_eq!(ids(&list).len(), count, "{query}");
    }
    app.owner().get(format!("{LIST}?cursor=x")).await.error(400, "bad_request");
}

#[tokio::test]
async fn a_key_that_ends_makes_none_that_ends_later() {
    let app = TestApp::new().await;
    let end = (app.clock.seconds() + 60) * 1000;
    let make = |caller: &crate::call::Caller, expires_at: Value| {
        caller.post(CREATE, json!({"role": "owner", "expiresAt": expires_at}))
    };
    let ends = Key::from_answer(&make(&app.owner(), json!(end)).await.ok());
    let ends = app.anonymous().with_token(&ends);
    for later in [json!(end + 1), json!(null)] {
        let refused = make(&ends, later).await;
        let body = refused.error(400, "invalid_expires_at");
        assert!(body["message"].as_str().unwrap().contains(&end.to_string()), "{body}");
    }
    for until in [end, end - 1] {
        make(&ends, json!(until)).await.ok();
    }
}

#[tokio::test]
async fn a_damaged_key_hides_no_other() {
    let (app, all) = with_keys(2).await;
    let damage = format!("UPDATE key SET role = 'emperor' WHERE id = '{}'", all[4]);
    app.database().execute(&damage);
    let list = app.owner().get(format!("{LIST}?order=asc")).await.ok();
    assert_eq!(ids(&list), all[..4]);
    assert_eq!(list["cursor"], json!(all[3]));
}
