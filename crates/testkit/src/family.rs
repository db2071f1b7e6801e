//! Grants and the tokens that come of them. A family is everything that was issued for one grant.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{clock::Moment, ledger::InFlight};

/// Names a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FamilyId(pub(crate) u64);

impl fmt::Display for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{}", self.0)
    }
}

/// Why a family is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// A refresh token that had been used was used again (RFC 9700 section 4.14).
    Reuse,
    /// Its authorization code was used again (RFC 6749 section 4.1.2).
    CodeReplay,
    /// Its refresh token was revoked by the client (RFC 7009).
    Revoked,
    /// Its newest refresh token was used after its end.
    Expired,
    /// The test ended it, as a person does who takes an approval back.
    Withdrawn,
}

/// When and why a family ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Death {
    /// When.
    pub at: Moment,
    /// Why.
    pub cause: Cause,
}

/// What a grant is for.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) client: String,
    pub(crate) subject: String,
    pub(crate) scope: String,
    pub(crate) grant_type: &'static str,
}

/// Everything that was issued for one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Family {
    /// The client that has the grant.
    pub client: String,
    /// Who gave it.
    pub subject: String,
    /// What it allows, space-separated.
    pub scope: String,
    /// What it began with; `imported` if the test made it.
    pub grant_type: String,
    /// When it began.
    pub began_at: Moment,
    /// The number of the newest tokens, from 0; each refresh adds one.
    pub generation: u32,
    /// How many refreshes succeeded.
    pub refreshes: u32,
    /// How often a used refresh token was used again, not counting uses that the grace period allows.
    pub reuses: u32,
    /// Requests in flight at once that carried one of its refresh tokens.
    pub in_flight: InFlight,
    /// Set when it is dead; none of its tokens is valid then.
    pub death: Option<Death>,
}

/// What is known of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessToken {
    /// The family it belongs to.
    pub family: FamilyId,
    /// Its generation in that family.
    pub generation: u32,
    /// When it was issued.
    pub issued_at: Moment,
    /// When it ends, if nothing ends it before.
    pub expires_at: Moment,
    /// When it was revoked by itself.
    pub revoked_at: Option<Moment>,
}

/// What is known of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub(crate) family: FamilyId,
    pub(crate) generation: u32,
    pub(crate) expires_at: Option<Moment>,
    pub(crate) used_at: Option<Moment>,
}

/// Why a refresh token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the refresh token is unknown")]
    Unknown,
    #[error("the refresh token was issued to another client")]
    OtherClient,
    #[error("the grant is no longer valid")]
    Dead,
    #[error("the refresh token has expired")]
    Expired,
    #[error("the refresh token was used before; the grant is revoked")]
    Reused,
}

/// All families.
#[derive(Clone, Debug, Default)]
pub(crate) struct Families {
    pub(crate) all: BTreeMap<FamilyId, Family>,
    access: HashMap<String, AccessToken>,
    refresh: HashMap<String, RefreshToken>,
    /// Ids go on after a reset, so that no old token is taken for a new one's.
    began: u64,
}

impl Families {
    pub(crate) fn begin(&mut self, beginning: Beginning, now: Moment) -> FamilyId {
        self.began += 1;
        let id = FamilyId(self.began);
        let Beginning { client, subject, scope, grant_type } = beginning;
        self.all.insert(
            id,
            Family {
                client,
                subject,
                scope,
                grant_type: grant_type.to_owned(),
                began_at: now,
                generation: 0,
                refreshes: 0,
                reuses: 0,
                in_flight: InFlight::default(),
                death: None,
            },
        );
        id
    }

    /// Forgets every family and token.
    pub(crate) fn clear(&mut self) {
        *self = Self { began: self.began, ..Self::default() };
    }

    pub(crate) fn add_access(&mut self, text: &str, token: AccessToken) {
        self.access.insert(text.to_owned(), token);
    }

    pub(crate) fn add_refresh(&mut self, text: &str, token: RefreshToken) {
        self.refresh.insert(text.to_owned(), token);
    }

    pub(crate) fn access(&self, text: &str) -> Option<AccessToken> {
        self.access.get(text).copied()
    }

    pub(crate) fn refresh(&self, text: &str) -> Option<RefreshToken> {
        self.refresh.get(text).copied()
    }

    pub(crate) fn is_alive(&self, id: FamilyId) -> bool {
        self.all.get(&id).is_some_and(|family| family.death.is_none())
    }

    pub(crate) fn is_access_valid(&self, text: &str, now: Moment) -> bool {
        self.access(text).is_some_and(|token| {
            token.revoked_at.is_none() && now < token.expires_at && self.is_alive(token.family)
        })
    }

    pub(crate) fn is_refresh_valid(&self, text: &str, now: Moment) -> bool {
        self.refresh(text).is_some_and(|token| {
            token.used_at.is_none()
                && token.expires_at.is_none_or(|end| now < end)
                && self.is_alive(token.family)
        })
    }

    /// Ends a family, unless it is dead already. Whether there is one.
    pub(crate) fn kill(&mut self, id: FamilyId, cause: Cause, now: Moment) -> bool {
        let family = self.all.get_mut(&id);
        family.map(|family| family.death.get_or_insert(Death { at: now, cause })).is_some()
    }

    pub(crate) fn revoke_access(&mut self, text: &str, now: Moment) {
        if let Some(token) = self.access.get_mut(text) {
            token.revoked_at.get_or_insert(now);
        }
    }

    /// Uses a refresh token: afterwards its family has one more refresh and generation. `rotates` marks it used.
    pub(crate) fn use_refresh(
        &mut self,
        text: &str,
        client: &str,
        rotates: bool,
        grace: Duration,
        now: Moment,
    ) -> Result<FamilyId, Refused> {
        let token = self.refresh.get_mut(text).ok_or(Refused::Unknown)?;
        let id = token.family;
        let family = self.all.get_mut(&id).ok_or(Refused::Unknown)?;
        if family.client != client {
            return Err(Refused::OtherClient);
        }
        if token.used_at.is_some_and(|used| grace.is_zero() || now.since(used) > grace) {
            family.reuses += 1;
            family.death.get_or_insert(Death { at: now, cause: Cause::Reuse });
            return Err(Refused::Reused);
        }
        if family.death.is_some() {
            return Err(Refused::Dead);
        }
        if token.expires_at.is_some_and(|end| end <= now) {
            if token.generation == family.generation {
                family.death = Some(Death { at: now, cause: Cause::Expired });
            }
            return Err(Refused::Expired);
        }
        if rotates {
            token.used_at.get_or_insert(now);
        }
        family.refreshes += 1;
        family.generation += 1;
        Ok(id)
    }
}
