//! What is told of revocations at providers (contract/keyfob, "Connections").

use keyfob_core::{
    id::ConnectionId,
    policy::{Action, Grant, Object},
    secret::Kind,
};
use keyfob_store::{
    Page,
    revocation::{self, Outcome, Progress},
};

use super::{
    Broker, Caller,
    slice::{SCANNED, Slice},
};
use crate::error::Error;

/// How far a revocation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationStatus {
    /// It is still tried.
    Pending,
    /// It is over.
    Ended(Outcome),
}

impl RevocationStatus {
    /// The status as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ended(outcome) => outcome.as_str(),
        }
    }

    /// The status of this word, if it is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let outcome = || Outcome::parse(word).map(Self::Ended);
        if word == "pending" { Some(Self::Pending) } else { outcome() }
    }

    /// That of a revocation.
    #[must_use]
    pub fn of(progress: &Progress) -> Self {
        progress.outcome.map_or(Self::Pending, Self::Ended)
    }
}

impl Broker {
    /// How revocations of the caller's account go: those that wait, and those that ended in the last days.
    pub async fn list_revocations(
        &self,
        caller: &Caller,
        slice: Slice<ConnectionId>,
        status: Option<RevocationStatus>,
    ) -> Result<Page<Progress, ConnectionId>, Error> {
        // A long list is read in many parts, and a key may end, or be changed, in between.
        let caller = &self.reauthenticate(caller).await?;
        caller.decide(Action::RevocationList, Object::Account)?;
        let (account, asking) = (caller.account().clone(), caller.clone());
        let is_filtered = status.is_some() || !caller.grant().limits().is_empty();
        let limit = if is_filtered { SCANNED } else { slice.take };
        let page = self.read(move |tx| {
            let list = if slice.oldest_first {
                revocation::list_progress
            } else {
                revocation::list_progress_newest
            };
            let mut page = list(tx, &account, slice.after.as_ref(), limit)?;
            let has_status =
                |it: &Progress| status.is_none_or(|only| RevocationStatus::of(it) == only);
            page.rows.retain(|it| reaches(asking.grant(), it) && has_status(it));
            slice.end(&mut page, |it| &it.id);
            Ok(page)
        });
        Ok(caller.log_damaged(page.await?))
    }
}

/// Whether the limits of a key leave it what is revoked.
fn reaches(grant: &Grant, it: &Progress) -> bool {
    let has_contact = it.contact.as_ref().is_none_or(|id| grant.limits().has_contact(id));
    let kind = if it.contact.is_some() { Kind::Personal } else { Kind::Shared };
    has_contact && grant.reaches_secret(&it.secret, kind)
}
