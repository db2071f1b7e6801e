//! `${SECRET_NAME}` and `{{SECRET_NAME}}` in the values of headers (contract/contacts-and-secrets, section
//! 3.4): they stand for the secret that the request is sent with, and for no other one.

use std::ops::Range;

/// The name that stands for whichever secret it is.
const DEFAULT: &str = "default";
/// What both spellings begin with, behind the one character in which they differ.
const OPENING: &str = "{SECRET_";

/// A placeholder in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placeholder<'a> {
    /// Where it stands, in bytes.
    pub(super) at: Range<usize>,
    /// The name behind `SECRET_`.
    pub(super) name: &'a str,
}

/// Every placeholder of a text, in order. Each byte is looked at a few times at the most, whatever the text is: callers
/// write it.
pub(super) fn placeholders(text: &str) -> Vec<Placeholder<'_>> {
    text.match_indices(OPENING).filter_map(|(at, _)| placeholder(text, at)).collect()
}

/// The placeholder whose [`OPENING`] is there, if it is one: `$` before it ends in `}`, another `{` in `}}`.
fn placeholder(text: &str, opening: usize) -> Option<Placeholder<'_>> {
    let start = opening.checked_sub(1)?;
    let close = match text.as_bytes()[start] {
        b'$' => "}",
        b'{' => "}}",
        _ => return None,
    };
    let begin = opening + OPENING.len();
    // No opening is within a name, so no part of the text is gone through for two of them.
    let length = text[begin..].bytes().take_while(|byte| is_word(char::from(*byte))).count();
    let (name, rest) = text[begin..].split_at(length);
    let is_whole = !name.is_empty() && rest.starts_with(close);
    is_whole.then(|| Placeholder { at: start..begin + length + close.len(), name })
}

/// Whether a placeholder of this name stands for the secret that is called `own`.
pub(super) fn is_own(name: &str, own: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == DEFAULT || name == normalized(own)
}

/// The name by which a placeholder calls a secret: what are no letters, digits and underscores are one
/// underscore, and there is none at its ends.
pub(super) fn normalized(name: &str) -> String {
    let words = name.split(|c: char| !is_word(c) || c == '_').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_ascii_lowercase()
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<&str> {
        placeholders(text).into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn both_spellings_are_found_and_what_is_unfinished_is_text() {
        for (text, expected) in [
            ("${SECRET_DEFAULT}", &["DEFAULT"][..]),
            ("{{SECRET_DEFAULT}}", &["DEFAULT"]),
            ("Bearer ${SECRET_A} {{SECRET_b_2}}", &["A", "b_2"]),
            ("${SECRET_A}${SECRET_B}", &["A", "B"]),
            ("${SECRET_${SECRET_A}}", &["A"]),
            ("{{SECRET_{{SECRET_A}}", &["A"]),
            ("${{SECRET_A}}", &["A"]),
            ("${SECRET_}", &[]),
            ("${SECRET_A", &[]),
            ("{{SECRET_A}", &[]),
            ("${SECRET_A-B}", &[]),
            ("${secret_A}", &[]),
            ("$SECRET_A ${A}", &[]),
            ("é${SECRET_Ä}", &[]),
            ("{SECRET_A}} ${SECRET_B}", &["B"]),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
    }

    /// Who looks for the end of the text from each opening needs minutes for it, and a thread for as long.
    #[test]
    fn a_text_full_of_openings_is_gone_through_once() {
        for opening in ["${SECRET_", "{{SECRET_", "${SECRET_A", "{{SECRET_A} "] {
            let text = opening.repeat(1024 * 1024 / opening.len()) + "${SECRET_B}";
            let (tell, told) = mpsc::channel();
            thread::spawn(move || tell.send(names(&text).join(" ")));
            let found = told.recv_timeout(Duration::from_secs(20));
            assert_eq!(found.as_deref(), Ok("B"), "{opening}");
        }
    }

    #[test]
    fn a_secret_is_called_by_its_name_without_what_is_no_word() {
        for (name, expected) in [
            ("GitHub", "github"),
            ("  My -- API  key! ", "my_api_key"),
            ("__a__b__", "a_b"),
            ("a.b/c", "a_b_c"),
            ("!!!", ""),
            ("", ""),
        ] {
            assert_eq!(normalized(name), expected);
        }
        assert!(is_own("DEFAULT", "x") && is_own("MY_KEY", "My key") && is_own("my_key", "My key"));
        assert!(!is_own("OTHER", "My key") && !is_own("MY", "My key") && !is_own("_", "!!!"));
    }

    proptest! {
        #[test]
        fn what_is_found_is_where_it_says(text in "[$\\{\\}SECRT_Aé]{0,40}|(\\$\\{SECRET_[A-Z]{0,3}\\}|\\{\\{SECRET_A\\}\\}|x){0,6}") {
            let mut end = 0;
            for Placeholder { at, name } in placeholders(&text) {
                prop_assert!(at.start >= end);
                end = at.end;
                let found = &text[at];
                let spellings = [format!("${{SECRET_{name}}}"), format!("{{{{SECRET_{name}}}}}")];
                prop_assert!(spellings.iter().any(|known| known == found));
            }
        }
    }
}
