//! What keys may send, by either way: what they are limited to, and what they may never do.

use keyfob_core::policy::Role;
use serde_json::json;

use crate::{
    app::TestApp,
    call::{Call, Caller, Key},
    connection::{connect, path, verified_contact},
    endpoint::Endpoint,
    key_limits::{limited, path as key_path},
    passed_on::{Back, Scene, TOKEN, ask, call},
    secret,
};

const NO_CONTACT: &str = "con_00000000000000000000000000";
const NO_SECRET: &str = "sec_00000000000000000000000000";

/// What comes of a request to this URL with the credential of this contact, or of nobody (`-`): in JSON, and with
/// the URL in the path.
async fn both_ways(
    caller: &Caller,
    [contact, secret]: [&str; 2],
    method: &str,
    url: &str,
) -> [Back; 2] {
    let body = json!({"url": url, "method": method});
    let in_json = match contact {
        "-" => secret::path(secret, "proxy"),
        contact => path(contact, secret, "proxy"),
    };
    let in_path = format!("/proxy/{contact}/{secret}/{url}");
    [ask(caller, &in_json, &body).await, call(caller, method, &in_path, &[], "").await]
}

impl Scene {
    async fn both_ways(&self, caller: &Caller, method: &str, to: &str) -> [Back; 2] {
        both_ways(caller, [&self.contact, &self.secret], method, &self.url(to)).await
    }

    /// That both are let through.
    async fn is_sent(&self, caller: &Caller) {
        for back in self.both_ways(caller, "GET", "/").await {
            assert_eq!((back.status.as_u16(), back.text()), (200, "hello".into()));
            assert_eq!(self.got().headers["authorization"], format!("Bearer {TOKEN}"));
        }
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.upstream.port())
    }
}

/// Status, headers and body, without what differs between any two requests.
fn shown(back: &Back) -> String {
    let id = back.headers["x-request-id"].to_str().unwrap();
    format!("{} {:?} {}", back.status, back.headers, back.text()).replace(id, "ID")
}

/// Rivals' limits to hosts were got around.
#[tokio::test]
async fn a_key_that_is_limited_to_hosts_and_methods_reaches_no_others() {
    let scene = Scene::new().await;
    let other = Endpoint::start([]).await;
    let both = json!([scene.host(), format!("127.0.0.1:{}", other.port())]);
    let config = json!({"config": {"hosts": both}});
    secret::update(&scene.app.backend(), &scene.secret, config).await.ok();
    let limits = json!({"hosts": [scene.host()], "methods": ["GET", "PUT"]});
    let (_, agent) = limited(&scene.app, "agent", limits).await;
    scene.is_sent(&agent).await;
    for (method, url) in [
        ("POST", scene.url("/")),
        ("DELETE", scene.url("/")),
        ("GET", other.url("/").to_string()),
        ("PUT", other.url("/").to_string()),
        ("GET", format!("http://{}@127.0.0.1:{}/", scene.host(), other.port())),
        ("GET", "https://elsewhere.example/".to_owned()),
        ("GET", "http://127.0.0.1/".to_owned()),
        ("GET", format!("https://{}:80/", scene.host().split(':').next().unwrap())),
    ] {
        for back in both_ways(&agent, [&scene.contact, &scene.secret], method, &url).await {
            if url.contains('@') {
                back.error(400, "invalid_destination");
            } else {
                back.error(404, "not_found");
            }
        }
    }
    // What a header says of the method is not what is looked at, and is not passed on.
    let header = [("x-http-method-override", "DELETE")];
    scene.pass(&agent, "GET", "/", &header, "").await.error(400, "bad_request");
    assert_eq!((scene.upstream.requests().len(), other.connections()), (2, 0));
}

/// A secret that goes everywhere below a host goes with a key below what the key says.
#[tokio::test]
async fn a_key_that_is_limited_to_paths_reaches_no_others() {
    let scene = Scene::new().await;
    let paths = json!({"paths": ["/v1/chat", "/v2/"]});
    let (_, agent) = limited(&scene.app, "agent", paths).await;
    for (to, is_sent) in [
        ("/v1/chat", true),
        ("/v1/chat/completions?x=/../y", true),
        ("/v2/x/../y", true),
        ("/v1/chats", false),
        ("/v1", false),
        ("/", false),
        ("/v2", false),
        ("/v2/../admin", false),
        ("/v2/%2e%2e/admin", false),
        ("/v2/..%2fadmin", false),
        ("/v2/..;/admin", false),
        ("/v2/%252e%252e/admin", false),
        ("//v2/x", false),
    ] {
        let before = scene.upstream.requests().len();
        for back in scene.both_ways(&agent, "GET", to).await {
            if is_sent {
                assert_eq!(back.status, 200, "{to}: {}", back.text());
            } else {
                back.error(404, "not_found");
            }
        }
        let sent = scene.upstream.requests().len() - before;
        assert_eq!(sent, if is_sent { 2 } else { 0 }, "{to}");
    }
    // The secret says less: then that counts, and it is said.
    let config = json!({"config": {"hosts": [scene.host()], "paths": ["/v2/own"]}});
    secret::update(&scene.app.backend(), &scene.secret, config).await.ok();
    for back in scene.both_ways(&agent, "GET", "/v2/x").await {
        back.error(400, "invalid_destination");
    }
    for back in scene.both_ways(&agent, "GET", "/v2/own").await {
        assert_eq!(back.status, 200);
    }
}

/// W31: what a key is bound to confines what it sends.
#[tokio::test]
async fn a_key_of_one_contact_or_one_secret_sends_with_no_other() {
    let scene = Scene::new().await;
    let backend = scene.app.backend();
    let (mine, own) = (scene.contact.as_str(), scene.secret.as_str());
    let other_contact = verified_contact(&backend).await;
    let body = json!({"kind": "personal", "type": "bearer", "config": {"hosts": [scene.host()]}});
    let other_secret = secret::create(&backend, body).await;
    for (contact, secret) in [(&*other_contact, own), (mine, &*other_secret)] {
        connect(&backend, contact, secret, json!({"value": TOKEN})).await.ok();
    }
    let body = json!({"type": "bearer", "value": TOKEN, "config": {"hosts": [scene.host()]}});
    let shared = secret::create(&backend, body).await;
    let url = scene.url("/");
    for (limits, hidden, missing) in [
        (json!({"contacts": [mine]}), [&*other_contact, own], [NO_CONTACT, own]),
        (json!({"contacts": [mine]}), ["-", &shared], ["-", NO_SECRET]),
        (json!({"secrets": [own]}), [mine, &*other_secret], [mine, NO_SECRET]),
        (json!({"secrets": [own]}), ["-", &shared], ["-", NO_SECRET]),
    ] {
        let (_, agent) = limited(&scene.app, "agent", limits.clone()).await;
        scene.is_sent(&agent).await;
        let hidden = both_ways(&agent, hidden, "GET", &url).await;
        let missing = both_ways(&agent, missing, "GET", &url).await;
        for (hidden, missing) in hidden.iter().zip(&missing) {
            assert_eq!(hidden.status, 404, "{limits}");
            assert_eq!(shown(hidden), shown(missing), "{limits}");
        }
    }
    assert_eq!(scene.upstream.requests().len(), 2 * 4);
    // A key without limits sends with each.
    for of in [[&*other_contact, own], [mine, &*other_secret]] {
        for back in both_ways(&scene.app.agent(), of, "GET", &url).await {
            assert_eq!(back.status, 200);
        }
    }
}

/// W31, and that it is no way to learn which ids there are.
#[tokio::test]
async fn a_key_whose_actions_leave_the_proxy_out_is_told_so_whatever_the_id() {
    let scene = Scene::new().await;
    let actions = json!({"actions": ["connection.verify", "secret.proxy"]});
    let (_, agent) = limited(&scene.app, "agent", actions).await;
    let (own, contact) = (scene.secret.as_str(), scene.contact.as_str());
    let mut first: Option<[String; 2]> = None;
    for of in [[contact, own], [contact, NO_SECRET], [NO_CONTACT, own], ["x", "@y"]] {
        let backs = both_ways(&agent, of, "GET", &scene.url("/")).await;
        for back in &backs {
            back.error(403, "not_authorized");
        }
        let dry_run = format!("{}?dry_run=1", path(of[0], of[1], "proxy"));
        let back = ask(&agent, &dry_run, &json!({"url": scene.url("/")})).await;
        back.error(403, "not_authorized");
        let backs = backs.map(|back| shown(&back));
        assert_eq!(first.get_or_insert_with(|| backs.clone()), &backs, "{of:?}");
    }
    assert!(scene.upstream.requests().is_empty());
}

/// In a rival the grants of agents put nothing in.
#[tokio::test]
async fn a_key_with_every_limit_has_the_credential_put_in() {
    let scene = Scene::new().await;
    let end = (scene.app.clock.seconds() + 60) * 1000;
    let limits = json!({
        "contacts": [scene.contact], "secrets": [scene.secret], "actions": ["connection.proxy"],
        "hosts": [scene.host()], "methods": ["GET"], "paths": ["/"], "rate": 100, "quota": 1000, "expiresAt": end,
    });
    for role in ["agent", "backend", "owner"] {
        let (_, caller) = limited(&scene.app, role, limits.clone()).await;
        scene.is_sent(&caller).await;
    }
}

#[tokio::test]
async fn a_key_that_is_used_up_has_ended_or_was_revoked_sends_nothing_more() {
    let mut scene = Scene::new().await;
    let end = (scene.app.clock.seconds() + 600) * 1000;
    for (limits, seconds, status, code) in [
        (json!({"rate": 2}), 0, 429, "rate_limited"),
        (json!({"quota": 2}), 60, 429, "quota_exceeded"),
        (json!({"expiresAt": end}), 600, 401, "not_authenticated"),
    ] {
        let (_, agent) = limited(&scene.app, "agent", limits.clone()).await;
        scene.is_sent(&agent).await;
        scene.app.clock.advance_seconds(seconds);
        let sent = scene.upstream.requests().len();
        for back in scene.both_ways(&agent, "GET", "/").await {
            back.error(status, code);
            assert_eq!(back.headers.contains_key("retry-after"), status == 429);
        }
        assert_eq!(scene.upstream.requests().len(), sent, "{limits}");
    }
    let (key, here) = limited(&scene.app, "agent", json!({})).await;
    let there = scene.app.on_another_node(here.clone()).await;
    scene.is_sent(&here).await;
    scene.is_sent(&there).await;
    let sent = scene.upstream.requests().len();
    scene.app.owner().post(key_path(&key.id, "revoke"), json!({})).await.ok();
    let refused = async |caller: &Caller| {
        for back in scene.both_ways(caller, "GET", "/").await {
            back.error(401, "not_authenticated");
        }
    };
    refused(&here).await;
    scene.app.clock.advance_seconds(1);
    refused(&there).await;
    assert_eq!(scene.upstream.requests().len(), sent);
}

/// In rivals what uses a credential could say itself where it may be used.
#[tokio::test]
async fn an_agent_changes_nothing_of_what_it_may_use() {
    let scene = Scene::new().await;
    let (agent, backend) = (scene.app.agent(), scene.app.backend());
    let own = scene.app.key_of(Role::Agent).id.clone();
    let of_secret = |act: &str| secret::path(&scene.secret, act);
    let of_connection = |act: &str| path(&scene.contact, &scene.secret, act);
    let wide = json!({"config": {"hosts": ["*.example.com"]}});
    let before = secret::fetch(&backend, &scene.secret).await;
    for (path, body) in [
        (of_secret("update"), wide.clone()),
        (of_secret("delete"), json!({})),
        (of_secret("revoke"), json!({})),
        ("/api/v1/secret/create".into(), wide),
        (of_connection("connect"), json!({"value": "mine"})),
        (of_connection("refresh"), json!({})),
        (of_connection("revoke"), json!({})),
        (of_connection("mint"), json!({})),
        (format!("/api/v1/contact/{}/update", scene.contact), json!({"verifiedAt": 1})),
        ("/api/v1/contact/create".into(), json!({"verifiedAt": 1})),
        ("/api/v1/key/create".into(), json!({"role": "agent"})),
        (key_path(&own, "update"), json!({"hosts": null})),
        (key_path(&own, "revoke"), json!({})),
        ("/api/v1/account/create".into(), json!({})),
        ("/api/v1/account/update".into(), json!({"name": "mine"})),
    ] {
        agent.post(&path, body).await.error(403, "not_authorized");
    }
    assert_eq!(secret::fetch(&backend, &scene.secret).await, before);
    for back in
        both_ways(&agent, [&scene.contact, &scene.secret], "GET", "https://api.example.com/").await
    {
        back.error(400, "invalid_destination");
    }
    scene.is_sent(&agent).await;
}

/// What people missed in a rival: both keys work until the old one is revoked.
#[tokio::test]
async fn a_new_key_takes_over_from_an_old_one_without_a_gap() {
    let scene = Scene::new().await;
    let limits = json!({"contacts": [scene.contact], "hosts": [scene.host()]});
    let (old, before) = limited(&scene.app, "agent", limits.clone()).await;
    scene.is_sent(&before).await;
    let (_, after) = limited(&scene.app, "agent", limits).await;
    scene.is_sent(&before).await;
    scene.is_sent(&after).await;
    scene.app.owner().post(key_path(&old.id, "revoke"), json!({})).await.ok();
    scene.is_sent(&after).await;
    for back in scene.both_ways(&before, "GET", "/").await {
        back.error(401, "not_authenticated");
    }
}

/// Every route with what an agent could name there.
fn calls(agent: &Caller, ids: &[(&str, &str)]) -> Vec<Call> {
    let is_own = |route: &&&str| !route.contains("proxy");
    let routes = keyfob_server::router::ROUTES.iter().filter(is_own);
    let named = routes.map(|route| {
        ids.iter().fold((*route).to_owned(), |route, (name, id)| route.replace(name, id))
    });
    let both = |path: String| {
        let body = json!({"search": "x"});
        [agent.get(&path), agent.post(&path, body), agent.post(&path, json!({}))]
    };
    named.flat_map(both).collect()
}

/// The guard looks into each answer.
#[tokio::test]
async fn nothing_that_an_agent_asks_for_shows_it_a_value() {
    let app = TestApp::new().await;
    let (agent, backend) = (app.agent(), app.backend());
    let contact = verified_contact(&backend).await;
    let value = crate::guard::CANARY;
    let pair = json!({"username": "ann", "password": value});
    let entry = app.entry().await;
    for (kind, handed, stored) in [
        ("plain", json!({"value": value}), value.to_owned()),
        ("bearer", json!({"value": value}), value.to_owned()),
        ("basic", pair.clone(), pair.to_string()),
    ] {
        let config = json!({"clientSecret": value, "hosts": ["api.example.com"]});
        let body = json!({"kind": "personal", "type": kind, "config": config});
        let personal = secret::create(&backend, body).await;
        connect(&backend, &contact, &personal, handed).await.ok();
        let body = json!({"type": kind, "value": stored, "config": config});
        let shared = secret::create(&backend, body).await;
        for secret in [personal, shared] {
            let key = app.key_of(Role::Agent).id.as_str();
            let mut done = 0;
            for id in [entry.as_str(), key] {
                let ids = [("{contact}", &*contact), ("{secret}", &*secret), ("{id}", id)];
                for call in calls(&agent, &ids) {
                    done += usize::from(call.await.status == 200);
                }
            }
            assert!(done >= 10, "{kind}: {done} were answered");
        }
    }
}

/// Who only knows its id has nothing of a key.
#[tokio::test]
async fn an_id_with_the_secret_of_another_key_sends_nothing() {
    let scene = Scene::new().await;
    let [agent, backend] = [Role::Agent, Role::Backend].map(|role| scene.app.key_of(role).clone());
    let forged = Key { secret: backend.secret, ..agent };
    let caller = scene.app.anonymous().with_pair(&forged);
    for back in scene.both_ways(&caller, "GET", "/").await {
        back.error(401, "not_authenticated");
    }
    assert!(scene.upstream.requests().is_empty());
}
