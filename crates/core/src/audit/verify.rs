//! Checks a whole trail as it streams by: checkpoints first, then chain by chain, then what is in none.

use std::{collections::BTreeMap, time::Duration};

use super::{
    At, AuditKey, Birth, Checkpoint, Edge, Finding, Hash, Linked, PublicKey, Record, Report,
    SEALED, known::Known, walk::Walk,
};
use crate::id::ChainId;

/// For so many events it is looked where they were written, if they were moved.
const MOVED: u32 = 100;
/// Nothing is removed by retention that was not signed for so long.
const DAY: Duration = Duration::from_hours(24);

/// Checks a trail. What it holds is bounded by how many chains there are, and not by how many events; of each
/// checkpoint it holds 16 bytes.
///
/// Order: [`Verifier::checkpoint`] by number, [`Verifier::end_log`], then of each chain [`Verifier::begin`],
/// [`Verifier::event`] by position and [`Verifier::end`], then [`Verifier::anchored`] in any order, [`Verifier::unchained`] by time, account and id,
/// [`Verifier::later`] and [`Verifier::finish`]. What was found is taken in between ([`Verifier::found`]).
pub struct Verifier<'k> {
    trusted: PublicKey,
    secret: Option<&'k AuditKey>,
    chains: BTreeMap<String, Known>,
    /// The hash of the first checkpoint, if it is signed.
    first: Option<Hash>,
    /// How many data keys were wrapped together with another one.
    astray: u64,
    /// The last checkpoint, unless something was found about it.
    last: Option<Checkpoint>,
    /// The number of the next one.
    number: i64,
    /// The numbers of those that count, with the first bytes of their hashes.
    signed: Vec<(i64, [u8; 8])>,
    /// Chains that began after a checkpoint that was not seen yet: its number and hash.
    births: BTreeMap<String, (i64, Hash)>,
    /// Whether the checkpoint before was signed by another key.
    is_foreign: bool,
    /// A checkpoint that must be in the log, and was not seen yet.
    expected: Option<(i64, Hash)>,
    walk: Walk,
    /// How many events in no chain were seen, and what the next one follows.
    sealed: Option<(i64, Hash)>,
    moved: u32,
    found: Vec<Finding>,
    report: Report,
}

impl<'k> Verifier<'k> {
    /// Trusts the holder of a public key only.
    #[must_use]
    pub fn with_public_key(trusted: PublicKey) -> Self {
        Self {
            trusted,
            secret: None,
            chains: BTreeMap::new(),
            first: None,
            astray: 0,
            last: None,
            number: 1,
            signed: Vec::new(),
            births: BTreeMap::new(),
            is_foreign: false,
            expected: None,
            walk: Walk::default(),
            sealed: None,
            moved: 0,
            found: Vec::new(),
            report: Report::default(),
        }
    }

    /// Also checks the tags of events, which tell of those that no checkpoint covers yet.
    #[must_use]
    pub fn with_key(secret: &'k AuditKey) -> Self {
        Self { secret: Some(secret), ..Self::with_public_key(secret.public()) }
    }

    /// What was found since this was asked before.
    pub fn found(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.found)
    }

    /// What was looked at so far.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    fn find(&mut self, finding: Finding) {
        self.report.findings += 1;
        self.found.push(finding);
    }

    /// The checkpoint with this number must have this hash: it was noted somewhere else, where nobody could set
    /// it back together with the trail.
    pub fn expect(&mut self, number: i64, hash: Hash) {
        self.expected = Some((number, hash));
    }

    /// The next checkpoint.
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.report.checkpoints += 1;
        if !self.is_next(&checkpoint) {
            return;
        }
        let Checkpoint { number, created_at, .. } = checkpoint;
        for head in &checkpoint.heads {
            let known = self.chains.entry(head.chain.clone()).or_default();
            let is_early = head.edge_of.is_some()
                && head.position > known.covered_before(created_at.minus(DAY));
            known.note(head, number, created_at);
            if is_early {
                let (chain, to, checkpoint) = (head.chain.clone(), head.position, number);
                self.find(Finding::ExpiredEarly { chain, to, checkpoint });
            }
            if head.edge_of.is_some() {
                self.report.expired_at = self.report.expired_at.max(Some(created_at));
            }
        }
        let hash = checkpoint.hash();
        self.expected = self.expected.filter(|expected| *expected != (number, hash));
        if number == 1 {
            self.first = Some(hash);
            self.report.first = Some((hash, created_at));
        }
        self.report.newest = Some((number, hash, created_at));
        self.last = Some(checkpoint);
    }

    /// A checkpoint that was made while the chains were read: it says no more than that it is there.
    pub fn later(&mut self, checkpoint: Checkpoint) {
        if self.is_next(&checkpoint) {
            self.last = Some(checkpoint);
        }
    }

    /// Whether it is signed; it is also compared with the one before.
    fn is_next(&mut self, checkpoint: &Checkpoint) -> bool {
        let number = checkpoint.number;
        if number > self.number {
            self.find(Finding::CheckpointsRemoved { from: self.number, to: number - 1 });
            self.last = None;
        }
        let is_first = number == 1 && self.number == 1;
        let follows = self.last.as_ref().map(Checkpoint::hash);
        let follows = follows.or(is_first.then_some(Checkpoint::NOTHING));
        let is_foreign = checkpoint.key_id != self.trusted.id();
        let is_signed = number >= self.number && self.trusted.has_signed(checkpoint);
        self.number = self.number.max(number.saturating_add(1));
        // Once for all that follow each other: it may be the key given that is another.
        let was_foreign = std::mem::replace(&mut self.is_foreign, is_foreign);
        if !is_signed {
            if !is_foreign {
                self.find(Finding::CheckpointChanged { number });
            } else if !was_foreign {
                self.find(Finding::CheckpointForged { number });
            }
            self.last = None;
            return false;
        }
        if follows.is_some_and(|follows| follows != checkpoint.previous) {
            self.find(Finding::CheckpointReplaced { number });
        }
        self.signed.push((number, first_of(&checkpoint.hash())));
        true
    }

    /// There are no more checkpoints.
    pub fn end_log(&mut self) {
        if self.number == 1 {
            // The first one is written before any event is.
            self.find(Finding::CheckpointsRemoved { from: 1, to: 1 });
        }
        if let Some((number, _)) = self.expected {
            self.find(Finding::SetBack { number });
        }
        let edges = self.chains.values().map(|known| u64::try_from(known.edge()).unwrap_or(0));
        self.report.expired = edges.sum();
    }

    /// A data key of the vault was wrapped together with the hash of this first checkpoint.
    pub fn anchored(&mut self, anchor: &Hash) {
        self.astray += u64::from(self.first.is_some_and(|first| first != *anchor));
    }

    /// Begins a chain. `birth`: what is stored of how it began.
    pub fn begin(&mut self, chain: &str, birth: Option<&Birth>) {
        self.report.chains += 1;
        let known = self.chains.entry(chain.to_owned()).or_default();
        let is_again = std::mem::replace(&mut known.is_walked, true);
        let edge = known.edge;
        if is_again {
            self.find(Finding::ChainDoubled { chain: chain.to_owned() });
        }
        self.walk = Walk { chain: chain.to_owned(), next: 1, ..Walk::default() };
        let is_right = |birth: &Birth| {
            let is_kept = edge.is_none_or(|(_, edge)| edge.birth == birth.hash());
            is_kept && ChainId::parse(chain).is_ok()
        };
        let Some(birth) = birth.filter(|birth| is_right(birth)) else {
            return self.find(Finding::BirthChanged { chain: chain.to_owned() });
        };
        self.walk.follows = Some(birth.hash());
        let (checkpoint, hash) = birth.checkpoint;
        if checkpoint >= self.number {
            self.births.insert(chain.to_owned(), birth.checkpoint);
        } else if !self.has_signed(checkpoint, &hash) {
            self.find(Finding::Orphaned { chain: chain.to_owned(), checkpoint });
        }
    }

    /// Whether the log has this checkpoint, as far as it is not told already that it has not.
    fn has_signed(&self, number: i64, hash: &Hash) -> bool {
        if number < 1 {
            return (number, *hash) == (0, Checkpoint::NOTHING);
        }
        let found = self.signed.binary_search_by_key(&number, |(number, _)| *number);
        found.map_or(number < self.number, |at| self.signed[at].1 == first_of(hash))
    }

    /// The next event of the chain.
    pub fn event(&mut self, event: &Linked<'_>) {
        self.report.events += 1;
        let known = self.chains.get(&self.walk.chain);
        let (covered, edge) = known.map_or((0, None), |known| (known.covered(), known.edge));
        if event.position > covered {
            self.report.uncovered += 1;
            self.report.unproved += u64::from(self.secret.is_none());
        }
        if event.position < self.walk.next {
            return self.find(Finding::Doubled(event.at()));
        }
        if event.position > self.walk.next {
            self.skip(event.position, edge);
        }
        let before = self.walk.before.take();
        let is_broken = self.walk.follows.is_some_and(|follows| event.previous != Some(follows));
        let is_whole = event.is_whole();
        let finding = self.judge(event, is_whole);
        if is_broken && finding.is_none() {
            self.misses(before, event.position);
        }
        self.walk.is_after_edge = false;
        self.walk.before = finding.is_none().then(|| event.at());
        if let Some(finding) = finding {
            self.find(finding);
        }
        if is_whole {
            self.compare(event);
        }
        (self.walk.next, self.walk.follows) = (event.position.saturating_add(1), event.hash);
    }

    /// The event at a position follows something else than what is `before` it, unless something was found about
    /// that already.
    fn misses(&mut self, before: Option<At>, position: i64) {
        let chain = self.walk.chain.clone();
        if let Some(before) = before {
            self.find(Finding::Replaced(before));
        } else if position == 1 {
            self.find(Finding::BirthChanged { chain });
        } else if self.walk.is_after_edge {
            let (after, known) = (position - 1, self.chains.get(&chain));
            let checkpoint =
                known.and_then(|known| known.at(after)).map_or(0, |(_, number)| number);
            self.find(Finding::Rewritten { chain, after, to: position, checkpoint });
        }
    }

    /// Positions up to `to` are missing.
    fn skip(&mut self, to: i64, edge: Option<(i64, Edge)>) {
        let (edge, hash) = edge.map_or((0, None), |(position, edge)| (position, Some(edge.hash)));
        let from = self.walk.next.max(edge.saturating_add(1));
        if from < to {
            self.find(Finding::Removed { chain: self.walk.chain.clone(), from, to: to - 1 });
        }
        self.walk.before = None;
        self.walk.next = to;
        self.walk.is_after_edge = edge > 0 && edge.checked_add(1) == Some(to);
        self.walk.follows = hash.filter(|_| self.walk.is_after_edge);
    }

    /// What is wrong with the event itself.
    fn judge(&mut self, event: &Linked<'_>, is_whole: bool) -> Option<Finding> {
        if !is_whole {
            self.moved += 1;
            let origin = (self.moved <= MOVED).then(|| event.origin()).flatten();
            return Some(match origin {
                Some(origin) => Finding::Moved(event.at(), origin),
                None => Finding::Changed(event.at()),
            });
        }
        let secret = self.secret?;
        let is_ours = event.hash.zip(event.tag).is_some_and(|(hash, tag)| secret.tag(&hash) == tag);
        (!is_ours).then(|| Finding::Forged(event.at()))
    }

    /// Compares an event with the checkpoint that names it.
    fn compare(&mut self, event: &Linked<'_>) {
        let known = self.chains.get(&self.walk.chain);
        let head = known.and_then(|known| known.at(event.position));
        let Some((hash, checkpoint)) = head else { return };
        if event.hash == Some(hash) {
            self.walk.signed = event.position;
        } else if !self.walk.is_rewritten {
            self.walk.is_rewritten = true;
            let (chain, after) = (self.walk.chain.clone(), self.walk.signed);
            self.find(Finding::Rewritten { chain, after, to: event.position, checkpoint });
        }
    }

    /// The chain has no more events.
    pub fn end(&mut self) {
        let known = self.chains.get(&self.walk.chain);
        let (covered, edge) = known.map_or((0, 0), |known| (known.covered(), known.edge()));
        let from = self.walk.next.max(edge.saturating_add(1));
        if from <= covered {
            let chain = self.walk.chain.clone();
            let nothing_is_left = self.walk.next == 1 && edge == 0;
            self.find(if nothing_is_left {
                Finding::ChainRemoved { chain, events: covered }
            } else {
                Finding::Removed { chain, from, to: covered }
            });
        }
        self.walk = Walk::default();
    }

    /// The next event that is in no chain.
    pub fn unchained(&mut self, record: &Record<'_>) {
        let Some(known) = self.chains.get(SEALED).filter(|known| known.covered() > known.edge())
        else {
            return self.stray(record.account, record.id);
        };
        let edge = known.edge.map_or((0, Checkpoint::NOTHING), |(at, edge)| (at, edge.hash));
        let (position, previous) = self.sealed.unwrap_or(edge);
        let position = position.saturating_add(1);
        self.sealed = Some((position, record.hash(SEALED, position, &previous)));
        self.report.unchained += 1;
    }

    /// Compares what is in no chain with what was sealed.
    fn end_unchained(&mut self) {
        let Some(known) = self.chains.get_mut(SEALED) else { return };
        known.is_walked = true;
        let (covered, edge) = (known.covered(), known.edge());
        if covered > edge && self.sealed != known.end().map(|end| (covered, end)) {
            let found = self.sealed.map_or(0, |(position, _)| position.saturating_sub(edge));
            self.find(Finding::SealBroken { sealed: covered.saturating_sub(edge), found });
        }
    }

    /// An event that says to be in a chain, but is not found there.
    pub fn stray(&mut self, account: &str, id: &str) {
        let (event, account) = (id.to_owned(), account.to_owned());
        self.find(Finding::Unchained(At { event, account, chain: String::new(), position: 0 }));
    }

    /// A row that cannot be read, and why.
    pub fn damaged(&mut self, what: String) {
        self.find(Finding::Damaged(what));
    }

    /// So many events were stored before it was looked at, so many after that, and so many were seen.
    pub fn counted(&mut self, before: u64, after: u64, seen: u64) {
        if !(before..=after).contains(&seen) {
            let stored = if seen < before { before } else { after };
            self.find(Finding::Miscounted { stored, seen });
        }
    }

    /// There is no more of the trail.
    pub fn finish(&mut self) {
        if self.astray > 0 {
            self.find(Finding::BegunAnew { keys: self.astray });
        }
        self.end_unchained();
        for (chain, (checkpoint, hash)) in std::mem::take(&mut self.births) {
            if checkpoint >= self.number || !self.has_signed(checkpoint, &hash) {
                self.find(Finding::Orphaned { chain, checkpoint });
            }
        }
        let missing = self.chains.iter().filter(|(_, known)| !known.is_walked);
        let missing: Vec<_> =
            missing.map(|(chain, known)| (chain.clone(), known.covered())).collect();
        for (chain, events) in missing {
            self.find(Finding::ChainRemoved { chain, events });
        }
    }
}

/// As much of the hash of a checkpoint that was signed as nobody else can make.
fn first_of(hash: &Hash) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    first
}
