//! What a storm has shown: what its callers saw, held against the provider's ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::Serialize;

use super::{broker::Failed, storm::Storm};
use crate::{
    clock::Moment,
    family::{AccessToken, Cause, FamilyId},
    ledger::{Ledger, Request},
};

/// A node that dies takes answers with it that came so long before.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// Mistakes that are told in words; all are counted.
const TOLD: usize = 5;

/// A grant that was lost.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) family: FamilyId,
    /// What the broker says.
    pub(super) reason: String,
}

/// What the callers of a storm saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    tokens: u64,
    /// Milliseconds that calls took which had a token, and how many did.
    took: BTreeMap<u64, u64>,
    later: u64,
    unreachable: u64,
    mistakes: u64,
    told: Vec<String>,
    pub(super) losses: Vec<Loss>,
}

impl Seen {
    /// A call between these moments had a token of which this is known.
    pub(super) fn token(&mut self, start: Moment, end: Moment, known: Option<AccessToken>) {
        self.tokens += 1;
        let took = end.since(start).as_millis();
        *self.took.entry(u64::try_from(took).unwrap_or(u64::MAX)).or_default() += 1;
        match known {
            None => self.unexpected("a token that was never issued".into()),
            Some(token) if token.expires_at <= start => {
                let late = start.since(token.expires_at).as_millis();
                self.unexpected(format!(
                    "a token that had expired {late} ms before it was asked for"
                ));
            }
            Some(_) => {}
        }
    }

    pub(super) fn failed(&mut self, failed: &Failed) {
        match failed {
            Failed::Later(_) => self.later += 1,
            Failed::Unreachable(_) => self.unreachable += 1,
            other => self.unexpected(other.to_string()),
        }
    }

    pub(super) fn unexpected(&mut self, what: String) {
        self.mistakes += 1;
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }

    /// The milliseconds within which this part of the calls was answered.
    fn within(&self, part: f64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank below a count of calls"
        )]
        let mut rank = (self.tokens as f64 * part) as u64;
        for (&millis, &count) in &self.took {
            if rank < count {
                return millis;
            }
            rank -= count;
        }
        self.took.last_key_value().map_or(0, |(millis, _)| *millis)
    }
}

/// What a storm has shown.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StormReport {
    /// How long it lasted.
    pub seconds: f64,
    /// Nodes of the broker.
    pub nodes: usize,
    /// Callers in all.
    pub callers: usize,
    /// Holders of a grant.
    pub holders: usize,
    /// Tokens that callers had.
    pub tokens: u64,
    /// Half of them came within so many milliseconds.
    pub p50_ms: u64,
    /// All but a hundredth of them did.
    pub p99_ms: u64,
    /// All of them did.
    pub slowest_ms: u64,
    /// Answers that there is no token now.
    pub later: u64,
    /// Calls that no node answered.
    pub unreachable: u64,
    /// Tokens that had expired, or were never issued, and answers that nobody expects.
    pub mistakes: u64,
    /// The first of the mistakes, in words.
    pub told: Vec<String>,
    /// Refreshes that the provider has done.
    pub refreshes: u32,
    /// Refreshes that it was asked for.
    pub refreshes_asked: usize,
    /// Refresh tokens that it was sent more than once.
    pub sent_again: usize,
    /// Those of them whose first answer no killed node has taken with it.
    pub sent_again_without_cause: usize,
    /// The most requests in flight at once for one grant.
    pub at_once: u32,
    /// The least time between two refreshes of a grant, in milliseconds.
    pub soonest_ms: Option<u64>,
    /// Refreshes that came when the token before had half of its life yet.
    pub too_soon: usize,
    /// Nodes that were killed.
    pub kills: usize,
    /// Grants that were lost with an answer that a killed node had taken with it, and that say so.
    pub lost_rightly: usize,
    /// Any other grant that was lost, and why, in words.
    pub lost_otherwise: Vec<String>,
}

impl StormReport {
    pub(super) fn new(
        storm: &Storm,
        nodes: usize,
        lasted: Duration,
        seen: &Seen,
        kills: &[Moment],
        ledger: &Ledger,
    ) -> Self {
        let refreshes = Refreshes::of(ledger);
        let is_explained = |family| refreshes.is_lost_by(family, kills);
        let sent_again: Vec<_> = refreshes.sent_again().collect();
        let mut lost_otherwise = Vec::new();
        for Loss { family, reason } in &seen.losses {
            if !(is_explained(*family) && reason.contains("lost")) {
                let sent = refreshes.tell(*family);
                lost_otherwise.push(format!("{family}: {reason}; it was sent at {sent}"));
            }
        }
        if !lost_otherwise.is_empty() {
            let moments: Vec<_> = kills.iter().map(|kill| kill.as_millis()).collect();
            lost_otherwise.push(format!("nodes were killed at {moments:?}"));
        }
        let told: BTreeSet<_> = seen.losses.iter().map(|loss| loss.family).collect();
        let dead = ledger.families().iter().filter(|(_, family)| family.death.is_some());
        let untold = dead.filter(|(id, _)| !told.contains(id));
        lost_otherwise.extend(untold.map(|(id, _)| format!("{id} is dead and nobody was told")));
        let families = ledger.families().values();
        Self {
            seconds: lasted.as_secs_f64(),
            nodes,
            callers: storm.callers * nodes,
            holders: storm.holders,
            tokens: seen.tokens,
            p50_ms: seen.within(0.5),
            p99_ms: seen.within(0.99),
            slowest_ms: seen.within(1.0),
            later: seen.later,
            unreachable: seen.unreachable,
            mistakes: seen.mistakes,
            told: seen.told.clone(),
            refreshes: families.clone().map(|family| family.refreshes).sum(),
            refreshes_asked: refreshes.asked,
            sent_again: sent_again.len(),
            sent_again_without_cause: sent_again.iter().filter(|id| !is_explained(**id)).count(),
            at_once: families.map(|family| family.in_flight.highest).max().unwrap_or(0),
            soonest_ms: refreshes.gaps().min(),
            too_soon: refreshes
                .gaps()
                .filter(|gap| u128::from(*gap) < storm.life.as_millis() / 2)
                .count(),
            kills: kills.len(),
            lost_rightly: seen.losses.len().saturating_sub(lost_otherwise.len()),
            lost_otherwise,
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems().is_empty()
    }

    /// What is wrong.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let calm = self.kills == 0;
        let wrong = [
            (self.tokens == 0, "no caller had a token".to_owned()),
            (self.refreshes == 0, "nothing was refreshed".to_owned()),
            (self.mistakes > 0, format!("{} mistakes: {:?}", self.mistakes, self.told)),
            (calm && self.later > 0, format!("{} callers had no token", self.later)),
            (calm && self.unreachable > 0, format!("{} calls broke", self.unreachable)),
            (
                self.sent_again_without_cause > 0,
                format!(
                    "{} refresh tokens were sent again without cause",
                    self.sent_again_without_cause
                ),
            ),
            (self.at_once > 1, format!("{} refreshes of one grant at once", self.at_once)),
            (self.too_soon > 0, format!("{} refreshes came too soon", self.too_soon)),
            (!self.lost_otherwise.is_empty(), format!("lost: {:?}", self.lost_otherwise)),
        ];
        wrong.into_iter().filter(|(holds, _)| *holds).map(|(_, what)| what).collect()
    }
}

impl fmt::Display for StormReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} tokens in {:.0} s, each valid; {} refreshes of {} grants, {} at once, {} tokens sent again",
            self.tokens, self.seconds, self.refreshes, self.holders, self.at_once, self.sent_again
        )?;
        if self.kills > 0 {
            write!(f, "; {} kills cost {} grants, which say so", self.kills, self.lost_rightly)?;
        }
        Ok(())
    }
}

/// The requests that carried a refresh token, by the family and generation of that token.
struct Refreshes<'a> {
    asked: usize,
    by_token: BTreeMap<(FamilyId, u32), Vec<&'a Request>>,
    ledger: &'a Ledger,
}

impl<'a> Refreshes<'a> {
    fn of(ledger: &'a Ledger) -> Self {
        let mut by_token: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut asked = 0;
        for request in &ledger.requests {
            let is_refresh = request.grant_type.as_deref() == Some("refresh_token");
            if let (true, Some(family), Some(generation)) =
                (is_refresh, request.family, request.generation)
            {
                asked += 1;
                by_token.entry((family, generation)).or_default().push(request);
            }
        }
        Self { asked, by_token, ledger }
    }

    fn sent_again(&self) -> impl Iterator<Item = FamilyId> {
        self.by_token.iter().filter(|(_, sent)| sent.len() > 1).map(|((family, _), _)| *family)
    }

    /// Whether the family died because a refresh was done whose answer a node took with it that was killed then.
    fn is_lost_by(&self, id: FamilyId, kills: &[Moment]) -> bool {
        let death = self.ledger.family(id).and_then(|family| family.death);
        if death.is_none_or(|death| death.cause != Cause::Reuse) {
            return false;
        }
        let of_family = self.by_token.range((id, 0)..=(id, u32::MAX));
        let mut again = of_family.filter(|(_, sent)| sent.len() > 1);
        let (Some((_, sent)), None) = (again.next(), again.next()) else { return false };
        let [unheard @ .., _] = &sent[..] else { return false };
        let is_done = unheard.first().is_some_and(|first| first.status == Some(200));
        // Whoever asked once more may have died of it too.
        let died =
            |at: Moment| kills.iter().any(|&kill| kill >= at && kill.since(at) <= ON_ITS_WAY);
        is_done && unheard.iter().all(|request| died(request.at))
    }

    /// When the family's last refresh token was sent, and what the provider decided, for people.
    fn tell(&self, id: FamilyId) -> String {
        let last = self.by_token.range((id, 0)..=(id, u32::MAX)).next_back();
        let sent = last.map(|(_, sent)| &sent[..]).unwrap_or_default().iter();
        let told = sent.map(|request| format!("{} {:?}", request.at.as_millis(), request.status));
        told.collect::<Vec<_>>().join(", ")
    }

    /// The milliseconds between the refreshes of each grant, one after the other.
    fn gaps(&self) -> impl Iterator<Item = u64> {
        let sent = self.by_token.iter().filter_map(|(token, sent)| Some((*token, *sent.first()?)));
        sent.clone().zip(sent.skip(1)).filter_map(|((earlier, first), (later, second))| {
            let follows = earlier.0 == later.0;
            let gap = u64::try_from(second.at.since(first.at).as_millis()).unwrap_or(u64::MAX);
            follows.then_some(gap)
        })
    }
}
