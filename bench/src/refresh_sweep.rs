//! Very many grants that are due at the same moment: how fast the background job renews them, what else goes on
//! meanwhile, and what becomes of a provider that is away.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use keyfob_testkit::{Client, Endpoint, Fault, Options, Provider};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::sleep};

use crate::{
    clock::{ms_since, now},
    context::Context,
    grants::{HOUR, Source, fill, minutes},
    http::{self, Connection, Headers, with_progress},
    keyfob::{Keyfob, Setup, code_path, store},
    number::{float, percentile},
    postgres::Cluster,
    process::{family_ticks, microseconds, resident, usage},
    report::{Goal, Section, short},
    sample::rounded,
};

/// Renewals that a node has under way at one provider.
const AT_ONCE: f64 = 8.0;
/// How often other callers ask meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Runs the section.
pub(crate) async fn run(context: &Context) -> Result<Section> {
    let count = context.args.grants;
    let mut sweeps = vec![Sweep::new("SQLite", count).run(context, None).await?];
    if context.args.postgres {
        let cluster = Cluster::start().await?;
        for (name, nodes) in [("PostgreSQL", 1), ("PostgreSQL, two nodes", 2)] {
            let sweep = Sweep { nodes, ..Sweep::new(name, count) };
            sweeps.push(sweep.run(context, Some(&cluster)).await?);
        }
        cluster.stop().await?;
    }
    let few = Sweep { dead: true, ..Sweep::new("SQLite, two of three providers away", count / 10) };
    sweeps.push(few.run(context, None).await?);
    Ok(section(count, &sweeps))
}

/// Grants that are all due when the nodes start.
struct Sweep {
    name: &'static str,
    count: usize,
    nodes: usize,
    /// Whether as many grants each of a provider that refuses connections, and of one that hangs, are due too.
    dead: bool,
}

/// What was seen.
struct Found {
    name: &'static str,
    count: usize,
    nodes: usize,
    seconds: f64,
    cpu_us: f64,
    database_us: Option<f64>,
    peak_mib: f64,
    at_once: u32,
    /// Requests for a refresh beyond one for each grant.
    doubles: usize,
    healthz_ms: Vec<f64>,
    code_ms: Vec<f64>,
}

impl Sweep {
    const fn new(name: &'static str, count: usize) -> Self {
        Self { name, count, nodes: 1, dead: false }
    }

    async fn run(&self, context: &Context, cluster: Option<&Cluster>) -> Result<Found> {
        let folder = format!("sweep_{}_{}", self.nodes, self.name.len());
        let mut setup = Setup::new(context, &folder, "durable")?.reaching_loopback();
        if let Some(cluster) = cluster {
            setup.database_url = Some(cluster.database(&folder).await?);
        }
        let keyfob = setup.start().await?;
        let made = async {
            let headers = setup.key().await?;
            let ids = store("refresh_sweep", keyfob.port, &headers, 100, 8, 30).await?;
            let sources = self.sources(&keyfob, &headers).await?;
            Ok((headers, ids, sources))
        };
        let (headers, ids, sources) = keyfob.explain(made.await)?;
        keyfob.server.stop().await?;
        fill(&setup, self.count * sources.len(), &sources).await?;
        let found = self.drain(&setup, cluster, &sources, (&headers, &ids)).await?;
        if let Some(cluster) = cluster {
            cluster.remove(&folder).await?;
        }
        Ok(found)
    }

    /// The provider, and those that are away.
    async fn sources(&self, keyfob: &Keyfob, headers: &Headers) -> Result<Vec<Source>> {
        let mut sources = vec![source(keyfob, headers, None).await?];
        if self.dead {
            let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
            sources.push(source(keyfob, headers, Some(closed)).await?);
            let hanging = source(keyfob, headers, None).await?;
            hanging.provider.script(Endpoint::Token, Fault::HoldBefore).always();
            sources.push(hanging);
        }
        Ok(sources)
    }

    async fn drain(
        &self,
        setup: &Setup,
        cluster: Option<&Cluster>,
        sources: &[Source],
        (headers, ids): (&Headers, &[String]),
    ) -> Result<Found> {
        let database = || cluster.map(|cluster| family_ticks(cluster.pid)).transpose();
        let (provider, before) = (&sources[0].provider, database()?);
        let began = now();
        let mut nodes = Vec::new();
        for _ in 0..self.nodes {
            nodes.push(setup.start().await?);
        }
        let renewed = || {
            let all = |ledger: &keyfob_testkit::Ledger| {
                ledger.families().values().filter(|family| family.refreshes > 0).count()
            };
            provider.look(all)
        };
        let done = async {
            while renewed() < self.count {
                sleep(Duration::from_millis(250)).await;
            }
            Ok::<_, anyhow::Error>(ms_since(began) / 1000.0)
        };
        let (mut healthz_ms, mut code_ms) = (Vec::new(), Vec::new());
        let (health, code) = (
            http::request("GET", "/healthz", &Headers::new(), None),
            http::request("GET", &code_path(&ids[0]), headers, None),
        );
        let port = nodes[0].port;
        let line = || format!("refresh_sweep: {}: {} of {}", self.name, renewed(), self.count);
        let seconds = tokio::select! {
            seconds = with_progress(done, line) => seconds?,
            failed = keep_asking(port, &health, &mut healthz_ms) => return Err(failed),
            failed = keep_asking(port, &code, &mut code_ms) => return Err(failed),
        };
        let per_grant = |ticks: u64| microseconds(ticks) / number(self.count);
        let (mut ticks, mut peak_kib) = (0, 0);
        for node in &nodes {
            ticks += usage(&node.server.pid().to_string())?.own;
            peak_kib = peak_kib.max(resident(node.server.pid())?.peak_kib);
        }
        let database_us = database()?.zip(before).map(|(after, before)| per_grant(after - before));
        let (at_once, asked, reuses) = provider.look(|ledger| {
            let asked = ledger.at(Endpoint::Token).count();
            (ledger.highest_in_flight(Endpoint::Token), asked, ledger.reuses())
        });
        ensure!(reuses == 0, "{reuses} refresh tokens were used twice");
        // What a provider still holds would be waited for.
        for source in sources {
            source.provider.clear_script();
            source.provider.release();
        }
        for node in nodes {
            node.server.stop().await?;
        }
        eprintln!("  {}: {} in {seconds:.1} s", self.name, self.count);
        Ok(Found {
            name: self.name,
            count: self.count,
            nodes: self.nodes,
            seconds,
            cpu_us: per_grant(ticks),
            database_us,
            peak_mib: float(peak_kib) / 1024.0,
            at_once,
            doubles: asked.saturating_sub(self.count),
            healthz_ms,
            code_ms,
        })
    }
}

/// A provider, and a secret whose grants are refreshed there, or at a port where nobody listens.
async fn source(keyfob: &Keyfob, headers: &Headers, closed: Option<u16>) -> Result<Source> {
    let mut options = Options::default().with_client(Client::confidential("app", "app-secret"));
    options.access_token_life = HOUR;
    let provider = Provider::start(options).await?;
    let host =
        closed.map_or_else(|| provider.address().to_string(), |port| format!("127.0.0.1:{port}"));
    let config = json!({
        "clientId": "app",
        "clientSecret": "app-secret",
        "authorizationUrl": format!("http://{host}/authorize"),
        "tokenUrl": format!("http://{host}/token"),
    });
    let body = json!({"name": host, "kind": "personal", "type": "oauth", "config": config});
    let create = http::request("POST", "/api/v1/secret/create", headers, Some(&body));
    let answer = http::ask(keyfob.port, &create).await?.json()?;
    let secret = answer["id"].as_str().context("no id")?.to_owned();
    Ok(Source { secret, host, provider })
}

/// Asks the same again and again, and notes how long each answer took.
async fn keep_asking(port: u16, request: &[u8], took_ms: &mut Vec<f64>) -> anyhow::Error {
    let asking = async {
        let mut connection = Connection::open(port).await?;
        loop {
            let began = now();
            connection.exchange(request).await?.check()?;
            took_ms.push(ms_since(began));
            sleep(ASK_EVERY).await;
        }
    };
    let ended: Result<std::convert::Infallible> = asking.await;
    match ended {
        Err(error) => error.context("another call meanwhile"),
        Ok(never) => match never {},
    }
}

fn number(count: usize) -> f64 {
    float(u64::try_from(count).unwrap_or(u64::MAX))
}

impl Found {
    fn per_second(&self) -> f64 {
        number(self.count) / self.seconds
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.name.to_owned(),
            self.count.to_string(),
            format!("{:.0}", self.seconds),
            format!("{:.0}", self.per_second()),
            self.at_once.to_string(),
            self.doubles.to_string(),
            format!("{:.0}", self.cpu_us),
            self.database_us.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}")),
            format!("{:.0}", self.peak_mib),
            short(percentile(&self.healthz_ms, 99)),
            short(percentile(&self.code_ms, 99)),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "sweep": self.name,
            "grants": self.count,
            "nodes": self.nodes,
            "seconds": rounded(self.seconds, 1),
            "refreshes_per_second": rounded(self.per_second(), 0),
            "at_once": self.at_once,
            "doubles": self.doubles,
            "cpu_us_per_refresh": rounded(self.cpu_us, 0),
            "database_cpu_us_per_refresh": self.database_us.map(|us| rounded(us, 0)),
            "peak_mib": rounded(self.peak_mib, 1),
            "healthz_p99_ms": rounded(percentile(&self.healthz_ms, 99), 2),
            "code_p99_ms": rounded(percentile(&self.code_ms, 99), 2),
        })
    }

    fn goals(&self) -> [Goal; 2] {
        let goal =
            |what: &str, most, seen| Goal::at_most(&format!("{}: {what}", self.name), most, seen);
        let each = f64::from(self.at_once) / number(self.nodes);
        [
            goal("refreshes at once of each node", AT_ONCE, each),
            goal("refreshes beyond one for each grant", 0.0, number(self.doubles)),
        ]
    }
}

fn section(count: usize, sweeps: &[Found]) -> Section {
    let minutes = minutes(count);
    let widest = minutes.iter().copied().max().unwrap_or(0);
    let used = minutes.iter().filter(|&&grants| grants > 0).count();
    Section {
        name: "refresh_sweep",
        title: format!("{count} grants that are due at once"),
        how: format!(
            "Contacts with a grant each, sealed as Keyfob seals them and due when it starts; the provider runs in the benchmark's \
             process, on the same cores. Meanwhile another caller asks for `/healthz` and for a code. Where two of three \
             providers are away, as many grants are due at one that refuses connections and at one that never answers, \
             and the figures are those of the third. Grants that are obtained at the same moment, and live for an hour, \
             are renewed in {used} minutes of it, {widest} in the widest: {:.1} times what an even hour would have.",
            number(widest) / (number(count) / 60.0),
        ),
        head: vec![
            "due at once",
            "grants",
            "s",
            "refreshes/s",
            "at once",
            "doubles",
            "CPU µs/refresh",
            "PostgreSQL CPU µs",
            "peak RSS MiB",
            "healthz p99 ms",
            "code p99 ms",
        ],
        rows: sweeps.iter().map(Found::row).collect(),
        goals: sweeps.iter().flat_map(Found::goals).collect(),
        figures: json!({
            "grants": count,
            "sweeps": sweeps.iter().map(Found::json).collect::<Vec<_>>(),
            "due_in_minute_of_the_hour": minutes,
        }),
    }
}
