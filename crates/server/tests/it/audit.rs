//! Every change and every release of a code has its event, in the same unit of work.

use keyfob_core::policy::Role;
use keyfob_server::config::Audit;
use keyfob_store::event::Stored;
use serde_json::json;

use crate::{
    app::{SECRETS, Setup, TestApp, code_path, entry_path},
    call::{Answer, PEER},
    guard::CANARY,
};

fn setup(audit: Audit) -> Setup {
    Setup { audit, ..Setup::default() }
}

/// The only event that is not among the ones seen, and is from now on. (Within a millisecond, events
/// of different writers are in no order.)
async fn only_new(app: &TestApp, seen: &mut Vec<Stored>) -> Stored {
    let mut events = app.events().await;
    events.retain(|event| !seen.contains(event));
    assert_eq!(events.len(), 1, "{events:#?}");
    seen.append(&mut events);
    seen[seen.len() - 1].clone()
}

/// Who did what to which object, on which request.
fn check(
    event: &Stored,
    answer: &Answer,
    role: Role,
    action: &str,
    object: (&str, &str),
    app: &TestApp,
) {
    let key = &app.key_of(role).id;
    assert_eq!((&*event.actor.0, &event.actor.1), ("key", key));
    assert_eq!(event.action, action);
    assert_eq!((&*event.object.0, &*event.object.1), object);
    assert_eq!(event.result, "ok");
    assert_eq!(event.request_id, answer.header("x-request-id"));
    assert_eq!(event.ip.as_deref(), Some(PEER));
    assert_eq!(event.created_at.as_seconds(), app.clock.seconds());
    assert_eq!(event.contact_id, None);
    if matches!(action, "key.create" | "key.update") {
        assert_eq!(event.reason.as_deref(), Some("role agent"));
    } else if action == "totp.code" {
        let from = answer.json()["valid_from"].as_i64().unwrap() / 30;
        let told = match answer.json().get("next_code") {
            None => format!("time step {from}"),
            Some(_) => format!("time steps {from} and {}", from + 1),
        };
        assert_eq!(event.reason, Some(told));
    } else {
        assert_eq!(event.reason, None);
    }
}

#[tokio::test]
async fn each_change_of_an_entry_has_one_event() {
    let app = TestApp::new().await;
    let backend = Role::Backend;
    let mut seen = app.events().await;
    let create = app.backend().post(SECRETS, json!({"label": "x", "secret": CANARY}));
    let create = create.await;
    let id = create.json()["totp_secret"]["id"].as_str().unwrap().to_owned();
    let event = only_new(&app, &mut seen).await;
    check(&event, &create, backend, "totp.create", ("totp", &id), &app);

    app.clock.advance_seconds(1);
    let update = app.backend().patch(entry_path(&id), json!({"label": "y"})).await;
    let event = only_new(&app, &mut seen).await;
    check(&event, &update, backend, "totp.update", ("totp", &id), &app);

    app.clock.advance_seconds(1);
    let delete = app.backend().delete(entry_path(&id)).await;
    let event = only_new(&app, &mut seen).await;
    check(&event, &delete, backend, "totp.delete", ("totp", &id), &app);
}

#[tokio::test]
async fn each_change_of_keys_and_accounts_has_one_event() {
    let app = TestApp::new().await;
    let mut seen = app.events().await;
    let create = app.owner().post("/api/v1/key/create", json!({"role": "agent"})).await;
    let id = create.json()["id"].as_str().unwrap().to_owned();
    let event = only_new(&app, &mut seen).await;
    check(&event, &create, Role::Owner, "key.create", ("key", &id), &app);

    app.clock.advance_seconds(1);
    let path = |action| format!("/api/v1/key/{id}/{action}");
    let update = app.owner().post(path("update"), json!({"name": "n"})).await;
    let event = only_new(&app, &mut seen).await;
    check(&event, &update, Role::Owner, "key.update", ("key", &id), &app);

    app.clock.advance_seconds(1);
    let revoke = app.owner().post(path("revoke"), json!({})).await;
    let event = only_new(&app, &mut seen).await;
    check(&event, &revoke, Role::Owner, "key.revoke", ("key", &id), &app);
    app.owner().post(path("revoke"), json!({})).await.ok();
    assert_eq!(app.events().await.len(), seen.len(), "nothing was changed");

    app.clock.advance_seconds(1);
    let account = app.owner().post("/api/v1/account/create", json!({})).await;
    let id = account.json()["id"].as_str().unwrap().to_owned();
    let event = only_new(&app, &mut seen).await;
    check(&event, &account, Role::Owner, "account.create", ("account", &id), &app);
}

#[tokio::test]
async fn each_code_has_one_event() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    for query in ["", "?include=next", "?min_validity=5", "?unique=false"] {
        let mut seen = app.events().await;
        let code = app.agent().get(code_path(&id, query)).await;
        let event = only_new(&app, &mut seen).await;
        check(&event, &code, Role::Agent, "totp.code", ("totp", &id), &app);
        app.clock.advance_seconds(1);
    }
}

#[tokio::test]
async fn an_event_never_holds_a_code() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let code = app.agent().get(code_path(&id, "?include=next")).await.ok();
    app.clock.advance_seconds(60);
    let unique = app.agent().get(code_path(&id, "?unique=true")).await.ok();
    let events = format!("{:?}", app.events().await);
    for code in [&code["code"], &code["next_code"], &unique["code"]] {
        let code = code.as_str().unwrap();
        assert!(!events.contains(&format!("\"{code}\"")), "{events}");
    }
}

#[tokio::test]
async fn a_code_that_was_waited_for_has_its_event_when_it_is_handed_out() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.clock.advance_seconds(25);
    let mut seen = app.events().await;
    let call = app.agent().get(code_path(&id, "?min_validity=10"));
    let call = tokio::spawn(call.into_future());
    app.clock.waiters(1).await;
    assert_eq!(app.events().await.len(), seen.len());
    app.clock.advance_seconds(5);
    let code = call.await.unwrap();
    let event = only_new(&app, &mut seen).await;
    check(&event, &code, Role::Agent, "totp.code", ("totp", &id), &app);
}

#[tokio::test]
async fn a_place_in_the_queue_has_an_event_and_so_has_its_code() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    app.agent().get(code_path(&id, "?unique=true")).await.ok();
    let mut seen = app.events().await;
    let call = app.agent().get(code_path(&id, "?unique=true"));
    let call = tokio::spawn(call.into_future());
    app.clock.waiters(1).await;
    let queued = only_new(&app, &mut seen).await;
    assert_eq!((&*queued.action, &*queued.result), ("totp.code", "queued"));
    app.clock.advance_seconds(30);
    let code = call.await.unwrap();
    let event = only_new(&app, &mut seen).await;
    check(&event, &code, Role::Agent, "totp.code", ("totp", &id), &app);
}

#[tokio::test]
async fn a_repeated_create_reveals_the_secret_again_and_says_so() {
    let app = TestApp::new().await;
    let create = || {
        let call = app.backend().post(SECRETS, json!({"label": "x", "secret": CANARY}));
        call.header("Idempotency-Key", "k")
    };
    let id = create().await.ok()["totp_secret"]["id"].clone();
    let mut seen = app.events().await;
    create().await.ok();
    let event = only_new(&app, &mut seen).await;
    assert_eq!((&*event.action, &*event.result), ("totp.create", "repeated"));
    assert_eq!(event.object.1, id.as_str().unwrap());
}

#[tokio::test]
async fn reading_descriptions_has_no_event() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let before = app.events().await.len();
    app.agent().get(SECRETS).await.ok();
    app.agent().get(entry_path(&id)).await.ok();
    app.owner().get("/api/v1/key/list").await.ok();
    assert_eq!(app.events().await.len(), before);
}

#[tokio::test]
async fn a_call_that_fails_has_no_event_and_changes_nothing() {
    let app = TestApp::new().await;
    let id = app.entry_with(json!({"period": 3600})).await;
    app.agent().get(code_path(&id, "?unique=true")).await.ok();
    let unknown = "00000000-0000-4000-8000-000000000000";
    let before = app.events().await.len();
    for call in [
        app.anonymous().get(code_path(&id, "")),
        app.agent().get(code_path(unknown, "")),
        app.agent().get(code_path(&id, "?unique=true")),
        app.agent().get(code_path(&id, "?min_validity=3601")),
        app.agent().delete(entry_path(&id)),
        app.backend().delete(entry_path(unknown)),
        app.backend().patch(entry_path(unknown), json!({"label": "y"})),
        app.backend().patch(entry_path(&id), json!({"label": ""})),
        app.backend().post(SECRETS, json!({"label": "x", "digits": 9})),
        app.backend().post("/api/v1/key/create", json!({"role": "agent"})),
        app.owner().post("/api/v1/key/create", json!({"role": "root"})),
    ] {
        assert!(call.await.status >= 400);
    }
    assert_eq!(app.events().await.len(), before);
}

#[tokio::test]
async fn an_account_has_the_events_of_its_own_keys() {
    let app = TestApp::new().await;
    let child = app.owner().post("/api/v1/account/create", json!({})).await.ok();
    let key = crate::call::Key::from_answer(&child["key"]);
    let caller = app.anonymous().with_token(&key);
    let before = app.events().await.len();
    caller.post(SECRETS, json!({"label": "x"})).await.ok();
    assert_eq!(app.events().await.len(), before);
    let id = child["id"].as_str().unwrap();
    let account = keyfob_core::id::AccountId::parse(id).unwrap();
    let events = app.events_of(account).await;
    // Its first key was made by its parent's owner. (Events of one millisecond are in no order.)
    let told = |event: &Stored| (event.action.clone(), event.actor.1.clone());
    let mut told: Vec<_> = events.iter().map(told).collect();
    told.sort();
    let owner = app.key_of(Role::Owner).id.clone();
    assert_eq!(told, [("key.create".into(), owner), ("totp.create".into(), key.id.clone())]);
    let made = events.iter().find(|event| event.action == "key.create").unwrap();
    assert_eq!(made.object.1, key.id);
}

#[tokio::test]
async fn the_first_start_has_an_event_by_the_operator() {
    let app = TestApp::new().await;
    let mut events = app.events().await;
    events.retain(|event| event.actor.0 == "operator");
    // The test's own keys are the operator's too. (Events of one millisecond are in no order.)
    let mut told: Vec<_> = events.iter().map(|event| &*event.action).collect();
    told.sort_unstable();
    assert_eq!(told, ["account.create", "key.create", "key.create", "key.create"]);
}

#[tokio::test]
async fn in_buffered_mode_each_code_has_its_event_too() {
    let app = TestApp::with(setup(Audit::Buffered)).await;
    let id = app.entry().await;
    for _ in 0..20 {
        app.agent().get(code_path(&id, "")).await.ok();
    }
    app.until_code_events("ok", 20).await;
}

#[tokio::test]
async fn in_buffered_mode_an_orderly_end_loses_no_event() {
    let mut app = TestApp::with(setup(Audit::Buffered)).await;
    let id = app.entry().await;
    for _ in 0..20 {
        app.agent().get(code_path(&id, "")).await.ok();
    }
    app.restart().await;
    assert_eq!(app.code_events("ok").await.len(), 20);
}

#[tokio::test]
async fn in_buffered_mode_what_is_left_for_later_is_not_lost_when_the_database_refuses_it() {
    let app = TestApp::with(setup(Audit::Buffered)).await;
    let id = app.entry().await;
    app.agent().get(code_path(&id, "")).await.ok();
    app.database().execute("ALTER TABLE event RENAME TO event_away");
    let mut answered = 1;
    // Until the service has noticed that it cannot keep its trail.
    while app.agent().get(code_path(&id, "")).await.status == 200 {
        answered += 1;
    }
    app.agent().get(code_path(&id, "")).await.error(500, "internal_server_error");
    app.database().execute("ALTER TABLE event_away RENAME TO event");
    app.until_code_events("ok", answered).await;
    app.agent().get(code_path(&id, "")).await.ok();
}

/// Whenever the clock moves on during a call: what leaves is what the trail says.
#[tokio::test]
async fn a_code_that_was_not_handed_out_after_all_is_told_to_be_withheld() {
    let mut withheld = 0;
    for read in 1..=12 {
        let mut app = TestApp::new().await;
        let id = app.entry().await;
        app.clock.advance_before(read, std::time::Duration::from_secs(30));
        let code = app.agent().get(code_path(&id, "")).await.ok();
        let step = code["valid_from"].as_i64().unwrap() / 30;
        // What is left for later is written at the latest when the vault is closed.
        app.restart().await;
        let told = app.code_events("ok").await.len();
        let taken_back = app.code_events("withheld").await;
        assert_eq!(told - taken_back.len(), 1, "the clock moved on before read {read}");
        for event in &taken_back {
            let reason = event.reason.as_deref().unwrap();
            assert!(reason.contains(&format!("time step {} ", step - 1)), "{reason}");
        }
        withheld += taken_back.len();
    }
    assert_eq!(withheld, 1, "one of the reads is that after the commit");
}

#[tokio::test]
async fn in_buffered_mode_a_step_is_noted_as_given_out_before_its_code_leaves() {
    let app = TestApp::with(setup(Audit::Buffered)).await;
    let id = app.entry().await;
    for query in ["", "", "?include=next"] {
        app.agent().get(code_path(&id, query)).await.ok();
    }
    let refused = app.agent().get(code_path(&id, "?unique=true")).await;
    refused.error(429, "queue_full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_event_is_lost_or_doubled_when_many_call_at_once() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let calls: Vec<_> =
        (0..100).map(|_| tokio::spawn(app.agent().get(code_path(&id, "")).into_future())).collect();
    let mut requests = Vec::new();
    for call in calls {
        requests.push(call.await.unwrap().header("x-request-id").to_owned());
    }
    let events = app.code_events("ok").await.into_iter();
    let mut told: Vec<_> = events.map(|event| event.request_id).collect();
    requests.sort();
    told.sort();
    assert_eq!(told, requests);
}
