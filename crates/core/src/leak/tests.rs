//! The guard as a whole: what a credential can look like, wherever it stands and however it comes.

use std::sync::Arc;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::*;

const TOKEN: &str = "ghp_canaryTOKEN0123456789/abc+Zq";

pub(super) fn needles(credentials: &[&str]) -> Arc<Needles> {
    let credentials: Vec<SecretString> = credentials.iter().map(|text| (*text).into()).collect();
    Arc::new(Needles::new(&credentials))
}

/// What comes of a body in pieces, each of which ends at one of these places.
pub(super) fn guarded(needles: &Arc<Needles>, body: &[u8], mut ends: Vec<usize>) -> Vec<u8> {
    ends.extend([0, body.len()]);
    ends.sort_unstable();
    let mut redactor = Redactor::new(Arc::clone(needles));
    let mut out = Vec::new();
    for piece in ends.windows(2) {
        redactor.push(&body[piece[0]..piece[1]], &mut out);
    }
    redactor.finish(&mut out);
    assert!(!redactor.holds());
    out
}

fn in_pieces(needles: &Arc<Needles>, body: &str, len: usize) -> String {
    let ends = (0..body.len()).step_by(len).collect();
    String::from_utf8(guarded(needles, body.as_bytes(), ends)).unwrap()
}

/// What comes of a body that is known to be all there.
pub(super) fn at_once(needles: &Arc<Needles>, body: &[u8]) -> Vec<u8> {
    let (mut redactor, mut out) = (Redactor::new(Arc::clone(needles)), Vec::new());
    match redactor.pass(body, true, &mut out) {
        Passed::Same(count) => {
            assert_eq!((count, redactor.found()), (body.len(), 0));
            body.to_vec()
        }
        Passed::Other => out,
    }
}

/// The same in one piece, byte by byte, and by the function for whole texts.
#[track_caller]
fn check(credentials: &[&str], body: &str, expected: &str) {
    let needles = needles(credentials);
    for len in [1, 7, usize::MAX] {
        assert_eq!(in_pieces(&needles, body, len), expected, "in pieces of {len}: {body}");
    }
    let whole = redact(&needles, body.as_bytes()).map(|out| String::from_utf8(out).unwrap());
    assert_eq!(whole.as_deref().unwrap_or(body), expected);
    assert_eq!(at_once(&needles, body.as_bytes()), expected.as_bytes());
    assert_eq!(whole.is_some(), expected != body);
}

/// Whether the token is taken out of this text, between others.
#[track_caller]
fn finds(credential: &str, written: &str) {
    check(&[credential], written, REDACTED);
    check(&[credential], &format!("<{written}>"), &format!("<{REDACTED}>"));
    let long = "Lorem ipsum dolor sit amet, ".repeat(9);
    check(&[credential], &format!("{long}{written} {long}"), &format!("{long}{REDACTED} {long}"));
}

fn each(text: &str, escape: impl Fn(usize, u8) -> String) -> String {
    text.bytes().enumerate().map(|(index, byte)| escape(index, byte)).collect()
}

#[test]
fn a_credential_is_found_as_it_is_and_escaped_as_urls_json_and_html_do() {
    finds(TOKEN, TOKEN);
    finds(TOKEN, &TOKEN.replace('/', "%2F").replace('+', "%2b"));
    finds(TOKEN, &TOKEN.replace('/', "%252F").replace('+', "%25252B"));
    finds(TOKEN, &each(TOKEN, |_, byte| format!("%{byte:02x}")));
    let alternate = |at, byte| match at % 2 {
        0 => char::from(byte).into(),
        _ => format!("%{byte:02X}"),
    };
    finds(TOKEN, &each(TOKEN, alternate));
    finds(TOKEN, &TOKEN.replace('/', r"\/"));
    finds(TOKEN, &TOKEN.replace('/', r"\\\/").replace('_', r"\_"));
    finds(TOKEN, &each(TOKEN, |_, byte| format!("\\u00{byte:02x}")));
    finds(TOKEN, &each(TOKEN, |_, byte| format!("\\\\u00{byte:02X}")));
    finds(TOKEN, &each(TOKEN, |_, byte| format!("\\x{byte:02x}")));
    finds(TOKEN, &each(TOKEN, |_, byte| format!("&#{byte};")));
    finds(TOKEN, &each(TOKEN, |_, byte| format!("&#x{byte:X};")));
    finds(r#"pass "word" \ & <1>"#, r#"pass \"word\" \\ & <1>"#);
    finds(r#"pass "word" \ & <1>"#, r#"pass \\\"word\\\" \\\\ \u0026 \u003c1\u003e"#);
    finds(r#"pass "word" \ & <1>"#, r"pass &quot;word&quot; \ &amp; &lt;1&gt;");
    finds(r#"pass "word" \ & <1>"#, "pass+%22word%22+%5C+%26+%3C1%3E");
    finds("pässwörd 🔑", r"p\u00e4ssw\u00f6rd \ud83d\udd11");
    finds("pässwörd 🔑", "p%C3%A4ssw%c3%b6rd+%F0%9F%94%91");
    finds("pässwörd 🔑", "p&#228;ssw&#xf6;rd &#128273;");
    finds("-----BEGIN KEY-----\nabc\n", r"-----BEGIN KEY-----\nabc\n");
}

#[test]
fn a_credential_is_found_in_base64_wherever_it_stands_in_it() {
    for encoding in [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD] {
        for before in ["", "?", "??", "user:", "{\"a\":\""] {
            for after in ["", "!", "!!", "\"}"] {
                let written = encoding.encode(format!("{before}{TOKEN}{after}").as_bytes());
                let out = in_pieces(&needles(&[TOKEN]), &written, 5);
                // The characters around it that hold nothing of it stay.
                let from = before.len() * 8 / 6;
                let to = ((before.len() + TOKEN.len()) * 8).div_ceil(6);
                assert_eq!(out, format!("{}{REDACTED}{}", &written[..from], &written[to..]));
            }
        }
    }
}

#[test]
fn base64_in_lines_and_with_escapes_is_found() {
    let long = TOKEN.repeat(5);
    let written = BASE64_NOPAD.encode(long.as_bytes());
    for line in [64, 76] {
        for line_break in
            ["\n", "\r\n", r"\n", r"\r\n", r"\\n", r"\\r\\n", "%0A", "%0D%0A", "&#10;"]
        {
            let lines: Vec<_> =
                written.as_bytes().chunks(line).map(|line| str::from_utf8(line).unwrap()).collect();
            let body = lines.join(line_break);
            let out = in_pieces(&needles(&[&long]), &format!("({body})"), 11);
            assert_eq!(out, format!("({REDACTED})"), "{line_break:?}");
            // Also one that is broken in its middle only once.
            let alone = BASE64.encode(format!("{}{TOKEN}", "x".repeat(30)).as_bytes());
            let (first, second) = alone.split_at(line);
            let out = in_pieces(&needles(&[TOKEN]), &format!("{first}{line_break}{second}"), 11);
            assert_eq!(out, format!("{}{REDACTED}=", &alone[..40]), "{line_break:?}");
        }
    }
    let credential = "???>>>~~~>?>?>";
    let written = BASE64_NOPAD.encode(credential.as_bytes());
    assert!(written.contains('/') && written.contains('+'), "{written}");
    finds(credential, &written);
    finds(credential, &written.replace('/', r"\/").replace('+', r"\u002b"));
    finds(credential, &written.replace('/', "%2F").replace('+', "%2B"));
}

#[test]
fn a_credential_is_found_in_hexadecimal() {
    finds(TOKEN, &HEXLOWER.encode(TOKEN.as_bytes()));
    finds(TOKEN, &HEXUPPER.encode(TOKEN.as_bytes()));
}

#[test]
fn the_case_of_letters_does_not_hide_a_credential() {
    let alternate = |at: usize, byte: u8| match at % 2 {
        0 => byte.to_ascii_uppercase(),
        _ => byte.to_ascii_lowercase(),
    };
    for text in [TOKEN, "pässwörd 🔑 PÄSSWÖRD", "/?a=B&c=D+e"] {
        let ascii = |change: fn(&u8) -> u8| {
            String::from_utf8(text.as_bytes().iter().map(change).collect()).unwrap()
        };
        let [lower, upper] = [u8::to_ascii_lowercase, u8::to_ascii_uppercase].map(ascii);
        for (credential, written) in
            [(text, &lower), (text, &upper), (&*lower, &upper), (&*upper, &lower)]
        {
            finds(credential, written);
            finds(credential, &each(written, |_, byte| format!("%{byte:02x}")));
            finds(credential, &written.replace('/', r"\/"));
        }
    }
    let mixed = TOKEN.bytes().enumerate().map(|(at, byte)| char::from(alternate(at, byte)));
    finds(TOKEN, &mixed.collect::<String>());
    // In base64 it is what tells one text from another.
    let other = BASE64.encode(TOKEN.as_bytes()).to_lowercase();
    check(&[TOKEN], &other, &other);
}

/// A text in UTF-16.
pub(super) fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

#[test]
fn a_credential_is_found_in_utf16_in_either_order_of_bytes() {
    for credential in [TOKEN, "pässwörd 🔑", "一二三四五六七", "123456"] {
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            for (before, after) in [("", ""), ("\u{feff}{\"key\": \"", "\"}\n"), ("é", "一")] {
                let needles = needles(&[credential]);
                let upper = credential.to_ascii_uppercase();
                let body = utf16(&format!("{before}{upper}{after}"), order);
                for len in [1, 7, usize::MAX] {
                    let ends = (0..body.len()).step_by(len).collect();
                    let out = guarded(&needles, &body, ends);
                    // One byte of its ends, if it is zero, is left.
                    let [before, after] = [before, after].map(|text| utf16(text, order));
                    let marker = memchr::memmem::find(&out, REDACTED.as_bytes()).unwrap();
                    let end = marker + REDACTED.len();
                    let (start, rest) = (&out[..marker], &out[end..]);
                    assert!(start.starts_with(&before) && rest.ends_with(&after), "{credential}");
                    assert!(start.len() <= before.len() + 1 && rest.len() <= after.len() + 1);
                    assert_eq!(redact(&needles, &body).as_deref(), Some(&out[..]));
                }
            }
        }
    }
}

#[test]
fn several_occurrences_of_several_credentials_are_found() {
    let (one, two) = ("first-credential", "second-credential");
    check(&[one, two], &format!("{one},{two};{one}"), &format!("{REDACTED},{REDACTED};{REDACTED}"));
    // Those that touch or overlap are one.
    check(&[one, two], &format!("{one}{two}{one}"), REDACTED);
    check(&["abcdefabcdef"], "-abcdefabcdefabcdef-", &format!("-{REDACTED}-"));
    check(&["first-cred", one], &format!("<{one}>"), &format!("<{REDACTED}>"));
    check(&["credential", one], &format!("<{one}>"), &format!("<{REDACTED}>"));
    check(&["aaaaaaaaa"], &"a".repeat(100), REDACTED);
}

#[test]
fn what_stands_before_a_credential_does_not_hide_it() {
    // Each of these could be read as the beginning of an escape that goes on into the credential.
    for (before, credential) in [
        ("%", "41token-of-eight"),
        ("%25", "41token-of-eight"),
        ("\\", "u0041-token-of-eight"),
        ("\\", "ntoken-of-eight"),
        ("\\\\", "ntoken-of-eight"),
        ("&", "amp;token-of-eight"),
        ("&#", "65;token-of-eight"),
        ("41tok", "41token-of-eight"),
        ("%34", "41token-of-eight"),
    ] {
        check(&[credential], &format!("{before}{credential}"), &format!("{before}{REDACTED}"));
        let escaped = credential.replace("token", "%74oken");
        check(&[credential], &format!("{before}{escaped}"), &format!("{before}{REDACTED}"));
    }
    check(&["100%25-of-it%41"], "a 100%25-of-it%41 b", &format!("a {REDACTED} b"));
    check(&["100%25-of-it%41"], "a 100%2525-of-it%2541 b", &format!("a {REDACTED} b"));
    check(&[r"CORP\newton\u0041"], r"CORP\\newton\\u0041", REDACTED);
    check(&[r"CORP\newton\u0041"], r"CORP\newton\u0041", REDACTED);
}

#[test]
fn short_credentials_are_left_alone() {
    check(&["12345"], "12345", "12345");
    check(&[""], "", "");
    check(&["123456"], "x123456", &format!("x{REDACTED}"));
    let encoded = format!("{} {}", BASE64.encode(b"1234567"), HEXLOWER.encode(b"1234567"));
    check(&["1234567"], &encoded, &encoded);
    finds("12345678", BASE64_NOPAD.encode(b"12345678").as_str());
    assert!(needles(&["12345", ""]).is_empty());
}

#[test]
fn what_is_looked_for_is_shared_by_requests_with_the_same_credentials_only() {
    let needles = needles(&["first-credential", "second-credential"]);
    for (credentials, expected) in [
        (&["first-credential", "second-credential"][..], true),
        (&["first-credential"], false),
        (&["second-credential", "first-credential"], false),
        (&["first-credential", "second-credential", ""], false),
        (&["first-credential", "second-credentiaL"], false),
    ] {
        let credentials: Vec<SecretString> =
            credentials.iter().map(|text| (*text).into()).collect();
        assert_eq!(needles.are_of(&credentials), expected);
    }
}

#[test]
fn a_credential_longer_than_the_longest_is_found_piece_by_piece() {
    let long = (0..1500).map(|number| format!("{number:07x}")).collect::<Vec<_>>().concat();
    assert!(long.len() > 2 * LONGEST);
    finds(&long, &long);
    finds(&long, &HEXLOWER.encode(long.as_bytes()));
}

#[test]
fn the_end_is_kept_back_in_which_a_credential_could_begin() {
    let needles = needles(&[TOKEN]);
    for (piece, kept) in [
        ("data: {\"a\":1}\n\n", 0),
        ("nothing of it, ", 0),
        (&TOKEN[..9], 9),
        ("Bearer ghp_", 4),
        ("Bearer oth_", 4),
        ("100%", 4),
        ("%67hp%", 6),
        ("a\\", 2),
        ("Z2hwX2Nhb", 9),
        ("a line\n", 0),
        ("\n", 0),
    ] {
        let (mut redactor, mut out) = (Redactor::new(Arc::clone(&needles)), Vec::new());
        redactor.push(piece.as_bytes(), &mut out);
        assert_eq!(piece.len() - out.len(), kept, "{piece}");
        assert_eq!(redactor.holds(), kept > 0);
        redactor.finish(&mut out);
        assert_eq!(out, piece.as_bytes());
        assert_eq!(redactor.found(), 0);
    }
}

#[test]
fn a_piece_passes_without_a_copy_where_nothing_is_found() {
    let (mut redactor, mut out) = (Redactor::new(needles(&[TOKEN])), Vec::new());
    assert_eq!(redactor.pass(b"nothing of it,", false, &mut out), Passed::Same(14));
    assert_eq!(redactor.pass(b"and: ghp_", false, &mut out), Passed::Same(5));
    assert_eq!(out, b"");
    assert_eq!(redactor.pass(b"more ", false, &mut out), Passed::Other);
    assert_eq!(out, b"ghp_more ");
    let piece = format!("{TOKEN},");
    assert_eq!(redactor.pass(piece.as_bytes(), false, &mut out), Passed::Other);
    assert_eq!(redactor.found(), 1);
    // Nothing is kept back of the last one.
    assert_eq!(redactor.pass(b"and: ghp_", true, &mut out), Passed::Same(9));
    assert!(!redactor.holds());
    redactor.push(b"again: ghp_", &mut out);
    assert!(redactor.holds());
    out.clear();
    assert_eq!(redactor.pass(&TOKEN.as_bytes()[4..], true, &mut out), Passed::Other);
    assert_eq!((&out[..], redactor.found()), (REDACTED.as_bytes(), 2));
}

#[test]
fn a_whole_text_that_holds_nothing_is_not_looked_at_closely() {
    let needles = needles(&[TOKEN]);
    for text in [
        "text/html; charset=utf-8",
        "Thu, 01 Jan 2026 00:00:00 GMT",
        "W/\"5d8c72a5edda8d6a5d8c72a5edda8d6a5d8c72a5edda8d6a\"",
        "max-age=31536000; includeSubDomains; preload",
        // It would begin here, if more came.
        "an end like the beginning: ghp_cana",
        &TOKEN[1..],
    ] {
        assert_eq!(redactor::steps(&needles, text.as_bytes()), 0, "{text}");
        assert_eq!(redact(&needles, text.as_bytes()), None);
    }
    for text in [TOKEN, &format!("{}%5A%71", &TOKEN[..TOKEN.len() - 2])] {
        assert!(redactor::steps(&needles, text.as_bytes()) > 0, "{text}");
    }
}

#[test]
fn work_and_memory_are_bounded_by_what_is_sent() {
    let periodic = "ab".repeat(LONGEST / 2) + "c";
    let escapes = "%25".repeat(LONGEST / 6) + r"\\&amp;%2541" + &"25".repeat(500);
    let backslashes = "\\".repeat(2000) + "end";
    let random = (0..585).map(|n: u64| format!("{:07x}", n * 0x9e37_79b1 % 0xfff_ffff));
    let random = random.collect::<Vec<_>>().concat();
    for credential in [periodic.as_str(), &escapes, &backslashes, &random, TOKEN] {
        let needles = needles(&[credential]);
        let almost = &credential[..credential.len() - 1];
        let bodies = [
            almost.repeat(20),
            BASE64.encode(almost.as_bytes()).repeat(20),
            HEXLOWER.encode(almost.as_bytes()).repeat(10),
            "%25".repeat(20_000),
            "\\".repeat(50_000),
            "&amp;".repeat(20_000),
            r"\ud83d".repeat(10_000),
            "ab".repeat(30_000),
        ];
        for body in bodies {
            for len in [3, usize::MAX] {
                let (mut redactor, mut out) = (Redactor::new(Arc::clone(&needles)), Vec::new());
                let mut most = 0;
                for piece in body.as_bytes().chunks(len.min(body.len())) {
                    redactor.push(piece, &mut out);
                    most = most.max(redactor.held());
                }
                assert!(most < 40 * LONGEST, "{most} bytes were kept back");
                let per_byte = redactor.steps() / body.len() as u64;
                assert!(per_byte < 400, "{per_byte} steps per byte: {}…", &body[..20]);
            }
        }
    }
}
