//! Finds every occurrence of the texts, in whatever mixture of escapes, in one pass.
//!
//! A place in a body can be read in more than one way, and an occurrence may follow any of them. So each
//! reading is followed by a thread of its own, which knows how many characters of a text end here. Threads
//! of the same text at the same place that know the same are one, so work per byte is bounded.

use std::{mem, ops::Range};

use super::{
    Needles,
    sieve::Places,
    text::{Alphabet, Text},
    unit::{self, Unit},
};

/// So many readings of one text are followed at one place. More than three take a credential that is made
/// of escapes itself.
const MOST_READINGS: usize = 8;

/// A reading that ends at `at`, and has the first `matched` characters of a text behind it. The first
/// `gone` of them are decided already; the others begin at `start`.
#[derive(Clone, Copy)]
struct Thread {
    at: usize,
    start: usize,
    gone: usize,
    text: usize,
    matched: usize,
    line_break: Break,
}

/// How much of a line break was read behind a character of base64.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Break {
    None,
    Return,
    Whole,
}

/// A pass through a body, as far as it has come. Places count from the first byte that is kept.
#[derive(Default)]
pub(super) struct Search {
    at: usize,
    threads: Vec<Thread>,
    /// Occurrences, in order and apart from each other.
    found: Vec<Range<usize>>,
    arrived: Vec<Thread>,
    units: Vec<Unit>,
    /// Bytes that were looked at closely, and readings of them that were followed.
    #[cfg(test)]
    pub(super) steps: u64,
}

impl Search {
    /// Goes on to the end of `body`, which begins with what was kept. `is_last`: nothing comes behind it.
    pub(super) fn run(&mut self, needles: &Needles, body: &[u8], is_last: bool) {
        let mut units = mem::take(&mut self.units);
        let mut places = None;
        loop {
            if self.threads.is_empty() {
                let Some(place) = self.next(needles, body, is_last, &mut places, &mut units) else {
                    self.at = body.len();
                    break;
                };
                self.at = needles.sieve.beginning(body, self.at, place);
                self.look(needles, body, is_last, place, &mut units);
            } else {
                self.look(needles, body, is_last, self.at, &mut units);
            }
            if self.at >= body.len() || self.is_cut(body, is_last, &mut units) {
                break;
            }
        }
        self.units = units;
    }

    /// The next place at which an occurrence could be. The end is one, unless nothing comes behind it: an
    /// occurrence that is all there has an escape or its sure run.
    fn next<'a>(
        &self,
        needles: &'a Needles,
        body: &'a [u8],
        is_last: bool,
        places: &mut Option<Places<'a>>,
        units: &mut Vec<Unit>,
    ) -> Option<usize> {
        if is_last && body.len() - self.at < needles.shortest {
            return None;
        }
        let places =
            places.get_or_insert_with(|| Places::new(&needles.sieve, body, self.at, &mut *units));
        places.next(self.at, units).or((!is_last).then_some(body.len()))
    }

    /// Follows every reading up to `place` and as long as there is one.
    fn look(
        &mut self,
        needles: &Needles,
        body: &[u8],
        is_last: bool,
        place: usize,
        units: &mut Vec<Unit>,
    ) {
        while self.at < body.len() && (self.at <= place || !self.threads.is_empty()) {
            if self.threads.is_empty() && !needles.begins.has(body[self.at]) {
                self.at += 1;
                continue;
            }
            if unit::read(&body[self.at..], is_last, units).is_err() {
                return;
            }
            self.step(needles, body, units);
        }
    }

    fn is_cut(&self, body: &[u8], is_last: bool, units: &mut Vec<Unit>) -> bool {
        unit::read(&body[self.at..], is_last, units).is_err()
    }

    /// Takes the threads that are here, and a new one for each text that none of them is about, over
    /// every reading.
    fn step(&mut self, needles: &Needles, body: &[u8], units: &[Unit]) {
        #[cfg(test)]
        self.count();
        let mut arrived = mem::take(&mut self.arrived);
        let at = self.at;
        self.threads.retain(|thread| {
            if thread.at == at {
                arrived.push(*thread);
            }
            thread.at != at
        });
        for unit in units {
            for thread in &arrived {
                self.follow(needles, body, *thread, unit);
            }
            if needles.begins.has(unit.bytes()[0]) {
                for text in 0..needles.texts.len() {
                    if arrived.iter().all(|thread| thread.text != text) {
                        let line_break = Break::None;
                        let fresh = Thread { at, start: at, gone: 0, text, matched: 0, line_break };
                        self.follow(needles, body, fresh, unit);
                    }
                }
            }
        }
        arrived.clear();
        self.arrived = arrived;
        self.at += 1;
    }

    fn follow(&mut self, needles: &Needles, body: &[u8], mut thread: Thread, unit: &Unit) {
        #[cfg(test)]
        self.count();
        let text = &needles.texts[thread.text];
        thread.at = self.at + unit.len;
        if let Some(line_break) = thread.breaks_line(text, unit) {
            self.add(Thread { line_break, ..thread });
            return;
        }
        thread.line_break = Break::None;
        for (index, byte) in unit.bytes().iter().enumerate() {
            let matched = text.step(thread.matched, *byte);
            if matched <= index + 1 {
                (thread.start, thread.gone) = (self.at, 0);
            } else if matched <= thread.matched {
                let dropped = thread.matched + 1 - matched;
                thread.drop_first(text, &body[..self.at], dropped);
            }
            thread.matched = matched;
            if matched == text.len() {
                note(&mut self.found, thread.start..thread.at);
                // What overlaps begins in what is decided by that.
                thread.start = thread.at;
                thread.matched = text.overlap(*byte);
                thread.gone = thread.matched;
            }
        }
        if thread.matched > 0 {
            self.add(thread);
        }
    }

    fn add(&mut self, thread: Thread) {
        let same_text = |other: &&mut Thread| other.at == thread.at && other.text == thread.text;
        let mut readings = 0;
        for other in self.threads.iter_mut().filter(same_text) {
            if other.matched == thread.matched {
                other.start = other.start.min(thread.start);
                return;
            }
            readings += 1;
        }
        if readings < MOST_READINGS {
            self.threads.push(thread);
        }
    }

    #[cfg(test)]
    fn count(&mut self) {
        self.steps += 1;
    }

    /// The occurrences that begin before `decided`, and where the last of them ends if that is further.
    /// From there on places count anew.
    pub(super) fn take(
        &mut self,
        needles: &Needles,
        body: &[u8],
        decided: usize,
    ) -> (Vec<Range<usize>>, usize) {
        let count = self.found.partition_point(|span| span.start < decided);
        let mut taken: Vec<_> = self.found.drain(..count).collect();
        let decided = taken.last().map_or(decided, |span| span.end.clamp(decided, self.at));
        // An occurrence ends behind what is looked at if a reading of it is longer than another one.
        if let Some(last) = taken.last_mut().filter(|last| last.end > decided) {
            self.found.insert(0, decided..last.end);
            last.end = decided;
        }
        self.at -= decided;
        for thread in &mut self.threads {
            thread.begin_at(&needles.texts[thread.text], body, decided);
            thread.at -= decided;
            thread.start -= decided;
        }
        for span in &mut self.found {
            *span = span.start - decided..span.end - decided;
        }
        (taken, decided)
    }
}

impl Thread {
    /// What is read of a line break by now, if this is a part of one and the text may have some.
    fn breaks_line(&self, text: &Text, unit: &Unit) -> Option<Break> {
        if text.alphabet != Alphabet::Base64 || self.matched == 0 {
            return None;
        }
        match (self.line_break, unit.bytes()) {
            (Break::None, b"\r") => Some(Break::Return),
            (Break::None | Break::Return, b"\n") => Some(Break::Whole),
            _ => None,
        }
    }

    /// Begins so many characters later.
    fn drop_first(&mut self, text: &Text, body: &[u8], dropped: usize) {
        let first = self.gone.max(dropped);
        (self.start, _) = walk(text, body, self.start, self.gone, |_, passed| passed >= first);
        self.gone = first - dropped;
    }

    /// Begins at `decided`, if it began before.
    fn begin_at(&mut self, text: &Text, body: &[u8], decided: usize) {
        (self.start, self.gone) =
            walk(text, body, self.start, self.gone, |start, _| start >= decided);
        self.start = self.start.max(decided);
    }
}

/// Follows an occurrence from its character `passed`, which begins at `start`, until it is there: where that
/// is, and how many characters lie before it.
fn walk(
    text: &Text,
    body: &[u8],
    mut start: usize,
    mut passed: usize,
    is_there: impl Fn(usize, usize) -> bool,
) -> (usize, usize) {
    let mut units = Vec::new();
    while !is_there(start, passed) && start < body.len() {
        let _ = unit::read(&body[start..], true, &mut units);
        let fits = |unit: &&Unit| {
            let mut bytes = unit.bytes().iter().enumerate();
            passed + unit.bytes().len() <= text.len()
                && bytes.all(|(index, byte)| text.accepts(passed + index, *byte))
        };
        let is_break = |unit: &&Unit| matches!(unit.bytes(), b"\r" | b"\n");
        if let Some(unit) = units.iter().find(fits) {
            passed += unit.bytes().len();
            start += unit.len;
        } else if let Some(unit) = units.iter().find(is_break) {
            start += unit.len;
        } else {
            break;
        }
    }
    (start, passed)
}

/// Adds an occurrence to those that were found; what overlaps or touches becomes one.
fn note(found: &mut Vec<Range<usize>>, mut span: Range<usize>) {
    while let Some(last) = found.pop_if(|last| last.end >= span.start) {
        span = last.start.min(span.start)..last.end.max(span.end);
    }
    found.push(span);
}
