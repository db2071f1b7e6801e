//! Requests that are given a credential on their way, under the same load in the same run.

mod candidate;
mod events;
mod keyfob;
mod report;
mod upstream;

use anyhow::{Context as _, Result};

use self::{candidate::Candidate, upstream::Upstream};
use crate::{context::Context, postgres::Cluster, report::Section};

/// Kept-alive connections of the load.
const CONNECTIONS: usize = 32;
/// The credential that the upstream wants: as long as keys are.
const TOKEN: &str = "sk-bench-1f0c9d2e7b6a4583a9c1e0d4f7b82635";
/// The header's value that holds it.
const CREDENTIAL: &str = "Bearer sk-bench-1f0c9d2e7b6a4583a9c1e0d4f7b82635";

/// Runs the section.
pub(crate) async fn run(context: &Context) -> Result<Section> {
    let cluster = if context.args.postgres {
        eprintln!("  starting PostgreSQL");
        Some(Cluster::start().await.context("PostgreSQL")?)
    } else {
        None
    };
    let upstream = Upstream::start(context).await?;
    let mut candidates = start(context, &upstream, cluster.as_ref()).await?;
    measure(context, &upstream, &mut candidates).await?;
    let section = report::section(context, &candidates).await?;
    for candidate in candidates {
        candidate.stop().await?;
    }
    upstream.server.stop().await?;
    if let Some(cluster) = cluster {
        cluster.stop().await?;
    }
    Ok(section)
}

/// Starts every candidate and looks at its answers.
async fn start(
    context: &Context,
    upstream: &Upstream,
    cluster: Option<&Cluster>,
) -> Result<Vec<Candidate>> {
    let mut candidates = vec![
        Candidate::direct(upstream)?,
        Candidate::hyper(context, upstream).await?,
        Candidate::nginx(context, upstream)?,
        Candidate::envoy(context, upstream)?,
    ];
    for plan in &keyfob::PLANS {
        let cluster = cluster.filter(|_| plan.postgres);
        if cluster.is_some() == plan.postgres {
            candidates.push(keyfob::start(context, plan, upstream, cluster).await?);
        }
    }
    for candidate in &candidates {
        candidate.check().await?;
    }
    Ok(candidates)
}

/// Takes rounds: each candidate in turn, under load, alone, and with event streams.
async fn measure(
    context: &Context,
    upstream: &Upstream,
    candidates: &mut [Candidate],
) -> Result<()> {
    let seconds = context.args.seconds;
    for candidate in &*candidates {
        // To warm it up.
        candidate.sample(CONNECTIONS, seconds).await?;
    }
    for round in 1..=context.args.rounds {
        for candidate in &mut *candidates {
            let load = candidate.sample(CONNECTIONS, seconds * 5).await?;
            let alone = candidate.sample(1, seconds).await?;
            let streams = candidate.listen(upstream).await?;
            eprintln!(
                "  round {round}: {}: {:.0} requests/s, CPU {:.1} µs",
                candidate.subject.name, load.per_second, load.cpu_us
            );
            candidate.load.0.push(load);
            candidate.alone.0.push(alone);
            candidate.streams.push(streams);
        }
    }
    Ok(())
}
