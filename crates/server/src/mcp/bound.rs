//! How large answers are: what fills a model's memory helps it little.

use serde::Serialize;

/// The most of an answer, in bytes of JSON. Clients get it twice, as text and structured, and choose one.
pub(super) const LARGEST: usize = 48 * 1024;
/// Room for what stands around items and bodies.
const AROUND: usize = 1024;
/// The most of a name or a description, in characters.
const LONGEST_WORDS: usize = 200;
/// The most of one list in an item, in bytes of JSON.
const LARGEST_LIST: usize = 4 * 1024;

/// The size of a value as JSON, in bytes.
pub(super) fn size(value: &impl Serialize) -> usize {
    // Texts, numbers and lists of them: there is nothing that could not be written.
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}

/// A text, or the beginning of a long one with a mark at its end.
pub(super) fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A name or a description.
pub(super) fn words(text: String) -> String {
    cut(text, LONGEST_WORDS)
}

/// The beginning of a text that takes no more than `most` bytes as JSON.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    let mut size = 0;
    let end = text.char_indices().find(|(_, char)| {
        size += written(*char);
        size > most
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// So many bytes a character takes in a JSON string as serde writes it.
const fn written(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => char.len_utf8(),
    }
}

/// As many of the texts as an item has room for, and whether those are all.
pub(super) fn some(texts: Vec<String>) -> (Vec<String>, bool) {
    let all = texts.len();
    let some = fit(texts.into_iter().map(words), LARGEST_LIST);
    let are_all = some.len() == all;
    (some, are_all)
}

/// As many items as an answer has room for, and the cursor to go on behind the last of them.
pub(super) fn page<Item: Serialize>(
    items: Vec<Item>,
    cursor: Option<String>,
    id: impl Fn(&Item) -> &str,
) -> (Vec<Item>, Option<String>) {
    let all = items.len();
    let items = fit(items, LARGEST - AROUND);
    let cursor = match items.last() {
        Some(last) if items.len() < all => Some(id(last).to_owned()),
        _ => cursor,
    };
    (items, cursor)
}

fn fit<Item: Serialize>(items: impl IntoIterator<Item = Item>, most: usize) -> Vec<Item> {
    let mut room = most;
    let fits = |item: &Item| {
        let left = room.checked_sub(size(item) + 1);
        room = left.unwrap_or_default();
        left.is_some()
    };
    items.into_iter().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_as_long_as_it_may_be_written() {
        for text in ["x".repeat(100), "\u{1}\"\\\n\u{7f}ü😀\u{2028}/".repeat(20), String::new()]
        {
            for most in [0, 1, 7, 50, 99, 100, 10_000] {
                let beginning = beginning(&text, most);
                assert!(text.starts_with(beginning));
                // Without the quotes.
                assert!(size(&beginning) - 2 <= most, "{beginning:?} in {most}");
                let next = text[beginning.len()..].chars().next();
                let longer = next.map(|next| format!("{beginning}{next}"));
                assert!(longer.is_none_or(|longer| size(&longer) - 2 > most), "{most}");
            }
        }
    }

    #[test]
    fn long_words_are_cut_at_a_character_and_marked() {
        assert_eq!(cut("üüü".into(), 3), "üüü");
        assert_eq!(cut("üüüü".into(), 3), "üüü…");
    }
}
