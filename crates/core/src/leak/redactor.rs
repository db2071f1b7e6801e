//! Takes a body piece by piece and lets through what is no credential.

use std::{mem, ops::Range, sync::Arc};

use zeroize::Zeroizing;

use super::{Needles, search::Search};

/// What stands in the place of a credential.
pub const REDACTED: &str = "[redacted by keyfob]";

/// Takes a body piece by piece. Of each piece it keeps back an end in which an occurrence of some credential of the
/// same kind and length could begin, at most a few dozen times [`LONGEST`](super::LONGEST) bytes. What that is does
/// not depend on the credential itself.
pub struct Redactor {
    needles: Arc<Needles>,
    search: Search,
    held: Zeroizing<Vec<u8>>,
    found: u64,
    /// The last that was let through stands for an occurrence: one that touches it is part of it.
    is_behind_one: bool,
}

/// What passes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// So many of its first bytes, as they are. The others are kept back.
    Same(usize),
    /// What was written to `out`.
    Other,
}

impl Redactor {
    /// For a new body.
    #[must_use]
    pub fn new(needles: Arc<Needles>) -> Self {
        let (search, held) = (Search::default(), Zeroizing::default());
        Self { needles, search, held, found: 0, is_behind_one: false }
    }

    /// Takes the next piece, and adds to `out` what can be let through by now.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if let Passed::Same(count) = self.pass(piece, false, out) {
            out.extend_from_slice(&piece[..count]);
        }
    }

    /// The same, without a copy where nothing is found in the piece nor kept back before it. `is_last`: it
    /// ends the body, and nothing is kept back.
    pub fn pass(&mut self, piece: &[u8], is_last: bool, out: &mut Vec<u8>) -> Passed {
        if self.needles.is_empty() {
            return Passed::Same(piece.len());
        }
        let passed = self.decide(piece, is_last, out);
        if is_last {
            self.end();
        }
        passed
    }

    fn decide(&mut self, piece: &[u8], is_last: bool, out: &mut Vec<u8>) -> Passed {
        if !self.held.is_empty() {
            let kept = self.held.len();
            self.held.extend_from_slice(piece);
            self.go_on(kept, is_last, out);
            return Passed::Other;
        }
        self.search.run(&self.needles, piece, is_last);
        let decided = if is_last { piece.len() } else { self.needles.tail.start(piece, 0) };
        let (spans, decided) = self.search.take(&self.needles, piece, decided);
        self.held.extend_from_slice(&piece[decided..]);
        if spans.is_empty() {
            self.is_behind_one &= decided == 0;
            return Passed::Same(decided);
        }
        self.write(&piece[..decided], &spans, out);
        Passed::Other
    }

    /// Ends the body: adds to `out` what was kept back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            self.go_on(0, true, out);
        }
        self.end();
    }

    fn end(&mut self) {
        self.search = Search::default();
        self.is_behind_one = false;
    }

    /// How many occurrences were replaced; those that touch count as one.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.found
    }

    /// Whether something is kept back.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Goes on with what is held, of which the first `kept` bytes were before.
    fn go_on(&mut self, kept: usize, is_last: bool, out: &mut Vec<u8>) {
        let mut held = mem::take(&mut self.held);
        self.search.run(&self.needles, &held, is_last);
        let decided = if is_last { held.len() } else { self.needles.tail.start(&held, kept) };
        let (spans, decided) = self.search.take(&self.needles, &held, decided);
        self.write(&held[..decided], &spans, out);
        held.drain(..decided);
        self.held = held;
    }

    fn write(&mut self, text: &[u8], spans: &[Range<usize>], out: &mut Vec<u8>) {
        let mut written = 0;
        for span in spans {
            out.extend_from_slice(&text[written..span.start]);
            if span.start > written || !self.is_behind_one {
                out.extend_from_slice(REDACTED.as_bytes());
                self.found += 1;
            }
            self.is_behind_one = true;
            written = span.end;
        }
        out.extend_from_slice(&text[written..]);
        self.is_behind_one &= written == text.len();
    }
}

#[cfg(test)]
impl Redactor {
    /// How many bytes are kept back.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// How much work it was so far.
    pub(super) fn steps(&self) -> u64 {
        self.search.steps
    }
}

/// How much work a whole text is.
#[cfg(test)]
pub(super) fn steps(needles: &Needles, whole: &[u8]) -> u64 {
    let mut search = Search::default();
    search.run(needles, whole, true);
    search.steps
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

/// A whole text, such as a reason phrase or the value of a header, with [`REDACTED`] in the place of each
/// occurrence; `None` where there is none.
#[must_use]
pub fn redact(needles: &Needles, whole: &[u8]) -> Option<Vec<u8>> {
    if needles.is_empty() {
        return None;
    }
    let mut search = Search::default();
    search.run(needles, whole, true);
    let (spans, _) = search.take(needles, whole, whole.len());
    if spans.is_empty() {
        return None;
    }
    let mut written = 0;
    let mut out = Vec::with_capacity(whole.len());
    for span in &spans {
        out.extend_from_slice(&whole[written..span.start]);
        out.extend_from_slice(REDACTED.as_bytes());
        written = span.end;
    }
    out.extend_from_slice(&whole[written..]);
    Some(out)
}
