//! Reading codes, against a bare server under the same load.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    context::Context,
    keyfob::{Setup, check_code, store},
    postgres::Cluster,
    process::resident,
    report::{Goal, Section, short},
    sample::{Sample, Samples, Subject, rounded},
};

/// A database and a way of auditing, at one or more numbers of connections.
struct Plan {
    database: &'static str,
    audit: &'static str,
    connections: &'static [usize],
}

const PLANS: [Plan; 4] = [
    Plan { database: "sqlite", audit: "durable", connections: &[64, 256] },
    Plan { database: "sqlite", audit: "buffered", connections: &[64, 256] },
    Plan { database: "postgres", audit: "durable", connections: &[64, 256] },
    Plan { database: "postgres", audit: "buffered", connections: &[64] },
];

/// One measured mode.
struct Mode {
    database: &'static str,
    audit: &'static str,
    connections: usize,
    keyfob: Samples,
    hello: Samples,
    rss_kib: u64,
}

/// Runs the section.
pub(crate) async fn run(context: &Context) -> Result<Section> {
    let (server, port) = context.hello().await?;
    let hello = Hello { pid: server.pid(), port };
    let cluster = if context.args.postgres {
        eprintln!("  starting PostgreSQL");
        Some(Cluster::start().await.context("PostgreSQL")?)
    } else {
        None
    };
    let mut modes = Vec::new();
    for plan in &PLANS {
        if plan.database == "sqlite" {
            modes.extend(measure(context, plan, &hello, None).await?);
        } else if let Some(cluster) = &cluster {
            modes.extend(measure(context, plan, &hello, Some(cluster)).await?);
        }
    }
    server.stop().await?;
    let about = cluster.as_ref().map(|cluster| cluster.about.clone());
    if let Some(cluster) = cluster {
        cluster.stop().await?;
    }
    Ok(section(context, &modes, about.as_deref()))
}

/// The bare server, running.
struct Hello {
    pid: u32,
    port: u16,
}

async fn measure(
    context: &Context,
    plan: &Plan,
    hello: &Hello,
    cluster: Option<&Cluster>,
) -> Result<Vec<Mode>> {
    let name = format!("{} {}", plan.database, plan.audit);
    let mut setup = Setup::new(context, &name.replace(' ', "-"), plan.audit)?;
    let database = format!("keyfob_bench_{}", plan.audit);
    if let Some(cluster) = cluster {
        setup.database_url = Some(cluster.database(&database).await?);
    }
    let keyfob = setup.start().await?;
    let modes = keyfob.explain(
        async {
            let headers = setup.key().await?;
            let stored = context.args.stored;
            let ids = store(&name, keyfob.port, &headers, stored, 32, 30).await?;
            ensure!(ids.len() == stored, "only {} of {stored} secrets were stored", ids.len());
            check_code(keyfob.port, &headers, &ids[0]).await?;
            let mut subject = keyfob.subject(&name, &setup.folder, &headers, &ids)?;
            subject.database = cluster.map(|cluster| cluster.pid);
            // The bare server gets the same requests, byte for byte: what they cost to send and to
            // read is no merit of either.
            let hello = &Subject::new("hello", hello.pid, hello.port, subject.script.clone());
            let mut modes = Vec::new();
            for &connections in plan.connections {
                modes.push(pairs(context, plan, connections, &subject, hello).await?);
            }
            Ok(modes)
        }
        .await,
    )?;
    keyfob.server.stop().await?;
    if let Some(cluster) = cluster {
        cluster.remove(&database).await?;
    }
    Ok(modes)
}

async fn pairs(
    context: &Context,
    plan: &Plan,
    connections: usize,
    subject: &Subject,
    hello: &Subject,
) -> Result<Mode> {
    let seconds = context.args.seconds;
    // To warm both up.
    Sample::take(hello, connections, seconds).await?;
    Sample::take(subject, connections, seconds).await?;
    let mut mode = Mode {
        database: plan.database,
        audit: plan.audit,
        connections,
        keyfob: Samples::default(),
        hello: Samples::default(),
        rss_kib: 0,
    };
    for pair in 1..=context.args.pairs {
        let bare = Sample::take(hello, connections, seconds).await?;
        let sample = Sample::take(subject, connections, seconds).await?;
        eprintln!(
            "  {}, {connections} connections, pair {pair}: {:.0} of {:.0} requests/s = {:.3}, CPU {:.1} of {:.1} µs",
            subject.name,
            sample.per_second,
            bare.per_second,
            sample.per_second / bare.per_second,
            sample.cpu_us,
            bare.cpu_us,
        );
        mode.hello.0.push(bare);
        mode.keyfob.0.push(sample);
    }
    mode.rss_kib = resident(subject.pid)?.kib;
    Ok(mode)
}

impl Mode {
    fn throughput_ratio(&self) -> f64 {
        self.keyfob.ratio(&self.hello, |sample| sample.per_second)
    }

    fn cpu_ratio(&self) -> f64 {
        self.keyfob.ratio(&self.hello, |sample| sample.cpu_us)
    }

    fn row(&self) -> Vec<String> {
        let database = match self.database {
            "postgres" => short(self.keyfob.median(|sample| sample.database_us)),
            _ => "-".to_owned(),
        };
        vec![
            format!("{} {}", self.database, self.audit),
            self.connections.to_string(),
            format!("{:.0}", self.keyfob.median(|sample| sample.per_second)),
            format!("{:.3}", self.throughput_ratio()),
            short(self.keyfob.median(|sample| sample.cpu_us)),
            format!("{:.2}", self.cpu_ratio()),
            database,
            format!("{:.2}", self.keyfob.median(|sample| sample.p50_ms)),
            format!("{:.2}", self.keyfob.median(|sample| sample.p99_ms)),
            format!("{:.1}", crate::number::float(self.rss_kib) / 1024.0),
            "0".to_owned(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "database": self.database,
            "audit": self.audit,
            "connections": self.connections,
            "throughput_ratio": rounded(self.throughput_ratio(), 3),
            "cpu_ratio": rounded(self.cpu_ratio(), 2),
            "rss_kib": self.rss_kib,
            "keyfob": self.keyfob.json(),
            "hello": self.hello.json(),
        })
    }

    /// What was promised for this mode: share of the bare server's throughput, multiple of its CPU.
    fn goals(&self) -> Vec<Goal> {
        let name = format!("{} {}, {} connections", self.database, self.audit, self.connections);
        let throughput = match (self.database, self.audit, self.connections) {
            ("sqlite", "durable", 64) => Some(0.2),
            ("sqlite", "durable", 256) => Some(0.3),
            ("sqlite", "buffered", 64) => Some(0.5),
            _ => None,
        };
        let cpu = match (self.database, self.audit, self.connections) {
            ("sqlite", "durable", 64) => Some(4.2),
            ("sqlite", "durable", 256) => Some(3.3),
            ("sqlite", "buffered", 64) => Some(2.5),
            ("postgres", _, _) => Some(8.0),
            _ => None,
        };
        let throughput = throughput.map(|least| {
            Goal::at_least(&format!("{name}: throughput to hello"), least, self.throughput_ratio())
        });
        let cpu =
            cpu.map(|most| Goal::at_most(&format!("{name}: CPU to hello"), most, self.cpu_ratio()));
        throughput.into_iter().chain(cpu).collect()
    }
}

fn section(context: &Context, modes: &[Mode], postgres: Option<&str>) -> Section {
    let args = &context.args;
    let hello = |connections: usize| {
        let samples: Vec<Sample> = modes
            .iter()
            .filter(|mode| mode.connections == connections)
            .flat_map(|mode| mode.hello.0.iter().copied())
            .collect();
        let samples = Samples(samples);
        vec![
            "bare hello".to_owned(),
            connections.to_string(),
            format!("{:.0}", samples.median(|sample| sample.per_second)),
            "1".to_owned(),
            short(samples.median(|sample| sample.cpu_us)),
            "1".to_owned(),
            "-".to_owned(),
            format!("{:.2}", samples.median(|sample| sample.p50_ms)),
            format!("{:.2}", samples.median(|sample| sample.p99_ms)),
            "-".to_owned(),
            "0".to_owned(),
        ]
    };
    let mut rows = vec![hello(64), hello(256)];
    rows.extend(modes.iter().map(Mode::row));
    Section {
        name: "totp_code",
        title: "Reading a code".to_owned(),
        how: format!(
            "`GET /api/v2/totp/code/{{id}}` of random ids out of {} stored secrets; each mode in {} pairs of {} s, \
             alternating with a bare axum server; medians, and medians of the ratios within a pair.{}",
            args.stored,
            args.pairs,
            args.seconds,
            postgres
                .map(|about| format!(" {about}, reached over a unix socket."))
                .unwrap_or_default()
        ),
        head: vec![
            "mode",
            "connections",
            "requests/s",
            "to hello",
            "CPU µs/request",
            "to hello",
            "PostgreSQL CPU µs",
            "p50 ms",
            "p99 ms",
            "RSS MiB",
            "errors",
        ],
        rows,
        goals: modes.iter().flat_map(Mode::goals).collect(),
        figures: json!({
            "stored": args.stored,
            "pairs": args.pairs,
            "seconds": args.seconds,
            "postgres": postgres,
            "modes": modes.iter().map(Mode::json).collect::<Vec<_>>(),
        }),
    }
}
