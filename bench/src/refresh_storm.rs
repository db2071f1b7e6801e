//! Many callers on all nodes who want tokens of grants that hardly live, without and with nodes that die.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use keyfob_testkit::suite::{HttpBroker, Kills, Storm, StormReport};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    clock::{ms_since, now},
    context::Context,
    http::with_progress,
    keyfob::{Keyfob, Setup},
    number::{float, scattered},
    postgres::Cluster,
    report::{Goal, Section},
};

/// Nodes on PostgreSQL; SQLite has one.
const NODES: usize = 4;
/// Callers of each node, and of all.
const CALLERS: usize = 16;
/// Grants while nodes die, so that there is something to lose.
const HOLDERS: usize = 200;
/// Between two calls of a caller while nodes die.
const PAUSE: Duration = Duration::from_millis(20);
/// The least time between two kills, and what chance adds to it, in milliseconds.
const APART: (u64, usize) = (1000, 2000);

/// Runs the section.
pub(crate) async fn run(context: &Context) -> Result<Section> {
    let calm = Storm {
        holders: 1,
        callers: CALLERS,
        life: Duration::from_secs(1),
        duration: Duration::from_secs(context.args.storm_seconds),
        pause: Duration::ZERO,
    };
    let mut storms = Vec::new();
    if context.args.postgres {
        let cluster = Cluster::start().await?;
        let quiet = on_postgres(context, &cluster, "storm_calm", calm, false).await?;
        storms.push(("PostgreSQL", quiet));
        let many = Storm { holders: HOLDERS, pause: PAUSE, ..calm };
        let killed = on_postgres(context, &cluster, "storm_kill", many, true).await?;
        storms.push(("PostgreSQL, `kill -9`", killed));
        cluster.stop().await?;
    }
    let setup = Setup::new(context, "storm-sqlite", "durable")?;
    let calm = Storm { callers: CALLERS * NODES, ..calm };
    storms.push(("SQLite", weather(&setup, 1, calm, false).await?));
    Ok(section(&storms))
}

async fn on_postgres(
    context: &Context,
    cluster: &Cluster,
    name: &str,
    storm: Storm,
    kills: bool,
) -> Result<StormReport> {
    let mut setup = Setup::new(context, name, "durable")?;
    setup.database_url = Some(cluster.database(name).await?);
    let report = weather(&setup, NODES, storm, kills).await?;
    cluster.remove(name).await?;
    Ok(report)
}

/// A storm on nodes of its own.
async fn weather(
    setup: &Setup,
    count: usize,
    storm: Storm,
    with_kills: bool,
) -> Result<StormReport> {
    let setup = setup.clone().reaching_loopback();
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(setup.start().await?);
    }
    let urls = nodes.iter().map(Keyfob::url).collect();
    let broker = Arc::new(HttpBroker::new(urls, &setup.token().await?)?);
    let (kills, asked) = (Kills::default(), Arc::clone(&broker));
    let mut trouble = Ok(());
    let report = {
        let trouble = async || {
            if with_kills {
                trouble = kill(&setup, &mut nodes, &asked, &kills, storm.duration).await;
            }
        };
        let line = || format!("refresh_storm: {count} nodes, {} grants", storm.holders);
        with_progress(storm.run_with(broker, &kills, trouble), line).await?
    };
    trouble?;
    for node in nodes {
        node.server.stop().await?;
    }
    eprintln!("  {report}");
    for problem in report.problems() {
        eprintln!("  wrong: {problem}");
    }
    Ok(report)
}

/// Kills nodes at random and starts them again, as long as the storm lasts.
async fn kill(
    setup: &Setup,
    nodes: &mut [Keyfob],
    broker: &HttpBroker,
    kills: &Kills,
    lasts: Duration,
) -> Result<()> {
    let (began, mut seed) = (now(), 0);
    while ms_since(began) < lasts.as_secs_f64() * 1000.0 {
        seed += 2;
        let more = u64::try_from(scattered(seed, APART.1))?;
        sleep(Duration::from_millis(APART.0 + more)).await;
        let node = scattered(seed + 1, nodes.len());
        nodes[node].server.kill().await?;
        kills.note();
        nodes[node] = setup.start().await?;
        broker.set_node(node, &nodes[node].url());
    }
    ensure!(seed > 0, "--storm-seconds leaves no time to kill a node");
    Ok(())
}

fn section(storms: &[(&str, StormReport)]) -> Section {
    let number = |count: usize| float(u64::try_from(count).unwrap_or(u64::MAX));
    let sum = |of: fn(&StormReport) -> usize| number(storms.iter().map(|(_, it)| of(it)).sum());
    let at_once = storms.iter().map(|(_, report)| report.at_once).max().unwrap_or(0);
    let tokens: u64 = storms.iter().map(|(_, report)| report.mistakes).sum();
    let rows = storms.iter().map(|(name, report)| row(name, report));
    Section {
        name: "refresh_storm",
        title: "Tokens of grants that live for a second".to_owned(),
        how: format!(
            "{CALLERS} callers on each of {NODES} processes over one PostgreSQL, and as many on one process over SQLite, ask for \
             tokens of one grant without a pause; then {HOLDERS} grants while processes are killed at random and started \
             again. Each token that was handed out is looked up in the provider's ledger, as is each request for a refresh. \
             A grant may be lost only where a process was killed within 2 s of the provider's answer to it, and must say so."
        ),
        head: vec![
            "storm",
            "s",
            "grants",
            "tokens",
            "p50 ms",
            "p99 ms",
            "slowest ms",
            "no token now",
            "refreshes",
            "sent again",
            "at once",
            "kills",
            "lost with the answer",
            "lost otherwise",
        ],
        rows: rows.collect(),
        goals: vec![
            Goal::at_most("tokens that were not valid, and other mistakes", 0.0, float(tokens)),
            Goal::at_most("refreshes of one grant at once", 1.0, float(u64::from(at_once))),
            Goal::at_most(
                "refresh tokens sent again without cause",
                0.0,
                sum(|it| it.sent_again_without_cause),
            ),
            Goal::at_most("refreshes that came too soon", 0.0, sum(|it| it.too_soon)),
            Goal::at_most("grants lost otherwise", 0.0, sum(|it| it.lost_otherwise.len())),
        ],
        figures: json!({
            "storms": storms.iter().map(|(name, report)| json!({ "storm": name, "report": report }))
                .collect::<Vec<_>>(),
        }),
    }
}

fn row(name: &str, report: &StormReport) -> Vec<String> {
    let kills = match report.kills {
        0 => "-".to_owned(),
        kills => kills.to_string(),
    };
    vec![
        name.to_owned(),
        format!("{:.0}", report.seconds),
        report.holders.to_string(),
        report.tokens.to_string(),
        report.p50_ms.to_string(),
        report.p99_ms.to_string(),
        report.slowest_ms.to_string(),
        report.later.to_string(),
        report.refreshes.to_string(),
        report.sent_again.to_string(),
        report.at_once.to_string(),
        kills,
        report.lost_rightly.to_string(),
        report.lost_otherwise.len().to_string(),
    ]
}
