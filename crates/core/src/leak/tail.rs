//! What of the end of a body is kept back until more of it has come, since an occurrence could go on there.
//!
//! Whoever chooses what an upstream sends sees how much is kept back, by how the answer is cut and by what comes
//! late. If that were just what could become the credential, it would tell how much of a guess is right, one
//! character after the other. So it depends on the bytes that came, on how long the texts are, and on which of three
//! kinds of bytes they consist of; never on which bytes those are.

use super::{
    set::ByteSet,
    text::{Alphabet, Text},
};

/// What keys and tokens consist of (RFC 6750 section 2.1 and `:`), with the zeros of UTF-16 and what their escapes
/// are written with.
const TOKEN: ByteSet = {
    let mut parts = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        parts[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b':')
            || matches!(byte, b'%' | b'&' | b'\\' | b'#' | b';' | 0);
        byte += 1;
    }
    ByteSet::of(&parts)
};
/// Everything but blanks and control characters, with the zeros of UTF-16.
const WORD: ByteSet = {
    let mut parts = [true; 256];
    let mut byte = 1;
    while byte <= b' ' {
        parts[byte as usize] = false;
        byte += 1;
    }
    parts[0x7f] = false;
    ByteSet::of(&parts)
};
/// Base64 is broken into lines of no fewer characters.
const SHORTEST_LINE: usize = 64;
/// So many bytes are kept back for each character of a text, however it is escaped, and so many more for breaks of
/// lines. JSON inside JSON inside JSON takes twelve.
const PER_CHARACTER: usize = 16;
const MORE: usize = 256;

/// What is kept back at the end.
pub(super) struct Tail {
    kind: Kind,
    /// No more is kept back, in bytes.
    longest: usize,
}

/// What kind of texts there are.
#[derive(Clone, Copy)]
enum Kind {
    /// Of these bytes only; they go on in another line only where they are in base64.
    Words(ByteSet),
    /// Of any bytes, but with no empty line.
    Paragraphs,
    /// Of any bytes.
    Anything,
}

impl Tail {
    /// For these texts.
    pub(super) fn new(texts: &[Text]) -> Self {
        let longest = texts.iter().map(Text::len).max().unwrap_or(0);
        Self { kind: Kind::of(texts), longest: longest * PER_CHARACTER + MORE }
    }

    /// Where it begins in what came. The first `kept` bytes of that were kept back before.
    pub(super) fn start(&self, body: &[u8], kept: usize) -> usize {
        let earliest = body.len().saturating_sub(self.longest);
        let start = match self.kind {
            Kind::Words(parts) => words(body, kept, &parts),
            Kind::Paragraphs => {
                behind_empty_line(&body[earliest..]).map_or(0, |end| earliest + end)
            }
            Kind::Anything => 0,
        };
        start.max(earliest)
    }
}

impl Kind {
    fn of(texts: &[Text]) -> Self {
        let plain = || texts.iter().filter(|text| text.alphabet == Alphabet::Bytes);
        let are_all = |parts: &ByteSet| plain().flat_map(Text::known).all(|byte| parts.has(*byte));
        if are_all(&TOKEN) {
            Self::Words(TOKEN)
        } else if are_all(&WORD) {
            Self::Words(WORD)
        } else if plain().all(|text| behind_empty_line(text.known()).is_none()) {
            Self::Paragraphs
        } else {
            Self::Anything
        }
    }
}

/// Where the last word begins, with the lines of base64 that it may be the end of.
fn words(body: &[u8], kept: usize, parts: &ByteSet) -> usize {
    let mut start = body.len();
    loop {
        // What was kept back is all of one kind: once in it, there is no need to go through it again.
        start -= length_of_last(&body[..start], parts, start - kept.min(start) + 1);
        if start < kept {
            return 0;
        }
        let line = without_break(&body[..start]);
        if line.len() == start || length_of_last(line, &TOKEN, SHORTEST_LINE) < SHORTEST_LINE {
            return start;
        }
        start = line.len();
    }
}

/// How many of these bytes there are at the end, up to `most`.
fn length_of_last(body: &[u8], parts: &ByteSet, most: usize) -> usize {
    body.iter().rev().take(most).take_while(|byte| parts.has(**byte)).count()
}

/// The same without the line break at its end, if there is one.
fn without_break(body: &[u8]) -> &[u8] {
    match body {
        [line @ .., b'\r', b'\n'] | [line @ .., b'\n' | b'\r'] => line,
        body => body,
    }
}

/// Where the last empty line ends.
fn behind_empty_line(body: &[u8]) -> Option<usize> {
    let is_one = |at: &usize| {
        let before = &body[..*at];
        before.ends_with(b"\n\n") || before.ends_with(b"\n\r\n")
    };
    (2..=body.len()).rev().find(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "ghp_canaryTOKEN0123456789/abc+Zq";
    const PASSWORD: &str = "{correct}horse,battery";
    const PHRASE: &str = "correct horse battery staple";
    const KEY: &str = "-----BEGIN KEY-----\n\nabc\n-----END KEY-----\n";

    fn tail(credential: &str) -> Tail {
        Tail::new(&[Text::bytes(credential.as_bytes()), Text::base64(credential.as_bytes(), 1)])
    }

    fn kept<'a>(credential: &str, body: &'a str) -> &'a str {
        let start = tail(credential).start(body.as_bytes(), 0);
        // However it comes.
        for known in 0..body.len() {
            let before = tail(credential).start(&body.as_bytes()[..known], 0);
            let again = tail(credential).start(&body.as_bytes()[before..], known - before);
            assert_eq!(before + again, start.max(before), "{body}, {known}");
        }
        &body[start..]
    }

    #[test]
    fn the_last_word_is_kept_back_whatever_it_is() {
        for (body, expected) in [
            ("data: {\"a\":1}\n\n", ""),
            ("nothing of it.", "it."),
            ("nothing of it, ", ""),
            ("{\"token\":\"ghp_", "ghp_"),
            ("{\"token\":\"oth_", "oth_"),
            ("<a href='/?key=%67hp%", "key=%67hp%"),
            ("100%", "100%"),
            ("a\\", "a\\"),
            ("été", ""),
            ("été: no", "no"),
            ("\n", ""),
            ("a word\n", ""),
            ("a word\r\nand", "and"),
            ("", ""),
        ] {
            assert_eq!(kept(TOKEN, body), expected, "{body}");
        }
        assert_eq!(kept(PASSWORD, "data: {\"a\":1}"), "{\"a\":1}");
        assert_eq!(kept(PASSWORD, "data: {\"a\":1}\n"), "");
        assert_eq!(kept(PASSWORD, "{\"a\":\"été"), "{\"a\":\"été");
    }

    #[test]
    fn a_line_that_may_be_one_of_base64_is_kept_back_with_what_follows_it() {
        let line = "QUJD".repeat(16);
        for line_break in ["\n", "\r\n", "\r"] {
            for (body, expected) in [
                (format!("- {line}{line_break}"), format!("{line}{line_break}")),
                (format!("- {line}{line_break}QU"), format!("{line}{line_break}QU")),
                (
                    format!("-,{line}{line_break}{line}{line_break}Q"),
                    format!("{line}{line_break}{line}{line_break}Q"),
                ),
                // It was the last one.
                (format!("- {line}{line_break}QU{line_break}"), String::new()),
                (format!("- {line}{line_break}{line_break}QU"), "QU".into()),
                // It is too short for one.
                (format!("- {}{line_break}QU", &line[1..]), "QU".into()),
            ] {
                assert_eq!(kept(TOKEN, &body), expected, "{body:?}");
            }
            let quoted = format!("\"{line}\"{line_break}");
            assert_eq!(kept(PASSWORD, &quoted), "");
        }
    }

    #[test]
    fn of_texts_with_blanks_everything_behind_an_empty_line_is_kept_back() {
        assert_eq!(kept(PHRASE, "data: a\n\ndata: b\n"), "data: b\n");
        assert_eq!(kept(PHRASE, "data: a\r\n\r\n"), "");
        assert_eq!(kept(PHRASE, "a b c"), "a b c");
        assert_eq!(kept(KEY, "data: a\n\n"), "data: a\n\n");
    }

    #[test]
    fn no_more_is_kept_back_than_an_occurrence_takes() {
        for credential in [TOKEN, PASSWORD, PHRASE, KEY] {
            let most = credential.len() * 4 / 3 * PER_CHARACTER + MORE + 4 * PER_CHARACTER;
            let length = kept(credential, &"a".repeat(4000)).len();
            assert!(length > credential.len() * 12 && length <= most, "{length}");
        }
    }
}
