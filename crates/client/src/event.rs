//! The audit trail.

use keyfob_api::event::{Event, EventQuery};

use crate::{Client, Error, Lines, List};

const LIST: [&str; 3] = ["v1", "event", "list"];

impl Client {
    /// The account's events, page by page, newest first or oldest first.
    #[must_use]
    pub fn list_events(&self, query: &EventQuery, oldest_first: bool) -> List<Event> {
        List::new(self, &LIST, pairs(query, oldest_first))
    }

    /// The account's events, in one answer.
    pub async fn export_events(
        &self,
        query: &EventQuery,
        oldest_first: bool,
    ) -> Result<Lines<Event>, Error> {
        Lines::open(self, &LIST, &pairs(query, oldest_first)).await
    }
}

fn pairs(query: &EventQuery, oldest_first: bool) -> Vec<(String, String)> {
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let order = oldest_first.then(|| "asc".to_owned());
    let all = [
        ("since", number(query.since)),
        ("until", number(query.until)),
        ("actor", query.actor.clone()),
        ("action", query.action.clone()),
        ("object", query.object.clone()),
        ("contact", query.contact.clone()),
        ("result", query.result.clone()),
        ("order", order),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
