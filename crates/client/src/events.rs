//! The audit trail. Keyfob's own.

use keyfob_api::{
    event::{Event, EventQuery},
    list::Page,
};

use crate::{Client, Request};

/// The audit trail ([`Client::events`]).
#[derive(Clone, Debug)]
pub struct Events(Client);

impl Client {
    /// Who did what to which object, when, with what result.
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.clone())
    }
}

impl Events {
    /// The account's events, the newest first (`GET /api/v1/event/list`).
    ///
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
    /// # doc::example(async |client| {
    /// use keyfob_client::types::EventQuery;
    ///
    /// let codes = EventQuery { action: Some("totp.code".into()), ..EventQuery::default() };
    /// let mut events = client.events().list().of(&codes).stream();
    /// while let Some(event) = events.try_next().await? {
    ///     println!("{} {}", event.actor.name, event.object.id);
    /// }
    /// # Ok(()) });
    /// ```
    pub fn list(&self) -> Request<Page<Event>> {
        self.0.call("/api/v1/event/list", &[])
    }
}

impl Request<Page<Event>> {
    /// Only those that fit.
    pub fn of(self, query: &EventQuery) -> Self {
        self.query(query)
    }
}
