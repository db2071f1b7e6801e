//! W19: another account's id, a random one and a malformed one are answered alike, byte for byte but for
//! the request's id.

use std::collections::BTreeSet;

use keyfob_server::router::ROUTES;
use serde_json::{Value, json};

use crate::{
    app::{SECRETS, TestApp},
    call::{Call, Caller, Key},
    connection, contact,
    guard::CANARY,
    secret,
};

/// Every route with an id: the beginning of the routes of its noun, the rest, a method, and what may
/// come after the path or, with POST and PATCH, a body that would do.
const TABLE: &[(&str, &str, &str, &str)] = &[
    (ENTRY, "", "GET", ""),
    (ENTRY, "", "PATCH", r#"{"label":"mine now"}"#),
    (ENTRY, "", "PATCH", r#"{"policy":{"min_validity":31}}"#),
    (ENTRY, "", "DELETE", ""),
    (CODE, "", "GET", ""),
    (CODE, "", "GET", "?unique=true"),
    (CODE, "", "GET", "?include=next"),
    (CODE, "", "GET", "?min_validity=10"),
    (CODE, "", "GET", "?min_validity=3600"),
    (CODE, "", "GET", "?unique=true&include=next"),
    (KEY, "/fetch", "GET", ""),
    (KEY, "/fetch", "POST", "{}"),
    (KEY, "/update", "POST", r#"{"name":"mine now"}"#),
    (KEY, "/revoke", "POST", "{}"),
    (ACCOUNT, "/delete", "POST", "{}"),
    (CONTACT, "/fetch", "GET", ""),
    (CONTACT, "/update", "POST", r#"{"name":"mine now"}"#),
    (CONTACT, "/delete", "POST", "{}"),
    (SECRET, "/fetch", "GET", ""),
    (SECRET, "/update", "POST", r#"{"name":"mine now"}"#),
    (SECRET, "/update", "POST", r#"{"value":"x","config":{"clientSecret":"********"}}"#),
    (SECRET, "/delete", "POST", "{}"),
    (SECRET, "/revoke", "POST", "{}"),
    (SECRET, "/mint", "POST", "{}"),
    (SECRET, "/refresh", "POST", "{}"),
    (USE, "/proxy", "POST", PROXIED),
    (USE, "/proxy?dry_run=1", "POST", PROXIED),
    (USE, "/verify", "POST", "{}"),
    (USE, "/authenticate", "POST", "{}"),
    (OF_CONTACT, "/list", "GET", ""),
    (OF_CONTACT, "/list", "GET", "?status=all"),
    (CONNECTION, "/verify", "POST", "{}"),
    (CONNECTION, "/authenticate", "POST", "{}"),
    (CONNECTION, "/connect", "POST", r#"{"value":"mine now"}"#),
    (CONNECTION, "/connect", "POST", r#"{"username":"mine","password":"now"}"#),
    (CONNECTION, "/revoke", "POST", "{}"),
    (CONNECTION, "/mint", "POST", "{}"),
    (CONNECTION, "/refresh", "POST", "{}"),
    (CONNECTION, "/connect", "POST", r#"{"accessToken":"mine","refreshToken":"now"}"#),
    (CONNECTION, "/proxy", "POST", PROXIED),
    (CONNECTION, "/proxy?dry_run=1", "POST", PROXIED),
    (PASSED_ON, "", "GET", "?x=1"),
    (PASSED_ON, "", "POST", "{}"),
    (PASSED_ON, "", "PUT", ""),
    (PASSED_ON, "", "DELETE", ""),
];
const ENTRY: &str = "/api/v2/totp/secrets/{id}";
const CODE: &str = "/api/v2/totp/code/{id}";
const KEY: &str = "/api/v1/key/{id}";
const ACCOUNT: &str = "/api/v1/account/{id}";
const CONTACT: &str = "/api/v1/contact/{contact}";
const SECRET: &str = "/api/v1/secret/{secret}";
/// What accounts may do that a secret's visibility lets in.
const USE: &str = "/api/v1/secret/{secret}/";
const OF_CONTACT: &str = "/api/v1/contact/{contact}/secret";
const CONNECTION: &str = "/api/v1/contact/{contact}/secret/{secret}";
const PASSED_ON: &str = "/proxy/{contact}/{secret}/{*url}";
/// A request that nobody would send.
const PROXIED: &str = r#"{"url":"https://api.example.com/v1"}"#;

fn route(noun: &str, rest: &str) -> String {
    format!("{noun}{rest}").replace("//", "/")
}

#[test]
fn every_route_with_an_id_is_in_the_table() {
    let listed = TABLE.iter().map(|(noun, rest, ..)| route(noun, rest));
    let listed: BTreeSet<_> =
        listed.map(|route| route.split('?').next().unwrap().to_owned()).collect();
    let with_ids = ROUTES.iter().filter(|route| route.contains('{'));
    let with_ids: BTreeSet<_> = with_ids.map(|route| (*route).to_owned()).collect();
    assert_eq!(listed, with_ids);
}

/// Every call of these nouns with this id; where there are two, as one of them.
fn calls(caller: &Caller, nouns: &[&str], id: &str) -> Vec<Call> {
    calls_of(caller, nouns, [id, id])
}

/// Every call of these nouns with this contact and this secret; what has one id has the first.
fn calls_of(caller: &Caller, nouns: &[&str], [one, two]: [&str; 2]) -> Vec<Call> {
    let rows = TABLE.iter().filter(|(noun, ..)| nouns.contains(noun));
    let call = |(noun, rest, method, more): &(&str, &str, &str, &str)| {
        let path = route(noun, rest).replace("{secret}", two).replace("{contact}", one);
        let path = path.replace("{id}", one).replace("{*url}", "https://api.example.com/v1");
        match *method {
            "POST" | "PATCH" => caller.call(method, &path, (*more).into()),
            _ => caller.call(method, &format!("{path}{more}"), Vec::new()),
        }
    };
    rows.map(call).collect()
}

/// Status, headers and body of each answer, without what differs between any two requests.
pub(crate) async fn answers(calls: Vec<Call>) -> Vec<String> {
    let mut answers = Vec::new();
    for call in calls {
        let answer = call.await;
        let id = answer.header("x-request-id").to_owned();
        let headers = format!("{:?}", answer.headers).replace(&id, "ID");
        let body = answer.text().replace(&id, "ID");
        answers.push(format!("{} {headers} {body}", answer.status));
    }
    answers
}

pub(crate) async fn all_are_alike<'a>(
    status: u16,
    caller: &Caller,
    ids: impl IntoIterator<Item = &'a str>,
    calls: impl Fn(&Caller, &str) -> Vec<Call>,
) {
    let refused = format!("{status} ");
    let mut first: Option<(&str, Vec<String>)> = None;
    for id in ids {
        let given = answers(calls(caller, id)).await;
        assert!(given.iter().all(|answer| answer.starts_with(&refused)), "{given:#?}");
        let (first_id, expected) = first.get_or_insert_with(|| (id, given.clone()));
        assert_eq!(&given, expected, "{id} against {first_id}");
    }
}

const MALFORMED: [&str; 8] =
    ["x", "%20", "%FF%FE", "%00", "..%2F..%2Fhealthz", "1%20OR%201=1", "%F0%9F%94%91", "null"];

#[tokio::test]
async fn entries_of_others_look_like_entries_that_are_not_there() {
    let app = TestApp::new().await;
    let theirs = app.entry().await;
    let other = app.other_account().await;
    let mut ids = vec![theirs.as_str(), "00000000-0000-4000-8000-000000000000"];
    ids.extend(MALFORMED);
    let long = "0".repeat(4000);
    ids.extend([long.as_str(), "550e8400e29b41d4a716446655440000"]);
    let nouns = [ENTRY, CODE];
    all_are_alike(404, &other, ids, |caller, id| calls(caller, &nouns, id)).await;

    let mine = app.agent().get(format!("{SECRETS}/{theirs}")).await.ok();
    assert_eq!(mine["totp_secret"]["label"], "GitHub");
    let steps = app.agent().get(format!("/api/v2/totp/code/{theirs}?unique=true"));
    steps.await.ok();
}

#[tokio::test]
async fn keys_of_others_look_like_keys_that_are_not_there() {
    let app = TestApp::new().await;
    let (key, theirs) = app.new_caller("agent").await;
    let other = app.other_account().await;
    let mut ids = vec![key.id.as_str(), "key_00000000000000000000000000"];
    ids.extend(MALFORMED);
    all_are_alike(404, &other, ids, |caller, id| calls(caller, &[KEY], id)).await;
    theirs.get(SECRETS).await.ok();
    let fetch = format!("/api/v1/key/{}/fetch", key.id);
    let fetched = app.owner().get(fetch).await.ok();
    assert_eq!(fetched["name"], "another");
    assert_eq!(fetched["revokedAt"], Value::Null);
}

/// Nor is one's own account, its parent, or a child of a child there to be deleted.
#[tokio::test]
async fn accounts_of_others_look_like_accounts_that_are_not_there() {
    let app = TestApp::new().await;
    let parent = app.account().await.to_string();
    let made = async |caller: &Caller| {
        let answer = caller.post("/api/v1/account/create", json!({})).await.ok();
        let child = app.anonymous().with_token(&Key::from_answer(&answer["key"]));
        (child, answer["id"].as_str().unwrap().to_owned())
    };
    let (child, own) = made(&app.owner()).await;
    let (_, sibling) = made(&app.owner()).await;
    let (grandchild, _) = made(&child).await;
    let (_, grandgrandchild) = made(&grandchild).await;
    let mut ids = vec!["acc_00000000000000000000000001", &parent, &own, &sibling, &grandgrandchild];
    ids.extend(MALFORMED);
    all_are_alike(404, &child, ids, |caller, id| calls(caller, &[ACCOUNT], id)).await;
    grandchild.get("/api/v1/account/fetch").await.ok();
}

#[tokio::test]
async fn contacts_of_others_look_like_contacts_that_are_not_there() {
    let app = TestApp::new().await;
    let theirs = contact::create(&app.backend(), json!({"name": "Ann"})).await;
    let other = app.other_account().await;
    let mut ids = vec![theirs.as_str(), "con_00000000000000000000000000", "@ann", "(Ann)"];
    ids.extend(MALFORMED);
    all_are_alike(404, &other, ids, |caller, id| calls(caller, &[CONTACT], id)).await;
    let fetched = app.backend().get(contact::path(&theirs, "fetch")).await.ok();
    assert_eq!(fetched["name"], "Ann");
}

/// Neither does a secret of one's own, nor one that everybody may use.
#[tokio::test]
async fn connections_of_others_look_like_connections_that_are_not_there() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let theirs = connection::verified_contact(&backend).await;
    let public = json!({"kind": "personal", "visibility": "public"});
    let public = secret::create(&backend, public).await;
    let body = json!({"value": CANARY});
    connection::connect(&backend, &theirs, &public, body).await.ok();
    let other = app.other_account().await;
    let own = connection::personal(&other, "plain").await;
    let mut ids = vec![theirs.as_str(), "con_00000000000000000000000000", "@ann"];
    ids.extend(MALFORMED);
    let nouns = [OF_CONTACT, CONNECTION, PASSED_ON];
    for secret in [&public, &own] {
        let with_secret = |caller: &Caller, id: &str| calls_of(caller, &nouns, [id, secret]);
        all_are_alike(404, &other, ids.clone(), with_secret).await;
    }
    let kept = app.open_connection(&theirs, &public).await;
    assert_eq!(kept.unwrap().1, CANARY);
}

/// Whoever may use a secret of another account does not thereby see or change its definition.
#[tokio::test]
async fn secrets_of_others_look_like_secrets_that_are_not_there() {
    let app = TestApp::new().await;
    let mut callers = vec![app.other_account().await, app.other_account().await];
    let account = app.account().await;
    let mut names = vec!["sec_00000000000000000000000000".to_owned()];
    for visibility in ["private", "protected", "public"] {
        let body = json!({
            "alias": visibility, "name": visibility, "visibility": visibility, "value": CANARY,
        });
        // One of the parent of both, one of a sibling.
        names.push(secret::create(&app.backend(), body.clone()).await);
        names.push(secret::create(&callers[1], body).await);
        let ways = [format!("@{visibility}"), format!("@@{visibility}"), format!("({visibility})")];
        names.extend(ways);
        names.push(format!("@{account}@{visibility}"));
    }
    let (of_sibling, _) = app.open_secret(&names[2]).await;
    names.push(format!("@{}@public", of_sibling.account));
    // One that cannot be read is an error for its own account, and nothing for any other.
    let damaged = secret::create(&app.backend(), json!({"name": "damaged"})).await;
    app.database().execute(&format!("UPDATE secret SET kind = 'x' WHERE id = '{damaged}'"));
    let call = app.backend().get(secret::path(&damaged, "fetch"));
    call.await.error(500, "internal_server_error");
    names.push(damaged);
    let ids = names.iter().map(String::as_str).chain(MALFORMED);
    let caller = callers.swap_remove(0);
    all_are_alike(404, &caller, ids.clone(), |caller, id| calls(caller, &[SECRET, USE], id)).await;
    // A contact of one's own does not help.
    let own = connection::verified_contact(&caller).await;
    let nouns = [CONNECTION, PASSED_ON];
    let with_own = |caller: &Caller, id: &str| calls_of(caller, &nouns, [&own, id]);
    all_are_alike(404, &caller, ids.clone(), with_own).await;
    let for_nobody = |caller: &Caller, id: &str| calls_of(caller, &[PASSED_ON], ["-", id]);
    all_are_alike(404, &caller, ids, for_nobody).await;
    let fetched = app.backend().get(secret::path(&names[1], "fetch")).await.ok();
    assert_eq!(fetched["name"], "private");
}

#[tokio::test]
async fn an_id_of_another_noun_is_not_found() {
    let app = TestApp::new().await;
    let entry = app.entry().await;
    let key = app.key_of(keyfob_core::policy::Role::Agent).id.clone();
    let fetch = app.owner().get(format!("/api/v1/key/{entry}/fetch"));
    fetch.await.error(404, "not_found");
    let fetch = app.owner().get(format!("{SECRETS}/{key}"));
    fetch.await.error(404, "not_found");
}

#[tokio::test]
async fn a_cursor_of_another_account_shows_nothing_of_it() {
    let app = TestApp::new().await;
    let (key, _) = app.new_caller("agent").await;
    app.clock.advance_seconds(1);
    let other = app.other_account().await;
    let list = |cursor: &str| {
        let query = format!("/api/v1/key/list?order=asc&cursor={cursor}");
        other.get(query)
    };
    let page = list(&key.id).await.ok();
    let own = list("").await.ok();
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"], own["items"]);
}

#[tokio::test]
async fn a_role_that_may_not_is_told_so_whatever_the_id() {
    let app = TestApp::new().await;
    let entry = app.entry().await;
    let key = app.key_of(keyfob_core::policy::Role::Owner).id.clone();
    let of_totp = |caller: &Caller, id: &str| {
        let entry = format!("{SECRETS}/{id}");
        vec![caller.delete(&entry), caller.patch(&entry, json!({"label": "mine now"}))]
    };
    let ids = |own, unknown| [own, unknown].into_iter().chain(MALFORMED);
    let entries = ids(entry.as_str(), "00000000-0000-4000-8000-000000000000");
    all_are_alike(403, &app.agent(), entries, of_totp).await;
    let of_connections = |caller: &Caller, id: &str| {
        let post = |rest: &str, body| caller.post(rest, body);
        vec![
            post(&connection::path(id, id, "connect"), json!({"value": "x"})),
            post(&connection::path(id, id, "revoke"), json!({})),
            post(&secret::path(id, "revoke"), json!({})),
            post(&secret::path(id, "update"), json!({"name": "mine now"})),
        ]
    };
    let own = connection::personal(&app.backend(), "plain").await;
    let secrets = ids(own.as_str(), "sec_00000000000000000000000001");
    all_are_alike(403, &app.agent(), secrets, of_connections).await;
    for caller in [app.backend(), app.agent()] {
        let keys = ids(key.as_str(), "key_00000000000000000000000001");
        all_are_alike(403, &caller, keys, |caller, id| calls(caller, &[KEY], id)).await;
    }
}

#[tokio::test]
async fn the_same_secret_is_sealed_differently_in_each_account() {
    let app = TestApp::new().await;
    let body = json!({"label": "x", "secret": CANARY});
    let other = app.other_account().await;
    let [one, two] = [app.backend(), other].map(|caller| caller.post(SECRETS, body.clone()));
    let id = |answer: Value| answer["totp_secret"]["id"].as_str().unwrap().to_owned();
    let (one, two) = (id(one.await.ok()), id(two.await.ok()));
    let mut stored = [Vec::new(), Vec::new()];
    app.database().change_secret(&one, |bytes| stored[0].clone_from(bytes));
    app.database().change_secret(&two, |bytes| stored[1].clone_from(bytes));
    assert_ne!(stored[0], stored[1]);
    assert_eq!(stored[0].len(), 5 + 12 + CANARY.len() + 16);
}
