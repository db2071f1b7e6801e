//! One measured stretch of load, and what several of them say together.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    number::{float, median},
    process::{family_ticks, machine_ticks, microseconds, usage},
    wrk::{self, Script},
};

/// Other processes may take this share of one core before a sample is taken again.
const NOISE: f64 = 0.2;

/// A server under load.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) port: u16,
    pub(crate) script: Script,
    /// The first process of the database cluster it works with, if it has one.
    pub(crate) database: Option<u32>,
    /// The process that it asks in its turn, if it has one: neither its own CPU time nor foreign.
    pub(crate) upstream: Option<u32>,
}

impl Subject {
    /// A server that works alone.
    pub(crate) fn new(name: &str, pid: u32, port: u16, script: Script) -> Self {
        Self { name: name.to_owned(), pid, port, script, database: None, upstream: None }
    }
}

/// One stretch of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    /// CPU time of the server, in microseconds per request.
    pub(crate) cpu_us: f64,
    /// CPU time of the database cluster, in microseconds per request.
    pub(crate) database_us: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Cores that processes with no part in this were using.
    pub(crate) foreign_cores: f64,
}

impl Sample {
    /// Drives the server and measures; once more if the machine was busy with other things.
    pub(crate) async fn take(subject: &Subject, connections: usize, seconds: u64) -> Result<Self> {
        let sample = Self::once(subject, connections, seconds).await?;
        if sample.foreign_cores <= NOISE {
            return Ok(sample);
        }
        let again = Self::once(subject, connections, seconds).await?;
        Ok(if again.foreign_cores < sample.foreign_cores { again } else { sample })
    }

    async fn once(subject: &Subject, connections: usize, seconds: u64) -> Result<Self> {
        let before = Ticks::read(subject)?;
        let outcome = wrk::run(&subject.script, subject.port, connections, seconds)
            .await
            .with_context(|| subject.name.clone())?;
        let used = Ticks::read(subject)?.since(before);
        let requests = float(outcome.requests);
        Ok(Self {
            per_second: requests / outcome.seconds,
            cpu_us: microseconds(used.server) / requests,
            database_us: microseconds(used.database) / requests,
            p50_ms: outcome.p50_ms,
            p99_ms: outcome.p99_ms,
            foreign_cores: microseconds(used.foreign()) / 1e6 / outcome.seconds,
        })
    }

    fn json(&self) -> Value {
        json!({
            "requests_per_second": rounded(self.per_second, 0),
            "cpu_us_per_request": rounded(self.cpu_us, 2),
            "database_cpu_us_per_request": rounded(self.database_us, 2),
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "foreign_cores": rounded(self.foreign_cores, 2),
        })
    }
}

/// CPU time of everything that matters at one moment.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    server: u64,
    database: u64,
    upstream: u64,
    /// This process and the load generators it has waited for.
    bench: u64,
    machine: u64,
}

impl Ticks {
    fn read(subject: &Subject) -> Result<Self> {
        let bench = usage("self")?;
        let own = |pid: u32| Ok::<_, anyhow::Error>(usage(&pid.to_string())?.own);
        Ok(Self {
            server: own(subject.pid).with_context(|| subject.name.clone())?,
            database: subject.database.map_or(Ok(0), family_ticks)?,
            upstream: subject.upstream.map_or(Ok(0), own)?,
            bench: bench.own + bench.reaped,
            machine: machine_ticks()?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            server: self.server.saturating_sub(before.server),
            database: self.database.saturating_sub(before.database),
            upstream: self.upstream.saturating_sub(before.upstream),
            bench: self.bench.saturating_sub(before.bench),
            machine: self.machine.saturating_sub(before.machine),
        }
    }

    fn foreign(self) -> u64 {
        self.machine.saturating_sub(self.server + self.database + self.upstream + self.bench)
    }
}

/// Several samples of one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(pub(crate) Vec<Sample>);

impl Samples {
    /// The median of one figure.
    pub(crate) fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.0.iter().map(figure))
    }

    /// The median of the ratios of one figure to that of the sample taken beside it.
    pub(crate) fn ratio(&self, beside: &Self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.0.iter().zip(&beside.0).map(|(mine, theirs)| figure(mine) / figure(theirs)))
    }

    /// The median of how much higher one figure is than that of the sample taken beside it.
    pub(crate) fn above(&self, beside: &Self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.0.iter().zip(&beside.0).map(|(mine, theirs)| figure(mine) - figure(theirs)))
    }

    /// Every sample.
    pub(crate) fn json(&self) -> Value {
        self.0.iter().map(Sample::json).collect()
    }
}

/// A figure without meaningless digits.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(per_second: f64) -> Sample {
        Sample {
            per_second,
            cpu_us: 1.0,
            database_us: 0.0,
            p50_ms: 1.0,
            p99_ms: 2.0,
            foreign_cores: 0.0,
        }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_pairs() {
        let mine = Samples(vec![sample(10.0), sample(40.0), sample(30.0)]);
        let theirs = Samples(vec![sample(100.0), sample(100.0), sample(100.0)]);
        assert!((mine.ratio(&theirs, |s| s.per_second) - 0.3).abs() < 1e-9);
        assert!((mine.above(&theirs, |s| s.per_second) + 70.0).abs() < 1e-9);
        assert!((mine.median(|s| s.per_second) - 30.0).abs() < 1e-9);
    }
}
