//! `/api/v1/secret`: what is stored, changed, listed and refused. Configs are in `secret_config`.

use keyfob_core::id::SecretId;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    call::{Call, Caller},
    contact::refused,
    guard::CANARY,
};

const CREATE: &str = "/api/v1/secret/create";
const LIST: &str = "/api/v1/secret/list";

pub(crate) fn path(id: &str, action: &str) -> String {
    format!("/api/v1/secret/{id}/{action}")
}

pub(crate) async fn create(caller: &Caller, body: Value) -> String {
    caller.post(CREATE, body).await.ok()["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn fetch(caller: &Caller, id: &str) -> Value {
    caller.get(path(id, "fetch")).await.ok()
}

pub(crate) fn update(caller: &Caller, id: &str, body: Value) -> Call {
    caller.post(path(id, "update"), body)
}

/// The value that is stored.
async fn stored(app: &TestApp, id: &str) -> Option<String> {
    let (_, [value, _]) = app.open_secret(id).await;
    value
}

#[tokio::test]
async fn a_secret_is_fetched_as_it_was_stored_without_its_value() {
    let app = TestApp::new().await;
    let mut body = json!({
        "alias": "billing_api-1", "name": "Zoë 日本", "description": "For\ninvoices",
        "blueprintId": "blueprint", "kind": "shared", "type": "bearer", "value": CANARY,
        "config": {"schema": "Token", "hosts": ["api.example.com"]}, "visibility": "protected",
        "meta": {"team": "x"},
    });
    let id = create(&app.backend(), body.clone()).await;
    assert!(SecretId::parse(&id).is_ok());
    body.as_object_mut().unwrap().remove("value");
    let now = app.clock.seconds() * 1000;
    (body["id"], body["createdAt"], body["updatedAt"]) = (json!(id), json!(now), json!(now));
    assert_eq!(fetch(&app.backend(), &id).await, body);
    assert_eq!(app.backend().get(LIST).await.ok(), json!({"items": [body], "cursor": id}));
}

/// The guard looks for the canary in every answer, the logs and the database; what is sealed there opens
/// to what was given.
#[tokio::test]
async fn value_and_config_are_sealed_as_they_were_given() {
    let app = TestApp::new().await;
    let value = format!("-----BEGIN KEY-----\n{CANARY}\n");
    let config =
        json!({"clientId": "c", "clientSecret": CANARY, "tokenUrl": "https://example.com/t"});
    let body = json!({"type": "plain", "value": value, "config": config});
    let id = create(&app.backend(), body).await;
    let (secret, [opened, opened_config]) = app.open_secret(&id).await;
    assert_eq!(opened, Some(value));
    assert_eq!(serde_json::from_str::<Value>(&opened_config.unwrap()).unwrap(), config);
    let sealed = [secret.value.unwrap(), secret.config.unwrap()];
    for sealed in sealed {
        assert_eq!(app.guard().find_in(sealed.as_bytes()), None);
    }
}

/// W28: what is left out is shared, plain and private, and keeps its value.
#[tokio::test]
async fn everything_may_be_left_out() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({})).await;
    let now = app.clock.seconds() * 1000;
    let expected = json!({
        "id": id, "alias": null, "name": "", "description": "", "blueprintId": null,
        "kind": "shared", "type": "plain", "config": null, "visibility": "private", "meta": null,
        "createdAt": now, "updatedAt": now,
    });
    assert_eq!(fetch(&app.backend(), &id).await, expected);
    let id = create(&app.backend(), json!({"value": CANARY})).await;
    assert_eq!(stored(&app, &id).await.as_deref(), Some(CANARY));
}

#[tokio::test]
async fn empty_and_null_are_the_same_as_nothing() {
    let app = TestApp::new().await;
    for nothing in [json!(""), json!(null)] {
        let mut body = json!({"config": null, "meta": null});
        for field in ["alias", "name", "description", "blueprintId", "value"] {
            body[field] = nothing.clone();
        }
        let id = create(&app.backend(), body).await;
        let secret = fetch(&app.backend(), &id).await;
        assert_eq!((&secret["alias"], &secret["name"]), (&json!(null), &json!("")));
        assert_eq!(stored(&app, &id).await, None);
    }
}

#[tokio::test]
async fn a_wrong_field_is_named_and_nothing_is_stored() {
    let app = TestApp::new().await;
    let alias = "Alias must contain only lowercase letters, numbers, hyphens, and underscores";
    for (body, message) in [
        (json!({"foo": 1}), "\"foo\" is not allowed"),
        (json!({"name": 1}), "\"name\" must be a string"),
        (json!({"value": {"a": CANARY}}), "\"value\" must be a string"),
        (json!({"alias": "A"}), alias),
        (json!({"alias": "a b"}), alias),
        (json!({"alias": "a".repeat(129)}), "\"alias\" must have at most 128 characters"),
        (json!({"kind": "x"}), "\"kind\" must be one of [shared, personal]"),
        (json!({"kind": null}), "\"kind\" must be one of [shared, personal]"),
        (
            json!({"type": "hotp"}),
            "\"type\" must be one of [plain, basic, bearer, jwt, oauth, template, reference]",
        ),
        (
            json!({"visibility": "all"}),
            "\"visibility\" must be one of [private, protected, public]",
        ),
        (json!({"value": "x".repeat(32_769)}), "the value must have at most 32768 bytes"),
        (json!({"config": [CANARY]}), "\"config\" must be an object"),
        (json!({"meta": {"_x": 1}}), "\"meta\" must not have keys that begin with an underscore"),
        (json!({"name": "x".repeat(256)}), "\"name\" must have at most 255 characters"),
    ] {
        refused(app.backend().post(CREATE, body).await, message);
    }
    assert_eq!(app.backend().get(LIST).await.ok(), json!({"items": [], "cursor": ""}));
}

#[tokio::test]
async fn a_personal_secret_has_no_value_of_its_own() {
    let app = TestApp::new().await;
    let no_value = |call: Call| async {
        let body = call.await.error(409, "conflict");
        assert_eq!(body["message"], "Personal secrets cannot have a value");
    };
    let personal = json!({"kind": "personal", "value": CANARY});
    no_value(app.backend().post(CREATE, personal.clone())).await;
    let id = create(&app.backend(), json!({"kind": "personal", "value": ""})).await;
    no_value(update(&app.backend(), &id, json!({"value": CANARY}))).await;
    // The kind that it is to have counts.
    let shared = json!({"kind": "shared", "value": CANARY});
    update(&app.backend(), &id, shared).await.ok();
    assert_eq!(stored(&app, &id).await.as_deref(), Some(CANARY));
    no_value(update(&app.backend(), &id, personal)).await;
    update(&app.backend(), &id, json!({"kind": "personal"})).await.ok();
    assert_eq!(stored(&app, &id).await, None);
    update(&app.backend(), &id, json!({"kind": "shared"})).await.ok();
    assert_eq!(stored(&app, &id).await, None);
}

#[tokio::test]
async fn a_value_is_replaced_cleared_or_left_as_it_is() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({"value": CANARY})).await;
    let second = format!("{CANARY} the second");
    for (body, expected) in [
        (json!({"name": "x"}), Some(CANARY)),
        (json!({"value": second}), Some(second.as_str())),
        (json!({"type": "bearer"}), Some(second.as_str())),
        (json!({"value": null}), None),
        (json!({"value": CANARY}), Some(CANARY)),
        (json!({"value": ""}), None),
    ] {
        update(&app.backend(), &id, body.clone()).await.ok();
        assert_eq!(stored(&app, &id).await.as_deref(), expected, "{body}");
    }
}

#[tokio::test]
async fn an_alias_is_given_to_one_secret_only() {
    let app = TestApp::new().await;
    let body = json!({"alias": "one"});
    create(&app.backend(), body.clone()).await;
    let again = app.backend().post(CREATE, body.clone()).await;
    assert_eq!(again.error(409, "conflict")["message"], "Unique constraint violation");
    let other = create(&app.backend(), json!({})).await;
    update(&app.backend(), &other, body.clone()).await.error(409, "conflict");
    app.other_account().await.post(CREATE, body).await.ok();
}

/// W28: an alias that an update does not name stays.
#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let app = TestApp::new().await;
    let body = json!({"alias": "a", "name": "Ann", "value": CANARY, "meta": {"a": 1}});
    let id = create(&app.backend(), body).await;
    let mut expected = fetch(&app.backend(), &id).await;
    for (field, given, stored) in [
        ("name", json!("Bob"), json!("Bob")),
        ("alias", json!("b"), json!("b")),
        ("alias", json!(null), json!(null)),
        ("blueprintId", json!("x"), json!("x")),
        ("visibility", json!("public"), json!("public")),
        ("type", json!("jwt"), json!("jwt")),
        ("config", json!({"algorithm": "ES256"}), json!({"algorithm": "ES256"})),
        ("config", json!(null), json!(null)),
        ("meta", json!({"$update": {"b": 2}}), json!({"a": 1, "b": 2})),
        ("meta", json!({"c": 3}), json!({"c": 3})),
        ("meta", json!(null), json!(null)),
        ("name", json!(null), json!("")),
    ] {
        app.clock.advance_seconds(1);
        let answer = update(&app.backend(), &id, json!({field: given})).await.ok();
        assert_eq!(answer, json!({"id": id}));
        expected[field] = stored;
        expected["updatedAt"] = json!(app.clock.seconds() * 1000);
        assert_eq!(fetch(&app.backend(), &id).await, expected);
    }
}

#[tokio::test]
async fn a_path_names_a_secret_by_id_alias_or_name() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({"alias": "one", "name": "The one"})).await;
    app.clock.advance_seconds(1);
    create(&app.backend(), json!({"name": "The one"})).await;
    let account = app.account().await;
    for at in [id.clone(), "@one".into(), "%20@one".into(), "(The%20one)".into()] {
        assert_eq!(fetch(&app.agent(), &at).await["id"], json!(id), "{at}");
        let changed = update(&app.backend(), &at, json!({"description": at})).await.ok();
        assert_eq!(changed, json!({"id": id}));
    }
    for at in ["@two", "@@one", "(nobody)", "one"] {
        app.backend().get(path(at, "fetch")).await.error(404, "not_found");
    }
    // The first account is nobody's child, and so has no siblings.
    let sibling = format!("@{account}@one");
    app.backend().get(path(&sibling, "fetch")).await.error(404, "not_found");
    let delete = app.backend().post(path("@one", "delete"), json!({})).await.ok();
    assert_eq!(delete, json!({"id": id}));
}

#[tokio::test]
async fn an_account_is_among_its_parents_children_when_a_path_names_them() {
    let app = TestApp::new().await;
    let child = app.other_account().await;
    let id = create(&child, json!({"alias": "one"})).await;
    let (secret, _) = app.open_secret(&id).await;
    let at = format!("@{}@one", secret.account);
    assert_eq!(fetch(&child, &at).await["id"], json!(id));
}

#[tokio::test]
async fn a_deleted_secret_is_gone_and_a_second_delete_is_not_found() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({"value": CANARY})).await;
    let delete = || app.backend().post(path(&id, "delete"), json!({}));
    assert_eq!(delete().await.ok(), json!({"id": id}));
    delete().await.error(404, "not_found");
    app.backend().get(path(&id, "fetch")).await.error(404, "not_found");
}

#[tokio::test]
async fn a_list_is_paged_ordered_and_filtered() {
    let app = TestApp::new().await;
    let mut all = Vec::new();
    for number in 0..5 {
        let body =
            json!({"meta": {"even": number % 2 == 0}, "blueprintId": format!("b{}", number % 3)});
        all.push(create(&app.backend(), body).await);
        app.clock.advance_seconds(1);
    }
    for (query, expected) in [
        ("order=asc", vec![0, 1, 2, 3, 4]),
        ("order=desc", vec![4, 3, 2, 1, 0]),
        ("order=asc&take=2", vec![0, 1]),
        (&format!("order=asc&cursor={}", all[1]), vec![2, 3, 4]),
        ("order=asc&meta.even=true", vec![0, 2, 4]),
        ("order=asc&blueprintId=b1", vec![1, 4]),
        ("order=asc&blueprintId=b1&meta.even=true", vec![4]),
        ("order=asc&blueprintId=b0&take=1", vec![0]),
        ("blueprintId=none", vec![]),
    ] {
        let list = app.agent().get(format!("{LIST}?{query}")).await.ok();
        let ids: Vec<_> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap())
            .collect();
        let expected: Vec<_> = expected.into_iter().map(|number: usize| &*all[number]).collect();
        assert_eq!(ids, expected, "{query}");
    }
    let lines = app.agent().get(LIST).header("Accept", "application/jsonl").await;
    assert_eq!(lines.text().lines().count(), 5);
}

#[tokio::test]
async fn a_config_that_does_not_open_is_left_out_of_the_list_and_hides_no_other() {
    let app = TestApp::new().await;
    let config = json!({"config": {"pin": "1"}});
    let damaged = create(&app.backend(), config.clone()).await;
    let whole = create(&app.backend(), config).await;
    app.database().change_sealed(("secret", "config"), &damaged, |bytes| bytes[20] ^= 1);
    let list = app.backend().get(LIST).await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["id"], json!(whole));
    let fetch = app.backend().get(path(&damaged, "fetch")).await;
    fetch.error(500, "internal_server_error");
    assert!(crate::guard::logs().contains(&format!("secret row {damaged}")));
    // It can still be mended.
    update(&app.backend(), &damaged, json!({"config": null})).await.ok();
    app.backend().get(path(&damaged, "fetch")).await.ok();
}

#[tokio::test]
async fn a_create_that_names_itself_makes_one_secret() {
    let app = TestApp::new().await;
    let body = || json!({"name": "a", "value": CANARY, "config": {"password": CANARY}});
    let call = |body: Value| app.backend().post(CREATE, body).header("Idempotency-Key", "k1");
    let first = call(body()).await.ok();
    assert_eq!(call(body()).await.ok(), first);
    for (field, value) in [
        ("name", json!("b")),
        ("value", json!(format!("{CANARY}2"))),
        ("value", json!(null)),
        ("config", json!({"password": "another"})),
        ("config", json!(null)),
        ("visibility", json!("public")),
    ] {
        let mut other = body();
        other[field] = value;
        call(other).await.error(409, "idempotency_key_reused");
    }
    let id = first["id"].as_str().unwrap();
    app.backend().post(path(id, "delete"), json!({})).await.ok();
    assert_ne!(call(body()).await.ok(), first);
}

#[tokio::test]
async fn each_change_has_one_event() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({"alias": "a", "value": CANARY})).await;
    update(&app.backend(), "@a", json!({"name": "x"})).await.ok();
    app.backend().get(LIST).await.ok();
    app.backend().post(path("@a", "delete"), json!({})).await.ok();
    let events = app.events().await;
    let of_secret = events.iter().filter(|event| event.object.0 == "secret");
    let mut told: Vec<_> = of_secret.map(|event| (&*event.action, &*event.object.1)).collect();
    told.sort_unstable();
    let id = id.as_str();
    assert_eq!(told, [("secret.create", id), ("secret.delete", id), ("secret.update", id)]);
}

#[tokio::test]
async fn agents_see_descriptions_and_change_nothing() {
    let app = TestApp::new().await;
    let id = create(&app.backend(), json!({"value": CANARY})).await;
    fetch(&app.agent(), &id).await;
    app.agent().get(LIST).await.ok();
    for at in [id.as_str(), "sec_00000000000000000000000000", "@nobody"] {
        for action in ["update", "delete"] {
            let call = app.agent().post(path(at, action), json!({}));
            call.await.error(403, "not_authorized");
        }
    }
    app.agent().post(CREATE, json!({})).await.error(403, "not_authorized");
}
