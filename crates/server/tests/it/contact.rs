//! `/api/v1/contact`: what is stored, changed and refused. Lists are in `contact_list`.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::{
    app::TestApp,
    call::{Answer, Call, Caller},
};

pub(crate) const CREATE: &str = "/api/v1/contact/create";
const ENSURE: &str = "/api/v1/contact/ensure";
pub(crate) const LIST: &str = "/api/v1/contact/list";
pub(crate) const EXPORT: &str = "/api/v1/contact/export";
const FINGERPRINT: &str = "customer-0000001";

pub(crate) fn path(id: &str, action: &str) -> String {
    format!("/api/v1/contact/{id}/{action}")
}

pub(crate) async fn create(caller: &Caller, body: Value) -> String {
    caller.post(CREATE, body).await.ok()["id"].as_str().unwrap().to_owned()
}

async fn fetch(caller: &Caller, id: &str) -> Value {
    caller.get(path(id, "fetch")).await.ok()
}

pub(crate) fn refused(answer: Answer, message: &str) {
    let body = answer.error(400, "bad_request");
    assert_eq!(body["message"], message);
}

#[tokio::test]
async fn a_moment_that_is_stored_can_be_read_again_whatever_moment_it_is() {
    let app = TestApp::new().await;
    let latest = 253_402_300_799_999_i64;
    for moment in [latest, -latest] {
        let id = create(&app.backend(), json!({"verifiedAt": moment})).await;
        assert_eq!(fetch(&app.backend(), &id).await["verifiedAt"], moment);
    }
    for moment in [json!(latest + 1), json!(-latest - 1), json!("8640000000000000"), json!(1e300)] {
        let body = json!({"verifiedAt": moment});
        app.backend().post(CREATE, body).await.error(400, "bad_request");
    }
}

#[tokio::test]
async fn a_contact_is_fetched_as_it_was_stored_with_its_phone_in_e164() {
    let app = TestApp::new().await;
    let body = json!({
        "name": "Zoë 日本", "description": "A\ncustomer", "fingerprint": FINGERPRINT,
        "email": "zoe@example.com", "phone": "(202) 456-1111", "nick": "zo", "preferences": "tea",
        "verifiedAt": 1_775_390_400_000_i64, "meta": {"team": "x", "n": 1},
    });
    let id = create(&app.backend(), body).await;
    let now = app.clock.seconds() * 1000;
    let expected = json!({
        "id": id, "name": "Zoë 日本", "description": "A\ncustomer", "fingerprint": FINGERPRINT,
        "email": "zoe@example.com", "phone": "+12024561111", "nick": "zo", "preferences": "tea",
        "verifiedAt": 1_775_390_400_000_i64, "meta": {"team": "x", "n": 1},
        "createdAt": now, "updatedAt": now,
    });
    assert_eq!(fetch(&app.backend(), &id).await, expected);
}

#[tokio::test]
async fn everything_may_be_left_out_and_each_contact_has_a_fingerprint() {
    let app = TestApp::new().await;
    let one = create(&app.backend(), json!({})).await;
    let two = create(&app.owner(), json!({})).await;
    let (one, two) = (fetch(&app.backend(), &one).await, fetch(&app.backend(), &two).await);
    assert_ne!(one["fingerprint"], two["fingerprint"]);
    assert_eq!((&one["name"], &one["description"]), (&json!(""), &json!("")));
    for empty in ["email", "phone", "nick", "preferences", "verifiedAt", "meta"] {
        assert_eq!(one[empty], Value::Null, "{empty}");
    }
}

#[tokio::test]
async fn empty_and_null_are_the_same_as_nothing() {
    let app = TestApp::new().await;
    let fields = ["name", "description", "fingerprint", "email", "phone", "nick", "preferences"];
    for nothing in [json!(""), json!(null)] {
        let mut body = json!({"verifiedAt": null, "meta": null});
        for field in fields {
            body[field] = nothing.clone();
        }
        let id = create(&app.backend(), body).await;
        let contact = fetch(&app.backend(), &id).await;
        assert_eq!((&contact["name"], &contact["email"]), (&json!(""), &json!(null)));
        assert!(contact["fingerprint"].as_str().unwrap().len() >= 16);
    }
}

#[tokio::test]
async fn a_wrong_field_is_named_and_nothing_is_stored() {
    let app = TestApp::new().await;
    for (body, message) in [
        (json!({"foo": 1}), "\"foo\" is not allowed"),
        (json!({"name": 1}), "\"name\" must be a string"),
        (json!({"email": "nobody"}), "\"email\" must be a valid email"),
        (json!({"phone": "12"}), "\"phone\" must be a phone number"),
        (json!({"phone": "+1 202 555 0123 456 789"}), "\"phone\" must be a phone number"),
        (json!({"fingerprint": "too-short"}), "Fingerprint is too short (fingerprint)"),
        (json!({"verifiedAt": "soon"}), "\"verifiedAt\" must be a number"),
        (json!({"meta": []}), "\"meta\" must be an object"),
        (json!({"meta": {"_x": 1}}), "\"meta\" must not have keys that begin with an underscore"),
        (json!({"name": "x".repeat(256)}), "\"name\" must have at most 255 characters"),
        (json!({"description": "\u{0}"}), "\"description\" must not contain control characters"),
    ] {
        for to in [CREATE, ENSURE] {
            refused(app.backend().post(to, body.clone()).await, message);
        }
    }
    let twice = app.backend().call("POST", CREATE, br#"{"name":"a","name":"b"}"#.to_vec());
    refused(twice.await, "`name` is in the body more than once; send it once");
    assert_eq!(app.backend().get(LIST).await.ok(), json!({"items": [], "cursor": ""}));
}

#[tokio::test]
async fn only_json_is_taken() {
    let app = TestApp::new().await;
    for media_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let call = app.backend().post(CREATE, json!({})).header("Content-Type", media_type);
        refused(call.await, "Content-Type must be application/json");
    }
    let call = app.backend().post(CREATE, json!({}));
    call.header("Content-Type", "Application/JSON; charset=utf-8").await.ok();
}

#[tokio::test]
async fn a_fingerprint_is_given_to_one_contact_only() {
    let app = TestApp::new().await;
    let body = json!({"fingerprint": FINGERPRINT});
    create(&app.backend(), body.clone()).await;
    let again = app.backend().post(CREATE, body.clone()).await;
    assert_eq!(again.header("x-should-retry"), "false");
    assert_eq!(again.error(409, "conflict")["message"], "Unique constraint violation");
    let other = create(&app.backend(), json!({})).await;
    app.backend().post(path(&other, "update"), body.clone()).await.error(409, "conflict");
    app.other_account().await.post(CREATE, body).await.ok();
}

/// W27: one upsert, no race.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_simultaneous_calls_to_ensure_have_one_contact_and_one_answer() {
    let app = TestApp::new().await;
    let bodies =
        [json!({"fingerprint": FINGERPRINT, "name": "Ann"}), json!({"email": "a@example.com"})];
    for body in bodies {
        let call = || tokio::spawn(app.backend().post(ENSURE, body.clone()).into_future());
        let calls: Vec<_> = (0..100).map(|_| call()).collect();
        let mut ids = HashSet::new();
        for call in calls {
            ids.insert(call.await.unwrap().ok()["id"].as_str().unwrap().to_owned());
        }
        assert_eq!(ids.len(), 1);
    }
    let list = app.backend().get(LIST).await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn ensure_verifies_a_contact_with_a_fingerprint_and_changes_nothing_else_of_it() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({"fingerprint": FINGERPRINT, "name": "Ann"})).await;
    app.clock.advance_seconds(5);
    let ensure = json!({"fingerprint": FINGERPRINT, "name": "Bob", "verifiedAt": 1});
    assert_eq!(app.backend().post(ENSURE, ensure.clone()).await.ok()["id"], json!(id));
    let contact = fetch(&app.backend(), &id).await;
    let verified_at = json!(app.clock.seconds() * 1000);
    assert_eq!((&contact["name"], &contact["verifiedAt"]), (&json!("Ann"), &verified_at));
    app.clock.advance_seconds(5);
    app.backend().post(ENSURE, ensure).await.ok();
    assert_eq!(fetch(&app.backend(), &id).await, contact);
}

/// W27: sixteen characters are enough, and pass every check that there is.
#[tokio::test]
async fn ensure_takes_a_fingerprint_of_sixteen_characters() {
    let app = TestApp::new().await;
    let body = json!({"fingerprint": "0123456789abcdef"});
    app.backend().post(ENSURE, body).await.ok();
}

#[tokio::test]
async fn ensure_without_a_fingerprint_knows_a_contact_by_who_it_says_to_be_and_vouches_for_nobody()
{
    let app = TestApp::new().await;
    let ann = json!({"name": "Ann", "phone": "+12024561111", "verifiedAt": 5});
    let id = app.backend().post(ENSURE, ann).await.ok()["id"].clone();
    let same = json!({"phone": "202-456-1111", "name": "Ann"});
    assert_eq!(app.backend().post(ENSURE, same).await.ok()["id"], id);
    let other = app.backend().post(ENSURE, json!({"name": "Ann"})).await.ok();
    assert_ne!(other["id"], id);
    let contact = fetch(&app.backend(), id.as_str().unwrap()).await;
    assert_eq!(contact["verifiedAt"], Value::Null);
    // Once the account vouches for it, it is still the same one.
    let update = path(id.as_str().unwrap(), "update");
    app.backend().post(update, json!({"verifiedAt": 1_775_390_400_000_i64})).await.ok();
    let same = json!({"name": "Ann", "phone": "+12024561111"});
    assert_eq!(app.backend().post(ENSURE, same).await.ok()["id"], id);
}

/// W27: contacts of whom nothing is known are not one contact.
#[tokio::test]
async fn ensure_refuses_a_contact_that_there_is_nothing_to_know_by() {
    let app = TestApp::new().await;
    for body in [json!({}), json!({"name": "", "meta": {"a": 1}})] {
        app.backend().post(ENSURE, body).await.error(400, "bad_request");
    }
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let app = TestApp::new().await;
    let (email, meta) = ("a@example.com", json!({"a": 1}));
    let body = json!({"name": "Ann", "email": email, "fingerprint": FINGERPRINT, "meta": meta});
    let id = create(&app.backend(), body).await;
    let mut expected = fetch(&app.backend(), &id).await;
    for (field, given, stored) in [
        ("name", json!("Bob"), json!("Bob")),
        ("nick", json!("bob"), json!("bob")),
        ("email", json!(null), json!(null)),
        ("fingerprint", json!(null), json!(FINGERPRINT)),
        ("verifiedAt", json!("1775390400000"), json!(1_775_390_400_000_i64)),
        ("verifiedAt", json!(0), json!(1_775_390_400_000_i64)),
        ("verifiedAt", json!(null), json!(null)),
        ("meta", json!({"b": {"c": 2}}), json!({"b": {"c": 2}})),
        ("meta", json!({"$update": {"a": 1}}), json!({"a": 1, "b": {"c": 2}})),
        ("meta", json!({"$update": {"b": null}}), json!({"a": 1})),
        ("meta", json!(null), json!(null)),
        ("name", json!(null), json!("")),
    ] {
        app.clock.advance_seconds(1);
        let answer = app.backend().post(path(&id, "update"), json!({field: given})).await.ok();
        assert_eq!(answer, json!({"id": id}));
        expected[field] = stored;
        expected["updatedAt"] = json!(app.clock.seconds() * 1000);
        assert_eq!(fetch(&app.backend(), &id).await, expected);
    }
    let mixed = json!({"meta": {"$update": {}, "a": 1}});
    app.backend().post(path(&id, "update"), mixed).await.error(400, "bad_request");
}

#[tokio::test]
async fn a_deleted_contact_is_gone_and_a_second_delete_is_not_found() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({})).await;
    let delete = || app.backend().post(path(&id, "delete"), json!({}));
    assert_eq!(delete().await.ok(), json!({"id": id}));
    delete().await.error(404, "not_found");
    app.backend().get(path(&id, "fetch")).await.error(404, "not_found");
}

#[tokio::test]
async fn a_create_that_names_itself_makes_one_contact() {
    let app = TestApp::new().await;
    let call = |body: Value| app.backend().post(CREATE, body).header("Idempotency-Key", "k1");
    let first = call(json!({"name": "Ann"})).await.ok();
    assert_eq!(call(json!({"name": "Ann"})).await.ok(), first);
    call(json!({"name": "Bob"})).await.error(409, "idempotency_key_reused");
    let id = first["id"].as_str().unwrap();
    app.backend().post(path(id, "delete"), json!({})).await.ok();
    assert_ne!(call(json!({"name": "Ann"})).await.ok(), first);
}

#[tokio::test]
async fn each_change_has_one_event() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({})).await;
    app.backend().post(path(&id, "update"), json!({"name": "x"})).await.ok();
    app.backend().get(LIST).await.ok();
    app.backend().post(path(&id, "delete"), json!({})).await.ok();
    let events = app.events().await;
    let of_contact = events.iter().filter(|event| event.object.0 == "contact");
    let mut told: Vec<_> = of_contact.map(|event| (&*event.action, &*event.object.1)).collect();
    told.sort_unstable();
    let id = id.as_str();
    assert_eq!(told, [("contact.create", id), ("contact.delete", id), ("contact.update", id)]);
}

#[tokio::test]
async fn agents_see_no_contacts_and_only_owners_export_them() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({})).await;
    let agent = app.agent();
    let calls: Vec<Call> = vec![
        agent.post(CREATE, json!({})),
        agent.post(ENSURE, json!({"name": "x"})),
        agent.get(LIST),
        agent.get(path(&id, "fetch")),
        agent.post(path(&id, "update"), json!({})),
        agent.post(path(&id, "delete"), json!({})),
        agent.get(EXPORT),
        app.backend().get(EXPORT),
    ];
    for call in calls {
        call.await.error(403, "not_authorized");
    }
}

#[tokio::test]
async fn v1_is_short_for_api_v1() {
    let app = TestApp::new().await;
    let id = app.backend().post("/v1/contact/create", json!({})).await.ok();
    let list = app.backend().get("/v1/contact/list?take=1").await.ok();
    assert_eq!(list["items"][0]["id"], id["id"]);
    app.anonymous().get("/v1/contact/list").await.error(401, "not_authenticated");
}
