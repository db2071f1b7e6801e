//! One-time codes: hand out the code of a time step, now or when its time comes.
//!
//! A plain call gets the current step's code. `min_validity` and `unique` may mean a later step:
//! then the call waits, holding neither a thread nor a connection. A step that is to be unique is
//! reserved by a conditional write before the wait, so the order of the queue is the order of the
//! reservations, on all nodes, and a crash wastes a step rather than handing one out twice.

use std::{sync::Arc, time::Duration};

use keyfob_core::{
    crypto::{OpenError, Sealed},
    id::TotpId,
    policy::{Action, Entry, Object, Permit},
    time::Timestamp,
    totp::{Code, Parameters, Seed, Step},
};
use keyfob_store::{
    Commit, Event, ReadTx, StoreError, WriteTx,
    totp::{self, SealedTotp},
};

use super::{
    Broker, Caller,
    reservation::{Reservation, Waiting},
    totp::check_min_validity,
};
use crate::{
    config::Audit,
    error::{Damaged, Error},
    text,
};

/// The longest a caller is kept waiting: the published clients give up after 60 s.
const PATIENCE: Duration = Duration::from_secs(55);

/// What a caller wants of a code. `None` is what the entry's policy says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Seconds the code must still be valid.
    pub min_validity: Option<u32>,
    /// Whether nobody else may be given this step.
    pub unique: Option<bool>,
    /// Whether the next step's code is wanted too.
    pub next: bool,
}

/// A code that was handed out.
#[derive(Debug)]
pub struct Released {
    /// The code.
    pub code: Code,
    /// The next step's code, if it was wanted.
    pub next: Option<Code>,
    /// The step it belongs to.
    pub step: Step,
    /// How it was made.
    pub parameters: Parameters,
    /// When it was handed out.
    pub at: Timestamp,
    /// Seconds it must still be valid when the caller gets it.
    min_validity: u32,
}

/// One caller's request for a code.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) caller: Caller,
    pub(super) id: TotpId,
    wish: Wish,
    /// When the caller has waited long enough.
    patience_ends: Timestamp,
    /// The step that is reserved for it.
    reserved: Option<Step>,
}

/// What became of a request for now.
enum Turn {
    Released(Released),
    /// Its step begins later.
    Wait(Timestamp),
    /// A step was reserved for it that begins later.
    Reserved(Step, Parameters),
}

impl Broker {
    /// Hands out a code; waits for its time step if the wish means a later one.
    pub async fn code(&self, caller: &Caller, id: &TotpId, wish: Wish) -> Result<Released, Error> {
        caller.may(Action::TotpCode)?;
        let patience_ends = self.now()?.plus(PATIENCE);
        let (caller, id) = (caller.clone(), id.clone());
        let mut request = Request { caller, id, wish, patience_ends, reserved: None };
        let mut reservation = None;
        loop {
            // In a box of its own: thousands of callers may be waiting, and none needs its room then.
            let starts_at = match Box::pin(self.turn(&request)).await? {
                Turn::Released(released) if self.is_good(&released)? => {
                    Reservation::used(reservation);
                    self.inner.metrics.codes.inc();
                    return Ok(released);
                }
                // The step ended while its event was written: that code is nobody's now.
                Turn::Released(released) => {
                    Reservation::used(reservation.take());
                    request.reserved = None;
                    self.withhold(&request, &released)?;
                    if self.now()? > request.patience_ends {
                        return Err(Error::Unavailable(Arc::new(StoreError::Overloaded)));
                    }
                    continue;
                }
                Turn::Wait(starts_at) => starts_at,
                Turn::Reserved(step, parameters) => {
                    request.reserved = Some(step);
                    let starts_at = Timestamp::from_seconds(parameters.starts_at(step));
                    reservation = Some(Reservation::new(self, &request, step, starts_at));
                    starts_at
                }
            };
            self.wait(starts_at).await;
            // A key that was revoked meanwhile gets nothing any more, and one that was changed what it may have now.
            request.caller = self.reauthenticate(&request.caller).await?;
            request.caller.may(Action::TotpCode)?;
        }
    }

    async fn wait(&self, until: Timestamp) {
        let waiting = Waiting::new(self.inner.metrics.waiting.clone());
        self.inner.clock.wait_until(until).await;
        drop(waiting);
    }

    /// Whether a code that has just been released is still what was asked for.
    fn is_good(&self, released: &Released) -> Result<bool, Error> {
        let left = released.parameters.ends_at(released.step) - self.now()?.as_seconds();
        Ok(left > 0 && left >= i64::from(released.min_validity))
    }

    /// Tells the audit trail that a code did not leave although an event says that it did.
    fn withhold(&self, request: &Request, released: &Released) -> Result<(), Error> {
        let mut event = request.event(self.now()?);
        event.result = "withheld";
        event.reason = Some(format!("time step {} ended meanwhile", released.step.get()));
        let tell = move |tx: &mut WriteTx<'_>| Ok::<_, Error>(tx.commit(event.clone(), ()));
        Ok(self.inner.store.write_later(tell)?)
    }

    async fn turn(&self, request: &Request) -> Result<Turn, Error> {
        let is_buffered = self.inner.audit == Audit::Buffered && !self.inner.store.is_behind();
        if request.reserved.is_none()
            && let Some(totp) = self.recent_entry(request, is_buffered).await?
            && let Some(released) = self.release_told(request, totp)?
        {
            let event = Arc::new(request.release(released.at, released.step));
            let tell = move |tx: &mut WriteTx<'_>| Ok(tx.commit(Arc::clone(&event), ()));
            if is_buffered {
                self.inner.store.write_later::<Error, _>(tell)?;
            } else {
                self.write(tell).await?;
            }
            return Ok(Turn::Released(released));
        }
        let reading = self.inner.entries.begin(self.now()?);
        let (broker, asked) = (self.clone(), request.clone());
        let (turn, totp) = self.write(move |tx| broker.turn_in(tx, &asked)).await?;
        self.keep_entry(request, totp, reading);
        Ok(turn)
    }

    /// Hands out the current step of an entry that was read lately, if that step was told before: then
    /// nothing has to be noted, and only the audit trail has to be told.
    fn release_told(
        &self,
        request: &Request,
        totp: Arc<SealedTotp>,
    ) -> Result<Option<Released>, Error> {
        let now = self.now()?;
        let found = request.look_at(totp, now)?;
        let is_noted = found.totp.last_told >= request.last_told(found.current);
        if found.unique || found.earliest > found.current || !is_noted {
            return Ok(None);
        }
        let text = self.inner.keyring.open_with_known(&found.permit, "secret", &found.totp.secret);
        let seed = text.and_then(|text| seed(&text));
        Ok(seed.map(|seed| request.released(&found, &seed, found.current, now)))
    }

    /// What becomes of the request now, and the entry as it is then.
    fn turn_in(
        &self,
        tx: &mut WriteTx<'_>,
        request: &Request,
    ) -> Result<Commit<(Turn, Arc<SealedTotp>)>, Error> {
        let now = self.now()?;
        let totp = totp::find_sealed(tx, request.caller.account(), &request.id)?;
        let found = request.look_at(Arc::new(totp.ok_or(Error::NotFound)?), now)?;
        if found.unique {
            let turn = self.unique_turn(tx, request, &found, now)?;
            return Ok(turn.map(|turn| (turn, found.totp)));
        }
        if found.earliest > found.current {
            let starts_at = found.starts_at(found.earliest);
            if starts_at > request.patience_ends {
                return Err(too_long(starts_at.since(now)));
            }
            return Ok(tx.commit_unaudited((Turn::Wait(starts_at), found.totp)));
        }
        // No caller with `unique` must be given a step that others know.
        let told = request.last_told(found.current);
        let mut noted = Arc::clone(&found.totp);
        if found.totp.last_told < told {
            totp::note_told(tx, request.caller.account(), &request.id, told)?;
            Arc::make_mut(&mut noted).last_told = told;
        }
        let released = self.open(tx, request, &found, found.current, now)?;
        let event = request.release(now, found.current);
        Ok(tx.commit(event, (Turn::Released(released), noted)))
    }

    /// The turn of a caller whose step must be its own.
    fn unique_turn(
        &self,
        tx: &mut WriteTx<'_>,
        request: &Request,
        found: &Found,
        now: Timestamp,
    ) -> Result<Commit<Turn>, Error> {
        match request.reserved {
            Some(step) if step > found.current => {
                return Ok(tx.commit_unaudited(Turn::Wait(found.starts_at(step))));
            }
            Some(step) if step == found.current && found.earliest == step => {
                let released = self.open(tx, request, found, step, now)?;
                return Ok(tx.commit(request.release(now, step), Turn::Released(released)));
            }
            // None yet, or its step went by.
            _ => {}
        }
        let parameters = found.totp.parameters;
        let latest = parameters.step_at(request.patience_ends.as_seconds())?;
        let (account, id) = (request.caller.account(), &request.id);
        let Some(step) = totp::reserve_step(tx, account, id, found.earliest, latest)? else {
            let is_ahead = found.totp.last_step > reach(parameters, now)?;
            return Err(if is_ahead { steps_ahead(found) } else { queue_full(found, latest, now) });
        };
        if step == found.current {
            let released = self.open(tx, request, found, step, now)?;
            return Ok(tx.commit(request.release(now, step), Turn::Released(released)));
        }
        let mut event = request.event(now);
        event.result = "queued";
        event.reason = Some(format!("time step {}", step.get()));
        Ok(tx.commit(event, Turn::Reserved(step, parameters)))
    }

    fn open(
        &self,
        tx: &mut ReadTx<'_>,
        request: &Request,
        found: &Found,
        step: Step,
        at: Timestamp,
    ) -> Result<Released, Error> {
        let seed = self.open_seed(tx, &found.permit, &found.totp.secret)?;
        Ok(request.released(found, &seed, step, at))
    }

    /// Opens an entry's secret.
    pub(super) fn open_seed(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        sealed: &Sealed,
    ) -> Result<Seed, Error> {
        let text = self.inner.keyring.open(tx, permit, "secret", sealed)?;
        seed(&text).ok_or_else(|| {
            let (table, row) = (permit.table(), permit.row().to_owned());
            Damaged { table, row, column: "secret", source: OpenError }.into()
        })
    }
}

fn seed(text: &[u8]) -> Option<Seed> {
    Seed::from_base32(std::str::from_utf8(text).ok()?).ok()
}

impl Request {
    /// Decides, and says which steps of the entry matter now.
    fn look_at(&self, totp: Arc<SealedTotp>, now: Timestamp) -> Result<Found, Error> {
        let Self { caller, id, wish, .. } = self;
        let entry = Entry { id, label: &totp.label, contact: totp.contact.as_ref() };
        let permit = caller.decide(Action::TotpCode, Object::Totp(entry))?;
        let min_validity = wish.min_validity.unwrap_or(totp.policy.min_validity);
        check_min_validity(min_validity, totp.parameters)?;
        let unique = wish.unique.unwrap_or(totp.policy.unique);
        if unique && wish.next {
            let text =
                "include=next does not go with unique: the next code may become somebody else's";
            return Err(Error::invalid("invalid_include", text));
        }
        let now = now.as_seconds();
        let current = totp.parameters.step_at(now)?;
        let is_enough = totp.parameters.expires_in(now)? >= min_validity;
        let earliest = if is_enough { current } else { current.next() };
        Ok(Found { permit, totp, min_validity, unique, current, earliest })
    }

    /// The code of `step`, as it leaves.
    fn released(&self, found: &Found, seed: &Seed, step: Step, at: Timestamp) -> Released {
        let (parameters, min_validity) = (found.totp.parameters, found.min_validity);
        let next = self.wish.next.then(|| parameters.code(seed, step.next()));
        Released { code: parameters.code(seed, step), next, step, parameters, at, min_validity }
    }

    pub(super) fn event(&self, now: Timestamp) -> Event {
        self.caller.event(now, Action::TotpCode, "totp", self.id.to_shared())
    }

    /// The event of a code that is handed out. It names the step, so that nobody needs to see codes to
    /// know whether two callers were given the same.
    fn release(&self, now: Timestamp, step: Step) -> Event {
        let mut event = self.event(now);
        event.reason = Some(if self.wish.next {
            format!("time steps {} and {}", step.get(), step.next().get())
        } else {
            format!("time step {}", step.get())
        });
        event
    }

    /// The last step whose code the caller is told, if it is given that of `current`.
    fn last_told(&self, current: Step) -> Step {
        if self.wish.next { current.next() } else { current }
    }
}

/// An entry, and the steps that matter now.
struct Found {
    permit: Permit,
    totp: Arc<SealedTotp>,
    min_validity: u32,
    unique: bool,
    current: Step,
    /// The first step whose code is valid for long enough.
    earliest: Step,
}

impl Found {
    fn starts_at(&self, step: Step) -> Timestamp {
        Timestamp::from_seconds(self.totp.parameters.starts_at(step))
    }
}

fn too_long(wait: Duration) -> Error {
    let seconds = wait.as_secs();
    Error::WaitTooLong {
        code: "wait_too_long",
        message: format!("a code with that validity begins in {seconds} s, and a call waits at most 55 s: ask again later, or for a smaller min_validity").into(),
        after: wait.saturating_sub(PATIENCE),
    }
}

/// The last step that can be taken now, be it told as the next one of the last of a queue, by a node
/// whose clock is a little ahead. What is taken beyond that was taken with a wrong clock.
pub(crate) fn reach(parameters: Parameters, now: Timestamp) -> Result<Step, Error> {
    Ok(parameters.step_at(now.plus(PATIENCE).as_seconds())?.next().next())
}

/// Nothing is handed out twice, whatever the clock says: only a person can know that it was wrong.
fn steps_ahead(found: &Found) -> Error {
    let until = text::rfc3339(found.starts_at(found.totp.last_step.next()));
    Error::Conflict {
        code: "steps_ahead",
        message: format!("the codes of all time steps up to {until} count as handed out, as after a clock that was ahead: if it was, PATCH the entry with {{\"policy\":{{\"forget_steps_ahead\":true}}}}").into(),
    }
}

fn queue_full(found: &Found, latest: Step, now: Timestamp) -> Error {
    let free = found.totp.last_step.next().max(latest.next());
    Error::WaitTooLong {
        code: "queue_full",
        message: "every time step of the next 55 s is taken: ask again after Retry-After".into(),
        after: found.starts_at(free).since(now).saturating_sub(PATIENCE),
    }
}
