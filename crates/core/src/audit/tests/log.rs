//! What verification finds of each way to change the log, and of what was removed or sealed in its name.

use super::*;
use crate::audit::{BrokenLog, Log, SEALED};

#[test]
fn checkpoints_cannot_be_changed_removed_or_used_again() {
    let trail = Trail::new(9, &[2, 4, 6, 8]);
    let with = |change: fn(&mut Vec<Checkpoint>)| {
        let mut trail = trail.clone();
        change(&mut trail.checkpoints);
        trail.found()
    };
    let changed = |number| Finding::CheckpointChanged { number };
    let removed = |number| [Finding::CheckpointsRemoved { from: number, to: number }];
    assert_eq!(with(|log| log[1].heads[0].position = 3), [changed(2)]);
    assert_eq!(with(|log| log[1].signature[3] ^= 1), [changed(2)]);
    assert_eq!(with(|log| drop(log.remove(1))), removed(2));
    assert_eq!(with(|log| drop(log.remove(0))), removed(1));
    // An old one under a new number, and one more time under its own.
    let replayed = with(|log| log.push(Checkpoint { number: 6, ..log[0].clone() }));
    assert_eq!(replayed, [changed(6)]);
    assert_eq!(with(|log| log.push(log[0].clone())), [changed(1)]);
    assert_eq!(with(|log| log.swap(1, 2)).len(), 2);
}

#[test]
fn a_checkpoint_that_signs_another_past_is_told() {
    let mut trail = Trail::new(9, &[2, 4]);
    trail.checkpoints[2].previous = Hash::new([9; 32]);
    signer().sign(&mut trail.checkpoints[2]);
    assert_eq!(trail.found(), [Finding::CheckpointReplaced { number: 3 }]);
}

#[test]
fn what_another_key_signed_counts_for_nothing_whatever_follows_it() {
    // The whole past, written anew and signed with a key of somebody's own, before this vault goes on.
    let mut trail = Trail::new(4, &[]);
    trail.checkpoints.clear();
    trail.sign_heads(&key(2), vec![], NOW);
    trail.sign(&key(2));
    let forged = Finding::CheckpointForged { number: 1 };
    assert_eq!(trail.found_by_others()[0], forged);
    trail.append("evt_5", Some(&signer()));
    trail.sign(&signer());
    assert_eq!(trail.found_by_others()[0], forged);
    assert_eq!(trail.found()[0], forged);
    // And later.
    let mut trail = Trail::new(4, &[4]);
    trail.append("evt_5", Some(&signer()));
    trail.sign(&key(2));
    assert_eq!(trail.found(), [Finding::CheckpointForged { number: 3 }]);
    let mut log = Log::default();
    let public = signer().public();
    assert_eq!(log.extend(&trail.checkpoints[..2], &public), Ok(()));
    assert_eq!(log.extend(&trail.checkpoints[2..], &public), Err(BrokenLog(3)));
    assert_eq!(log.newest(), Some((2, trail.checkpoints[1].hash())));
}

#[test]
fn a_log_is_followed_from_its_beginning_and_without_a_gap() {
    let trail = Trail::new(9, &[2, 4, 6]);
    let public = signer().public();
    let follow = |log: &[Checkpoint]| Log::default().extend(log, &public);
    assert_eq!(follow(&trail.checkpoints), Ok(()));
    assert_eq!(follow(&[]), Err(BrokenLog(1)));
    assert_eq!(follow(&trail.checkpoints[1..]), Err(BrokenLog(1)));
    let mut gap = trail.checkpoints.clone();
    gap.remove(2);
    assert_eq!(follow(&gap), Err(BrokenLog(3)));
    let mut changed = trail.checkpoints.clone();
    changed[1].heads[0].position += 1;
    assert_eq!(follow(&changed), Err(BrokenLog(3)));
    let mut log = Log::default();
    log.extend(&trail.checkpoints[..2], &public).unwrap();
    assert_eq!(log.covered(CHAIN), Some((2, trail.entries[1].hash)));
    log.extend(&trail.checkpoints[2..], &public).unwrap();
    assert_eq!(log.covered(CHAIN), Some((6, trail.entries[5].hash)));
    let later = |hours: i64| Timestamp::from_millis(NOW + hours * 3_600_000);
    assert_eq!(log.covered_before(CHAIN, later(0)), 0);
    assert_eq!(log.covered_before(CHAIN, later(1)), 6);
    assert_eq!((log.covered("x"), log.covered_before("x", later(9))), (None, 0));
}

#[test]
fn a_trail_that_was_set_back_is_told_by_whoever_noted_a_checkpoint() {
    let mut trail = Trail::new(9, &[2, 4, 6]);
    let noted = trail.checkpoints[3].hash();
    let found = |trail: &Trail, number, hash| {
        let key = signer();
        let mut verifier = Verifier::with_key(&key);
        verifier.expect(number, hash);
        trail.read(verifier).0
    };
    assert_eq!(found(&trail, 4, noted), []);
    assert_eq!(found(&trail, 3, noted), [Finding::SetBack { number: 3 }]);
    trail.entries.truncate(4);
    trail.checkpoints.truncate(3);
    assert_eq!(trail.found(), []);
    assert_eq!(found(&trail, 4, noted), [Finding::SetBack { number: 4 }]);
}

#[test]
fn what_was_removed_because_it_was_old_enough_is_no_finding() {
    let whole = Trail::new(10, &[3, 6]);
    let mut trail = whole.clone();
    trail.expire(4, NOW + 2 * DAY);
    // In the midst of it, and after it.
    for left in [10, 8, 6] {
        trail.entries = whole.entries[10 - left..].to_vec();
        let (found, report) = trail.read(Verifier::with_key(&signer()));
        assert_eq!((found, report.expired), (vec![], 4), "{left} left");
        assert_eq!(report.expired_at, Some(Timestamp::from_millis(NOW + 2 * DAY)));
    }
    trail.entries = whole.entries[5..].to_vec();
    assert_eq!(trail.found_by_others(), [removed(5, 5)]);
    trail.entries = whole.entries[4..].to_vec();
    trail.entries[0].previous = Hash::new([9; 32]);
    trail.link_anew(0);
    let rewritten = Finding::Rewritten { chain: CHAIN.into(), after: 4, to: 5, checkpoint: 4 };
    assert_eq!(trail.found_by_others()[0], rewritten);
    // All of it.
    let mut trail = Trail::new(5, &[5]);
    trail.expire(5, NOW + 2 * DAY);
    trail.entries.clear();
    assert_eq!(trail.found(), []);
}

#[test]
fn what_was_not_signed_for_a_day_cannot_have_been_kept_for_long_enough() {
    let mut trail = Trail::new(5, &[3]);
    let early = |to| [Finding::ExpiredEarly { chain: CHAIN.into(), to, checkpoint: 3 }];
    for (to, after, expected) in [
        (3, DAY, &early(3)[..]),
        (3, DAY + 3_600_000, &[]),
        (4, 2 * DAY, &early(4)),
        (2, 2 * DAY, &[]),
    ] {
        trail.checkpoints.truncate(2);
        trail.expire(to, NOW + after);
        assert_eq!(trail.found(), expected, "{to} after {after}");
    }
}

/// What is found of events in no chain, where some of them were sealed and some have expired.
fn found_outside(sealed: &[&str], expired: usize, there: &[&str]) -> (Vec<Finding>, u64) {
    let (mut hash, mut hashes) = (Checkpoint::NOTHING, vec![]);
    for (position, id) in (1_i64..).zip(sealed) {
        hash = record(id).hash(SEALED, position, &hash);
        hashes.push((position, hash));
    }
    let head = |(position, hash), edge_of| Head { chain: SEALED.into(), position, hash, edge_of };
    let mut trail = Trail { birth: None, entries: vec![], checkpoints: vec![] };
    let seal = hashes.last().map(|last| head(*last, None));
    trail.sign_heads(&signer(), seal.into_iter().collect(), NOW);
    if expired > 0 {
        let edge = head(hashes[expired - 1], Some(Checkpoint::NOTHING));
        trail.sign_heads(&signer(), vec![edge], NOW + 2 * DAY);
    }
    let mut verifier = Verifier::with_public_key(signer().public());
    trail.checkpoints.into_iter().for_each(|checkpoint| verifier.checkpoint(checkpoint));
    verifier.end_log();
    for id in there {
        verifier.unchained(&record(id));
    }
    verifier.finish();
    (verifier.found(), verifier.report().unchained)
}

#[test]
fn an_event_in_no_chain_must_have_been_sealed() {
    assert_eq!(found_outside(&["a", "b"], 0, &["a", "b"]), (vec![], 2));
    assert_eq!(found_outside(&["a", "b"], 1, &["b"]), (vec![], 1));
    assert_eq!(found_outside(&["a", "b"], 2, &[]), (vec![], 0));
    let broken = |sealed, found| vec![Finding::SealBroken { sealed, found }];
    for there in [&["a", "b", "x"][..], &["x", "a", "b"], &["a", "x"], &["a"], &[]] {
        let found = i64::try_from(there.len()).unwrap();
        assert_eq!(found_outside(&["a", "b"], 0, there).0, broken(2, found), "{there:?}");
    }
    assert_eq!(found_outside(&["a", "b"], 1, &["x"]).0, broken(1, 1));
    // However old it says it is.
    assert_eq!(kinds(&found_outside(&[], 0, &["x"]).0), [("unchained", 0)]);
    assert_eq!(kinds(&found_outside(&["a", "b"], 2, &["b"]).0), [("unchained", 0)]);
}

#[test]
fn there_are_as_many_events_as_were_seen() {
    let found = |before, after, seen| {
        let mut verifier = Verifier::with_public_key(signer().public());
        verifier.counted(before, after, seen);
        verifier.found()
    };
    assert_eq!(found(3, 5, 3), []);
    assert_eq!(found(3, 5, 5), []);
    assert_eq!(found(3, 5, 2), [Finding::Miscounted { stored: 3, seen: 2 }]);
    assert_eq!(found(3, 5, 6), [Finding::Miscounted { stored: 5, seen: 6 }]);
}

#[test]
fn a_chain_that_comes_twice_is_told() {
    let trail = Trail::new(4, &[4]);
    let key = signer();
    let mut verifier = Verifier::with_key(&key);
    trail.checkpoints.iter().cloned().for_each(|checkpoint| verifier.checkpoint(checkpoint));
    verifier.end_log();
    for _ in 0..2 {
        verifier.begin(CHAIN, trail.birth.as_ref());
        trail.entries.iter().for_each(|entry| verifier.event(&entry.linked()));
        verifier.end();
    }
    verifier.finish();
    assert_eq!(verifier.found(), [Finding::ChainDoubled { chain: CHAIN.into() }]);
}

#[test]
fn what_no_checkpoint_covers_is_unproved_without_the_key_of_the_tags() {
    let trail = Trail::new(10, &[3, 8]);
    assert_eq!(trail.read(Verifier::with_key(&signer())).1.unproved, 0);
    assert_eq!(trail.read(Verifier::with_public_key(signer().public())).1.unproved, 2);
}
