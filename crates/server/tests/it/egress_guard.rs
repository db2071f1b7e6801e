//! The address guard: where nothing is sent to.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use keyfob_server::egress::{Allow, Answer, Egress, Looking, Lookup, Means, Refusal, SendError};
use url::Url;

use crate::{
    egress::{egress, get, post, send},
    endpoint::{Endpoint, ok},
    manual_clock::ManualClock,
};

/// Knows each name's answers, one for each time it is asked; the last one is for ever.
#[derive(Default)]
pub(crate) struct Names {
    answers: HashMap<&'static str, Mutex<Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn with(mut self, name: &'static str, answers: &[&[&str]]) -> Self {
        let parse = |ips: &&[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect();
        self.answers.insert(name, Mutex::new(answers.iter().rev().map(parse).collect()));
        self
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Lookup for Names {
    fn lookup(&self, name: &str) -> Looking {
        self.asked.lock().unwrap().push(name.to_owned());
        let answers = self.answers.get(name).map(|answers| answers.lock().unwrap());
        let answer = answers.map(|mut answers| match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop().unwrap(),
        });
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "nobody knows it");
        Box::pin(std::future::ready(answer.ok_or_else(unknown)))
    }
}

pub(crate) fn egress_with(allow: &str, names: &Arc<Names>) -> Egress {
    let means = Means { lookup: Arc::<Names>::clone(names), ..Means::default() };
    Egress::with(Allow::parse(allow).unwrap(), Arc::new(ManualClock::new()), means).unwrap()
}

async fn ask(egress: &Egress, url: &str) -> Result<Answer, SendError> {
    send(egress, post(Url::parse(url).unwrap(), "secret")).await
}

#[track_caller]
fn refused(result: Result<Answer, SendError>) -> Refusal {
    match result {
        Err(SendError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_spelling_of_an_address_that_is_not_public_is_refused() {
    let server = Endpoint::start([]).await;
    let egress = egress_with("", &Arc::default());
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0177.0.0.01",
        "127.1",
        "127.0.0.1.",
        "１２７.0.0.1",
        "%31%32%37.0.0.1",
        "127。0。0。1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "10.0.0.1",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{}/", server.port());
            let refusal = refused(ask(&egress, &url).await);
            assert!(matches!(refusal, Refusal::NotPublic { .. }), "{url}: {refusal}");
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_is_refused_says_why_and_what_to_do() {
    let names = Names::default().with("intern.example", &[&["10.0.0.7"]]);
    let egress = egress_with("", &Arc::new(names.with("public.example", &[&["8.8.8.8"]])));
    for (url, text) in [
        (
            "ftp://8.8.8.8/",
            "nothing was sent: a URL must begin with https://, and this one with ftp:",
        ),
        ("data:,x", "nothing was sent: a URL must begin with https://, and this one with data:"),
        (
            "https://a:b@8.8.8.8/",
            "nothing was sent: the URL holds a user name or a password, which nothing may be sent with",
        ),
        (
            "http://8.8.8.8/",
            "nothing was sent: 8.8.8.8 would be asked in the clear: use https, or name it in KEYFOB_EGRESS_ALLOW",
        ),
        (
            "http://public.example/",
            "nothing was sent: public.example would be asked in the clear: use https, or name it in KEYFOB_EGRESS_ALLOW",
        ),
        (
            "https://intern.example/?code=x",
            "nothing was sent: intern.example is at an address for private use (RFC 1918), which is not public: if it is meant, name it in KEYFOB_EGRESS_ALLOW",
        ),
    ] {
        assert_eq!(ask(&egress, url).await.unwrap_err().to_string(), text);
    }
}

#[tokio::test]
async fn a_name_with_one_address_that_is_not_public_is_refused() {
    let server = Endpoint::start([]).await;
    let mixed: [(&str, &[&str]); 3] = [
        ("first.example", &["127.0.0.1", "8.8.8.8"]),
        ("last.example", &["8.8.8.8", "2606:4700:4700::1111", "127.0.0.1"]),
        ("six.example", &["8.8.8.8", "::1"]),
    ];
    let names = mixed.iter().fold(Names::default(), |names, (name, ips)| names.with(name, &[ips]));
    let egress = egress_with("", &Arc::new(names));
    for (name, _) in mixed {
        let refusal = refused(send(&egress, get(server.named("https", name))).await);
        assert!(matches!(&refusal, Refusal::NotPublic { host, .. } if host == name), "{refusal}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_with_one_address_that_is_not_let_through_is_refused() {
    let server = Endpoint::start([]).await;
    let names = Names::default().with("mixed.example", &[&["127.0.0.1", "10.0.0.1"]]);
    let names = names.with("public.example", &[&["127.0.0.1", "8.8.8.8"]]);
    let egress = egress_with("127.0.0.0/8", &Arc::new(names));
    for scheme in ["http", "https"] {
        refused(send(&egress, get(server.named(scheme, "mixed.example"))).await);
    }
    let refusal = refused(send(&egress, get(server.named("http", "public.example"))).await);
    assert_eq!(refusal, Refusal::Plain("public.example".into()));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_address_that_is_connected_to_is_the_one_that_was_looked_at() {
    let server = Endpoint::start([ok("once")]).await;
    let rebound: &[&[&str]] = &[&["127.0.0.1"], &["10.0.0.1"]];
    let names = Arc::new(Names::default().with("rebound.example", rebound));
    let egress = egress_with("127.0.0.0/8", &names);
    let url = server.named("http", "rebound.example");
    assert_eq!(*send(&egress, get(url.clone())).await.unwrap().body, b"once");
    assert_eq!(names.asked(), ["rebound.example"], "it was looked up once");
    assert!(server.requests()[0].contains(&format!("host: rebound.example:{}", server.port())));
    // Another egress has no connection to use again; it asks anew.
    let rebound: &[&[&str]] = &[&["10.0.0.1"], &["127.0.0.1"]];
    let names = Arc::new(Names::default().with("rebound.example", rebound));
    refused(send(&egress_with("127.0.0.0/8", &names), get(url)).await);
    assert_eq!((names.asked().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_host_that_is_named_may_be_anywhere_but_on_its_port_only() {
    let (server, other) = (Endpoint::start([ok("named")]).await, Endpoint::start([]).await);
    let names = Arc::new(Names::default().with("intern.example", &[&["127.0.0.1"]]));
    let egress = egress_with(&format!("intern.example:{}", server.port()), &names);
    let answer = send(&egress, get(server.named("http", "intern.example"))).await.unwrap();
    assert_eq!(*answer.body, b"named");
    refused(send(&egress, get(other.named("http", "intern.example"))).await);
    refused(send(&egress, get(server.named("http", "127.0.0.1"))).await);
    assert_eq!((server.connections(), other.connections()), (1, 0));
}

#[tokio::test]
async fn the_machine_itself_is_found_by_name_where_it_is_let_through() {
    let server = Endpoint::start([ok("here")]).await;
    let url = server.named("http", "localhost");
    assert_eq!(*send(&egress(), get(url.clone())).await.unwrap().body, b"here");
    let closed = Egress::new(Allow::default(), Arc::new(ManualClock::new())).unwrap();
    refused(send(&closed, get(url)).await);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_name_without_an_address_is_not_reached() {
    let names = Names::default().with("empty.example", &[&[]]);
    let egress = egress_with("", &Arc::new(names));
    for (name, text) in
        [("unknown.example", "nobody knows it"), ("empty.example", "the name has no address")]
    {
        let result = ask(&egress, &format!("https://{name}/")).await;
        assert_eq!(result, Err(SendError::NotSent(text.into())));
    }
    let system = ask(&crate::egress::egress(), "https://nobody.invalid/").await;
    assert!(matches!(system, Err(SendError::NotSent(_))), "{system:?}");
}
