//! Every call that the SDK has, as a table.

use std::{collections::BTreeSet, future::IntoFuture};

use futures_util::future::BoxFuture;
use http::Method;
use keyfob_client::{
    Client, Error, Items, ProxyRequest,
    types::{
        Connect, ContactFields, CreateAccount, CreateKey, CreateTotp, EventQuery, Search,
        SecretFields, UpdateAccount, UpdateKey, UpdateTotp,
    },
};

/// What is made of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is read as JSON. Twice is as good as once.
    Json,
    /// It is read as JSON. Twice may harm.
    JsonOnce,
    /// It is an upstream's, and passed on as it is. Twice is as good as once.
    Raw,
    /// It is an upstream's. Twice may harm.
    RawOnce,
    /// It is read line by line.
    Lines,
}

impl Kind {
    pub(crate) const fn is_once(self) -> bool {
        matches!(self, Self::JsonOnce | Self::RawOnce)
    }
}

type Object = serde_json::Map<String, serde_json::Value>;

pub(crate) type Outcome = BoxFuture<'static, Result<(), Error>>;

/// One call.
pub(crate) struct Call {
    /// The file of its method in `src`, and its name there.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) make: fn(&Client) -> Outcome,
}

fn done<T>(
    request: impl IntoFuture<Output = Result<T, Error>, IntoFuture: Send + 'static>,
) -> Outcome {
    let sent = request.into_future();
    Box::pin(async { sent.await.map(drop) })
}

fn all<T: Send + 'static>(mut items: Items<T>) -> Outcome {
    Box::pin(async move {
        while items.try_next().await?.is_some() {}
        Ok(())
    })
}

macro_rules! calls {
    ($($name:literal $kind:ident |$client:ident| $make:expr;)*) => {
        pub(crate) const CALLS: &[Call] =
            &[$(Call { name: $name, kind: Kind::$kind, make: |$client: &Client| $make }),*];
    };
}

calls! {
    "client fetch" Json |client| done(client.fetch::<Object>("/api/v1/x"));
    "client fetch" Lines |client| all(client.fetch::<()>("/api/v1/x").lines::<Object>());
    "contacts list" Json |client| done(client.contacts().list());
    "contacts list" Lines |client| all(client.contacts().list().stream());
    "contacts list" Json |client| all(client.contacts().list().items());
    "contacts list" Json |client| all(client.contacts().list().pages());
    "contacts export" Json |client| done(client.contacts().export());
    "contacts export" Lines |client| all(client.contacts().export().stream());
    "contacts create" Json |client| done(client.contacts().create(&ContactFields::default()));
    "contacts ensure" Json |client| done(client.contacts().ensure(&ContactFields::default()));
    "contacts fetch" Json |client| done(client.contact("c1").fetch());
    "contacts update" Json |client| done(client.contact("c1").update(&ContactFields::default()));
    "contacts delete" Json |client| done(client.contact("c1").delete());
    "connections list" Json |client| done(client.contact("c1").secrets().list());
    "connections list" Lines |client| all(client.contact("c1").secrets().list().stream());
    "connections verify" Json |client| done(client.contact("c1").secrets().verify("s1"));
    "connections authenticate" Json |client| done(client.contact("c1").secrets().authenticate("s1"));
    "connections return_url" Json |client| done(client.contact("c1").secrets().authenticate("s1").return_url("https://a"));
    "connections with_unconnected" Json |client| done(client.contact("c1").secrets().list().with_unconnected());
    "connections revoke" Json |client| done(client.contact("c1").secrets().revoke("s1"));
    "connections connect" Json |client| done(client.contact("c1").secrets().connect("s1", &Connect::default()));
    "connections refresh" Json |client| done(client.contact("c1").secrets().refresh("s1"));
    "connections mint" Json |client| done(client.contact("c1").secrets().mint("s1"));
    "connections proxy" Raw |client| done(client.contact("c1").secrets().proxy("s1", &ProxyRequest::get("https://a")));
    "connections proxy" RawOnce |client| done(client.contact("c1").secrets().proxy("s1", &ProxyRequest::post("https://a", "")));
    "proxy dry_run" Json |client| done(client.secrets().proxy("s1", &ProxyRequest::get("https://a")).dry_run());
    "secrets list" Json |client| done(client.secrets().list());
    "secrets list" Lines |client| all(client.secrets().list().stream());
    "secrets blueprint" Json |client| done(client.secrets().list().blueprint("b1"));
    "secrets create" Json |client| done(client.secrets().create(&SecretFields::default()));
    "secrets fetch" Json |client| done(client.secrets().fetch("s1"));
    "secrets update" Json |client| done(client.secrets().update("s1", &SecretFields::default()));
    "secrets delete" Json |client| done(client.secrets().delete("s1"));
    "secrets verify" Json |client| done(client.secrets().verify("s1"));
    "secrets authenticate" Json |client| done(client.secrets().authenticate("s1"));
    "secrets revoke" Json |client| done(client.secrets().revoke("s1"));
    "secrets refresh" Json |client| done(client.secrets().refresh("s1"));
    "secrets mint" Json |client| done(client.secrets().mint("s1"));
    "secrets proxy" Raw |client| done(client.secrets().proxy("s1", &ProxyRequest::get("https://a")));
    "secrets proxy" RawOnce |client| done(client.secrets().proxy("s1", &ProxyRequest::new(&Method::PATCH, "https://a")));
    "templates list" Json |client| done(client.templates().list());
    "templates list" Lines |client| all(client.templates().list().stream());
    "templates search" Json |client| done(client.templates().search(&Search::default()));
    "totp get_code" Json |client| done(client.totp().get_code("t1"));
    "totp min_validity" Json |client| done(client.totp().get_code("t1").min_validity(5));
    "totp unique" Json |client| done(client.totp().get_code("t1").unique());
    "totp include_next" Json |client| done(client.totp().get_code("t1").include_next());
    "totp create" Json |client| done(client.totp().secrets().create(&CreateTotp::default()));
    "totp list" Json |client| done(client.totp().secrets().list());
    "totp delete" Json |client| done(client.totp().secrets().delete("t1"));
    "totp fetch" Json |client| done(client.totp().secrets().fetch("t1"));
    "totp update" Json |client| done(client.totp().secrets().update("t1", &UpdateTotp::default()));
    "keys list" Json |client| done(client.keys().list());
    "keys list" Lines |client| all(client.keys().list().stream());
    "keys create" JsonOnce |client| done(client.keys().create(&CreateKey::default()));
    "keys fetch" Json |client| done(client.keys().fetch("k1"));
    "keys update" Json |client| done(client.keys().update("k1", &UpdateKey::default()));
    "keys revoke" Json |client| done(client.keys().revoke("k1"));
    "events list" Json |client| done(client.events().list());
    "events list" Lines |client| all(client.events().list().stream());
    "events of" Json |client| done(client.events().list().of(&EventQuery::default()));
    "account fetch" Json |client| done(client.account().fetch());
    "account update" Json |client| done(client.account().update(&UpdateAccount::default()));
    "account create" JsonOnce |client| done(client.account().create(&CreateAccount::default()));
    "account delete" Json |client| done(client.account().delete("a1"));
    "revocations list" Json |client| done(client.revocations().list());
    "revocations list" Lines |client| all(client.revocations().list().stream());
    "revocations status" Json |client| done(client.revocations().list().status("failed"));
}

#[test]
fn every_method_that_makes_a_request_is_in_the_table() {
    let mut wanted = BTreeSet::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_str().unwrap();
        // What changes any request is of no call in particular.
        if matches!(file, "request" | "page") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let methods = text.split("    pub fn ").skip(1);
        let makes_one = |text: &&str| {
            let signature = text.split('{').next().unwrap();
            let is_option = signature.contains("-> Self") && signature.contains("(self");
            signature.contains("-> Request<")
                || (is_option && text.contains("self.set(") | text.contains(".query("))
        };
        let name = |text: &str| text.split(['(', '<']).next().unwrap().to_owned();
        wanted.extend(methods.filter(makes_one).map(|text| format!("{file} {}", name(text))));
    }
    wanted.retain(|name| !matches!(name.as_str(), "builder header"));
    let there: BTreeSet<_> = CALLS.iter().map(|call| call.name.to_owned()).collect();
    assert!(wanted.len() > 40, "{wanted:?}");
    assert_eq!(wanted.difference(&there).collect::<Vec<_>>(), Vec::<&String>::new());
}
