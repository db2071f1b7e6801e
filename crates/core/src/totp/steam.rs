//! The five-character shape of Steam Guard codes.

use super::Code;

/// How many characters a Steam code has.
pub(super) const LENGTH: u8 = 5;

/// Steam leaves out the characters people mix up, such as 0 and O, so its base is 26.
const ALPHABET: &[u8; 26] = b"23456789BCDFGHJKMNPQRTVWXY";

/// Writes the 31-bit number of RFC 4226 section 5.3 as Steam does: in base 26, five characters, the
/// least significant first (decimal codes are the other way round).
pub(super) fn code(value: u32) -> Code {
    let mut rest = value;
    Code::from_places(LENGTH, |place| {
        *place = ALPHABET[(rest % 26) as usize];
        rest /= 26;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_significant_character_comes_first() {
        assert_eq!(code(0).as_str(), "22222");
        assert_eq!(code(1).as_str(), "32222");
        assert_eq!(code(26).as_str(), "23222");
    }

    #[test]
    fn what_does_not_fit_in_five_characters_is_dropped() {
        assert_eq!(code(26_u32.pow(5)).as_str(), "22222");
        assert_eq!(code(26_u32.pow(5) - 1).as_str(), "YYYYY");
    }
}
