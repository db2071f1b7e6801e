//! Many callers who wait for a fresh code at the same time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    clock::{ms_since, now, unix_ms},
    context::Context,
    http::{self, Connection, Headers, Response, with_progress},
    keyfob::{Keyfob, Setup, code_path, store},
    number::{float, median},
    process::{Resident, open_files, resident},
    report::{Goal, Section},
    sample::rounded,
};

/// Seconds of a step; nobody may wait longer than 55, so the callers come when fewer remain.
const PERIOD: u64 = 60;
const ENTRIES: usize = 1000;

/// Runs the section.
pub(crate) async fn run(context: &Context) -> Result<Section> {
    let setup = Setup::new(context, "waiters", "durable")?;
    let keyfob = setup.start().await?;
    let work = async {
        let headers = setup.key().await?;
        let ids = store("waiters", keyfob.port, &headers, ENTRIES, 32, PERIOD).await?;
        wait_together(context, &setup, &keyfob, &headers, &ids).await
    };
    let found = keyfob.explain(work.await)?;
    keyfob.server.stop().await?;
    Ok(section(context.args.waiters, &found))
}

/// What was seen.
struct Found {
    idle: Moment,
    connected: Moment,
    /// The most that was seen while all waited.
    waiting: Moment,
    answered: Moment,
    /// Milliseconds from the beginning of the new step until each was answered.
    delays: Vec<f64>,
    least_expires_in: u64,
}

#[derive(Clone, Copy)]
struct Moment {
    memory: Resident,
    /// Files of the data directory that the server has open: three for a connection to the database.
    files: usize,
}

impl Moment {
    fn see(setup: &Setup, keyfob: &Keyfob) -> Result<Self> {
        let pid = keyfob.server.pid();
        Ok(Self { memory: resident(pid)?, files: open_files(pid, &setup.data())? })
    }

    /// The larger of each figure.
    fn most(self, other: Self) -> Self {
        let memory = Resident {
            kib: self.memory.kib.max(other.memory.kib),
            peak_kib: self.memory.peak_kib.max(other.memory.peak_kib),
            threads: self.memory.threads.max(other.memory.threads),
        };
        Self { memory, files: self.files.max(other.files) }
    }
}

async fn wait_together(
    context: &Context,
    setup: &Setup,
    keyfob: &Keyfob,
    headers: &Headers,
    ids: &[String],
) -> Result<Found> {
    let count = context.args.waiters;
    let idle = Moment::see(setup, keyfob)?;
    let remaining = || PERIOD * 1000 - unix_ms() % (PERIOD * 1000);
    let chosen = async {
        while !(30_000..=50_000).contains(&remaining()) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    with_progress(chosen, || {
        format!("waiters: for a good moment, {} s of the step remain", remaining() / 1000)
    })
    .await;
    let step_ends = unix_ms() + remaining();
    let until_new_step = Duration::from_millis(remaining());
    let began = now();

    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Connection::open(keyfob.port).await.with_context(|| {
            format!("connection {} of {count} (see ulimit -n)", connections.len() + 1)
        })?);
    }
    let connected = Moment::see(setup, keyfob)?;
    let answered = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for (index, mut connection) in connections.into_iter().enumerate() {
        let path = format!("{}?min_validity={PERIOD}", code_path(&ids[index % ids.len()]));
        connection.send(&http::request("GET", &path, headers, None)).await?;
        let answered = Arc::clone(&answered);
        callers.spawn(async move {
            let answer = connection.receive().await?;
            answered.fetch_add(1, Ordering::Relaxed);
            Ok((answer, ms_since(began)))
        });
    }
    ensure!(
        unix_ms() + 5000 < step_ends,
        "sending the calls took too long to see them wait; give the machine a rest"
    );
    eprintln!(
        "  waiters: all {count} calls are sent, {:.0} s to wait",
        float(remaining()) / 1000.0
    );

    let waiting = watch(setup, keyfob, step_ends, &answered, &mut callers).await?;

    let new_step_ms = until_new_step.as_secs_f64() * 1000.0;
    let mut delays = Vec::with_capacity(count);
    let mut least_expires_in = u64::MAX;
    let all = async {
        while let Some(caller) = callers.join_next().await {
            let (answer, at) = caller??;
            let expires_in = answer.json()?["expires_in"].as_u64().context("no expires_in")?;
            least_expires_in = least_expires_in.min(expires_in);
            delays.push(at - new_step_ms);
        }
        Ok::<_, anyhow::Error>(())
    };
    let line = || format!("waiters: {} of {count} are answered", answered.load(Ordering::Relaxed));
    timeout(Duration::from_mins(1), with_progress(all, line))
        .await
        .context("not all callers were answered within 60 s of the new step")??;
    ensure!(
        least_expires_in >= PERIOD - 1,
        "a caller who asked for {PERIOD} s got a code with {least_expires_in} s left"
    );
    ensure!(
        delays.iter().all(|delay| *delay > -100.0),
        "a caller was answered before the step he waited for"
    );
    let answered = Moment::see(setup, keyfob)?;
    Ok(Found { idle, connected, waiting, answered, delays, least_expires_in })
}

/// Looks at the server until shortly before the step ends; returns the most that was seen.
async fn watch(
    setup: &Setup,
    keyfob: &Keyfob,
    step_ends: u64,
    answered: &AtomicUsize,
    callers: &mut JoinSet<Result<(Response, f64)>>,
) -> Result<Moment> {
    // It gets two seconds to take them all in.
    sleep(Duration::from_secs(2)).await;
    let mut most = Moment::see(setup, keyfob)?;
    while unix_ms() + 500 < step_ends {
        let early = answered.load(Ordering::Relaxed);
        if early > 0 {
            let example = callers.join_next().await.context("no caller is left")???.0;
            bail!(
                "{early} callers did not have to wait; the first was answered {}: {}",
                example.status,
                String::from_utf8_lossy(&example.body)
            );
        }
        sleep(Duration::from_millis(200)).await;
        most = most.most(Moment::see(setup, keyfob)?);
    }
    Ok(most)
}

fn section(count: usize, found: &Found) -> Section {
    let moments = [
        ("idle", found.idle),
        ("all connected", found.connected),
        ("all waiting", found.waiting),
        ("all answered", found.answered),
    ];
    let mib = |kib: u64| float(kib) / 1024.0;
    let number = |count: usize| float(u64::try_from(count).unwrap_or(u64::MAX));
    let last = found.delays.iter().copied().fold(0.0, f64::max);
    let typical = median(found.delays.iter().copied());
    Section {
        name: "waiters",
        title: format!("{count} callers waiting at once"),
        how: format!(
            "Each on a connection of its own asks for `min_validity={PERIOD}` in the middle of a step of {PERIOD} s, SQLite, \
             durable audit. All were answered 200 with `expires_in` of at least {}; half within {typical:.0} ms of the \
             new step, all within {last:.0} ms.",
            found.least_expires_in
        ),
        head: vec!["moment", "RSS MiB", "peak MiB", "threads", "open database files"],
        rows: moments
            .iter()
            .map(|(name, moment)| {
                vec![
                    (*name).to_owned(),
                    format!("{:.1}", mib(moment.memory.kib)),
                    format!("{:.1}", mib(moment.memory.peak_kib)),
                    moment.memory.threads.to_string(),
                    moment.files.to_string(),
                ]
            })
            .collect(),
        goals: vec![
            Goal::at_most("resident MiB while all wait", 150.0, mib(found.waiting.memory.kib)),
            Goal::at_most("threads while all wait, more than idle", 8.0, {
                float(found.waiting.memory.threads) - float(found.idle.memory.threads)
            }),
            Goal::at_most("database files open while all wait, more than idle", 8.0, {
                number(found.waiting.files) - number(found.idle.files)
            }),
        ],
        figures: json!({
            "waiters": count,
            "least_expires_in": found.least_expires_in,
            "answered_ms_after_step_median": rounded(typical, 1),
            "answered_ms_after_step_last": rounded(last, 1),
            "moments": moments.iter().map(|(name, moment)| json!({
                "moment": name,
                "rss_kib": moment.memory.kib,
                "peak_kib": moment.memory.peak_kib,
                "threads": moment.memory.threads,
                "database_files": moment.files,
            })).collect::<Vec<_>>(),
        }),
    }
}
