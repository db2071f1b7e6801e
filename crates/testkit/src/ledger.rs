//! What a provider saw and did.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    client::AuthMethod,
    clock::Moment,
    endpoint::Endpoint,
    family::{AccessToken, Families, Family, FamilyId},
    fault::Fault,
};

/// One request that arrived, whatever became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// When it arrived.
    pub at: Moment,
    /// Where.
    pub endpoint: Endpoint,
    /// GET, POST, ….
    pub method: String,
    /// Its `grant_type`, if it said one.
    pub grant_type: Option<String>,
    /// The client that it says it is from.
    pub client: Option<String>,
    /// How it says so; it need not have been right.
    pub auth_method: Option<AuthMethod>,
    /// The family of the token or code that it carried, or else of the token that it got.
    pub family: Option<FamilyId>,
    /// The generation of that token.
    pub generation: Option<u32>,
    /// The fault that was scripted for it.
    pub fault: Option<Fault>,
    /// The status that the provider itself decided on; nothing while it has not, or if the fault kept the request from it.
    pub status: Option<u16>,
    /// The error code that the provider itself decided on, as `invalid_grant`.
    pub error: Option<String>,
    /// Whether the provider is still busy with it.
    pub in_flight: bool,
}

/// How many requests were in flight at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InFlight {
    /// Now.
    pub now: u32,
    /// At the busiest moment.
    pub highest: u32,
}

impl InFlight {
    pub(crate) fn enter(&mut self) {
        self.now += 1;
        self.highest = self.highest.max(self.now);
    }

    pub(crate) fn leave(&mut self) {
        self.now = self.now.saturating_sub(1);
    }
}

/// What a provider saw and did, since it started or was reset.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Every request, in the order in which they arrived. Those to `/control` are not among them.
    pub requests: Vec<Request>,
    /// Requests in flight at once, at any endpoint. One whose caller hung up is in flight until it is done with.
    pub in_flight: InFlight,
    /// The same for each endpoint.
    pub in_flight_at: BTreeMap<Endpoint, InFlight>,
    #[serde(rename = "families", serialize_with = "only_families")]
    pub(crate) families: Families,
    /// How often it was reset: a request from before does not count as one from after.
    #[serde(skip)]
    resets: u64,
}

fn only_families<S: serde::Serializer>(families: &Families, to: S) -> Result<S::Ok, S::Error> {
    families.all.serialize(to)
}

/// The place of a request in the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    resets: u64,
    index: usize,
}

impl Ledger {
    /// Every family, dead ones too.
    #[must_use]
    pub fn families(&self) -> &BTreeMap<FamilyId, Family> {
        &self.families.all
    }

    /// One family.
    #[must_use]
    pub fn family(&self, id: FamilyId) -> Option<&Family> {
        self.families.all.get(&id)
    }

    /// How many refreshes of this family succeeded.
    #[must_use]
    pub fn refreshes(&self, id: FamilyId) -> u32 {
        self.family(id).map_or(0, |family| family.refreshes)
    }

    /// How often refresh tokens were used again, in all families.
    #[must_use]
    pub fn reuses(&self) -> u32 {
        self.families.all.values().map(|family| family.reuses).sum()
    }

    /// The requests at this endpoint, in the order in which they arrived.
    pub fn at(&self, endpoint: Endpoint) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(move |request| request.endpoint == endpoint)
    }

    /// The highest number of requests in flight at once at this endpoint.
    #[must_use]
    pub fn highest_in_flight(&self, endpoint: Endpoint) -> u32 {
        self.in_flight_at.get(&endpoint).map_or(0, |at| at.highest)
    }

    /// Whether this access token would be taken at `now`.
    #[must_use]
    pub fn is_valid(&self, access_token: &str, now: Moment) -> bool {
        self.families.is_access_valid(access_token, now)
    }

    /// What is known of this access token, if it was ever issued.
    #[must_use]
    pub fn was_issued(&self, access_token: &str) -> Option<AccessToken> {
        self.families.access(access_token)
    }

    pub(crate) fn enter(&mut self, request: Request) -> Line {
        self.in_flight.enter();
        self.in_flight_at.entry(request.endpoint).or_default().enter();
        if let Some(family) = self.refreshed(&request) {
            family.in_flight.enter();
        }
        self.requests.push(request);
        Line { resets: self.resets, index: self.requests.len() - 1 }
    }

    /// The request at this line, unless the ledger was reset since.
    pub(crate) fn line(&mut self, line: Line) -> Option<&mut Request> {
        self.requests.get_mut(line.index).filter(|_| line.resets == self.resets)
    }

    pub(crate) fn leave(&mut self, line: Line) {
        let Some(request) = self.line(line) else { return };
        request.in_flight = false;
        let request = request.clone();
        self.in_flight.leave();
        self.in_flight_at.entry(request.endpoint).or_default().leave();
        if let Some(family) = self.refreshed(&request) {
            family.in_flight.leave();
        }
    }

    /// The family that a request wants refreshed.
    fn refreshed(&mut self, request: &Request) -> Option<&mut Family> {
        let is_refresh = request.grant_type.as_deref() == Some("refresh_token");
        self.families.all.get_mut(&request.family.filter(|_| is_refresh)?)
    }

    pub(crate) fn reset(&mut self) {
        self.families.clear();
        let families = std::mem::take(&mut self.families);
        *self = Self { families, resets: self.resets + 1, ..Self::default() };
    }
}
