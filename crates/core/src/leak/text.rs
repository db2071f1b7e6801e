//! What is looked for: a credential, or one of the texts that base64 and hexadecimal make of it.

use std::sync::OnceLock;

use zeroize::Zeroizing;

/// Of what the characters of a text are, and what each is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Each byte is itself, and letters of ASCII are the same in both cases.
    Bytes,
    /// Base64 in both its alphabets (RFC 4648, sections 4 and 5): six bits each.
    Base64,
    /// Hexadecimal digits in both cases: four bits each.
    Hex,
}

/// The worth of what is no character of an alphabet: it fits no value under any mask.
const NOTHING: u8 = 0xff;
const SEXTETS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64: [u8; 256] = {
    let mut values = [NOTHING; 256];
    let mut value = 0;
    while value < 64 {
        values[SEXTETS[value as usize] as usize] = value;
        value += 1;
    }
    values[b'-' as usize] = 62;
    values[b'_' as usize] = 63;
    values
};

impl Alphabet {
    fn value(self, byte: u8) -> u8 {
        match self {
            Self::Bytes => byte.to_ascii_lowercase(),
            Self::Base64 => BASE64[usize::from(byte)],
            Self::Hex => match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                _ => NOTHING,
            },
        }
    }

    /// The two characters that are worth this, or the one twice. A form writes `+` for a space.
    fn spellings(self, value: u8) -> [u8; 2] {
        match (self, value) {
            (Self::Bytes, b' ') => [b' ', b'+'],
            (Self::Bytes, byte) => [byte, byte.to_ascii_uppercase()],
            (Self::Base64, 62) => [b'+', b'-'],
            (Self::Base64, 63) => [b'/', b'_'],
            (Self::Base64, value) => [SEXTETS[usize::from(value) % 64]; 2],
            (Self::Hex, 0..10) => [b'0' + value; 2],
            (Self::Hex, value) => [b'a' + value - 10, b'A' + value - 10],
        }
    }
}

/// A text that must not come back. Its first and its last character may be known in part only: they
/// hold bits of what stands beside the credential.
pub(super) struct Text {
    pub(super) alphabet: Alphabet,
    values: Zeroizing<Vec<u8>>,
    first_mask: u8,
    last_mask: u8,
    borders: OnceLock<Vec<u16>>,
}

impl Text {
    /// The credential itself.
    pub(super) fn bytes(credential: &[u8]) -> Self {
        Self::new(Alphabet::Bytes, credential.to_ascii_lowercase(), NOTHING, NOTHING)
    }

    /// The credential in hexadecimal.
    pub(super) fn hex(credential: &[u8]) -> Self {
        let digits = credential.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Self::new(Alphabet::Hex, digits.collect(), NOTHING, NOTHING)
    }

    /// What base64 makes of the credential when it begins so many bytes (0 to 2) into a group of three.
    pub(super) fn base64(credential: &[u8], before: u32) -> Self {
        let unknown = 8 * before % 6;
        let mut values = Vec::with_capacity(credential.len() * 4 / 3 + 2);
        let (mut bits, mut count) = (0_u32, unknown);
        for byte in credential {
            bits = (bits << 8 | u32::from(*byte)) & 0xffff;
            count += 8;
            while count >= 6 {
                count -= 6;
                values.push((bits >> count).to_le_bytes()[0] & 63);
            }
        }
        if count > 0 {
            values.push((bits << (6 - count)).to_le_bytes()[0] & 63);
        }
        let first_mask = if unknown > 0 { 0xc0 | 63 >> unknown } else { NOTHING };
        let last_mask = if count > 0 { 0xc0 | (63 << (6 - count) & 63) } else { NOTHING };
        Self::new(Alphabet::Base64, values, first_mask, last_mask)
    }

    fn new(alphabet: Alphabet, values: Vec<u8>, first_mask: u8, last_mask: u8) -> Self {
        let (values, borders) = (Zeroizing::new(values), OnceLock::new());
        Self { alphabet, values, first_mask, last_mask, borders }
    }

    /// In characters.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The characters that are known wholly.
    pub(super) fn known(&self) -> &[u8] {
        let from = usize::from(self.first_mask != NOTHING);
        let to = self.len() - usize::from(self.last_mask != NOTHING);
        &self.values[from..to]
    }

    /// The spellings of a character of this text.
    pub(super) fn spellings(&self, value: u8) -> [u8; 2] {
        self.alphabet.spellings(value)
    }

    /// Every byte that this text can begin with.
    pub(super) fn beginnings(&self) -> impl Iterator<Item = u8> {
        let (first, mask) = (self.values[0], self.first_mask);
        let values = if mask == NOTHING { first..=first } else { 0..=63 };
        values
            .filter(move |value| value & mask == first)
            .flat_map(move |value| self.alphabet.spellings(value))
    }

    /// Whether character `at` can be written as this byte.
    pub(super) fn accepts(&self, at: usize, byte: u8) -> bool {
        self.fits(at, self.alphabet.value(byte))
    }

    fn fits(&self, at: usize, value: u8) -> bool {
        let mask = if at == 0 {
            self.first_mask
        } else if at + 1 == self.len() {
            self.last_mask
        } else {
            NOTHING
        };
        value & mask == self.values[at]
    }

    /// How many characters end at this byte, if `matched` ended before it (Knuth, Morris and Pratt).
    pub(super) fn step(&self, mut matched: usize, byte: u8) -> usize {
        let value = self.alphabet.value(byte);
        loop {
            if self.fits(matched, value) {
                return matched + 1;
            }
            if matched == 0 {
                return 0;
            }
            matched = self.border(matched);
        }
    }

    /// How many characters of a next occurrence end at the byte that ended this one.
    pub(super) fn overlap(&self, byte: u8) -> usize {
        self.step(self.border(self.len() - 1), byte)
    }

    /// Of how many characters the beginning of this text also is the end of its first `matched`.
    fn border(&self, matched: usize) -> usize {
        usize::from(self.borders.get_or_init(|| self.borders())[matched])
    }

    /// A border never holds the character before which it begins, so only the first of its own
    /// characters can be one that is known in part.
    fn borders(&self) -> Vec<u16> {
        let mut borders = vec![0_u16; self.len()];
        for matched in 2..self.len() {
            let mut border = usize::from(borders[matched - 1]);
            let value = self.values[matched - 1];
            while border > 0 && !self.fits(border, value) {
                border = usize::from(borders[border]);
            }
            let border = if self.fits(border, value) { border + 1 } else { 0 };
            borders[matched] = u16::try_from(border).unwrap_or(0);
        }
        borders
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64_NOPAD, HEXLOWER};

    use super::*;

    fn spelt(text: &Text) -> String {
        text.known().iter().map(|value| char::from(text.spellings(*value)[0])).collect()
    }

    fn find(text: &Text, within: &[u8]) -> Vec<usize> {
        let (mut matched, mut ends) = (0, vec![]);
        for (at, byte) in within.iter().enumerate() {
            matched = text.step(matched, *byte);
            if matched == text.len() {
                ends.push(at + 1);
                matched = text.overlap(*byte);
            }
        }
        ends
    }

    #[test]
    fn base64_is_known_wherever_a_group_begins() {
        let credential = b"correct horse";
        for before in 0..3 {
            for after in 0..3 {
                let whole = [&b"??"[..before], credential, &b"???"[..after]].concat();
                let written = BASE64_NOPAD.encode(&whole);
                let text = Text::base64(credential, u32::try_from(before).unwrap());
                assert_eq!(find(&text, written.as_bytes()).len(), 1, "{before} {after}");
                assert!(written.contains(&spelt(&text)));
            }
        }
    }

    #[test]
    fn hexadecimal_is_known_in_any_case() {
        let text = Text::hex(b"correct \xff\x00");
        let lower = HEXLOWER.encode(b"correct \xff\x00");
        assert_eq!(spelt(&text), lower);
        assert_eq!(find(&text, lower.as_bytes()), [20]);
        assert_eq!(find(&text, lower.to_uppercase().as_bytes()), [20]);
    }

    #[test]
    fn occurrences_that_overlap_are_all_found() {
        assert_eq!(find(&Text::bytes(b"abcab"), b"abcabcabcab-abcab"), [5, 8, 11, 17]);
        assert_eq!(find(&Text::bytes(b"aaa"), b"aaaaa"), [3, 4, 5]);
    }
}
