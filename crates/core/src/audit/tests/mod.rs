//! What verification finds of each way to change a trail.

mod log;

use super::{
    AuditKey, Birth, Checkpoint, Finding, Hash, Head, Linked, Part, Record, Report, Tag, Verifier,
    encoding::tests::{birth, record},
    key::tests::key,
};
use crate::time::Timestamp;

#[derive(Clone)]
struct Entry {
    id: String,
    reason: String,
    position: i64,
    previous: Hash,
    hash: Hash,
    tag: Option<Tag>,
}

/// A trail of one chain, as it is stored.
#[derive(Clone)]
struct Trail {
    birth: Option<Birth>,
    entries: Vec<Entry>,
    checkpoints: Vec<Checkpoint>,
}

impl Entry {
    fn record(&self) -> Record<'_> {
        Record { reason: Some(&self.reason), ..record(&self.id) }
    }

    /// Gives it the hash that fits, as whoever knows how can.
    fn hash_anew(&mut self) {
        self.hash = self.record().hash(CHAIN, self.position, &self.previous);
    }

    fn linked(&self) -> Linked<'_> {
        let (previous, hash) = (Some(self.previous), Some(self.hash));
        Linked {
            record: self.record(),
            chain: CHAIN,
            position: self.position,
            previous,
            hash,
            tag: self.tag,
        }
    }
}

const CHAIN: &str = "chn_00000000000000000000000004";
/// When checkpoints are made, unless it is said.
const NOW: i64 = 1_700_000_000_001;
const DAY: i64 = 86_400_000;

fn signer() -> AuditKey {
    key(1)
}

impl Trail {
    /// A trail with so many events, and a checkpoint after each of these.
    fn new(events: i64, checkpoints: &[i64]) -> Self {
        let mut trail = Self { birth: None, entries: vec![], checkpoints: vec![] };
        trail.sign_heads(&signer(), vec![], NOW);
        trail.birth = Some(trail.birth());
        for position in 1..=events {
            trail.append(&format!("evt_{position}"), Some(&signer()));
            if checkpoints.contains(&position) {
                trail.sign(&signer());
            }
        }
        trail
    }

    /// How a chain begins that begins now.
    fn birth(&self) -> Birth {
        let newest = self.checkpoints.last().unwrap();
        Birth { chain: CHAIN.into(), checkpoint: (newest.number, newest.hash()), ..birth() }
    }

    fn append(&mut self, id: &str, tagger: Option<&AuditKey>) {
        let birth = || self.birth.as_ref().unwrap().hash();
        let last = self.entries.last();
        let (position, previous) =
            last.map_or_else(|| (1, birth()), |it| (it.position + 1, it.hash));
        let (id, reason) = (id.to_owned(), format!("reason {position}"));
        let mut entry = Entry { id, reason, position, previous, hash: previous, tag: None };
        entry.hash_anew();
        entry.tag = tagger.map(|key| key.tag(&entry.hash));
        self.entries.push(entry);
    }

    fn sign(&mut self, key: &AuditKey) {
        let last = self.entries.last().unwrap();
        let (chain, position, hash) = (CHAIN.into(), last.position, last.hash);
        self.sign_heads(key, vec![Head { chain, position, hash, edge_of: None }], NOW);
    }

    /// Signs that the events up to a position were kept for long enough.
    fn expire(&mut self, position: i64, at: i64) {
        let found = self.entries.iter().find(|entry| entry.position == position).unwrap();
        let edge_of = Some(self.birth.as_ref().unwrap().hash());
        let head = Head { chain: CHAIN.into(), position, hash: found.hash, edge_of };
        self.sign_heads(&signer(), vec![head], at);
    }

    fn sign_heads(&mut self, key: &AuditKey, heads: Vec<Head>, at: i64) {
        let before = self.checkpoints.last();
        let mut checkpoint = Checkpoint {
            number: before.map_or(1, |before| before.number + 1),
            created_at: Timestamp::from_millis(at),
            previous: before.map_or(Checkpoint::NOTHING, Checkpoint::hash),
            heads,
            key_id: String::new(),
            signature: vec![],
        };
        key.sign(&mut checkpoint);
        self.checkpoints.push(checkpoint);
    }

    /// Links everything from an index on anew, as whoever knows how can.
    fn link_anew(&mut self, from: usize) {
        for at in from..self.entries.len() {
            if at > 0 {
                self.entries[at].previous = self.entries[at - 1].hash;
            }
            self.entries[at].hash_anew();
        }
    }

    fn read(&self, mut verifier: Verifier<'_>) -> (Vec<Finding>, Report) {
        self.checkpoints.iter().cloned().for_each(|checkpoint| verifier.checkpoint(checkpoint));
        verifier.end_log();
        if self.birth.is_some() || !self.entries.is_empty() {
            verifier.begin(CHAIN, self.birth.as_ref());
            self.entries.iter().for_each(|entry| verifier.event(&entry.linked()));
            verifier.end();
        }
        verifier.finish();
        (verifier.found(), verifier.report().clone())
    }

    /// What is found by whoever has the key.
    fn found(&self) -> Vec<Finding> {
        self.read(Verifier::with_key(&signer())).0
    }

    /// What is found by whoever has the public key.
    fn found_by_others(&self) -> Vec<Finding> {
        self.read(Verifier::with_public_key(signer().public())).0
    }
}

fn kinds(findings: &[Finding]) -> Vec<(&str, i64)> {
    findings.iter().map(|it| (it.kind(), it.at().map_or(0, |at| at.position))).collect()
}

fn removed(from: i64, to: i64) -> Finding {
    Finding::Removed { chain: CHAIN.into(), from, to }
}

#[test]
fn a_trail_as_it_was_written_has_no_findings() {
    let trail = Trail::new(10, &[3, 8]);
    assert_eq!(trail.found_by_others(), []);
    let (found, report) = trail.read(Verifier::with_key(&signer()));
    assert_eq!(found, []);
    assert_eq!((report.events, report.chains, report.checkpoints), (10, 1, 3));
    assert_eq!((report.uncovered, report.findings), (2, 0));
    assert_eq!(
        report.newest.map(|(number, hash, _)| (number, hash)),
        Some((3, trail.checkpoints[2].hash()))
    );
}

#[test]
fn an_event_that_was_changed_is_named_and_no_other() {
    let mut trail = Trail::new(10, &[10]);
    trail.entries[3].reason = "another".into();
    for found in [trail.found(), trail.found_by_others()] {
        assert_eq!(kinds(&found), [("changed", 4)]);
        assert!(found[0].to_string().contains("evt_4"), "{}", found[0]);
    }
}

#[test]
fn an_event_that_was_changed_together_with_its_hash_is_named() {
    let mut trail = Trail::new(10, &[10]);
    trail.entries[3].reason = "another".into();
    trail.entries[3].hash_anew();
    assert_eq!(kinds(&trail.found()), [("forged", 4)]);
    assert_eq!(kinds(&trail.found_by_others()), [("replaced", 4)]);
}

#[test]
fn a_chain_that_was_written_anew_does_not_pass_its_checkpoints() {
    let mut trail = Trail::new(10, &[2, 6, 9]);
    trail.entries[3].reason = "another".into();
    trail.link_anew(3);
    let rewritten = Finding::Rewritten { chain: CHAIN.into(), after: 2, to: 6, checkpoint: 3 };
    assert_eq!(trail.found_by_others(), [rewritten]);
    let found = trail.found();
    assert_eq!(kinds(&found)[0], ("forged", 4));
    assert_eq!(found.iter().filter(|it| it.kind() == "forged").count(), 7);
}

#[test]
fn an_event_that_was_removed_is_told_by_its_position() {
    let mut trail = Trail::new(10, &[10]);
    trail.entries.drain(3..5);
    assert_eq!(trail.found(), [removed(4, 5)]);
    assert_eq!(trail.found_by_others(), [removed(4, 5)]);
    let mut trail = Trail::new(10, &[10]);
    trail.entries.remove(0);
    assert_eq!(trail.found(), [removed(1, 1)]);
}

#[test]
fn the_end_can_be_cut_off_after_the_last_checkpoint_and_not_before_it() {
    let mut trail = Trail::new(10, &[4, 8]);
    trail.entries.truncate(8);
    assert_eq!(trail.found(), []);
    trail.entries.truncate(7);
    assert_eq!(trail.found_by_others(), [removed(8, 8)]);
}

#[test]
fn events_that_changed_places_are_told_to_be_reordered() {
    let mut trail = Trail::new(10, &[10]);
    (trail.entries[2].position, trail.entries[6].position) = (7, 3);
    trail.entries.swap(2, 6);
    assert_eq!(kinds(&trail.found_by_others()), [("moved", 3), ("moved", 7)]);
    let found = trail.found();
    assert!(found[0].to_string().contains("written at position 7"), "{}", found[0]);
}

#[test]
fn an_event_that_somebody_else_appended_is_told_where_the_key_is() {
    let mut trail = Trail::new(3, &[3]);
    trail.append("evt_x", None);
    trail.append("evt_y", Some(&key(2)));
    assert_eq!(kinds(&trail.found()), [("forged", 4), ("forged", 5)]);
    let (found, report) = trail.read(Verifier::with_public_key(signer().public()));
    assert_eq!((found, report.uncovered), (vec![], 2));
}

#[test]
fn a_chain_of_somebody_elses_is_told_where_the_key_is() {
    let mut trail = Trail::new(0, &[]);
    trail.append("evt_x", Some(&key(2)));
    assert_eq!(kinds(&trail.found()), [("forged", 1)]);
}

#[test]
fn a_position_is_used_once() {
    let mut trail = Trail::new(5, &[5]);
    let double = Entry { id: "evt_x".into(), ..trail.entries[2].clone() };
    trail.entries.insert(3, double);
    assert_eq!(kinds(&trail.found()), [("doubled", 3)]);
}

#[test]
fn a_chain_that_was_removed_is_missed() {
    let mut trail = Trail::new(5, &[4]);
    trail.entries.clear();
    let missed = [Finding::ChainRemoved { chain: CHAIN.into(), events: 4 }];
    assert_eq!(trail.found(), missed);
    trail.birth = None;
    assert_eq!(trail.found(), missed);
}

#[test]
fn how_a_chain_began_cannot_be_changed() {
    let mut trail = Trail::new(5, &[4]);
    trail.birth.as_mut().unwrap().started_at = Timestamp::from_millis(1);
    let changed = [Finding::BirthChanged { chain: CHAIN.into() }];
    assert_eq!(trail.found(), changed);
    trail.birth = None;
    assert_eq!(trail.found_by_others(), changed);
    // Also where nothing is left that follows it.
    let mut trail = Trail::new(5, &[4]);
    trail.expire(4, NOW + 2 * DAY);
    trail.entries.drain(..4);
    assert_eq!(trail.found_by_others(), []);
    trail.birth.as_mut().unwrap().node.push('x');
    assert_eq!(trail.found_by_others(), changed);
}

#[test]
fn a_chain_with_a_name_that_keyfob_gives_none_is_told() {
    let trail = Trail::new(3, &[3]);
    for name in ["", "chn_1", "Chn_00000000000000000000000004"] {
        let key = signer();
        let mut verifier = Verifier::with_key(&key);
        trail.checkpoints.iter().cloned().for_each(|checkpoint| verifier.checkpoint(checkpoint));
        verifier.end_log();
        verifier.begin(name, Some(&Birth { chain: name.into(), ..trail.birth() }));
        verifier.end();
        assert_eq!(kinds(&verifier.found()), [("birth_changed", 0)], "{name}");
    }
}

#[test]
fn a_chain_that_began_after_a_checkpoint_that_is_gone_tells_that_it_is() {
    let mut trail = Trail::new(5, &[4]);
    let whole = trail.clone();
    trail.birth = Some(trail.birth());
    trail.entries.clear();
    trail.append("evt_1", Some(&signer()));
    // Who removes the earlier chain removes its checkpoint with it.
    trail.checkpoints.truncate(1);
    let orphaned = [Finding::Orphaned { chain: CHAIN.into(), checkpoint: 2 }];
    assert_eq!(trail.found_by_others(), orphaned);
    // Another one with its number is not it.
    trail.sign(&signer());
    assert_eq!(trail.found(), orphaned);
    trail.checkpoints.clear();
    let log_removed = Finding::CheckpointsRemoved { from: 1, to: 1 };
    assert_eq!(trail.found()[0], log_removed);
    assert_eq!(Trail { checkpoints: vec![], ..whole }.found()[0], log_removed);
}

#[test]
fn a_chain_may_begin_while_the_trail_is_read() {
    let mut trail = Trail::new(5, &[4]);
    trail.birth = Some(trail.birth());
    trail.entries.clear();
    trail.append("evt_1", Some(&signer()));
    let newest = trail.checkpoints.pop().unwrap();
    let key = signer();
    let found = |newest: Checkpoint| {
        let mut verifier = Verifier::with_key(&key);
        trail.checkpoints.iter().cloned().for_each(|checkpoint| verifier.checkpoint(checkpoint));
        verifier.end_log();
        verifier.begin(CHAIN, trail.birth.as_ref());
        trail.entries.iter().for_each(|entry| verifier.event(&entry.linked()));
        verifier.end();
        verifier.later(newest);
        verifier.finish();
        verifier.found()
    };
    assert_eq!(found(newest.clone()), []);
    let created_at = Timestamp::from_millis(NOW + 1);
    let forged = found(Checkpoint { created_at, ..newest });
    assert_eq!(forged, [Finding::CheckpointChanged { number: 2 }]);
}

#[test]
fn what_is_remembered_of_a_chain_does_not_grow_with_its_checkpoints() {
    let all: Vec<_> = (1..=2000).collect();
    let mut trail = Trail::new(2000, &all);
    assert_eq!(trail.found_by_others(), []);
    trail.entries.pop();
    assert_eq!(trail.found_by_others(), [removed(2000, 2000)]);
    trail.entries[1000].reason = "another".into();
    trail.link_anew(1000);
    let found = trail.found_by_others();
    let Finding::Rewritten { after, to, .. } = &found[0] else { panic!("{found:?}") };
    assert!((900..=1000).contains(after) && (1001..=1100).contains(to), "{after} to {to}");
}

#[test]
fn of_a_part_each_event_and_its_neighbours_are_checked_in_either_order() {
    let trail = Trail::new(9, &[]);
    let found = |entries: &[Entry]| {
        let check = |order: &mut dyn Iterator<Item = &Entry>| {
            let mut part = Part::default();
            let found: Vec<_> = order.filter_map(|entry| part.event(&entry.linked())).collect();
            kinds(&found).iter().map(|(kind, _)| (*kind).to_owned()).collect::<Vec<_>>()
        };
        let both = (check(&mut entries.iter()), check(&mut entries.iter().rev()));
        assert_eq!(both.0, both.1);
        both.0
    };
    assert_eq!(found(&trail.entries), [""; 0]);
    // What is another account's is not there.
    let others: Vec<_> = trail.entries.iter().step_by(2).cloned().collect();
    assert_eq!(found(&others), [""; 0]);
    let mut changed = trail.clone();
    changed.entries[4].reason.clear();
    assert_eq!(found(&changed.entries), ["changed"]);
    changed.entries[4].hash_anew();
    assert_eq!(found(&changed.entries), ["replaced"]);
}
