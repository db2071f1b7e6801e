//! What a caller holds while it waits for its time step.

use keyfob_core::{time::Timestamp, totp::Step};
use keyfob_store::totp;
use prometheus_client::metrics::gauge::Gauge;

use super::{Broker, code::Request};

/// Counts a caller as waiting for as long as it lives.
pub(super) struct Waiting(Gauge);

impl Waiting {
    pub(super) fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A step reserved for a caller; given back if the caller goes away before it came.
pub(super) struct Reservation {
    broker: Broker,
    request: Request,
    step: Option<Step>,
    starts_at: Timestamp,
}

impl Reservation {
    pub(super) fn new(
        broker: &Broker,
        request: &Request,
        step: Step,
        starts_at: Timestamp,
    ) -> Self {
        Self { broker: broker.clone(), request: request.clone(), step: Some(step), starts_at }
    }

    /// The step was handed out, or is past.
    pub(super) fn used(reservation: Option<Self>) {
        if let Some(mut reservation) = reservation {
            reservation.step = None;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let (Some(step), Ok(runtime)) = (self.step, tokio::runtime::Handle::try_current()) else {
            return;
        };
        let (broker, request) = (self.broker.clone(), self.request.clone());
        let starts_at = self.starts_at;
        runtime.spawn(async move {
            let unit = broker.clone();
            let give_back = broker.write(move |tx| {
                let (account, id, now) = (request.caller.account(), &request.id, unit.now()?);
                // Once it has begun, plain callers may know its code.
                let returned = now < starts_at && totp::return_step(tx, account, id, step)?;
                let mut event = request.event(now);
                event.result = if returned { "returned" } else { "abandoned" };
                event.reason = Some(format!("time step {}", step.get()));
                Ok(tx.commit(event, ()))
            });
            if let Err(error) = give_back.await {
                tracing::warn!(%error, "a reserved time step could not be given back");
            }
        });
    }
}
