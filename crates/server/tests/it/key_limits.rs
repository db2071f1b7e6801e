//! What a key is limited to, through the routes themselves. What each action becomes under each limit is a table in
//! `core/policy`; how limits are given is in `key_limits_set`, what they mean for one-time-password entries in
//! `key_limits_entries`, and that a key may be used so often only in `key_rate`.

use serde_json::{Value, json};

use crate::{
    app::{SECRETS, TestApp, code_path, entry_path},
    call::{Call, Caller, Key},
    connection::{connect, path as connection_path, personal, verified_contact, verify},
    contact,
    guard::CANARY,
    secret,
};

pub(crate) const CREATE: &str = "/api/v1/key/create";
pub(crate) const LIST: &str = "/api/v1/key/list";

pub(crate) fn path(id: &str, action: &str) -> String {
    format!("/api/v1/key/{id}/{action}")
}

/// A new key of this role with these limits, and whoever has it.
pub(crate) async fn limited(app: &TestApp, role: &str, limits: Value) -> (Key, Caller) {
    let mut body = json!({"role": role});
    body.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
    let key = Key::from_answer(&app.owner().post(CREATE, body).await.ok());
    let caller = app.anonymous().with_token(&key);
    (key, caller)
}

/// Two contacts, two personal secrets that each has connected, and a shared one.
pub(crate) struct Stock {
    pub(crate) app: TestApp,
    pub(crate) contacts: [String; 2],
    pub(crate) secrets: [String; 2],
    pub(crate) shared: String,
}

impl Stock {
    pub(crate) async fn new() -> Self {
        let app = TestApp::new().await;
        let backend = app.backend();
        let contacts = [verified_contact(&backend).await, verified_contact(&backend).await];
        let secrets = [personal(&backend, "plain").await, personal(&backend, "bearer").await];
        for contact in &contacts {
            for secret in &secrets {
                connect(&backend, contact, secret, json!({"value": CANARY})).await.ok();
            }
        }
        let shared = secret::create(&backend, json!({"name": "shared", "value": CANARY})).await;
        Self { app, contacts, secrets, shared }
    }
}

pub(crate) async fn listed(caller: &Caller, path: &str) -> Vec<String> {
    let page = caller.get(path).await.ok();
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(id).collect()
}

/// The labels of the one-time-password entries that a caller is shown.
pub(crate) async fn labels(caller: &Caller) -> Vec<String> {
    let list = caller.get(SECRETS).await.ok();
    let label = |item: &Value| item["label"].as_str().unwrap().to_owned();
    list["totp_secrets"].as_array().unwrap().iter().map(label).collect()
}

/// Refused in the same words, to the byte, as what is not there.
pub(crate) async fn is_not_there(call: Call, as_if: Call) {
    let (mut hidden, mut missing) = (call.await.error(404, "not_found"), as_if.await.json());
    (hidden["request_id"], missing["request_id"]) = (Value::Null, Value::Null);
    assert_eq!(hidden, missing);
}

pub(crate) const NO_CONTACT: &str = "con_00000000000000000000000000";
pub(crate) const NO_SECRET: &str = "sec_00000000000000000000000000";
pub(crate) const NO_ENTRY: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn a_key_that_is_limited_to_one_contact_sees_no_other() {
    let Stock { app, contacts: [mine, other], secrets, shared } = Stock::new().await;
    let (_, caller) = limited(&app, "backend", json!({"contacts": [mine]})).await;
    assert_eq!(listed(&caller, contact::LIST).await, [mine.as_str()]);
    caller.get(contact::path(&mine, "fetch")).await.ok();
    let list = |contact: &str| format!("/api/v1/contact/{contact}/secret/list");
    assert_eq!(listed(&caller, &list(&mine)).await.len(), 2);
    assert_eq!(verify(&caller, &mine, &secrets[0]).await["status"], "authenticated");
    connect(&caller, &mine, &secrets[0], json!({"value": CANARY})).await.ok();
    for act in ["verify", "authenticate", "connect", "refresh", "mint", "revoke"] {
        let call = |contact| {
            caller.post(connection_path(contact, &secrets[0], act), json!({"value": CANARY}))
        };
        is_not_there(call(&other), call(NO_CONTACT)).await;
    }
    is_not_there(caller.get(list(&other)), caller.get(list(NO_CONTACT))).await;
    for act in ["update", "delete"] {
        let call = |contact| caller.post(contact::path(contact, act), json!({}));
        is_not_there(call(&other), call(NO_CONTACT)).await;
    }
    // The value of a shared secret is no contact's, also where it is looked at through one.
    assert_eq!(listed(&caller, "/api/v1/secret/list").await.len(), 2);
    for act in ["verify", "authenticate", "refresh", "mint", "revoke"] {
        let call = |id| caller.post(secret::path(id, act), json!({}));
        is_not_there(call(&shared), call(NO_SECRET)).await;
    }
    let call = |id| caller.post(connection_path(&mine, id, "verify"), json!({}));
    is_not_there(call(&shared), call(NO_SECRET)).await;
    let call = |id| caller.get(secret::path(id, "fetch"));
    is_not_there(call(&shared), call(NO_SECRET)).await;
    // Nor does it make what it could not see, or change what is everybody's.
    for (path, body) in [
        (contact::CREATE.to_owned(), json!({"name": "x"})),
        ("/api/v1/contact/ensure".into(), json!({"name": "x"})),
        ("/api/v1/secret/create".into(), json!({})),
        (secret::path(&secrets[0], "update"), json!({"config": {"validateUrl": "https://a.test"}})),
        (secret::path(&secrets[0], "delete"), json!({})),
    ] {
        caller.post(path, body).await.error(403, "not_authorized");
    }
    let (_, owner) = limited(&app, "owner", json!({"contacts": [mine]})).await;
    owner.get(contact::EXPORT).await.error(403, "not_authorized");
    app.backend().get(contact::path(&other, "fetch")).await.ok();
}

#[tokio::test]
async fn a_key_that_is_limited_to_one_secret_sees_no_other() {
    let Stock { app, contacts, secrets: [mine, other], shared } = Stock::new().await;
    app.entry().await;
    let (_, caller) = limited(&app, "backend", json!({"secrets": [mine]})).await;
    assert_eq!(listed(&caller, "/api/v1/secret/list").await, [mine.as_str()]);
    for contact in &contacts {
        for query in ["", "?status=all"] {
            let list = format!("/api/v1/contact/{contact}/secret/list{query}");
            assert_eq!(listed(&caller, &list).await, [mine.as_str()]);
        }
        assert_eq!(verify(&caller, contact, &mine).await["status"], "authenticated");
        for act in ["verify", "authenticate", "connect", "refresh", "mint", "revoke"] {
            let call =
                |id| caller.post(connection_path(contact, id, act), json!({"value": CANARY}));
            is_not_there(call(&other), call(NO_SECRET)).await;
        }
        let list = |id: &str| format!("/api/v1/contact/{contact}/secret/list?cursor={id}");
        let mut hidden = caller.get(list(&other)).await.json();
        let mut missing = caller.get(list(NO_SECRET)).await.json();
        (hidden["request_id"], missing["request_id"]) = (Value::Null, Value::Null);
        assert_eq!(hidden, missing);
        // The contact's other connections would go with it.
        let delete = caller.post(contact::path(contact, "delete"), json!({}));
        delete.await.error(403, "not_authorized");
    }
    for act in ["verify", "authenticate", "refresh", "mint", "revoke", "update", "delete"] {
        let call = |id| caller.post(secret::path(id, act), json!({}));
        is_not_there(call(&shared), call(NO_SECRET)).await;
    }
    let call = |id| caller.get(secret::path(id, "fetch"));
    is_not_there(call(&other), call(NO_SECRET)).await;
    caller.post("/api/v1/secret/create", json!({})).await.error(403, "not_authorized");
    assert_eq!(labels(&caller).await, Vec::<String>::new(), "it was made for no codes");
    secret::update(&caller, &mine, json!({"name": "mine"})).await.ok();
}

#[tokio::test]
async fn a_key_does_the_actions_that_it_names_and_is_never_permitted_others() {
    let Stock { app, contacts: [contact, _], secrets: [secret, _], .. } = Stock::new().await;
    let entry = app.entry().await;
    let (key, caller) = limited(&app, "backend", json!({"actions": ["totp.code", "verify"]})).await;
    let shown = app.owner().get(path(&key.id, "fetch")).await.ok();
    assert_eq!(shown["actions"], json!(["secret.verify", "connection.verify", "totp.code"]));
    caller.get(code_path(&entry, "")).await.ok();
    verify(&caller, &contact, &secret).await;
    for (method, path) in [
        ("GET", SECRETS.to_owned()),
        ("GET", entry_path(NO_ENTRY)),
        ("DELETE", entry_path(&entry)),
        ("GET", contact::LIST.into()),
        ("GET", contact::path(NO_CONTACT, "fetch")),
        ("GET", "/api/v1/secret/list".into()),
        ("POST", connection_path(&contact, &secret, "authenticate")),
        ("POST", connection_path(&contact, &secret, "mint")),
        ("POST", connection_path(NO_CONTACT, NO_SECRET, "revoke")),
    ] {
        caller.call(method, &path, b"{}".into()).await.error(403, "not_authorized");
    }
    // A link is an action of its own, also where it comes along with another answer.
    let unconnected = personal(&app.backend(), "plain").await;
    let verified = verify(&caller, &contact, &unconnected).await;
    assert_eq!((&verified["status"], verified.get("action")), (&json!("unauthenticated"), None));
}

#[tokio::test]
async fn an_agent_mints_if_its_key_says_so_and_gains_nothing_else() {
    let app = TestApp::new().await;
    let config = json!({"algorithm": "HS256", "expiresInSeconds": 60});
    let body = json!({"type": "jwt", "value": CANARY, "config": config});
    let secret = secret::create(&app.backend(), body).await;
    let mint = |caller: &Caller| caller.post(secret::path(&secret, "mint"), json!({}));
    mint(&app.agent()).await.error(403, "not_authorized");
    let (_, noun) = limited(&app, "agent", json!({"actions": ["secret"]})).await;
    mint(&noun).await.error(403, "not_authorized");
    for name in ["mint", "secret.mint"] {
        let (_, caller) = limited(&app, "agent", json!({"actions": [name]})).await;
        mint(&caller).await.ok();
        let revoke = caller.post(secret::path(&secret, "revoke"), json!({}));
        revoke.await.error(403, "not_authorized");
        caller.get("/api/v1/secret/list").await.error(403, "not_authorized");
    }
    // A token goes wherever its holder wants, so none leaves where hosts, methods or paths are limited.
    for limits in [
        json!({"hosts": ["api.example.com"]}),
        json!({"methods": ["GET"]}),
        json!({"paths": ["/v1/"]}),
    ] {
        let (_, caller) = limited(&app, "backend", limits).await;
        mint(&caller).await.error(403, "not_authorized");
        let change = json!({"config": {"validateUrl": "https://elsewhere.test"}});
        secret::update(&caller, &secret, change).await.error(403, "not_authorized");
    }
}

#[tokio::test]
async fn a_link_that_a_limited_key_asks_for_works_for_what_the_key_reaches() {
    let Stock { app, contacts: [mine, other], .. } = Stock::new().await;
    let secret = personal(&app.backend(), "plain").await;
    let limits = json!({"contacts": [mine], "actions": ["authenticate", "connection.verify"]});
    let (_, caller) = limited(&app, "agent", limits).await;
    let ask =
        |contact: &str| caller.post(connection_path(contact, &secret, "authenticate"), json!({}));
    is_not_there(ask(&other), ask(NO_CONTACT)).await;
    let link = ask(&mine).await.ok();
    let page = crate::authentication::state(&link["url"]);
    let shown = app.anonymous().get(format!("/connect/{page}")).await;
    assert_eq!(shown.status, 200);
    let verified = verify(&caller, &mine, &secret).await;
    assert_eq!(verified["action"]["type"], "authenticate");
}

#[tokio::test]
async fn lists_of_a_limited_key_are_paged_without_gaps_or_repetitions() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let contact = verified_contact(&backend).await;
    let (mut mine, mut mine_contacts) = (Vec::new(), vec![contact.clone()]);
    for number in 0..12 {
        app.clock.advance_seconds(1);
        let secret = personal(&backend, "plain").await;
        connect(&backend, &contact, &secret, json!({"value": CANARY})).await.ok();
        let another = verified_contact(&backend).await;
        if number % 3 == 0 {
            mine.push(secret);
            mine_contacts.push(another);
        }
    }
    let read = async |caller: &Caller, path: &str, order: &str| {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("{path}?take=2&order={order}&cursor={cursor}");
            let page = listed(caller, &query).await;
            assert!(page.len() <= 2);
            let Some(last) = page.last() else { return all };
            cursor.clone_from(last);
            all.extend(page);
        }
    };
    let connections = format!("/api/v1/contact/{contact}/secret/list");
    let (_, of_secrets) = limited(&app, "backend", json!({"secrets": mine})).await;
    let (_, of_contacts) = limited(&app, "backend", json!({"contacts": mine_contacts})).await;
    for (caller, path, expected) in [
        (&of_secrets, "/api/v1/secret/list", &mine),
        (&of_secrets, connections.as_str(), &mine),
        (&of_contacts, contact::LIST, &mine_contacts),
    ] {
        let mut all = read(caller, path, "asc").await;
        assert_eq!(&all, expected, "{path}");
        let lines = caller.get(format!("{path}?order=asc")).header("Accept", "application/jsonl");
        assert_eq!(lines.await.text().lines().count(), expected.len());
        all.reverse();
        assert_eq!(read(caller, path, "desc").await, all, "{path}");
    }
}

/// Contract/contacts-and-secrets, section 9: what a token was restricted to did not confine these calls.
#[tokio::test]
async fn what_a_key_is_restricted_to_confines_every_call_of_contacts_and_secrets() {
    let Stock { app, contacts: [mine, other], secrets: [secret, _], .. } = Stock::new().await;
    let limits = json!({"contacts": [mine], "actions": ["connection.verify", "connection.list"]});
    let (_, caller) = limited(&app, "backend", limits).await;
    verify(&caller, &mine, &secret).await;
    caller
        .post(connection_path(&other, &secret, "verify"), json!({}))
        .await
        .error(404, "not_found");
    for act in ["authenticate", "connect", "refresh", "mint", "revoke"] {
        let call = caller.post(connection_path(&mine, &secret, act), json!({"value": CANARY}));
        call.await.error(403, "not_authorized");
    }
    for route in keyfob_server::router::ROUTES.iter().filter(|it| it.starts_with("/api/v1/")) {
        let allowed = ["/verify", "/secret/list"].iter().any(|it| route.ends_with(it));
        if allowed && route.starts_with("/api/v1/contact/{contact}/") {
            continue;
        }
        let at = route.replace("{contact}", &mine).replace("{secret}", &secret);
        let at = at.replace("{id}", "key_00000000000000000000000000");
        let body = match at.rsplit('/').next() {
            Some("search") => json!({"search": "x"}),
            Some("proxy") => json!({"url": "https://api.example.com/"}),
            _ if at == "/api/v1/key/create" => json!({"role": "agent"}),
            Some("connect") => json!({"value": CANARY}),
            _ => json!({}),
        };
        let statuses = [caller.get(&at).await.status, caller.post(&at, body).await.status];
        assert!(
            statuses.iter().all(|status| [403, 404, 405].contains(status)),
            "{route}: {statuses:?}"
        );
    }
}

/// What people missed in a rival: one key for each agent of a team, each with what is its own.
#[tokio::test]
async fn two_agents_of_one_account_have_each_what_is_theirs() {
    let Stock { app, contacts: [anns, bobs], secrets: [secret, _], .. } = Stock::new().await;
    let [of_ann, of_bob] = [
        app.entry_with(json!({"label": "Ann", "contact_id": anns})).await,
        app.entry_with(json!({"label": "Bob", "contact_id": bobs})).await,
    ];
    for (mine, other, own, foreign) in
        [(&anns, &bobs, &of_ann, &of_bob), (&bobs, &anns, &of_bob, &of_ann)]
    {
        let (_, agent) = limited(&app, "agent", json!({"contacts": [mine]})).await;
        assert_eq!(verify(&agent, mine, &secret).await["status"], "authenticated");
        agent.get(code_path(own, "")).await.ok();
        let theirs = agent.post(connection_path(other, &secret, "verify"), json!({}));
        theirs.await.error(404, "not_found");
        agent.get(code_path(foreign, "")).await.error(404, "not_found");
    }
}

/// A rival let a caller name an object of another by its id (097ca93).
#[tokio::test]
async fn the_id_of_what_a_key_does_not_reach_opens_nothing_by_any_name() {
    let app = TestApp::new().await;
    let backend = app.backend();
    let hidden =
        secret::create(&backend, json!({"name": "pay", "alias": "pay", "value": CANARY})).await;
    let mine = secret::create(&backend, json!({"name": "mine", "value": CANARY})).await;
    let (_, caller) = limited(&app, "backend", json!({"secrets": [mine]})).await;
    for name in [hidden.as_str(), "@pay", "(pay)", "%40pay", "%28pay%29"] {
        caller.get(secret::path(name, "fetch")).await.error(404, "not_found");
        for act in ["verify", "authenticate", "refresh", "mint", "revoke", "update", "delete"] {
            let call = caller.post(secret::path(name, act), json!({}));
            call.await.error(404, "not_found");
        }
    }
    let verified = backend.post(secret::path("@pay", "verify"), json!({})).await.ok();
    assert_eq!(verified["status"], "authenticated");
}
