//! Keys that may be used so often only: each request that such a key authenticates is counted once, whatever becomes
//! of it, in a row that all nodes share. What was refused, here or before, is not.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use keyfob_core::{
    policy::{Action, Exceeded, Limits, Refusal},
    time::Timestamp,
};
use keyfob_store::{Event, usage};

use super::{Broker, Caller, caller::Known};
use crate::{error::Error, text};

/// Uses are remembered for two days: the one that they count for, and whatever clocks differ by.
const USES_KEPT: Duration = Duration::from_hours(48);

/// Until when a key is known to have been used too often, so that whoever keeps asking costs no more writes. It is
/// known for as long as the key is, which is less than a second: its limits may have changed.
#[derive(Default)]
pub(super) struct Full(Mutex<Option<Refusal>>);

impl Full {
    fn get(&self, now: Timestamp) -> Option<Refusal> {
        let refusal = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.filter(|refusal| now < refusal.until)
    }

    fn set(&self, refusal: Refusal) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }
}

impl Broker {
    /// Counts a use of the caller's key, unless that would be one too many.
    pub(super) async fn count_use(&self, caller: &Caller, known: &Arc<Known>) -> Result<(), Error> {
        let now = self.now()?;
        let limits = &known.key.limits;
        if let Some(refusal) = known.full.get(now) {
            return Err(too_often(limits, refusal, now));
        }
        let (counted, of) = (caller.clone(), Arc::clone(known));
        let refused = self.write(move |tx| {
            // Of the key's own account, whichever it acts as.
            let (account, key) = (&of.key.account, &of.key.id);
            let mut uses = usage::hold(tx, account, key, now)?;
            let Err(refusal) = uses.count(&of.key.limits, now) else {
                usage::update(tx, account, key, &uses)?;
                return Ok(tx.commit_unaudited(None));
            };
            if !refusal.is_first {
                return Ok(tx.commit_unaudited(Some(refusal)));
            }
            usage::update(tx, account, key, &uses)?;
            let event = counted.event(now, Action::KeyUse, "key", key.to_shared());
            let (result, reason) =
                (code(refusal.exceeded), Some(in_words(&of.key.limits, refusal)));
            let event = Event { account: account.clone(), result, reason, ..event };
            Ok(tx.commit(event, Some(refusal)))
        });
        match refused.await? {
            None => Ok(()),
            Some(refusal) => {
                known.full.set(refusal);
                Err(too_often(limits, refusal, now))
            }
        }
    }

    /// Forgets how often keys were used that were not used for long; how many.
    pub async fn forget_uses(&self) -> Result<u64, Error> {
        let before = self.now()?.minus(USES_KEPT);
        self.forget(move |tx, limit| usage::forget(tx, before, limit)).await
    }
}

const fn code(exceeded: Exceeded) -> &'static str {
    match exceeded {
        Exceeded::Rate => "rate_limited",
        Exceeded::Quota => "quota_exceeded",
    }
}

fn in_words(limits: &Limits, refusal: Refusal) -> String {
    match refusal.exceeded {
        Exceeded::Rate => {
            let rate = limits.rate.unwrap_or_default();
            format!("this key may be used {rate} times a minute")
        }
        Exceeded::Quota => {
            let quota = limits.quota.unwrap_or_default();
            let until = text::rfc3339(refusal.until);
            format!("this key may be used {quota} times a day, which begins again at {until}")
        }
    }
}

fn too_often(limits: &Limits, refusal: Refusal, now: Timestamp) -> Error {
    Error::WaitTooLong {
        code: code(refusal.exceeded),
        message: in_words(limits, refusal).into(),
        after: refusal.until.since(now),
    }
}
