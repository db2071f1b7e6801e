//! Where requests that are passed on never go, whatever a secret's hosts say: the address guard has the last word.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use hyper::{Response, Uri};
use keyfob_core::proxy::{Destination, HostPattern, Method};
use keyfob_server::egress::{Allow, Egress, Looking, Lookup, Means};
use serde_json::json;
use url::Url;

use crate::{
    app::{LOOPBACK, Setup, TestApp},
    call::Caller,
    egress_guard::{Names, egress_with},
    egress_stream_guard::{Forbidden, forbidden},
    endpoint::{Endpoint, ok},
    guard::CANARY,
    manual_clock::ManualClock,
    passed_on::{Back, Scene, TOKEN, ask, call},
    secret,
    upstream::{NAME, Speaks, Upstream, answer, whole},
};

/// Every name leads to where the test says.
#[derive(Default)]
struct Leading(Mutex<Vec<IpAddr>>);

impl Leading {
    fn to(&self, ips: &[IpAddr]) {
        ips.clone_into(&mut self.0.lock().unwrap());
    }
}

impl Lookup for Leading {
    fn lookup(&self, _: &str) -> Looking {
        Box::pin(std::future::ready(Ok(self.0.lock().unwrap().clone())))
    }
}

async fn with_egress(egress: Egress) -> TestApp {
    TestApp::with(Setup { egress: Some(egress), ..Setup::default() }).await
}

/// A service that lets this through although it is not public, and what says where names lead.
async fn letting_through(allow: &str) -> (TestApp, Arc<Leading>) {
    let leading = Arc::<Leading>::default();
    let means = Means { lookup: Arc::<Leading>::clone(&leading), ..Means::default() };
    let allow = Allow::parse(allow).unwrap();
    let egress = Egress::with(allow, Arc::new(ManualClock::new()), means).unwrap();
    (with_egress(egress).await, leading)
}

/// A shared secret that may be sent to all of these hosts.
async fn shared(app: &TestApp, hosts: &BTreeSet<String>) -> String {
    let body = json!({"type": "bearer", "value": CANARY, "config": {"hosts": hosts}});
    secret::create(&app.backend(), body).await
}

/// How a secret's hosts name the host of this URL, if they can.
fn host(url: &str) -> Option<String> {
    let to = Destination::parse(url, Method::Get).ok()?;
    let port = to.url().port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = format!("{}{port}", to.host());
    host.parse::<HostPattern>().is_ok().then_some(host)
}

/// What comes of a request to this URL in JSON, and of the same with the URL in the path, if that can be sent.
async fn both_ways(caller: &Caller, secret: &str, url: &str) -> Vec<Back> {
    let body = json!({"url": url});
    let mut backs = vec![ask(caller, &secret::path(secret, "proxy"), &body).await];
    let path = format!("/proxy/-/{secret}/{url}");
    if path.parse::<Uri>().is_ok() {
        backs.push(call(caller, "GET", &path, &[], "").await);
    }
    backs
}

#[tokio::test]
async fn every_destination_of_the_table_is_refused_whatever_the_secret_allows() {
    let (app, leading) = letting_through("").await;
    let table = forbidden();
    let hosts = table.iter().filter_map(|forbidden| host(&forbidden.to)).collect();
    let secret = shared(&app, &hosts).await;
    let (agent, mut in_path) = (app.agent(), 0);
    for Forbidden { to, why, at, .. } in &table {
        leading.to(at);
        let backs = both_ways(&agent, &secret, to).await;
        in_path += backs.len() - 1;
        for (way, back) in backs.iter().enumerate() {
            // Without a URL there is no such path.
            let is_path = way == 1 && ["", "?"].contains(&to.as_str());
            let status = if is_path { 404 } else { 400 };
            assert_eq!(back.status, status, "{to:?} ({why}): {}", back.text());
        }
    }
    // So many went as far as the guard; the others cannot be read as anything that a request could be sent to.
    let events = app.events().await;
    let with_result = |result: &str| events.iter().filter(|event| event.result == result).count();
    let by_guard = with_result("sending");
    assert!(by_guard >= 2 * 200 && in_path >= 300, "{by_guard}, {in_path}");
    assert_eq!(with_result("answered"), 0);
}

/// A destination of the table as a URL that leads to this port.
fn on_port(to: &str, port: u16) -> Option<String> {
    let host = to.strip_prefix("https://")?.strip_suffix('/')?;
    let url = format!("http://{host}:{port}/");
    let is_host = !host.contains(['/', '?', '#', '@', '\\']);
    (is_host && self::host(&url).is_some()).then_some(url)
}

#[tokio::test]
async fn a_server_on_this_machine_notices_nothing_of_what_is_refused() {
    let server = Endpoint::start(vec![ok("in"); 1000]).await;
    let table = forbidden();
    let urls = table.iter().filter_map(|it| Some((on_port(&it.to, server.port())?, &it.at)));
    let urls: Vec<_> = urls.collect();
    let hosts = urls.iter().filter_map(|(url, _)| host(url)).collect();
    let (app, leading) = letting_through("").await;
    let secret = shared(&app, &hosts).await;
    for (url, at) in &urls {
        leading.to(at);
        for url in [url.clone(), url.replace("http://", "https://")] {
            for back in both_ways(&app.agent(), &secret, &url).await {
                back.error(400, "invalid_destination");
            }
        }
    }
    assert_eq!(server.connections(), 0);
    // It would: where it is let through, each spelling of its address leads there.
    let (app, leading) = letting_through("127.0.0.0/8").await;
    let secret = shared(&app, &hosts).await;
    let (mut names, mut addresses) = (0, 0);
    for (url, at) in &urls {
        leading.to(at);
        let to = Destination::parse(url, Method::Get).unwrap();
        let is_address = to.host() == "127.0.0.1";
        if is_address || **at == ["127.0.0.1".parse::<IpAddr>().unwrap()] {
            *(if is_address { &mut addresses } else { &mut names }) += 2;
            for back in both_ways(&app.agent(), &secret, url).await {
                assert_eq!((back.status.as_u16(), back.text()), (200, "in".into()), "{url}");
            }
        }
    }
    assert!(addresses >= 40 && names >= 6, "{addresses}, {names}");
    assert_eq!(server.requests().len(), addresses + names);
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_by_the_next_connection_is_refused_then() {
    let upstream = Upstream::start(Speaks::Clear, |_| async {
        Response::builder().header("connection", "close").body(whole("in")).unwrap()
    });
    let upstream = upstream.await;
    let answers: &[&[&str]] = &[
        &["127.0.0.1"],
        &["10.0.0.1"],
        &["127.0.0.1"],
        &["169.254.169.254"],
        &["127.0.0.1", "169.254.169.254"],
        &["8.8.8.8", "127.0.0.1"],
        &["::1"],
        &["127.0.0.1"],
    ];
    let names = Arc::new(Names::default().with("rebound.example", answers));
    let app = with_egress(egress_with("127.0.0.1", &names)).await;
    let host = format!("rebound.example:{}", upstream.port());
    let scene = Scene::of(app, upstream, json!({"hosts": [host]})).await;
    let (agent, url) = (scene.app.agent(), format!("http://{host}/"));
    for (looked_up, answer) in (1..).zip(answers) {
        let back = scene.send(&agent, json!({"url": url})).await;
        if *answer == ["127.0.0.1"] {
            assert_eq!(back.text(), "in");
        } else {
            let said = back.error(400, "invalid_destination");
            assert!(said.contains("name it in KEYFOB_EGRESS_ALLOW"), "{answer:?}: {said}");
        }
        assert_eq!(names.asked().len(), looked_up, "each connection is looked up once");
    }
    assert_eq!((scene.upstream.connections(), scene.upstream.requests().len()), (3, 3));
}

/// W14, whatever is there.
#[tokio::test]
async fn a_redirect_is_handed_back_and_nothing_is_sent_where_it_leads() {
    let other = Endpoint::start([]).await;
    let targets = [
        other.url("/").to_string(),
        format!("//127.0.0.1:{}/", other.port()),
        format!("https://user:pass@127.0.0.1:{}/", other.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://vault.internal/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/elsewhere".to_owned(),
    ];
    let said = targets.clone();
    let upstream = Upstream::start(Speaks::Clear, move |request| {
        let mut path = request.uri().path()[1..].split('/');
        let status: u16 = path.next().unwrap().parse().unwrap();
        let target = &said[path.next().unwrap().parse::<usize>().unwrap()];
        let answer = Response::builder().status(status).header("location", target);
        let answer = answer.header("refresh", format!("0; url={target}")).body(whole("moved"));
        async { answer.unwrap() }
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let agent = scene.app.agent();
    for status in [300, 301, 302, 303, 307, 308] {
        for (at, target) in targets.iter().enumerate() {
            let to = format!("/{status}/{at}");
            let body = json!({"url": scene.url(&to), "method": "POST", "body": "x"});
            let whole = Url::parse(&scene.url(&to)).unwrap().join(target).unwrap();
            // By way of Keyfob where the credential may go, and nowhere else.
            let is_same_host = whole.port() == Some(scene.upstream.port());
            let whole = whole.to_string();
            let led = if is_same_host { scene.path_to(&whole) } else { whole.clone() };
            let back = scene.send(&agent, body).await;
            back.error(502, "redirect_blocked");
            assert_eq!(back.json()["location"], whole);
            assert!(!back.headers.contains_key("location"));
            let back = scene.pass(&agent, "PUT", &to, &[], "x").await;
            assert_eq!((back.status.as_u16(), back.text()), (status, "moved".into()));
            assert_eq!(back.headers["location"], led.as_str());
            assert!(!back.headers.contains_key("refresh"));
        }
    }
    assert_eq!(scene.upstream.requests().len(), 2 * 6 * targets.len());
    assert_eq!(other.connections(), 0);
}

/// W13, and how a rival's hosts were got around.
#[tokio::test]
async fn no_spelling_takes_a_credential_to_another_host() {
    let evil = Endpoint::start([]).await;
    let upstream = Upstream::start(Speaks::Clear, |_| async { answer("in") }).await;
    let (good, bad) = (format!("good.example:{}", upstream.port()), evil.port());
    let names = ["good.example", "evil.example", "good.example.evil.example", "xgood.example"];
    let names = names.iter().fold(Names::default(), |all, name| all.with(name, &[&["127.0.0.1"]]));
    let app = with_egress(egress_with(LOOPBACK, &Arc::new(names))).await;
    let scene = Scene::of(app, upstream, json!({"hosts": [good]})).await;
    let agent = scene.app.agent();
    for url in [
        format!("http://evil.example:{bad}/"),
        format!("http://127.0.0.1:{bad}/"),
        format!("http://good.example:{bad}/"),
        format!("http://good.example.evil.example:{bad}/"),
        format!("http://{good}@evil.example:{bad}/"),
        format!("http://{good}%40evil.example:{bad}/"),
        format!("http://{good}%2f@evil.example:{bad}/"),
        format!("http://{good}\\@evil.example:{bad}/"),
        format!("http://evil.example:{bad}\\@{good}/"),
        format!("http://evil.example:{bad}#@{good}/"),
        format!("http://evil.example:{bad}?@{good}/"),
        format!("http://{good}:{bad}/"),
        format!("https://{good}@evil.example:{bad}/"),
        format!("http://x{good}/"),
        format!("http://127.0.0.1:{}/", scene.upstream.port()),
        format!("http://good.example.:{}/", scene.upstream.port()),
        "http://good.example/".to_owned(),
    ] {
        let back = scene.send(&agent, json!({"url": url})).await;
        back.error(400, "invalid_destination");
        let path = scene.path_to(&url);
        if path.parse::<Uri>().is_ok() {
            let back = call(&agent, "GET", &path, &[], "").await;
            back.error(400, "invalid_destination");
        }
    }
    assert!(scene.upstream.requests().is_empty());
    // Nor does what is said beside the URL.
    let host = format!("evil.example:{bad}");
    let forwarded = format!("host={host}");
    let url = format!("http://{good}/");
    for (name, value) in [
        ("host", &host),
        ("x-forwarded-host", &host),
        ("x-original-host", &host),
        ("x-host", &host),
        ("forwarded", &forwarded),
        ("x-original-url", &format!("http://{host}/")),
        ("x-rewrite-url", &"/elsewhere".to_owned()),
    ] {
        let body = json!({"url": url, "headers": {name: value}});
        assert_eq!(scene.send(&agent, body).await.text(), "in", "{name}");
        let headers = [(name, value.as_str())];
        let back = call(&agent, "GET", &scene.path_to(&url), &headers, "").await;
        assert_eq!(back.text(), "in", "{name}");
        for got in scene.upstream.requests() {
            assert_eq!((got.uri.path(), &got.headers["host"]), ("/", &good.parse().unwrap()));
            assert!(name == "host" || !got.headers.contains_key(name), "{name}");
        }
    }
    assert_eq!(evil.connections(), 0);
}

#[tokio::test]
async fn a_credential_is_sent_to_whoever_has_proved_to_be_its_host() {
    for speaks in [Speaks::Http1, Speaks::Http2] {
        let upstream = Upstream::start(speaks, |_| async { answer("in") }).await;
        let hosts = json!({"hosts": [format!("{NAME}:{}", upstream.port())]});
        let (trusting, url) = (upstream.egress(), upstream.url("/v1"));
        let names = Arc::new(Names::default().with(NAME, &[&["127.0.0.1"]]));
        let app = with_egress(egress_with(LOOPBACK, &names)).await;
        let scene = Scene::of(app, upstream, hosts.clone()).await;
        let back = scene.send(&scene.app.agent(), json!({"url": url})).await;
        back.error(502, "upstream_unreachable");
        assert!(scene.upstream.requests().is_empty(), "{speaks:?}");
        let Scene { upstream, .. } = scene;
        let scene = Scene::of(with_egress(trusting).await, upstream, hosts).await;
        let body = json!({"url": url, "headers": {"Host": "other.example"}});
        assert_eq!(scene.send(&scene.app.agent(), body).await.text(), "in");
        let got = scene.got();
        let said = got.headers.get("host").map(|host| host.to_str().unwrap().to_owned());
        let host = got.uri.authority().map(ToString::to_string).or(said);
        assert_eq!(host, Some(format!("{NAME}:{}", scene.upstream.port())));
        assert_eq!(got.headers["authorization"], format!("Bearer {TOKEN}"));
    }
}
