//! Any credential in any answer, in any pieces: it does not come back, and nothing else changes.
#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use keyfob_core::leak::{Needles, REDACTED, Redactor, SHORTEST_ENCODED, redact};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    credential: &'a str,
    before: &'a [u8],
    after: &'a [u8],
    /// How each character is written.
    ways: &'a [u8],
    /// The base64, the hexadecimal digits or the UTF-16 of it, or itself.
    form: Form<'a>,
    /// The lengths of the pieces, one less.
    pieces: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Form<'a> {
    Plain { is_upper: bool },
    Base64 { before: &'a [u8], after: &'a [u8], is_url: bool },
    Hex { is_upper: bool },
    Utf16 { is_big: bool },
}

impl Form<'_> {
    /// Each character in one of these ways; nothing is escaped in UTF-16.
    fn write(&self, credential: &str, ways: &[u8]) -> Vec<u8> {
        let bytes = credential.as_bytes();
        let text = match self {
            Self::Plain { is_upper: true } => credential.to_ascii_uppercase(),
            Self::Plain { is_upper: false } => credential.to_owned(),
            Self::Base64 { before, after, is_url } => {
                let whole = [before, bytes, after].concat();
                if *is_url { BASE64URL_NOPAD.encode(&whole) } else { BASE64_NOPAD.encode(&whole) }
            }
            Self::Hex { is_upper: true } => HEXUPPER.encode(bytes),
            Self::Hex { is_upper: false } => HEXLOWER.encode(bytes),
            Self::Utf16 { is_big } => {
                let order = if *is_big { u16::to_be_bytes } else { u16::to_le_bytes };
                return credential.encode_utf16().flat_map(order).collect();
            }
        };
        let ways = ways.iter().copied().chain(std::iter::repeat(8 - 1));
        let written: String = text.chars().zip(ways).map(|(c, way)| escape(c, way)).collect();
        written.into_bytes()
    }
}

fn escape(c: char, way: u8) -> String {
    let mut bytes = [0; 4];
    let bytes = c.encode_utf8(&mut bytes).bytes();
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units).iter();
    match way % 8 {
        0 => bytes.map(|byte| format!("%{byte:02x}")).collect(),
        1 => bytes.map(|byte| format!("%25{byte:02X}")).collect(),
        2 => units.map(|unit| format!("\\u{unit:04x}")).collect(),
        3 => units.map(|unit| format!("\\\\u{unit:04X}")).collect(),
        4 if c.is_ascii_punctuation() => format!("\\{c}"),
        5 => format!("&#{};", u32::from(c)),
        6 => format!("&#x{:X};", u32::from(c)),
        7 if c == ' ' => "+".into(),
        _ => c.into(),
    }
}

fuzz_target!(|case: Case<'_>| {
    if !(SHORTEST_ENCODED..=256).contains(&case.credential.len()) {
        return;
    }
    // No credential that can be sent has a zero, and zeros at the ends of UTF-16 are not looked for.
    let is_short = case.credential.chars().count() < SHORTEST_ENCODED;
    if matches!(case.form, Form::Utf16 { .. }) && (is_short || case.credential.contains('\0')) {
        return;
    }
    let needles = Arc::new(Needles::new([&case.credential.into()]));
    let written = case.form.write(case.credential, case.ways);
    let body = [case.before, &written, case.after].concat();

    let mut redactor = Redactor::new(Arc::clone(&needles));
    let (mut out, mut rest) = (Vec::new(), &body[..]);
    for len in case.pieces.iter().map(|len| usize::from(*len) + 1) {
        let (piece, after) = rest.split_at(len.min(rest.len()));
        redactor.push(piece, &mut out);
        rest = after;
    }
    redactor.push(rest, &mut out);
    redactor.finish(&mut out);

    assert!(redactor.found() > 0, "it was not found");
    assert_eq!(redact(&needles, &body).as_ref(), Some(&out), "pieces make a difference");
    let marker = out.windows(REDACTED.len()).position(|window| window == REDACTED.as_bytes());
    let marker = marker.expect("nothing stands in its place");
    assert_eq!(out[..marker], body[..marker], "what stands before it has changed");
    assert!(redact(&needles, &out).is_none(), "what is left holds it still");
});
