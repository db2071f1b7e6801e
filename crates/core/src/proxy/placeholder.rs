//! `${SECRET_NAME}` and `{{SECRET_NAME}}` in the values of headers (contract/contacts-and-secrets, section
//! 3.4): they stand for the secret that the request is sent with, and for no other one.

use std::ops::Range;

/// The name that stands for whichever secret it is.
const DEFAULT: &str = "default";
const OPENINGS: [(&str, &str); 2] = [("${SECRET_", "}"), ("{{SECRET_", "}}")];

/// A placeholder in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placeholder<'a> {
    /// Where it stands, in bytes.
    pub(super) at: Range<usize>,
    /// The name behind `SECRET_`.
    pub(super) name: &'a str,
}

/// Every placeholder of a text, in order.
pub(super) fn placeholders(text: &str) -> Vec<Placeholder<'_>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(next) = next(text, from) {
        from = next.at.end;
        found.push(next);
    }
    found
}

fn next(text: &str, mut from: usize) -> Option<Placeholder<'_>> {
    loop {
        let find = |(open, close): (&'static str, &'static str)| {
            Some((from + text.get(from..)?.find(open)?, open, close))
        };
        let (start, open, close) =
            OPENINGS.into_iter().filter_map(find).min_by_key(|(start, ..)| *start)?;
        let begin = start + open.len();
        let rest = &text[begin..];
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        if end > 0 && rest[end..].starts_with(close) {
            let at = start..begin + end + close.len();
            return Some(Placeholder { at, name: &rest[..end] });
        }
        from = begin;
    }
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
        ] {
            assert_eq!(names(text), expected, "{text}");
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
