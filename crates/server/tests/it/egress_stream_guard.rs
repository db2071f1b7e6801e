//! The address guard of the way out whose bodies pass as they come: where nothing is sent to.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::{Request, Uri, header::LOCATION};
use keyfob_core::id::AccountId;
use keyfob_server::egress::{
    Allow, Egress, Looking, Lookup, Means, Refusal, SendError, StreamBody, StreamLimits,
};
use serde::Deserialize;
use tokio::net::{TcpSocket, TcpStream};
use url::Url;

use crate::{
    egress::{post, send},
    egress_guard::{Names, egress_with},
    egress_stream::{LIMITS, SHORT, get, read, read_text, stream},
    endpoint::{Endpoint, Step, ok},
    listening::within_patience,
    manual_clock::ManualClock,
};

/// A line of `destinations.jsonl`.
#[derive(Deserialize)]
pub(crate) struct Forbidden {
    pub(crate) to: String,
    /// What is there.
    pub(crate) why: String,
    /// Where its name leads to, if it is one that anybody looks up. A public address by default, so
    /// that it is refused for what it says.
    #[serde(default = "public")]
    pub(crate) at: Vec<IpAddr>,
    /// Whether a browser reads a host in it that is none of those that it must not reach.
    #[serde(default)]
    two_ways: bool,
}

fn public() -> Vec<IpAddr> {
    vec!["8.8.8.8".parse().unwrap()]
}

/// Where nothing is sent to.
pub(crate) fn forbidden() -> Vec<Forbidden> {
    let lines = include_str!("destinations.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every name leads there.
struct Everything(Vec<IpAddr>);

impl Lookup for Everything {
    fn lookup(&self, _: &str) -> Looking {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

fn leading_to(ips: &[IpAddr], allow: &str) -> Egress {
    let means = Means { lookup: Arc::new(Everything(ips.to_vec())), ..Means::default() };
    Egress::with(Allow::parse(allow).unwrap(), Arc::new(ManualClock::new()), means).unwrap()
}

/// Fails unless nothing is sent to what this text may mean to anybody on the way: as it is, and as it
/// is read by those who read URLs as browsers do.
async fn assert_refused(egress: &Egress, forbidden: &Forbidden) {
    let Forbidden { to, why, two_ways, .. } = forbidden;
    let as_read = Url::parse(to).ok().filter(|_| !two_ways);
    let as_read = as_read.and_then(|url| url.as_str().parse::<Uri>().ok());
    for uri in to.parse::<Uri>().ok().into_iter().chain(as_read) {
        let request = Request::get(uri.clone()).body(StreamBody::empty()).unwrap();
        // Were it let through, nobody should have to wait for it.
        let limits = StreamLimits { connect: Duration::from_millis(1), ..LIMITS };
        let result = within_patience(Box::pin(egress.stream(request, limits))).await;
        match result {
            Err(SendError::Refused(_)) => {}
            Err(other) => panic!("{to:?} ({why}) as {uri}: {other}"),
            Ok(_) => panic!("{to:?} ({why}) as {uri} was reached"),
        }
    }
}

#[tokio::test]
async fn every_destination_of_the_table_is_refused() {
    let table = forbidden();
    // Twice as many as are promised, each once.
    let distinct: BTreeSet<_> = table.iter().map(|forbidden| &forbidden.to).collect();
    assert!(distinct.len() >= 2 * 200, "{}", distinct.len());
    assert_eq!(distinct.len(), table.len());
    for forbidden in &table {
        assert_refused(&leading_to(&forbidden.at, ""), forbidden).await;
    }
}

/// The other way round: what looks like those, and is reached.
#[tokio::test]
async fn what_is_let_through_is_reached_in_every_spelling() {
    let server = Endpoint::start(vec![ok("in"); 12]).await;
    let port = server.port();
    let loopback = ["127.0.0.1".parse().unwrap()];
    for (allow, host) in [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.1", "0x7f.1"),
        ("127.0.0.1", "2130706433"),
        ("127.0.0.1", "127.0.0.1."),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "LOCALHOST."),
        ("127.0.0.1", "printer.local"),
        ("127.0.0.1", "api.example.com"),
        ("127.0.0.1", "API.Example.com."),
        ("vault.internal:PORT", "vault.internal"),
        ("vault:PORT", "Vault."),
        ("127.0.0.1:PORT", "0x7f000001"),
    ] {
        let egress = leading_to(&loopback, &allow.replace("PORT", &port.to_string()));
        let response = stream(&egress, get(format!("http://{host}:{port}/"))).await.unwrap();
        assert_eq!(read_text(response).await, "in", "{host}");
    }
}

#[tokio::test]
async fn names_like_those_of_a_network_are_looked_up() {
    let names = Arc::new(Names::default());
    let egress = egress_with("", &names);
    let like = [
        "local.example.com",
        "internal.example.com",
        "localhost.example.com",
        "metadata.google.internal.example.com",
        "127.0.0.1.example.com",
        "notlocalhost.com",
        "thelocal.com",
        "xn--bcher-kva.example",
    ];
    for name in like {
        let result = stream(&egress, get(format!("https://{name}/"))).await;
        let expected = SendError::NotSent("nobody knows it".into());
        assert_eq!(result.map(|_| ()).unwrap_err(), expected, "{name}");
    }
    assert_eq!(names.asked(), like);
    for name in ["a.local", "localhost", "vault", "x.internal"] {
        let result = stream(&egress, get(format!("https://{name}/"))).await;
        let refusal = SendError::Refused(Refusal::LocalName(name.into()));
        assert_eq!(result.map(|_| ()).unwrap_err(), refusal);
    }
    assert_eq!(names.asked(), like, "nobody is asked for what is refused anyway");
}

#[tokio::test]
async fn a_refusal_says_the_host_and_nothing_else_of_the_url() {
    for url in [
        "https://127.0.0.1/CANARY?CANARY",
        "https://CANARY:CANARY@example.com/CANARY",
        "http://example.com/CANARY?CANARY",
        "https://a.local/CANARY",
        "https://example.com:0/CANARY",
        "ftp://example.com/CANARY",
        "/CANARY",
    ] {
        let error = stream(&leading_to(&public(), ""), get(url)).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, SendError::Refused(_)), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
    }
}

fn rebinding(answers: &[&[&str]]) -> (Arc<Names>, Egress) {
    let names = Arc::new(Names::default().with("rebound.example", answers));
    let egress = egress_with("127.0.0.1", &names);
    (names, egress)
}

#[tokio::test]
async fn the_address_that_is_connected_to_is_the_one_that_was_looked_at() {
    let server = Endpoint::start([ok("once")]).await;
    let (names, egress) = rebinding(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let url = server.named("http", "rebound.example");
    assert_eq!(read_text(stream(&egress, get(&url)).await.unwrap()).await, "once");
    assert_eq!(names.asked(), ["rebound.example"], "it was looked up once");
    let (names, egress) = rebinding(&[&["10.0.0.1"], &["127.0.0.1"]]);
    let result = stream(&egress, get(&url)).await.map(|_| ());
    assert!(matches!(result, Err(SendError::Refused(Refusal::NotPublic { .. }))), "{result:?}");
    assert_eq!((names.asked().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn every_new_connection_is_looked_at_anew() {
    let unread = Step::SayAndHang("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na".into());
    let server = Endpoint::start([ok("first"), unread, ok("never")]).await;
    let (names, egress) = rebinding(&[&["127.0.0.1"], &["127.0.0.1", "10.0.0.1"]]);
    let url = server.named("http", "rebound.example");
    assert_eq!(read_text(stream(&egress, get(&url)).await.unwrap()).await, "first");
    // The connection that is there was looked at, and leads to where it always led.
    let held = stream(&egress, get(&url)).await.unwrap();
    assert_eq!(names.asked().len(), 1);
    let result = stream(&egress, get(&url)).await.map(|_| ());
    assert!(matches!(result, Err(SendError::Refused(Refusal::NotPublic { .. }))), "{result:?}");
    assert_eq!((names.asked().len(), server.connections()), (2, 1));
    drop(held);
}

#[tokio::test]
async fn a_name_that_alternates_is_reached_only_where_it_may_be() {
    let close = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    let server = Endpoint::start(vec![Step::SayAndClose(close.into()); 8]).await;
    let answers: &[&[&str]] = &[
        &["127.0.0.1"],
        &["169.254.169.254"],
        &["127.0.0.1"],
        &["127.0.0.1", "::1"],
        &["127.0.0.1"],
        &["127.0.0.2"],
        &["8.8.8.8", "127.0.0.1"],
        &["127.0.0.1"],
    ];
    let (_, egress) = rebinding(answers);
    for answer in answers {
        let result = stream(&egress, get(server.named("http", "rebound.example"))).await;
        if *answer == ["127.0.0.1"] {
            assert_eq!(read_text(result.unwrap()).await, "ok");
        } else {
            assert!(matches!(result, Err(SendError::Refused(_))), "{answer:?}");
        }
    }
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn a_connection_serves_no_other_name_port_or_scheme() {
    let server = Endpoint::start(vec![ok("in"); 3]).await;
    let names = Names::default().with("a.example", &[&["127.0.0.1"]]);
    let names = Arc::new(names.with("b.example", &[&["127.0.0.1"], &["10.0.0.1"]]));
    let egress = egress_with("127.0.0.1", &names);
    for (url, connections) in [
        (server.named("http", "a.example"), 1),
        (server.named("http", "a.example"), 1),
        (server.named("http", "b.example"), 2),
    ] {
        read(stream(&egress, get(url)).await.unwrap()).await.unwrap();
        assert_eq!(server.connections(), connections);
    }
    // Over TLS it would be somebody else's.
    let result = stream(&egress, get(server.named("https", "a.example")));
    let limits = Duration::from_secs(2);
    let result = tokio::time::timeout(limits, result).await;
    assert!(!matches!(result, Ok(Ok(_))));
    let result = stream(&egress, get("http://a.example:1/")).await.map(|_| ());
    assert!(matches!(result, Err(SendError::NotSent(_))), "{result:?}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn addresses_are_tried_in_their_order_until_one_is_there() {
    let server = Endpoint::start(vec![ok("in"); 2]).await;
    let names = Names::default().with("first.example", &[&["127.0.0.3", "127.0.0.2", "127.0.0.1"]]);
    let names = Arc::new(names.with("six.example", &[&["::1", "127.0.0.1"]]));
    let egress = egress_with("127.0.0.0/8, ::1", &names);
    for name in ["first.example", "six.example"] {
        let response = stream(&egress, get(server.named("http", name))).await.unwrap();
        assert_eq!(read_text(response).await, "in");
    }
    let nowhere = Arc::new(Names::default().with("no.example", &[&["127.0.0.3", "127.0.0.2"]]));
    let egress = egress_with("127.0.0.0/8", &nowhere);
    let result = stream(&egress, get(server.named("http", "no.example"))).await.map(|_| ());
    assert!(matches!(result, Err(SendError::NotSent(_))), "{result:?}");
}

/// A listener whose queue is full: who connects to it hears nothing.
async fn silent(address: SocketAddr) -> (tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    (listener, waiting)
}

#[tokio::test]
async fn an_address_that_says_nothing_does_not_keep_the_next_one_waiting() {
    let server = Endpoint::start([ok("in")]).await;
    let silent = silent(SocketAddr::from(([127, 0, 0, 2], server.port()))).await;
    let names = Arc::new(Names::default().with("half.example", &[&["127.0.0.2", "127.0.0.1"]]));
    let egress = egress_with("127.0.0.0/8", &names);
    let limits = StreamLimits { connect: Duration::from_secs(5), ..LIMITS };
    let request = get(server.named("http", "half.example"));
    let response = within_patience(Box::pin(egress.stream(request, limits))).await.unwrap();
    assert_eq!(read_text(response).await, "in");
    drop(silent);
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_nothing_is_sent_there() {
    let other = Endpoint::start([]).await;
    let targets = [
        other.url("/").to_string(),
        other.named("http", "other.example").to_string(),
        other.named("https", "other.example").to_string(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "//other.example/".to_owned(),
        "/elsewhere".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];
    let statuses =
        ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent", "300 Many"];
    for status in statuses {
        for target in &targets {
            let said = format!(
                "HTTP/1.1 {status}\r\nlocation: {target}\r\nrefresh: 0; url={target}\r\ncontent-length: 4\r\n\r\nthis"
            );
            let server = Endpoint::start([Step::Say(said)]).await;
            let names = Names::default().with("api.example", &[&["127.0.0.1"]]);
            let names = Arc::new(names.with("other.example", &[&["127.0.0.1"]]));
            let egress = egress_with("127.0.0.1", &names);
            let response = stream(&egress, get(server.named("http", "api.example"))).await.unwrap();
            assert_eq!(response.status().as_str(), &status[..3]);
            assert_eq!(response.headers()[LOCATION], target.as_str());
            assert_eq!(read_text(response).await, "this");
            assert_eq!((server.requests().len(), names.asked().len()), (1, 1));
        }
    }
    assert_eq!(other.connections(), 0);
}

/// Counts how often it is asked.
struct Counting(Arc<Mutex<usize>>);

impl Lookup for Counting {
    fn lookup(&self, _: &str) -> Looking {
        *self.0.lock().unwrap() += 1;
        Box::pin(std::future::ready(Ok(vec!["10.0.0.1".parse().unwrap()])))
    }
}

/// Whose turn it is to connect is nobody's after a failure.
#[tokio::test]
async fn requests_that_come_together_to_what_is_not_there_all_learn_so() {
    let asked = Arc::new(Mutex::new(0));
    let means = Means { lookup: Arc::new(Counting(Arc::clone(&asked))), ..Means::default() };
    let egress = Egress::with(Allow::default(), Arc::new(ManualClock::new()), means).unwrap();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let egress = egress.clone();
        asking.spawn(async move { stream(&egress, get("https://api.example/")).await.map(|_| ()) });
    }
    for result in within_patience(asking.join_all()).await {
        assert!(matches!(result, Err(SendError::Refused(_))), "{result:?}");
    }
    assert_eq!(*asked.lock().unwrap(), 20);
}

/// One name is never found.
struct Stuck;

impl Lookup for Stuck {
    fn lookup(&self, name: &str) -> Looking {
        match name {
            "stuck.example" => Box::pin(std::future::pending()),
            _ => Box::pin(std::future::ready(Ok(vec!["10.0.0.1".parse().unwrap()]))),
        }
    }
}

#[tokio::test]
async fn names_of_one_account_that_are_not_found_leave_those_of_others_alone() {
    let means = Means { lookup: Arc::new(Stuck), ..Means::default() };
    let egress = Egress::with(Allow::default(), Arc::new(ManualClock::new()), means).unwrap();
    let [one, two] = [1, 2].map(|n| egress.of(&AccountId::from_bits([n; 16])));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let (one, also) = (one.clone(), one.clone());
        asking.spawn(async move { drop(stream(&one, get("https://stuck.example/")).await) });
        let url = Url::parse("https://stuck.example/").unwrap();
        asking.spawn(async move { drop(send(&also, post(url, "x")).await) });
    }
    tokio::task::yield_now().await;
    for _ in 0..50 {
        let refused = stream(&two, get("https://api.example/")).await.map(|_| ());
        assert!(matches!(refused, Err(SendError::Refused(_))), "{refused:?}");
        let url = Url::parse("https://api.example/").unwrap();
        let refused = send(&two, post(url, "x")).await;
        assert!(matches!(refused, Err(SendError::Refused(_))), "{refused:?}");
    }
}
