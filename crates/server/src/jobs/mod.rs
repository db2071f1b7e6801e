//! Background work.

use std::time::Duration;

use crate::broker::Broker;

/// How often old creates and links are forgotten, and deletions that were interrupted go on.
const EVERY: Duration = Duration::from_mins(1);

/// Runs the background work until the task is dropped.
pub async fn run(broker: Broker) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match broker.finish_deletions().await {
            Ok(0) => {}
            Ok(ended) => tracing::debug!(ended, "interrupted deletions"),
            Err(error) => tracing::warn!(%error, "interrupted deletions could not be looked for"),
        }
        match broker.forget_creations().await {
            Ok(0) => {}
            Ok(forgotten) => tracing::debug!(forgotten, "old creates"),
            Err(error) => tracing::warn!(%error, "old creates could not be forgotten"),
        }
        match broker.forget_links().await {
            Ok(0) => {}
            Ok(forgotten) => tracing::debug!(forgotten, "old links"),
            Err(error) => tracing::warn!(%error, "old links could not be forgotten"),
        }
    }
}
