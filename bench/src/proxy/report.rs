//! What the rounds say together.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    CONNECTIONS,
    candidate::{Candidate, DIRECT, ENVOY, NGINX, installed},
    events::{Delays, EVENTS, LISTENERS, OPENED},
    keyfob::{BUFFERED, DURABLE, UNGUARDED},
};
use crate::{
    context::{Context, clean},
    number::{float, median, percentile},
    report::{Goal, Section, short},
    sample::{Sample, rounded},
};

/// Makes the section of what was measured.
pub(super) async fn section(context: &Context, candidates: &[Candidate]) -> Result<Section> {
    let find = |name: &str| {
        let found = candidates.iter().find(|candidate| candidate.subject.name == name);
        found.with_context(|| format!("{name} was not measured"))
    };
    let (direct, nginx, envoy) = (find(DIRECT)?, find(NGINX)?, find(ENVOY)?);
    let cpu = |name: &str, beside: &Candidate| {
        Ok::<_, anyhow::Error>(find(name)?.load.ratio(&beside.load, |sample| sample.cpu_us))
    };
    let goals = vec![
        Goal::at_most("CPU to Envoy's: leak guard, buffered audit", 1.0, cpu(BUFFERED, envoy)?),
        Goal::at_most("CPU to Envoy's: leak guard, durable audit", 1.5, cpu(DURABLE, envoy)?),
        Goal::at_most("CPU to nginx's: no leak guard, buffered audit", 3.0, cpu(UNGUARDED, nginx)?),
    ];
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let found = Found { candidate, direct, envoy, rss_kib: candidate.rss_kib()? };
        rows.push(found.row());
        figures.push(found.json());
    }
    Ok(Section {
        name: "proxy",
        title: "A request that is given its credential on the way".to_owned(),
        how: how(
            context,
            &version("nginx/nginx", "-v").await?,
            &version("venv/bin/envoy", "--version").await?,
        ),
        head: HEAD.to_vec(),
        rows,
        goals,
        figures: json!({"connections": CONNECTIONS, "candidates": figures}),
    })
}

fn how(context: &Context, nginx: &str, envoy: &str) -> String {
    let args = &context.args;
    format!(
        "`GET` of 70 bytes from an upstream (nginx, one process) that wants `Authorization`, over {CONNECTIONS} kept-alive \
         connections, {} rounds of {} s for each in turn; then {} s over one connection (\"alone\"); then the first event \
         of {OPENED} event streams one after another, and {EVENTS} events, 20 ms apart, of each of {LISTENERS} streams at a time, from the \
         moment when the upstream sends it until it is there. Medians; \"more\" is what it is above the upstream's own figure in the same round. \
         Every candidate tells its caller by a key. nginx {nginx} and Envoy {envoy} with one worker; neither writes a log.",
        args.rounds,
        args.seconds * 5,
        args.seconds,
    )
}

const HEAD: [&str; 14] = [
    "candidate",
    "requests/s",
    "CPU µs/request",
    "to Envoy's",
    "database CPU µs",
    "p50 ms",
    "more",
    "p99 ms",
    "more",
    "alone p50 ms more",
    "first event ms more",
    "event ms more, p50",
    "event ms more, p99",
    "RSS MiB",
];

/// A candidate beside the upstream and Envoy.
struct Found<'a> {
    candidate: &'a Candidate,
    direct: &'a Candidate,
    envoy: &'a Candidate,
    rss_kib: u64,
}

impl Found<'_> {
    fn row(&self) -> Vec<String> {
        let load = &self.candidate.load;
        let of = |figure: fn(&Sample) -> f64| load.median(figure);
        let database = match self.candidate.subject.database {
            Some(_) => short(of(|sample| sample.database_us)),
            None => "-".to_owned(),
        };
        vec![
            self.candidate.subject.name.clone(),
            format!("{:.0}", of(|sample| sample.per_second)),
            short(of(|sample| sample.cpu_us)),
            format!("{:.2}", self.cpu_to_envoy()),
            database,
            format!("{:.3}", of(|sample| sample.p50_ms)),
            format!("{:.3}", self.more(|sample| sample.p50_ms)),
            format!("{:.2}", of(|sample| sample.p99_ms)),
            format!("{:.2}", self.more(|sample| sample.p99_ms)),
            format!("{:.3}", self.more_alone(|sample| sample.p50_ms)),
            format!("{:.3}", self.later(|delays| percentile(&delays.first, 50))),
            format!("{:.3}", self.later(|delays| percentile(&delays.each, 50))),
            format!("{:.3}", self.later(|delays| percentile(&delays.each, 99))),
            format!("{:.0}", float(self.rss_kib) / 1024.0),
        ]
    }

    fn cpu_to_envoy(&self) -> f64 {
        self.candidate.load.ratio(&self.envoy.load, |sample| sample.cpu_us)
    }

    fn more(&self, figure: fn(&Sample) -> f64) -> f64 {
        self.candidate.load.above(&self.direct.load, figure)
    }

    fn more_alone(&self, figure: fn(&Sample) -> f64) -> f64 {
        self.candidate.alone.above(&self.direct.alone, figure)
    }

    fn later(&self, figure: fn(&Delays) -> f64) -> f64 {
        let rounds = self.candidate.streams.iter().zip(&self.direct.streams);
        median(rounds.map(|(mine, direct)| figure(mine) - figure(direct)))
    }

    fn json(&self) -> Value {
        json!({
            "name": self.candidate.subject.name,
            "cpu_to_envoy": rounded(self.cpu_to_envoy(), 3),
            "added_p50_ms": rounded(self.more(|sample| sample.p50_ms), 3),
            "added_p99_ms": rounded(self.more(|sample| sample.p99_ms), 3),
            "alone_added_p50_ms": rounded(self.more_alone(|sample| sample.p50_ms), 3),
            "alone_added_p99_ms": rounded(self.more_alone(|sample| sample.p99_ms), 3),
            "rss_kib": self.rss_kib,
            "samples": self.candidate.load.json(),
            "alone": self.candidate.alone.json(),
            "event_streams": self.candidate.streams.iter().map(Delays::json).collect::<Vec<_>>(),
        })
    }
}

/// The version in what an installed program says of itself, on whichever of its outputs.
async fn version(program: &str, flag: &str) -> Result<String> {
    let mut command: Command = clean(&installed(program));
    let said = command.arg(flag).output().await.with_context(|| format!("{program} {flag}"))?;
    let said = [said.stdout, said.stderr].concat();
    numbers(&String::from_utf8_lossy(&said)).with_context(|| format!("{program} has no version"))
}

/// The first part between slashes or blanks that is made of numbers and dots.
fn numbers(text: &str) -> Option<String> {
    let is_version = |part: &&str| {
        part.contains('.') && part.split('.').all(|number| number.parse::<u32>().is_ok())
    };
    text.split(['/', ' ', '\n']).find(is_version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        assert_eq!(numbers("nginx version: nginx/1.22.1\n").as_deref(), Some("1.22.1"));
        let envoy = "\nenvoy  version: 4a28f6e0/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(numbers(envoy).as_deref(), Some("1.40.0"));
        assert_eq!(numbers("no. version"), None);
    }
}
