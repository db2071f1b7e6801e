//! Background work.

use std::{error::Error as _, time::Duration};

use crate::{broker::Broker, error::Error};

/// How often old creates and links are forgotten, and deletions that were interrupted go on.
const EVERY: Duration = Duration::from_mins(1);
/// How often grants are looked for that have to be renewed or revoked.
const OFTEN: Duration = Duration::from_secs(1);
/// How often events are looked for that have been kept for long enough.
const SELDOM: Duration = Duration::from_hours(1);
/// How long after a start: a clock that is wrong may be set by then.
const AT_FIRST: Duration = Duration::from_mins(10);

/// Runs the background work until the task is dropped. `retention`: how long events are kept; `None` is for
/// ever.
pub async fn run(broker: Broker, retention: Option<Duration>) {
    let events = async { tokio::join!(signatures(&broker), expiry(&broker, retention)) };
    tokio::join!(housekeeping(&broker), renewals(&broker), revocations(&broker), events);
}

async fn housekeeping(broker: &Broker) {
    let mut ticks = ticks(EVERY);
    loop {
        ticks.tick().await;
        log("interrupted deletions", broker.finish_deletions().await);
        log("deleted accounts", broker.finish_accounts().await);
        log("old creates", broker.forget_creations().await);
        log("old links", broker.forget_links().await);
        log("uses of keys", broker.forget_uses().await);
        log("old revocations", broker.forget_revocations().await);
        log("chains of events that others left unsigned", broker.sign_stale_chains().await);
    }
}

async fn renewals(broker: &Broker) {
    let mut ticks = ticks(OFTEN);
    loop {
        ticks.tick().await;
        log("renewals at providers", broker.renew_due().await);
    }
}

async fn revocations(broker: &Broker) {
    let mut ticks = ticks(OFTEN);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = broker.revocation_queued() => {}
        }
        log("revocations at providers", broker.revoke_due().await);
    }
}

async fn signatures(broker: &Broker) {
    let mut ticks = ticks(OFTEN);
    loop {
        ticks.tick().await;
        log("events signed", broker.sign_events().await);
    }
}

async fn expiry(broker: &Broker, retention: Option<Duration>) {
    let Some(retention) = retention else { return };
    tokio::time::sleep(AT_FIRST).await;
    let mut ticks = ticks(SELDOM);
    loop {
        ticks.tick().await;
        log("old events", broker.expire_events(retention).await);
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

fn log<N: TryInto<u64>>(what: &str, done: Result<N, Error>) {
    match done.map(|count| count.try_into().unwrap_or(u64::MAX)) {
        Ok(0) => {}
        Ok(count) => tracing::debug!(count, "{what}"),
        Err(error) => {
            let cause = error.source().map(tracing::field::display);
            tracing::warn!(%error, cause, "could not do: {what}");
        }
    }
}
