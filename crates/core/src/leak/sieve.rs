//! Where a credential could be: almost all of a body is passed over without a closer look.
//!
//! An occurrence either has an escape in it, or is as it is. The first is found by its first escape: there
//! are few in most bodies, and one that counts stands for a character of a text behind the one before it.
//! The second is found by looking at eight bytes of every twenty or so: any run of as many characters of a
//! text as are sure to stand together holds a place that is looked at.

use memchr::memchr3;
use zeroize::Zeroizing;

use super::{
    set::ByteSet,
    text::{Alphabet, Text},
    unit::{self, Unit},
};

/// So many characters at the beginning of a text are enough to find it, and base64 is broken into lines
/// of no fewer.
const ENOUGH: usize = 64;
/// What is looked up at once, in bytes.
const GRAM: usize = 4;
/// The most bytes that a line break takes, however it is escaped, and some more.
const LONGEST_BREAK: usize = 32;
/// Pairs of bytes are looked up in a table of as many bits, as a power of two, and so many words.
const PAIR_BITS: u32 = 12;
const PAIR_WORDS: usize = 1 << (PAIR_BITS - 6);

/// What tells where a text could be.
pub(super) struct Sieve {
    /// Which two bytes stand together in a text, by their hash, one bit each; and behind [`PAIR_WORDS`],
    /// which four do.
    tables: Zeroizing<Vec<u64>>,
    gram_shift: u32,
    /// How many grams beside each other are looked up.
    depth: usize,
    /// From one place that is looked at to the next, in bytes.
    stride: usize,
    /// Which bytes a text can begin with, as far as they are known.
    openings: ByteSet,
    /// Which bytes an occurrence can have.
    parts: ByteSet,
    /// How far in front of a place that was found an occurrence can begin, in bytes.
    back: usize,
    is_encoded: bool,
}

impl Sieve {
    /// For these texts, each of at least [`GRAM`] characters that stand together.
    pub(super) fn new(texts: &[Text]) -> Self {
        let run = texts.iter().map(sure_run).min().unwrap_or(ENOUGH);
        let depth = if run >= 3 * GRAM { 2 } else { 1 };
        let count: usize = texts.iter().map(|text| beginning(text, run).len()).sum();
        let bits = (count * 16).next_power_of_two().clamp(1 << 10, 1 << 16);
        let mut sieve = Self {
            tables: Zeroizing::new(vec![0; PAIR_WORDS + bits / 64]),
            gram_shift: 32 - bits.ilog2(),
            depth,
            stride: run + 1 - depth * GRAM,
            openings: ByteSet::from(b""),
            parts: USUAL_PARTS,
            back: 2 * run + LONGEST_BREAK,
            is_encoded: texts.iter().any(|text| text.alphabet == Alphabet::Base64),
        };
        for text in texts {
            sieve.add(text, run);
        }
        sieve
    }

    fn add(&mut self, text: &Text, run: usize) {
        self.openings.add(text.beginnings());
        // Behind a first character that is known in part.
        self.openings.add(text.spellings(text.known()[0]));
        match text.alphabet {
            Alphabet::Bytes => {
                self.parts.add(text.known().iter().flat_map(|value| text.spellings(*value)));
            }
            Alphabet::Base64 => self.parts.add(*b"/-_\r\n"),
            // Those are usual.
            Alphabet::Hex => (),
        }
        let spellings: Vec<_> =
            beginning(text, run).iter().map(|value| text.spellings(*value).map(fold)).collect();
        for pair in spellings.windows(2) {
            self.add_pair(pair[0], pair[1]);
        }
        for gram in spellings.windows(GRAM) {
            self.add_gram(gram);
        }
    }

    fn add_pair(&mut self, left: [u8; 2], right: [u8; 2]) {
        for (left, right) in [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(l, r)| (left[l], right[r])) {
            set(&mut self.tables[..PAIR_WORDS], pair_hash(left, right));
        }
    }

    /// Adds every spelling of four characters.
    fn add_gram(&mut self, gram: &[[u8; 2]]) {
        let differs = gram.iter().any(|[one, other]| one != other);
        for choice in 0..if differs { 1_usize << GRAM } else { 1 } {
            let mut bytes = [0; GRAM];
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = gram[at][choice >> at & 1];
            }
            let hash = self.gram_hash(u32::from_le_bytes(bytes));
            set(&mut self.tables[PAIR_WORDS..], hash);
        }
    }

    fn gram_hash(&self, gram: u32) -> usize {
        ((gram | 0x2020_2020).wrapping_mul(0x9e37_79b1) >> self.gram_shift) as usize
    }

    fn has_gram(&self, gram: u32) -> bool {
        is_set(&self.tables[PAIR_WORDS..], self.gram_hash(gram))
    }

    /// Where a text could begin that is, or goes on, at `place`; not before `from`.
    pub(super) fn beginning(&self, body: &[u8], from: usize, place: usize) -> usize {
        let from = from.max(place.saturating_sub(self.back));
        let other = body[from..place].iter().rposition(|byte| !self.parts.has(*byte));
        other.map_or(from, |other| from + other + 1)
    }
}

/// The two places ahead at which a text could be. Looking for one does not disturb the other.
pub(super) struct Places<'a> {
    sieve: &'a Sieve,
    body: &'a [u8],
    gram: Option<usize>,
    escape: Option<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn new(
        sieve: &'a Sieve,
        body: &'a [u8],
        from: usize,
        units: &mut Vec<Unit>,
    ) -> Self {
        let mut places = Self { sieve, body, gram: None, escape: None };
        places.gram = places.next_gram(from);
        places.escape = places.next_escape(from, units);
        places
    }

    /// The first place from `from` on at which a text could be, or `None` but for one that goes on
    /// behind the end.
    pub(super) fn next(&mut self, from: usize, units: &mut Vec<Unit>) -> Option<usize> {
        if self.gram.is_some_and(|place| place < from) {
            self.gram = self.next_gram(from);
        }
        if self.escape.is_some_and(|place| place < from) {
            self.escape = self.next_escape(from, units);
        }
        match (self.gram, self.escape) {
            (Some(gram), Some(escape)) => Some(gram.min(escape)),
            (gram, escape) => gram.or(escape),
        }
    }

    fn next_gram(&self, from: usize) -> Option<usize> {
        if self.sieve.depth == 2 { self.next_two_grams(from) } else { self.next_one_gram(from) }
    }

    fn next_two_grams(&self, mut at: usize) -> Option<usize> {
        while let Some(bytes) = self.body.get(at..).and_then(<[u8]>::first_chunk::<{ 2 * GRAM }>) {
            let (grams, _) = bytes.as_chunks::<GRAM>();
            if grams.iter().all(|gram| self.sieve.has_gram(u32::from_le_bytes(*gram))) {
                return Some(at);
            }
            at += self.sieve.stride;
        }
        None
    }

    fn next_one_gram(&self, mut at: usize) -> Option<usize> {
        while let Some(bytes) = self.body.get(at..).and_then(<[u8]>::first_chunk::<GRAM>) {
            if self.sieve.has_gram(u32::from_le_bytes(*bytes)) {
                return Some(at);
            }
            at += self.sieve.stride;
        }
        None
    }

    fn next_escape(&self, from: usize, units: &mut Vec<Unit>) -> Option<usize> {
        let mut at = from;
        while let Some(found) = memchr3(b'%', b'\\', b'&', self.body.get(at..)?) {
            at += found;
            if self.counts(from, at, units) {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    /// Whether the escape at this place can be the first one of an occurrence.
    fn counts(&self, from: usize, place: usize, units: &mut Vec<Unit>) -> bool {
        // What goes on behind the end is looked at closely anyway.
        let _ = unit::read(&self.body[place..], true, units);
        let before = (place > from).then(|| self.body[place - 1]);
        units.iter().skip(1).any(|unit| {
            let byte = unit.bytes()[0];
            self.sieve.openings.has(byte)
                || before.is_some_and(|before| self.sieve.can_follow(before, byte))
        })
    }
}

impl Sieve {
    fn can_follow(&self, before: u8, byte: u8) -> bool {
        if is_set(&self.tables[..PAIR_WORDS], pair_hash(fold(before), fold(byte))) {
            return true;
        }
        // Lines of base64 end in one of these, however their breaks are escaped.
        self.is_encoded
            && matches!(byte, b'+' | b'/' | b'-' | b'_')
            && matches!(before, b'\n' | b'\r' | b'n' | b'r' | b'A' | b'a' | b'D' | b'd' | b';')
    }
}

/// How many characters of a text are sure to stand together in an occurrence without escapes.
fn sure_run(text: &Text) -> usize {
    let known = text.known().len().min(ENOUGH);
    if text.alphabet == Alphabet::Base64 { known.div_ceil(2) } else { known }
}

/// The characters at the beginning of a text among which `run` stand together in each occurrence.
fn beginning(text: &Text, run: usize) -> &[u8] {
    let len = if text.alphabet == Alphabet::Base64 { 2 * run } else { run };
    let known = text.known();
    &known[..len.min(known.len())]
}

/// Digits and letters without their case, and whatever else may be in an escape.
const USUAL_PARTS: ByteSet = {
    let mut parts = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        parts[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'%' | b'&' | b'\\' | b'+' | b'#' | b';');
        byte += 1;
    }
    ByteSet::of(&parts)
};

fn fold(byte: u8) -> u8 {
    byte | 0x20
}

fn pair_hash(left: u8, right: u8) -> usize {
    let pair = u32::from(u16::from_le_bytes([left, right]));
    (pair.wrapping_mul(0x9e37_79b1) >> (32 - PAIR_BITS)) as usize
}

fn set(bits: &mut [u64], index: usize) {
    bits[index / 64] |= 1 << (index % 64);
}

fn is_set(bits: &[u64], index: usize) -> bool {
    bits[index / 64] >> (index % 64) & 1 == 1
}
