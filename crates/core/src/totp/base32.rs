//! Reading secrets written in base32 (RFC 4648 section 6), the way people paste them.

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use super::SecretFault;

/// The longest secret, in base32 characters after cleaning.
pub(super) const MAX_SYMBOLS: usize = 1024;

/// The character for each five bits.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What a base32 text stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// The key.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// The bits after the last whole byte, 0 to 4 of them. They are no part of the key.
    pub(super) spare: u8,
}

/// Turns base32 text into the bytes it stands for.
///
/// Accepted: either case; blanks of any kind (also tab, line break and the no-break space of web
/// pages) and dashes anywhere; any number of `=` at the end, none included; spare bits that are not
/// zero, which some generators leave behind. Nothing is guessed: a character outside the alphabet
/// is an error that says where it stands.
pub(super) fn decode(text: &str) -> Result<Decoded, SecretFault> {
    // Room for everything from the start: a vector that grows leaves copies of the secret behind.
    let room = text.len().min(MAX_SYMBOLS) * 5 / 8;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let (mut bits, mut bit_count, mut symbols, mut padded) = (0_u16, 0_u32, 0_usize, false);
    for (index, character) in text.chars().enumerate() {
        if character.is_whitespace() || character == '-' {
            continue;
        }
        if character == '=' {
            padded = true;
            continue;
        }
        if padded {
            return Err(SecretFault::PaddingInside);
        }
        let value = symbol(character).ok_or_else(|| fault_at(index + 1, character))?;
        symbols += 1;
        if symbols > MAX_SYMBOLS {
            return Err(SecretFault::TooLong);
        }
        bits = (bits << 5) | u16::from(value);
        bit_count += 5;
        if bit_count >= 8 {
            bit_count -= 8;
            let [_, byte] = (bits >> bit_count).to_be_bytes();
            bytes.push(byte);
            bits &= (1 << bit_count) - 1; // at most 7 bits stay, so the next shift loses none
        }
    }
    match symbols % 8 {
        _ if symbols == 0 => Err(SecretFault::Empty),
        1 | 3 | 6 => Err(SecretFault::Length), // no whole number of bytes ends there
        _ => {
            let [_, spare] = bits.to_be_bytes();
            Ok(Decoded { bytes, spare })
        }
    }
}

/// Writes bytes and spare bits as the text they were read from, cleaned: upper case, no padding.
pub(super) fn encode(bytes: &[u8], spare: u8) -> String {
    // The encoder allocates the exact length, so making a boxed str of it copies nothing.
    let mut text = BASE32_NOPAD.encode(bytes);
    if spare != 0
        && let Some(last) = text.pop().and_then(symbol)
    {
        text.push(char::from(ALPHABET[usize::from(last | spare)]));
    }
    text
}

/// The five bits that one character stands for.
fn symbol(character: char) -> Option<u8> {
    let byte = u8::try_from(character).ok()?;
    match byte.to_ascii_uppercase() {
        letter @ b'A'..=b'Z' => Some(letter - b'A'),
        digit @ b'2'..=b'7' => Some(digit - b'2' + 26),
        _ => None,
    }
}

fn fault_at(position: usize, character: char) -> SecretFault {
    match character {
        '0' | '1' | '8' | '9' => SecretFault::Digit { position },
        _ => SecretFault::Character { position },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_test_vectors_of_rfc_4648_come_out() {
        for (text, bytes) in [
            ("MY======", "f"),
            ("MZXQ====", "fo"),
            ("MZXW6===", "foo"),
            ("MZXW6YQ=", "foob"),
            ("MZXW6YTB", "fooba"),
            ("MZXW6YTBOI======", "foobar"),
        ] {
            assert_eq!(*decode(text).unwrap().bytes, bytes.as_bytes(), "{text}");
        }
    }

    #[test]
    fn blanks_dashes_case_and_padding_do_not_matter() {
        let plain = decode("MZXW6YTBOI").unwrap();
        for text in [
            " mzxw-6ytb-oi\r\n",
            "MZXW\u{a0}6YTB\u{2003}OI",
            "MZXW6YTBOI=",
            "MZXW6YTBOI = = =\t",
            "mzxW6yTBoi=========",
        ] {
            assert_eq!(decode(text).unwrap(), plain, "{text:?}");
        }
    }

    #[test]
    fn spare_bits_may_be_set_and_are_no_part_of_the_key() {
        let (zero, set) = (decode("MY").unwrap(), decode("MZ").unwrap());
        assert_eq!(zero.bytes, set.bytes);
        assert_eq!((zero.spare, set.spare), (0, 1));
    }

    #[test]
    fn nothing_but_blanks_and_padding_is_an_empty_secret() {
        for text in ["", "  ", "====", "- -"] {
            assert_eq!(decode(text).unwrap_err(), SecretFault::Empty, "{text:?}");
        }
    }

    #[test]
    fn padding_counts_only_at_the_end() {
        assert_eq!(decode("MY=MY").unwrap_err(), SecretFault::PaddingInside);
    }

    #[test]
    fn a_length_no_bytes_give_is_refused() {
        for length in 1..=40 {
            let accepted = decode(&"A".repeat(length)).is_ok();
            assert_eq!(accepted, ![1, 3, 6].contains(&(length % 8)), "{length}");
        }
    }

    #[test]
    fn look_alike_digits_are_told_from_other_characters_and_located() {
        for digit in ["0", "1", "8", "9"] {
            let fault = decode(&format!("AB C{digit}")).unwrap_err();
            assert_eq!(fault, SecretFault::Digit { position: 5 });
        }
        for other in ["!", "_", "é", "Ａ", "\u{200b}"] {
            let fault = decode(&format!("A{other}BC")).unwrap_err();
            assert_eq!(fault, SecretFault::Character { position: 2 }, "{other}");
        }
    }

    #[test]
    fn a_secret_ends_at_1024_characters_not_counting_blanks() {
        let longest = "AAAA ".repeat(256);
        assert_eq!(decode(&longest).unwrap().bytes.len(), 640);
        assert_eq!(decode(&(longest + "A")).unwrap_err(), SecretFault::TooLong);
    }

    #[test]
    fn the_bytes_fill_the_room_made_for_them_and_no_more() {
        for text in ["AA", "AAAA", "AAAAA", "AAAAAAA", "AAAAAAAA", "AAAAAAAAAA"] {
            let bytes = decode(text).unwrap().bytes;
            assert_eq!(bytes.len(), text.len() * 5 / 8);
        }
    }

    proptest! {
        #[test]
        fn what_another_encoder_writes_is_read(key in prop::collection::vec(any::<u8>(), 1..=640)) {
            let read = decode(&BASE32_NOPAD.encode(&key)).unwrap();
            prop_assert_eq!((&*read.bytes, read.spare), (&key, 0));
        }

        #[test]
        fn every_clean_text_is_written_as_it_was_read(text in "[A-Z2-7]{1,200}") {
            if let Ok(read) = decode(&text) {
                prop_assert_eq!(encode(&read.bytes, read.spare), text);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = decode(&text);
        }
    }
}
