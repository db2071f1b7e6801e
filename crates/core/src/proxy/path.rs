//! Paths that a credential may be sent to.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use url::Url;

/// How often a path is decoded to see what it could mean. No honest one is encoded so often.
const MOST_DECODED: usize = 3;
/// What is like a slash, a backslash or the sign that begins an escape and is not made one by NFKC.
const LIKE_SEPARATORS: [char; 7] =
    ['\u{2044}', '\u{2215}', '\u{2216}', '\u{29f5}', '\u{29f8}', '\u{29f9}', '\u{66a}'];

/// The beginning of paths, at the border of a segment: `/v1/chat` is that path and all below it, `/v1/chat/…`,
/// but not `/v1/chats`; `/v1/` is all below `/v1`, and not `/v1` itself; `/` is every path.
///
/// Letters count as they are written, also in percent-encodings: where a server makes no difference, a path is
/// refused that it would take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPrefix(String);

/// A text is no beginning of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "must be the beginning of a path, such as /v1/ or /v1/chat, without ?, #, empty segments, dot segments and encoded slashes"
)]
pub struct InvalidPath;

impl FromStr for PathPrefix {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let is_right = text.starts_with('/')
            && !text.contains(['?', '#', '\\'])
            && !text.contains("//")
            && !text.chars().any(|c| c.is_control() || c.is_whitespace())
            && !is_ambiguous(text);
        // As the path of a request is written when it was read.
        let read = Url::parse("https://example.com").and_then(|url| url.join(text));
        let read = read.ok().filter(|_| is_right).ok_or(InvalidPath)?;
        Ok(Self(read.path().to_owned()))
    }
}

impl PathPrefix {
    /// Whether `path` is this one or below it. It must not be [ambiguous](is_ambiguous).
    fn matches(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.0.as_str());
        rest.is_some_and(|rest| rest.is_empty() || self.0.ends_with('/') || rest.starts_with('/'))
    }

    /// Whether `path` is one of these or below one, whichever way a server reads it.
    pub(crate) fn any_holds(all: &[Self], path: &str) -> bool {
        // Every path is below "/", whatever it means.
        all.iter().any(Self::is_all)
            || !is_ambiguous(path) && all.iter().any(|prefix| prefix.matches(path))
    }

    /// Whether there are paths that these leave out; `None` leaves out none.
    pub(crate) fn leave_some_out(all: Option<&[Self]>) -> bool {
        all.is_some_and(|all| !all.iter().any(Self::is_all))
    }

    /// Whether it is `/`, below which every path is.
    fn is_all(&self) -> bool {
        self.0 == "/"
    }

    /// Whether every path that begins with `other` begins with this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether servers disagree about which path this is: some decode `%2F` and `%5C` before they look for
/// segments, some decode twice or in other ways (`%u002e`), some cut parameters (`..;x`), blanks, dots, or what is not
/// ASCII off first, some make ASCII of what is like it (Unicode NFKC: `︰` is two dots, `℁` has a slash), and some stop
/// at a control character. Where any of them would see a slash more, or a dot segment,
/// the beginning of the path says nothing.
pub(super) fn is_ambiguous(path: &str) -> bool {
    let slashes = |text: &str| text.matches(['/', '\\']).count();
    let mut current = path.to_owned();
    for _ in 0..=MOST_DECODED {
        let folded: String = current.nfkc().collect();
        if slashes(&folded) != slashes(path)
            || folded.contains('\\')
            || folded.matches('%').count() != current.matches('%').count()
            || current.contains(LIKE_SEPARATORS)
            || folded.to_ascii_lowercase().contains("%u")
            || current.chars().any(char::is_control)
            || current.split('/').chain(folded.split('/')).any(is_dots)
        {
            return true;
        }
        let Ok(decoded) = percent_decode_str(&current).decode_utf8() else { return true };
        if decoded == current {
            return false;
        }
        current = decoded.into_owned();
    }
    true
}

/// Whether a segment is one or two dots to some server. What follows two dots may be cut off, whatever it is.
fn is_dots(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or_default();
    name.starts_with("..")
        || name.contains('.') && name.chars().all(|c| c == '.' || c == ' ' || !c.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_at_the_border_of_a_segment() {
        for (prefix, path, expected) in [
            ("/", "/", true),
            ("/", "/x/y", true),
            ("/v1/", "/v1/", true),
            ("/v1/", "/v1/x", true),
            ("/v1/", "/v1", false),
            ("/v1/", "/v1x/y", false),
            ("/v1/", "/V1/x", false),
            ("/v1/", "//v1/x", false),
            ("/v1/", "/%761/x", false),
            ("/v1/chat", "/v1/chat", true),
            ("/v1/chat", "/v1/chat/", true),
            ("/v1/chat", "/v1/chat/x", true),
            ("/v1/chat", "/v1/chats", false),
            ("/v1/chat", "/v1/chat;x", false),
            ("/v1/chat", "/v1/chat%2fx", false),
            ("/é", "/%C3%A9/x", true),
        ] {
            let prefix: PathPrefix = prefix.parse().unwrap();
            assert_eq!(prefix.matches(path), expected, "{prefix} {path}");
        }
        let covers =
            |all: &str, one: &str| all.parse::<PathPrefix>().unwrap().covers(&one.parse().unwrap());
        assert!(covers("/", "/v1") && covers("/v1/", "/v1/") && covers("/v1", "/v1/x"));
        assert!(!covers("/v1/", "/v1") && !covers("/v1", "/v10") && !covers("/v1/x", "/v1"));
    }

    #[test]
    fn a_beginning_that_could_mean_another_is_refused() {
        for text in [
            "",
            "v1",
            "v1/",
            "/v1?x",
            "/v1#x",
            "//",
            "/v1//x",
            "/v1/../x",
            "/v1/.",
            "/v1/%2e%2E/",
            "/v1%2fx",
            "/v1\\x",
            "/v1\n",
            "/v 1",
            "https://example.com/v1",
        ] {
            assert_eq!(text.parse::<PathPrefix>(), Err(InvalidPath), "{text}");
        }
    }

    #[test]
    fn a_path_that_servers_read_differently_is_known() {
        for path in [
            "/v1/x%2f..%2fadmin",
            "/v1/%2Fadmin",
            "/v1/%5cadmin",
            "/v1/..%5c",
            "/v1/%252e%252e/x",
            "/v1/%252fx",
            "/v1/%25252fx",
            "/v1/..;/admin",
            "/v1/..;a=b/admin",
            "/v1/..%3b/admin",
            "/v1/.;/x",
            "/v1/..%20/x",
            "/v1/.../x",
            "/v1/.%00./x",
            "/v1/x%00",
            "/v1/%0d%0a",
            "/v1/.%09./x",
            "/v1/%c0%ae%c0%ae/x",
            "/v1/%ff",
            "/%2525252525",
            "/v1/%7f",
            "/v1/%u002e%u002e/admin",
            "/v1/%25U002e./admin",
            "/v1/..%ef%bc%8f",
            "/v1/x%ef%bc%8fadmin",
            "/v1/x%ef%bc%bcadmin",
            "/v1/%ef%bc%852e%ef%bc%852e/admin",
            "/v1/%ef%bc%8e%ef%bc%8e/admin",
            "/v1/%e2%80%a5/admin",
            "/v1/.%e2%80%8b./admin",
            "/v1/%e2%80%8b../admin",
            "/v1/..%c2%a0/admin",
            "/v1/..%3f/admin",
            "/v1/..%23/admin",
            "/v1/..:/admin",
            "/v1/..x",
            "/v1/...x",
            "/v1/%ef%b8%b0/admin",
            "/v1/%ef%b8%99/admin",
            "/v1/%ef%b8%b0x",
            "/v1/%e2%80%a5x",
            "/v1/%e2%84%80/x",
            "/v1/%e2%84%81/x",
            "/v1/%e2%84%85",
            "/v1/%e2%84%86",
            "/v1/%ef%b9%a8",
            "/v1/x%ef%b9%aa41",
            "/v1/x%d9%aa41",
            "/v1/%25ef%25b8%25b0/admin",
        ] {
            assert!(is_ambiguous(path), "{path}");
        }
        for path in [
            "/",
            "/v1/x",
            "/v1//x",
            "/v1/x.json",
            "/v1/.well-known",
            "/v1/x..",
            "/v1/v1...v2",
            "/v1/%E6%97%A5%E6%9C%AC",
            "/v1/%E6%97%A5.json",
            "/v1/%E6%97%A5%E3%80%82",
            "/v1/x%E2%80%A6",
            "/v1/%E2%92%88x",
            "/v1/%EF%BC%A1",
            "/v1/%C2%BD",
            "/v1/x%20y",
            "/v1/%C3%A9",
            "/v1/a%3Ab",
            "/v1/100%25",
            "/v1/x;p=..",
            "/v1/%zz",
            "/v1/;a/",
            "/v1/a@b:c",
        ] {
            assert!(!is_ambiguous(path), "{path}");
        }
    }
}
