//! How one character of a credential can be written: as it is, or escaped in one of many ways.

use super::set::ByteSet;

/// How often an escape may be escaped again: `%252541` is `%2541` is `%41` is `A`.
const LEVELS: usize = 3;
/// JSON inside JSON inside JSON writes a quote with seven backslashes.
const LONGEST_RUN: usize = 7;
/// The longest name of a character reference: `&#x0001f511;`.
const LONGEST_NAME: usize = 10;

/// One reading of the bytes at a place: what they stand for, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    bytes: [u8; 4],
    count: u8,
    /// How many bytes are read.
    pub(super) len: usize,
}

impl Unit {
    fn byte(byte: u8, len: usize) -> Self {
        Self { bytes: [byte, 0, 0, 0], count: 1, len }
    }

    fn char(c: char, len: usize) -> Self {
        let mut bytes = [0; 4];
        let count = c.encode_utf8(&mut bytes).len();
        Self { bytes, count: u8::try_from(count).unwrap_or(4), len }
    }

    /// What is meant: one byte, or a character's bytes in UTF-8.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.count)]
    }
}

/// The text ends before it is clear what its last bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut;

/// Every reading of what `rest` begins with, the plain one first. `is_last`: nothing comes behind it.
///
/// # Errors
/// What comes next may allow one more reading.
pub(super) fn read(rest: &[u8], is_last: bool, units: &mut Vec<Unit>) -> Result<(), Cut> {
    units.clear();
    let Some(first) = rest.first() else { return Ok(()) };
    units.push(Unit::byte(*first, 1));
    let read = match first {
        b'\\' => backslashes(rest, units),
        b'+' => {
            units.push(Unit::byte(b' ', 1));
            Ok(())
        }
        introducer => escape(*introducer, rest, 1, LEVELS, units),
    };
    if is_last { Ok(()) } else { read }
}

/// [`read`] finds more than one reading only of what begins with one of these bytes.
pub(super) const WITH_READINGS: ByteSet = ByteSet::from(b"%&\\+");

/// What follows `introducer`, which ends at `at`, if it is one that can be escaped itself.
fn escape(
    introducer: u8,
    rest: &[u8],
    at: usize,
    levels: usize,
    units: &mut Vec<Unit>,
) -> Result<(), Cut> {
    if levels == 0 {
        return Ok(());
    }
    let unit = match introducer {
        b'%' => hex(rest, at, 2)?.map(|code| Unit::byte(code.to_le_bytes()[0], at + 2)),
        b'&' => reference(rest, at)?,
        _ => None,
    };
    let Some(unit) = unit else { return Ok(()) };
    units.push(unit);
    escape(unit.bytes[0], rest, unit.len, levels - 1, units)
}

/// What a run of backslashes and the byte behind it mean (JSON, JavaScript, Python, Markdown). Text that
/// is escaped twice has twice the backslashes and one more.
fn backslashes(rest: &[u8], units: &mut Vec<Unit>) -> Result<(), Cut> {
    let run = rest.iter().take(LONGEST_RUN + 1).take_while(|byte| **byte == b'\\').count();
    let alone = [2, 4].into_iter().filter(|len| *len <= run);
    units.extend(alone.map(|len| Unit::byte(b'\\', len)));
    if run > LONGEST_RUN {
        return Ok(());
    }
    let unit = match byte(rest, run)? {
        b'u' => utf16(rest, run)?,
        b'x' => hex(rest, run + 1, 2)?.map(|code| Unit::byte(code.to_le_bytes()[0], run + 3)),
        b'n' => Some(Unit::byte(b'\n', run + 1)),
        b'r' => Some(Unit::byte(b'\r', run + 1)),
        b't' => Some(Unit::byte(b'\t', run + 1)),
        b'b' => Some(Unit::byte(0x08, run + 1)),
        b'f' => Some(Unit::byte(0x0c, run + 1)),
        mark if mark.is_ascii_punctuation() => Some(Unit::byte(mark, run + 1)),
        _ => None,
    };
    let Some(unit) = unit else { return Ok(()) };
    units.push(unit);
    // Go's JSON writes `&` so, in front of what HTML has escaped before.
    escape(unit.bytes[0], rest, unit.len, LEVELS - 1, units)
}

/// `uXXXX` behind a run of backslashes (RFC 8259, section 7), or two of them for one character.
fn utf16(rest: &[u8], run: usize) -> Result<Option<Unit>, Cut> {
    let Some(first) = hex(rest, run + 1, 4)? else { return Ok(None) };
    let len = run + 5;
    if let Some(c) = char::from_u32(first) {
        return Ok(Some(Unit::char(c, len)));
    }
    if !(0xd800..0xdc00).contains(&first) {
        return Ok(None);
    }
    for index in 0..=run {
        let expected = if index < run { b'\\' } else { b'u' };
        if byte(rest, len + index)? != expected {
            return Ok(None);
        }
    }
    let Some(second) = hex(rest, len + run + 1, 4)? else { return Ok(None) };
    let Some(low) = second.checked_sub(0xdc00).filter(|low| *low < 0x400) else { return Ok(None) };
    let c = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low);
    Ok(c.map(|c| Unit::char(c, 2 * len)))
}

/// A character reference behind `&` (HTML, section 13.1.4): a number, or one of the five names that
/// programs write.
fn reference(rest: &[u8], at: usize) -> Result<Option<Unit>, Cut> {
    let mut end = at;
    loop {
        match byte(rest, end)? {
            b';' => break,
            c if end - at < LONGEST_NAME && (c == b'#' || c.is_ascii_alphanumeric()) => end += 1,
            _ => return Ok(None),
        }
    }
    let number = |digits: &[u8], radix| {
        let digits = std::str::from_utf8(digits).ok()?;
        char::from_u32(u32::from_str_radix(digits, radix).ok()?)
    };
    let c = match &rest[at..end] {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16),
        [b'#', digits @ ..] => number(digits, 10),
        _ => None,
    };
    Ok(c.map(|c| Unit::char(c, end + 1)))
}

fn byte(rest: &[u8], at: usize) -> Result<u8, Cut> {
    rest.get(at).copied().ok_or(Cut)
}

/// The number that so many hexadecimal digits at `at` make, if they are.
fn hex(rest: &[u8], at: usize, digits: usize) -> Result<Option<u32>, Cut> {
    let mut number = 0;
    for index in at..at + digits {
        let Some(digit) = char::from(byte(rest, index)?).to_digit(16) else { return Ok(None) };
        number = number << 4 | digit;
    }
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the text may begin with, beside its first byte: the meaning and how long it is.
    fn readings(text: &str) -> Vec<(String, usize)> {
        let mut units = vec![];
        read(text.as_bytes(), true, &mut units).unwrap();
        let text = |unit: &Unit| String::from_utf8_lossy(unit.bytes()).into_owned();
        units.iter().skip(1).map(|unit| (text(unit), unit.len)).collect()
    }

    #[test]
    fn a_character_is_read_however_it_is_escaped() {
        for (text, meaning) in [
            ("%41", "A"),
            ("%4a", "J"),
            ("%2541", "A"),
            ("%252541", "A"),
            (r"\u0041", "A"),
            (r"\\u0041", "A"),
            (r"\\\\u0041", "A"),
            (r"\x41", "A"),
            (r"\/", "/"),
            (r#"\""#, "\""),
            (r#"\\\""#, "\""),
            (r"\_", "_"),
            (r"\n", "\n"),
            (r"\u00e4", "ä"),
            (r"\ud83d\udd11", "🔑"),
            (r"\\ud83d\\udd11", "🔑"),
            (r"\u0026", "&"),
            (r"\u0026amp;", "&"),
            (r"\u0026#34;", "\""),
            ("&amp;", "&"),
            ("&amp;amp;", "&"),
            ("&amp;quot;", "\""),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&apos;", "'"),
            ("&#x41;", "A"),
            ("&#65;", "A"),
            ("&#128273;", "🔑"),
            ("+", " "),
        ] {
            let readings = readings(text);
            assert!(readings.contains(&(meaning.into(), text.len())), "{text}: {readings:?}");
        }
    }

    #[test]
    fn a_backslash_itself_is_read_however_often_it_is_doubled() {
        assert_eq!(readings(r"\\"), [("\\".into(), 2)]);
        assert_eq!(readings(r"\\\\ "), [("\\".into(), 2), ("\\".into(), 4)]);
    }

    #[test]
    fn what_is_no_escape_has_one_reading() {
        for text in ["A", "%4", "%4g", "%", "\\", "\\q", "\\u004", "&amp", "&nothing;", "&#xd800;"]
        {
            assert_eq!(readings(text), [], "{text}");
        }
    }

    #[test]
    fn what_may_go_on_is_cut_and_what_cannot_is_not() {
        let mut units = vec![];
        for text in ["%", "%4", "%25", "%254", "\\", r"\\\", "\\u", "\\u004", "\\ud83d", "&", "&am"]
        {
            assert_eq!(read(text.as_bytes(), false, &mut units), Err(Cut), "{text}");
            assert_eq!(read(text.as_bytes(), true, &mut units), Ok(()), "{text}");
        }
        for text in ["A", "%g", "%41", "%25g", "\\q", "\\n", "\\ug", "& ", "&amp;.", "+"] {
            assert_eq!(read(text.as_bytes(), false, &mut units), Ok(()), "{text}");
        }
    }
}
