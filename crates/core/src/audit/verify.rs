//! Checks a whole trail as it streams by: checkpoints first, then chain by chain, then what is in none.

use std::collections::BTreeMap;

use super::{
    At, AuditKey, Birth, Checkpoint, Finding, Hash, PublicKey, Record, Report, Tag, known::Known,
};
use crate::time::Timestamp;

/// So far from its position it is looked where an event was written that has been moved.
const REACH: i64 = 1000;
/// And for so many events.
const MOVED: u32 = 100;

/// An event with its place in its chain, as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Linked<'a> {
    /// What it tells.
    pub record: Record<'a>,
    /// Its chain.
    pub chain: &'a str,
    /// Its position there.
    pub position: i64,
    /// The hash that it says it follows.
    pub previous: Option<Hash>,
    /// Its hash.
    pub hash: Option<Hash>,
    /// Its tag.
    pub tag: Option<Tag>,
}

impl Linked<'_> {
    pub(super) fn at(&self) -> At {
        At {
            event: self.record.id.to_owned(),
            account: self.record.account.to_owned(),
            chain: self.chain.to_owned(),
            position: self.position,
        }
    }

    /// Whether it holds what its hash is of.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole_at(self.position)
    }

    fn is_whole_at(&self, position: i64) -> bool {
        let hash = self.previous.map(|previous| self.record.hash(self.chain, position, &previous));
        hash.is_some() && hash == self.hash
    }

    /// Where it was written, if that is near and another position.
    fn origin(&self) -> Option<i64> {
        let near = self.position.saturating_sub(REACH)..=self.position.saturating_add(REACH);
        near.into_iter().find(|position| self.is_whole_at(*position))
    }
}

/// How far the chain that is being walked is seen.
#[derive(Default)]
struct Walk {
    chain: String,
    /// The position that comes next.
    next: i64,
    /// The hash that the next event follows, if that is known.
    follows: Option<Hash>,
    /// Whether its tags are of the audit key that is at hand.
    is_tagged: bool,
    /// The event before, unless something was found about it.
    before: Option<At>,
    /// Whether all before it were removed, as was signed.
    is_after_edge: bool,
    /// The last position that is as a checkpoint signed it.
    signed: i64,
    /// Whether it was found that it is not what was signed.
    is_rewritten: bool,
}

/// Checks a trail. What it holds is bounded by how many chains there are, and not by how many events.
///
/// Order: [`Verifier::key`], [`Verifier::checkpoint`] by number, [`Verifier::end_log`], then of each chain
/// [`Verifier::begin`], [`Verifier::event`] by position and [`Verifier::end`], then [`Verifier::unchained`] and
/// [`Verifier::finish`]. What was found is taken in between ([`Verifier::found`]).
pub struct Verifier<'k> {
    trusted: PublicKey,
    secret: Option<&'k AuditKey>,
    keys: BTreeMap<String, PublicKey>,
    chains: BTreeMap<String, Known>,
    /// The last checkpoint, unless something was found about it.
    last: Option<Checkpoint>,
    /// The number of the next one.
    number: i64,
    /// Whether the trusted key has signed one.
    is_trusted: bool,
    /// The first one since the trusted key signed that is signed by another.
    untrusted: Option<i64>,
    /// A checkpoint that must be in the log, and was not seen yet.
    expected: Option<(i64, Hash)>,
    /// When the first checkpoint or the first chain was made.
    since: Option<Timestamp>,
    walk: Walk,
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
            keys: BTreeMap::new(),
            chains: BTreeMap::new(),
            last: None,
            number: 1,
            is_trusted: false,
            untrusted: None,
            expected: None,
            since: None,
            walk: Walk::default(),
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

    /// A public key that checkpoints may be signed with. It counts only if later ones of the trusted key follow.
    pub fn key(&mut self, key: PublicKey) {
        self.keys.insert(key.id().to_owned(), key);
    }

    /// The next checkpoint.
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.report.checkpoints += 1;
        let number = checkpoint.number;
        if number > self.number {
            self.find(Finding::CheckpointsRemoved { from: self.number, to: number - 1 });
            self.last = None;
        }
        let is_first = number == 1 && self.number == 1;
        let follows = self.last.as_ref().map(Checkpoint::hash);
        let follows = follows.or(is_first.then_some(Checkpoint::NOTHING));
        let is_trusted = checkpoint.key_id == self.trusted.id();
        let key = if is_trusted { Some(&self.trusted) } else { self.keys.get(&checkpoint.key_id) };
        let is_signed = key.is_some_and(|key| key.has_signed(&checkpoint));
        if !is_signed || number < self.number {
            self.find(Finding::CheckpointChanged { number });
            self.last = None;
            self.number = self.number.max(number.saturating_add(1));
            return;
        }
        if follows.is_some_and(|follows| follows != checkpoint.previous) {
            self.find(Finding::CheckpointReplaced { number });
        }
        if is_trusted {
            (self.is_trusted, self.untrusted) = (true, None);
        } else if self.is_trusted {
            self.find(Finding::CheckpointForged { number });
        } else {
            self.untrusted.get_or_insert(number);
        }
        self.take(checkpoint);
    }

    fn take(&mut self, checkpoint: Checkpoint) {
        let Checkpoint { number, created_at, .. } = checkpoint;
        for head in &checkpoint.heads {
            self.chains.entry(head.chain.clone()).or_default().note(head, number);
            if head.is_edge {
                self.report.expired_at = self.report.expired_at.max(Some(created_at));
            }
        }
        self.since = Some(self.since.map_or(created_at, |since| since.min(created_at)));
        let hash = checkpoint.hash();
        self.expected = self.expected.filter(|expected| *expected != (number, hash));
        self.report.newest = Some((number, hash, created_at));
        self.number = number.saturating_add(1);
        self.last = Some(checkpoint);
    }

    /// There are no more checkpoints.
    pub fn end_log(&mut self) {
        if let Some(number) = self.untrusted {
            self.find(Finding::CheckpointForged { number });
        }
        if let Some((number, _)) = self.expected {
            self.find(Finding::SetBack { number });
        }
        let edges = self.chains.values().map(|known| u64::try_from(known.edge()).unwrap_or(0));
        self.report.expired = edges.sum();
    }

    /// Begins a chain. `birth`: what is stored of how it began.
    pub fn begin(&mut self, chain: &str, birth: Option<&Birth>) {
        self.report.chains += 1;
        let known = self.chains.entry(chain.to_owned()).or_default();
        known.is_walked = true;
        self.walk = Walk { chain: chain.to_owned(), next: 1, ..Walk::default() };
        let Some(birth) = birth else {
            return self.find(Finding::BirthChanged { chain: chain.to_owned() });
        };
        let started_at = birth.started_at;
        self.since = Some(self.since.map_or(started_at, |since| since.min(started_at)));
        self.walk.follows = Some(birth.hash());
        self.walk.is_tagged = self.secret.is_some_and(|key| key.id() == birth.key_id);
    }

    /// The next event of the chain.
    pub fn event(&mut self, event: &Linked<'_>) {
        self.report.events += 1;
        let known = self.chains.get(&self.walk.chain);
        let (covered, edge) = known.map_or((0, None), |known| (known.covered(), known.edge));
        if event.position > covered {
            self.report.uncovered += 1;
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
        let finding = self.judge(event, is_whole, covered);
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
    fn skip(&mut self, to: i64, edge: Option<(i64, Hash)>) {
        let (edge, hash) = edge.map_or((0, None), |(edge, hash)| (edge, Some(hash)));
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
    fn judge(&mut self, event: &Linked<'_>, is_whole: bool, covered: i64) -> Option<Finding> {
        if !is_whole {
            self.moved += 1;
            let origin = (self.moved <= MOVED).then(|| event.origin()).flatten();
            return Some(match origin {
                Some(origin) => Finding::Moved(event.at(), origin),
                None => Finding::Changed(event.at()),
            });
        }
        let secret = self.secret?;
        let is_ours = match (self.walk.is_tagged, event.hash, event.tag) {
            (true, Some(hash), Some(tag)) => secret.tag(&hash) == tag,
            (true, ..) => false,
            // Of a master key from before: what it wrote must be covered.
            (false, ..) => event.position <= covered,
        };
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

    /// An event that is in no chain.
    pub fn unchained(&mut self, account: &str, id: &str, created_at: Timestamp) {
        if self.since.is_some_and(|since| created_at > since) {
            self.stray(account, id);
        } else {
            self.report.unchained += 1;
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

    /// There is no more of the trail.
    pub fn finish(&mut self) {
        let missing = self.chains.iter().filter(|(_, known)| !known.is_walked);
        let missing: Vec<_> =
            missing.map(|(chain, known)| (chain.clone(), known.covered())).collect();
        for (chain, events) in missing {
            self.find(Finding::ChainRemoved { chain, events });
        }
    }
}
