//! Keyfob as a candidate: a contact that has connected a bearer token, and the streaming proxy.

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{
    TOKEN,
    candidate::{Candidate, Route},
    upstream::Upstream,
};
use crate::{
    clock::unix_ms,
    context::Context,
    http::{self, Headers},
    keyfob::{Keyfob, Setup},
    postgres::Cluster,
};

/// How it is set up.
pub(super) struct Plan {
    pub(super) name: &'static str,
    folder: &'static str,
    audit: &'static str,
    guard: bool,
    pub(super) postgres: bool,
}

pub(super) const BUFFERED: &str = "Keyfob, SQLite, buffered audit";
pub(super) const DURABLE: &str = "Keyfob, SQLite, durable audit";
pub(super) const UNGUARDED: &str = "Keyfob, SQLite, buffered audit, no leak guard";

/// The settings that are measured.
pub(super) const PLANS: [Plan; 4] = [
    Plan {
        name: BUFFERED,
        folder: "keyfob_proxy_buffered",
        audit: "buffered",
        guard: true,
        postgres: false,
    },
    Plan {
        name: DURABLE,
        folder: "keyfob_proxy_durable",
        audit: "durable",
        guard: true,
        postgres: false,
    },
    Plan {
        name: UNGUARDED,
        folder: "keyfob_proxy_unguarded",
        audit: "buffered",
        guard: false,
        postgres: false,
    },
    Plan {
        name: "Keyfob, PostgreSQL, durable audit",
        folder: "keyfob_proxy_postgres",
        audit: "durable",
        guard: true,
        postgres: true,
    },
];

/// Starts Keyfob with a credential in it; on `cluster` if there is one.
pub(super) async fn start(
    context: &Context,
    plan: &Plan,
    upstream: &Upstream,
    cluster: Option<&Cluster>,
) -> Result<Candidate> {
    let mut setup = Setup::new(context, plan.folder, plan.audit)?.reaching_loopback();
    if !plan.guard {
        setup.variables.push(("KEYFOB_LEAK_GUARD", "off".to_owned()));
    }
    if let Some(cluster) = cluster {
        setup.database_url = Some(cluster.database(plan.folder).await?);
    }
    let keyfob = setup.start().await?;
    let route = keyfob.explain(route(&setup, &keyfob, upstream, plan.guard).await)?;
    let mut candidate =
        Candidate::started(plan.name, keyfob.server, &setup.folder, route, upstream)?;
    candidate.subject.database = cluster.map(|cluster| cluster.pid);
    Ok(candidate)
}

/// Connects a contact's token for the upstream; how to use it.
async fn route(setup: &Setup, keyfob: &Keyfob, upstream: &Upstream, guard: bool) -> Result<Route> {
    let headers = setup.key().await?;
    let host = |port: u16| format!("127.0.0.1:{port}");
    let (answers, events) = (host(upstream.port), host(upstream.events.port));
    let secret = json!({
        "name": "Upstream", "kind": "personal", "type": "bearer", "config": {"hosts": [answers, events]},
    });
    let secret = create(keyfob, &headers, "/api/v1/secret/create", &secret).await?;
    let contact = json!({
        "name": "Caller", "fingerprint": "benchmark:caller:00000001", "email": "caller@example.com", "verifiedAt": unix_ms(),
    });
    let contact = create(keyfob, &headers, "/api/v1/contact/create", &contact).await?;
    let connect = format!("/api/v1/contact/{contact}/secret/{secret}/connect");
    create(keyfob, &headers, &connect, &json!({"value": TOKEN})).await?;
    let at = |host: String| (keyfob.port, format!("/proxy/{contact}/{secret}/http://{host}/"));
    Ok(Route { headers, answers: at(answers), events: at(events), redacts: guard })
}

/// The id of what the call makes.
async fn create(
    keyfob: &Keyfob,
    headers: &Headers,
    path: &str,
    body: &serde_json::Value,
) -> Result<String> {
    let request = http::request("POST", path, headers, Some(body));
    let answer = http::ask(keyfob.port, &request).await?.json().context(path.to_owned())?;
    Ok(answer["id"].as_str().with_context(|| format!("{path}: no id"))?.to_owned())
}
