//! A finished one-time password, and the arithmetic that makes it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{Algorithm, Seed, Step};

/// The most characters a code has.
const MAX_LENGTH: usize = 8;

/// A one-time password: 6 to 8 decimal digits, or the 5 characters of Steam.
///
/// It is text, not a number: leading zeros belong to it. Its memory is zeroed when it is dropped,
/// and its `Debug` form hides it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Code {
    characters: [u8; MAX_LENGTH],
    length: u8,
}

impl Code {
    /// The characters to type in.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let characters = &self.characters[..usize::from(self.length)];
        // Only ASCII is ever written, so the default can't come up.
        std::str::from_utf8(characters).unwrap_or_default()
    }

    /// The last `digits` decimal digits of a number, zeros in front included (RFC 4226 section 5.3,
    /// step 3). `digits` is at most 8.
    pub(super) fn decimal(value: u32, digits: u8) -> Self {
        let mut rest = value;
        let mut code = Self::from_places(digits, |place| {
            *place = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
        });
        code.characters[..usize::from(digits)].reverse();
        code
    }

    /// A code whose characters are written one after the other. `length` is at most 8.
    pub(super) fn from_places(length: u8, write: impl FnMut(&mut u8)) -> Self {
        let mut code = Self { characters: [0; MAX_LENGTH], length };
        code.characters[..usize::from(length)].iter_mut().for_each(write);
        code
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Code([redacted])")
    }
}

/// The 31-bit number that a key and a step give, before it is cut to digits (RFC 4226 section 5.3,
/// steps 1 and 2; the other hashes by RFC 6238 section 1.2).
pub(super) fn number(algorithm: Algorithm, seed: &Seed, step: Step) -> u32 {
    match algorithm {
        Algorithm::Sha1 => number_by::<Hmac<Sha1>>(seed, step),
        Algorithm::Sha256 => number_by::<Hmac<Sha256>>(seed, step),
        Algorithm::Sha512 => number_by::<Hmac<Sha512>>(seed, step),
    }
}

fn number_by<M: Mac + KeyInit>(seed: &Seed, step: Step) -> u32 {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(seed.as_bytes()) else {
        unreachable!("HMAC takes a key of any length");
    };
    mac.update(&step.get().to_be_bytes());
    let mut tag = mac.finalize().into_bytes();
    let number = truncate(&tag);
    tag.as_mut_slice().zeroize();
    number
}

/// Four bytes of the tag, at the place its last four bits name, without the top bit: people's
/// languages disagree about signed numbers.
fn truncate(tag: &[u8]) -> u32 {
    let offset = tag.last().map_or(0, |last| usize::from(last & 0x0f));
    let bytes = tag.iter().skip(offset).take(4);
    bytes.fold(0, |number, byte| (number << 8) | u32::from(*byte)) & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_values_of_rfc_4226_appendix_d_come_out() {
        let seed = Seed::from_bytes(b"12345678901234567890".to_vec()).unwrap();
        let expected = [
            1_284_755_224,
            1_094_287_082,
            137_359_152,
            1_726_969_429,
            1_640_338_314,
            868_254_676,
            1_918_287_922,
            82_162_583,
            673_399_871,
            645_520_489,
        ];
        for (step, value) in (0..).zip(expected) {
            assert_eq!(number(Algorithm::Sha1, &seed, Step::new(step)), value, "step {step}");
        }
    }

    #[test]
    fn the_worked_example_of_rfc_4226_section_5_4_comes_out() {
        let tag = [
            0x1f, 0x86, 0x98, 0x69, 0x0e, 0x02, 0xca, 0x16, 0x61, 0x85, 0x50, 0xef, 0x7f, 0x19,
            0xda, 0x8e, 0x94, 0x5b, 0x55, 0x5a,
        ];
        assert_eq!(truncate(&tag), 0x50ef_7f19);
    }

    #[test]
    fn leading_zeros_belong_to_the_code() {
        assert_eq!(Code::decimal(1_148, 8).as_str(), "00001148");
        assert_eq!(Code::decimal(0, 6).as_str(), "000000");
        assert_eq!(Code::decimal(0x7fff_ffff, 7).as_str(), "7483647");
    }

    #[test]
    fn the_debug_form_hides_the_code() {
        assert_eq!(format!("{:?}", Code::decimal(123_456, 6)), "Code([redacted])");
    }
}
