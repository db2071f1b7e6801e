//! A suite that judges whatever keeps OAuth grants alive: does it refresh exactly once, and does it lose no grant
//! that the provider still holds?
//!
//! Each check has a provider of its own, in this process, and asks the [`Broker`] as its callers do. What it says
//! is not believed: the provider's ledger has the last word.

mod broker;
mod check;
mod http;
mod outage;
mod race;
mod renewal;
mod scene;
mod storm;
mod storm_report;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

pub use broker::{Broker, Definition, Failed, State};
pub use check::{Checked, NAMES, Verdict};
pub use http::{ContactSecret, HttpBroker};
pub use scene::Wrong;
pub use storm::{Kills, Storm};
pub use storm_report::StormReport;

use scene::Stage;

/// How hard a broker is tried.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Callers at once.
    pub callers: usize,
    /// How long callers ask without a pause where tokens must not have expired.
    pub duration: Duration,
    /// How long access tokens live where they are to expire; whole seconds.
    pub life: Duration,
    /// How long anything may take that is waited for: more than the broker gives a provider that hangs.
    pub patience: Duration,
}

impl Default for Settings {
    /// 16 callers, 5 seconds, lives of one second, a minute of patience.
    fn default() -> Self {
        Self {
            callers: 16,
            duration: Duration::from_secs(5),
            life: Duration::from_secs(1),
            patience: Duration::from_mins(1),
        }
    }
}

/// Makes the checks, all at the same time; `without` names those that are left out. What came of each, in the
/// order of [`NAMES`].
pub async fn run<B: Broker>(broker: Arc<B>, settings: Settings, without: &[&str]) -> Vec<Checked> {
    let checks = check::all::<B>().into_iter().filter(|check| !without.contains(&check.name));
    join_all(checks.map(async |check| {
        let stage = Stage { broker: Arc::clone(&broker), settings };
        Checked::new(check.name, (check.run)(stage).await)
    }))
    .await
}
