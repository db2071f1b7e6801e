//! Prometheus metrics.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::router::ROUTES;

/// What the server counts. Every label has few values: routes, not paths.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    duration: Family<RouteLabels, Histogram, fn() -> Histogram>,
    /// Codes handed out.
    pub(crate) codes: Counter,
    /// Callers that wait for a time step.
    pub(crate) waiting: Gauge,
    revocations: Family<RevocationLabels, Counter>,
    depth: Gauge,
    batches: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RevocationLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || {
            Histogram::new([
                0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
                60.0,
            ])
        };
        let mut metrics = Self {
            registry: Registry::with_prefix("keyfob"),
            requests: Family::default(),
            duration: Family::new_with_constructor(seconds),
            codes: Counter::default(),
            waiting: Gauge::default(),
            revocations: Family::default(),
            depth: Gauge::default(),
            batches: Histogram::new([1., 2., 4., 8., 16., 32., 64., 128., 256., 512., 1024.]),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("http_requests", "Requests answered", self.requests.clone());
        r.register_with_unit(
            "http_request_duration",
            "Time from a request's headers to its answer's headers",
            Unit::Seconds,
            self.duration.clone(),
        );
        r.register("totp_codes", "One-time codes handed out", self.codes.clone());
        r.register("totp_waiting", "Callers that wait for a time step", self.waiting.clone());
        let text = "Grants that were to be revoked at their provider, by what became of it";
        r.register("revocations", text, self.revocations.clone());
        r.register("store_queue", "Units of work that wait for the writer", self.depth.clone());
        r.register("store_batch", "Units of work in one commit", self.batches.clone());
    }

    /// Counts a request. A route that is not one of the router's counts as `other`.
    pub(crate) fn request(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let route = ROUTES.iter().find(|known| **known == route).unwrap_or(&"other");
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
        self.duration.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }

    /// Counts a revocation that ended so.
    pub(crate) fn revocation(&self, outcome: &'static str) {
        self.revocations.get_or_create(&RevocationLabels { outcome }).inc();
    }

    /// What the store reports its batches to.
    #[must_use]
    pub fn observe_batches(&self) -> Arc<dyn Fn(usize) + Send + Sync> {
        let batches = self.batches.clone();
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most thousands of units")]
        Arc::new(move |units| batches.observe(units as f64))
    }

    /// All metrics in the text format of `OpenMetrics`.
    pub(crate) fn render(&self, depth: usize) -> Result<String, std::fmt::Error> {
        self.depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Starts a stopwatch.
#[expect(clippy::disallowed_methods, reason = "durations for metrics are read here only")]
pub(crate) fn start() -> Instant {
    Instant::now()
}
