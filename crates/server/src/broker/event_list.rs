//! The audit trail as its account sees it (contract/keyfob, "Events").
//!
//! Reading it writes no event: whoever follows it would follow himself for ever.

use std::time::Duration;

use keyfob_core::{
    id::EventId,
    policy::{Action, Object},
    time::Timestamp,
};
use keyfob_store::{
    Page,
    event::{self, Stored},
};

use super::{
    Broker, Caller,
    slice::{SCANNED, Slice},
};
use crate::error::Error;

/// Events may be stored a little later than others that happened after them. So long after it an event is listed
/// oldest first: who goes on there after the last one misses none.
const LATE: Duration = Duration::from_secs(10);

/// Which events are asked for: those that have all of these.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Not after this moment.
    pub until: Option<Timestamp>,
    /// The actor's id.
    pub actor: Option<String>,
    /// The action's name, or what it begins with before the dot.
    pub action: Option<String>,
    /// The object's noun, if it counts.
    pub object_type: Option<String>,
    /// The object's id.
    pub object: Option<String>,
    /// The contact's id.
    pub contact: Option<String>,
    /// How it ended.
    pub result: Option<String>,
}

impl EventFilter {
    /// Whether this is an action, or a family of them.
    #[must_use]
    pub fn knows_action(name: &str) -> bool {
        Action::ALL.iter().any(|action| is_of(action.as_str(), name))
    }

    /// Whether events are left out by more than their time.
    const fn is_selective(&self) -> bool {
        let by_actor = self.actor.is_some() || self.action.is_some() || self.result.is_some();
        by_actor || self.object_type.is_some() || self.object.is_some() || self.contact.is_some()
    }

    fn matches(&self, event: &Stored) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|it| it == found);
        let (noun, id) = &event.object;
        is(&self.actor, &event.actor.1)
            && self.action.as_ref().is_none_or(|name| is_of(&event.action, name))
            && is(&self.object_type, noun)
            && is(&self.object, id)
            && is(&self.contact, event.contact_id.as_deref().unwrap_or_default())
            && is(&self.result, &event.result)
    }

    /// Where the part begins: after its cursor, and not outside of the times that are asked for, as ids begin
    /// with the time.
    fn begin(&self, slice: &Slice<EventId>) -> Option<EventId> {
        let after = slice.after.clone();
        if slice.oldest_first {
            after.max(self.since.map(first_of))
        } else {
            let end =
                self.until.map(|until| first_of(Timestamp::from_millis(until.as_millis() + 1)));
            match (after, end) {
                (Some(after), Some(end)) => Some(after.min(end)),
                (after, end) => after.or(end),
            }
        }
    }

    /// Ends a page where the times that are asked for end.
    fn end(&self, page: &mut Page<Stored, EventId>) {
        let is_within = |event: &Stored| {
            self.since.is_none_or(|since| event.created_at >= since)
                && self.until.is_none_or(|until| event.created_at <= until)
        };
        let Some(end) = page.rows.iter().position(|event| !is_within(event)) else { return };
        page.rows.truncate(end);
        page.last = page.rows.last().map(|event| event.id.clone());
    }
}

/// Whether an action has this name, or is of the family of this name.
fn is_of(action: &str, name: &str) -> bool {
    action.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What sorts before every event of this moment, and after every earlier one.
fn first_of(at: Timestamp) -> EventId {
    let mut bits = [0; 16];
    bits[..6].copy_from_slice(&at.as_millis().to_be_bytes()[2..]);
    EventId::from_bits(bits)
}

impl Broker {
    /// Events of the caller's account.
    pub async fn list_events(
        &self,
        caller: &Caller,
        slice: Slice<EventId>,
        mut filter: EventFilter,
    ) -> Result<Page<Stored, EventId>, Error> {
        // A long list is read in many parts, and a key may end, or be changed, in between.
        let caller = &self.reauthenticate(caller).await?;
        caller.decide(Action::EventList, Object::Account)?;
        if slice.oldest_first {
            let end = self.now()?.minus(LATE);
            filter.until = Some(filter.until.map_or(end, |until| until.min(end)));
        }
        let account = caller.account().clone();
        let limit = if filter.is_selective() { SCANNED } else { slice.take };
        let page = self.read(move |tx| {
            let list = if slice.oldest_first { event::list } else { event::list_newest };
            let mut page = list(tx, &account, filter.begin(&slice).as_ref(), limit)?;
            filter.end(&mut page);
            page.rows.retain(|event| filter.matches(event));
            slice.end(&mut page, |event| &event.id);
            Ok(page)
        });
        Ok(caller.log_damaged(page.await?))
    }
}

#[cfg(test)]
mod tests {
    use super::EventFilter;

    #[test]
    fn an_action_is_known_by_its_name_and_by_its_family() {
        for name in ["totp.code", "totp", "event.list", "secret"] {
            assert!(EventFilter::knows_action(name), "{name}");
        }
        for name in ["", "tot", "totp.", "totp.cod", "TOTP", "totp.code.x"] {
            assert!(!EventFilter::knows_action(name), "{name}");
        }
    }
}
