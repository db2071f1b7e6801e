//! Any credential, written in any way, between any others, in any pieces.

use std::sync::Arc;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    tests::{at_once, guarded, needles, utf16},
    *,
};

/// What has to be read as the credential, by means other than those that are tested: each way to decode is
/// tried on everything, twice.
fn shows(text: &[u8], credential: &[u8]) -> bool {
    let credential = credential.to_ascii_lowercase();
    let mut texts = vec![text.to_vec()];
    texts.extend([0, 1].iter().filter_map(|skipped| text.get(*skipped..)).flat_map(|text| {
        [u16::from_le_bytes, u16::from_be_bytes].map(|order| {
            let units: Vec<_> = text.as_chunks().0.iter().map(|unit| order(*unit)).collect();
            String::from_utf16_lossy(&units).into_bytes()
        })
    }));
    for _ in 0..2 {
        let decoded: Vec<_> = texts.iter().flat_map(|text| decodings(text)).collect();
        texts.extend(decoded);
    }
    let contains =
        |text: &Vec<u8>| memchr::memmem::find(&text.to_ascii_lowercase(), &credential).is_some();
    texts.iter().any(contains)
}

fn decodings(text: &[u8]) -> Vec<Vec<u8>> {
    let spaced: Vec<_> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let mut decoded = vec![
        percent_encoding::percent_decode(text).collect(),
        percent_encoding::percent_decode(&spaced).collect(),
    ];
    let quoted = [b"\"", text, b"\""].concat();
    decoded.extend(serde_json::from_slice::<String>(&quoted).map(String::into_bytes));
    let unbroken: Vec<u8> =
        text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    for run in unbroken.split(|byte| !is_base64(byte)).filter(|run| run.len() > 8) {
        let run: Vec<u8> = run
            .iter()
            .map(|byte| match byte {
                b'-' => b'+',
                b'_' => b'/',
                byte => *byte,
            })
            .collect();
        for skipped in 0..4 {
            let run = &run[skipped..];
            let lossy = [run, &b"AAA"[..(4 - run.len() % 4) % 4]].concat();
            decoded.push(BASE64.decode(&lossy).unwrap());
        }
        for skipped in 0..2 {
            let run = &run[skipped..];
            decoded.extend(data_encoding::HEXLOWER_PERMISSIVE.decode(&run[..run.len() / 2 * 2]));
        }
    }
    decoded
}

/// How one occurrence is written.
#[derive(Clone, Debug)]
enum Form {
    /// Each character in one of these ways, again and again.
    Url(Vec<u8>),
    Json(Vec<u8>),
    JsonInJson(Vec<u8>),
    Base64 {
        before: Vec<u8>,
        after: Vec<u8>,
        is_url: bool,
        line: usize,
    },
    Hex {
        is_upper: bool,
    },
    Utf16 {
        is_big: bool,
    },
}

/// The case in which an occurrence is written, where that does not matter.
#[derive(Clone, Copy, Debug)]
enum Case {
    Own,
    Upper,
    Lower,
}

impl Case {
    fn write(self, credential: &str) -> String {
        match self {
            Self::Own => credential.to_owned(),
            Self::Upper => credential.to_ascii_uppercase(),
            Self::Lower => credential.to_ascii_lowercase(),
        }
    }
}

fn case() -> impl Strategy<Value = Case> {
    prop_oneof![Just(Case::Own), Just(Case::Upper), Just(Case::Lower)]
}

fn form() -> impl Strategy<Value = Form> {
    let ways = || vec(any::<u8>(), 1..12);
    prop_oneof![
        ways().prop_map(Form::Url),
        ways().prop_map(Form::Json),
        ways().prop_map(Form::JsonInJson),
        (
            vec(any::<u8>(), 0..70),
            vec(any::<u8>(), 0..4),
            any::<bool>(),
            prop_oneof![Just(64), Just(76), Just(9999)]
        )
            .prop_map(|(before, after, is_url, line)| Form::Base64 {
                before,
                after,
                is_url,
                line
            }),
        any::<bool>().prop_map(|is_upper| Form::Hex { is_upper }),
        any::<bool>().prop_map(|is_big| Form::Utf16 { is_big }),
    ]
}

fn json_char(c: char, way: u8) -> String {
    let mut units = [0; 2];
    match way % 3 {
        0 => {
            let units = c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
            units.collect::<Vec<_>>().concat()
        }
        1 if c == '/' => "\\/".into(),
        _ => {
            let quoted = serde_json::to_string(&c).unwrap();
            quoted[1..quoted.len() - 1].to_owned()
        }
    }
}

fn ways(list: &[u8]) -> impl Iterator<Item = u8> {
    list.iter().copied().cycle()
}

impl Form {
    fn write(&self, credential: &str) -> Vec<u8> {
        match self {
            Self::Url(list) => {
                let has_percent = credential.contains('%');
                let escape = |(byte, way): (u8, u8)| match (way % 5, byte) {
                    (0, b' ') => "+".into(),
                    (3, _) if !has_percent => format!("%25{byte:02X}").into_bytes(),
                    (2, _) | (_, b'%' | b'+') => format!("%{byte:02X}").into_bytes(),
                    (0 | 1, _) => format!("%{byte:02x}").into_bytes(),
                    _ => vec![byte],
                };
                credential.bytes().zip(ways(list)).flat_map(escape).collect()
            }
            Self::Json(list) => {
                let escaped = credential.chars().zip(ways(list)).map(|(c, way)| json_char(c, way));
                escaped.collect::<String>().into_bytes()
            }
            Self::JsonInJson(list) => {
                let inner = credential.chars().zip(ways(list)).map(|(c, way)| json_char(c, way));
                let outer = serde_json::to_string(&inner.collect::<String>()).unwrap();
                outer[1..outer.len() - 1].to_owned().into_bytes()
            }
            Self::Base64 { before, after, is_url, line } => {
                let whole = [before, credential.as_bytes(), after].concat();
                let encoding = if *is_url { BASE64URL_NOPAD } else { BASE64 };
                let written = encoding.encode(&whole).into_bytes();
                written.chunks(*line).collect::<Vec<_>>().join(&b"\r\n"[..])
            }
            Self::Hex { is_upper: true } => HEXUPPER.encode(credential.as_bytes()).into_bytes(),
            Self::Hex { is_upper: false } => HEXLOWER.encode(credential.as_bytes()).into_bytes(),
            Self::Utf16 { is_big: true } => utf16(credential, u16::to_be_bytes),
            Self::Utf16 { is_big: false } => utf16(credential, u16::to_le_bytes),
        }
    }

    /// The same of a credential in this case, if it does not matter.
    fn write_in(&self, case: Case, credential: &str) -> Vec<u8> {
        match self {
            Self::Base64 { .. } | Self::Hex { .. } => self.write(credential),
            _ => self.write(&case.write(credential)),
        }
    }
}

fn credential() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9_.-]{8,60}",
        "[A-Za-z0-9/+=]{40}",
        r#"[ab%\\"&;/+ 0-9u]{8,20}"#,
        "[ -~]{8,100}",
        "\\PC{8,30}",
    ]
}

/// Text that is much like what is looked for, or is not.
fn surroundings() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        r#"[ab%\\"&;/+ 0-9u\r\n]{0,40}"#.prop_map(String::into_bytes),
        "[A-Za-z0-9+/]{0,200}".prop_map(String::into_bytes),
        r#"(\{"[a-z]{1,9}": ?"[a-z ]{0,60}\\n"\},? ){0,9}"#.prop_map(String::into_bytes),
    ]
}

/// A credential, and another one of the same length and of the same kind of bytes.
fn two_alike() -> impl Strategy<Value = (String, String)> {
    let of = |class: &'static str| {
        (16_usize..60).prop_flat_map(move |length| {
            let one =
                move || proptest::string::string_regex(&format!("{class}{{{length}}}")).unwrap();
            (one(), one())
        })
    };
    prop_oneof![
        of("[A-Za-z0-9_.-]"),
        of("[A-Za-z0-9/+=]"),
        of("[!-~]").prop_map(|(one, other)| (format!("{one}{{"), format!("{other}}}"))),
        of("[ -~]").prop_map(|(one, other)| (format!("{one} "), format!("{other} "))),
    ]
}

/// How much has been let through after each piece, and whether anything was replaced.
fn borders(needles: &Arc<Needles>, body: &[u8], mut ends: Vec<usize>) -> (Vec<usize>, u64) {
    ends.extend([0, body.len()]);
    ends.sort_unstable();
    let (mut redactor, mut out) = (Redactor::new(Arc::clone(needles)), Vec::new());
    let mut after = |piece: &[usize]| {
        redactor.push(&body[piece[0]..piece[1]], &mut out);
        out.len()
    };
    let borders = ends.windows(2).map(&mut after).collect();
    (borders, redactor.found())
}

fn places(indexes: &[Index], body: &[u8]) -> Vec<usize> {
    indexes.iter().map(|index| index.index(body.len() + 1)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_credential_never_comes_back(
        credential in credential(), form in form(), case in case(), before in surroundings(),
        after in surroundings(), ends in vec(any::<Index>(), 0..20),
    ) {
        let written = form.write_in(case, &credential);
        let body = [&before[..], &written, &after].concat();
        prop_assert!(shows(&written, credential.as_bytes()), "the test itself is blind");
        let needles = needles(&[&credential]);
        let out = guarded(&needles, &body, places(&ends, &body));
        prop_assert!(memchr::memmem::find(&out, REDACTED.as_bytes()).is_some());
        prop_assert!(!shows(&out, credential.as_bytes()));
        let whole = redact(&needles, &body);
        prop_assert_eq!(whole.as_deref(), Some(&out[..]));
        prop_assert_eq!(at_once(&needles, &body), out);
    }

    #[test]
    fn what_stands_around_a_credential_stays(
        credential in credential(), form in form(), case in case(), ends in vec(any::<Index>(), 0..20),
    ) {
        let form = match form {
            Form::Base64 { is_url, line, .. } => Form::Base64 { before: vec![], after: vec![], is_url, line },
            form => form,
        };
        let written = form.write_in(case, &credential);
        let body = [b"<p class='a'>", &written[..], b"</p>"].concat();
        let out = guarded(&needles(&[&credential]), &body, places(&ends, &body));
        let out = String::from_utf8(out).unwrap().replace(['=', '\0'], "");
        prop_assert_eq!(out, format!("<p class'a'>{REDACTED}</p>"));
    }

    #[test]
    fn what_is_no_credential_passes_unchanged(
        credential in credential(), bodies in vec(surroundings(), 0..5), cut in any::<Index>(),
        form in form(), ends in vec(any::<Index>(), 0..20),
    ) {
        // Almost one: a half of it.
        let half = credential.floor_char_boundary(cut.index(credential.len()).min(credential.len() / 2));
        let almost = form.write(&credential[..half]);
        let body = bodies.join(&almost[..]);
        prop_assume!(!shows(&body, credential.as_bytes()));
        prop_assert_eq!(&guarded(&needles(&[&credential]), &body, places(&ends, &body)), &body);
    }

    #[test]
    fn what_is_kept_back_tells_no_credential_from_another(
        (credential, other) in two_alike(), bodies in vec(surroundings(), 1..5), cut in any::<Index>(),
        form in form(), ends in vec(any::<Index>(), 0..20),
    ) {
        let guess = form.write(&credential[..cut.index(credential.len())]);
        let body = bodies.join(&guess[..]);
        // Whoever guesses ends pieces behind the guesses.
        let mut ends = places(&ends, &body);
        ends.push(bodies[0].len() + guess.len().min(body.len() - bodies[0].len()));
        let [one, other] = [&credential, &other].map(|text| borders(&needles(&[text]), &body, ends.clone()));
        prop_assume!(one.1 == 0 && other.1 == 0);
        prop_assert_eq!(one, other);
    }
}
