//! What a provider says when it refuses (RFC 6749 section 5.2, and what others make of it).

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::document::Fields;

/// The longest code that is kept, in characters.
const LONGEST_CODE: usize = 64;
/// The longest description that is kept, in characters.
const LONGEST_DESCRIPTION: usize = 200;
/// A run of this many characters without a blank may be a token.
const LONG_RUN: usize = 20;
/// What stands for such a run.
const REMOVED: &str = "[removed]";
/// The code where a provider says that there is an error, and not which.
const UNNAMED: &str = "error";
/// A secret shorter than this may stand in a code by chance.
const SHORTEST_SECRET: usize = 8;

/// Codes that say that a grant, or a code for one, has ended for good.
const DEAD_GRANT: [&str; 11] = [
    "invalid_grant",         // RFC 6749
    "bad_refresh_token",     // GitHub; HubSpot in capitals
    "bad_verification_code", // GitHub, for a code
    "bad_auth_code",         // HubSpot, for a code
    "invalid_refresh_token", // Slack; Yahoo in capitals
    "token_revoked",         // Slack
    "token_expired",         // Slack
    "account_inactive",      // Slack: the person or the workspace is deleted, or the app removed
    "invalid_code",          // Slack, for a code; Zoho, for refresh tokens too
    "code_already_used",     // Slack, for a code
    "refresh_token_expired",
];

/// The same in a description, under a code that means other things as well.
const DEAD_GRANT_DESCRIBED: [(&str, &str); 2] = [
    ("unauthorized_client", "refresh_token is invalid"), // Atlassian
    ("invalid_request", "Value passed for the token was invalid."), // X
];

/// Codes that say that the client is unknown, or its secret wrong.
const UNKNOWN_CLIENT: [&str; 6] = [
    "invalid_client",               // RFC 6749
    "incorrect_client_credentials", // GitHub
    "invalid_client_id",            // Slack
    "bad_client_secret",            // Slack; HubSpot in capitals
    "bad_client_id",                // HubSpot, in capitals
    "invalid_client_secret",        // Zoho
];

/// A provider's refusal, in words that are safe to store, log and answer once
/// [`without`](Self::without) has seen what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider refused: {code}")]
pub struct Refused {
    /// The error code: 1 to 64 characters of RFC 6749's set; any other is a question mark.
    pub code: String,
    /// What the provider says of it: printable ASCII, at most 200 characters, without long runs.
    pub description: Option<String>,
}

impl Refused {
    /// A refusal of this code and description, as far as they can be repeated; `None` for an empty code.
    #[must_use]
    pub fn new(code: &str, description: Option<&str>) -> Option<Self> {
        let allowed = |c: char| matches!(c, ' '..='!' | '#'..='[' | ']'..='~');
        let code = code.trim().chars().take(LONGEST_CODE);
        let code: String = code.map(|c| if allowed(c) { c } else { '?' }).collect();
        let description = description.map(printable).filter(|text| !text.is_empty());
        (!code.is_empty()).then_some(Self { code, description })
    }

    /// The refusal in an answer. `is_failure`: its status is one, so words may be read that could mean
    /// anything in an answer of success.
    pub(super) fn read(answer: Fields<'_>, is_failure: bool) -> Option<Self> {
        let error = answer.object("error").or_else(|| answer.first("errors"));
        let code = match answer.value("error") {
            Some(Value::String(code)) => Some(code.as_str()),
            Some(Value::Bool(true)) => Some(UNNAMED),
            Some(Value::Object(_)) => error.map(code_in),
            _ => None,
        };
        let code = code.filter(|code| !code.is_empty());
        // Fitbit says it in a list, HubSpot in `status`.
        let other = || error.map(code_in).or_else(|| answer.text("status"));
        let code = code.or_else(|| other().filter(|_| is_failure))?;
        let message = || error.and_then(|error| error.text("message"));
        let description = answer.text("error_description").or_else(message);
        Self::new(code, description.or_else(|| answer.text("message")))
    }

    /// Whether the grant, or the code for one, has ended for good: only a person can make a new one.
    #[must_use]
    pub fn is_dead_grant(&self) -> bool {
        let is_described = |&(code, description): &(&str, &str)| {
            self.code == code && self.description.as_deref() == Some(description)
        };
        self.is_one_of(&DEAD_GRANT) || DEAD_GRANT_DESCRIBED.iter().any(is_described)
    }

    /// Whether the provider does not know the client, or refuses its secret: another one may do.
    /// `unauthorized_client` is not it; that client is known.
    #[must_use]
    pub fn is_unknown_client(&self) -> bool {
        self.is_one_of(&UNKNOWN_CLIENT)
    }

    /// The same without a text that repeats one of these secrets.
    #[must_use]
    pub fn without(mut self, secrets: &[&SecretString]) -> Self {
        let secrets = || secrets.iter().map(|secret| plain(secret.expose_secret().trim()));
        let repeats =
            |text: &str, least: usize| secrets().any(|s| s.len() >= least && text.contains(&s));
        self.description = self.description.filter(|text| !repeats(text, 1));
        if repeats(&self.code, SHORTEST_SECRET) {
            UNNAMED.clone_into(&mut self.code);
        }
        self
    }

    fn is_one_of(&self, codes: &[&str]) -> bool {
        codes.iter().any(|code| self.code.eq_ignore_ascii_case(code))
    }
}

/// The code of an error that is an object (Facebook, Fitbit, Google's APIs).
fn code_in(error: Fields<'_>) -> &str {
    ["errorType", "type", "status", "code"]
        .into_iter()
        .find_map(|name| error.text(name))
        .unwrap_or(UNNAMED)
}

/// A text as one line of printable ASCII.
fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        ' '..='~' => c,
        c if c.is_whitespace() || c.is_control() => ' ',
        _ => '?',
    };
    text.chars().map(plain).collect()
}

/// A text that can be repeated: whole words only, so that no part of a secret is left at the end.
fn printable(text: &str) -> String {
    let mut kept = String::new();
    for word in plain(text).split_ascii_whitespace() {
        let word = if word.len() >= LONG_RUN { REMOVED } else { word };
        if kept.len() + 1 + word.len() > LONGEST_DESCRIPTION {
            break;
        }
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(word);
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{super::document::Document, *};

    fn read(answer: &Value, is_failure: bool) -> Option<Refused> {
        Refused::read(Document::new(answer.as_object().unwrap().clone()).fields(), is_failure)
    }

    fn refused(code: &str, description: Option<&str>) -> Refused {
        Refused::new(code, description).unwrap()
    }

    #[test]
    fn the_providers_shapes_of_a_refusal_are_read() {
        for (answer, code, description) in [
            (json!({"error": "invalid_grant"}), "invalid_grant", None),
            (json!({"error": "a", "error_description": "b c"}), "a", Some("b c")),
            (
                json!({"error": {"type": "OAuthException", "message": "m"}}),
                "OAuthException",
                Some("m"),
            ),
            (json!({"error": {"code": 7}}), "error", None),
            (json!({"error": true, "message": "m"}), "error", Some("m")),
        ] {
            let read = read(&answer, false).unwrap();
            assert_eq!((read.code.as_str(), read.description.as_deref()), (code, description));
        }
        let hubspot = json!({"status": "BAD_REFRESH_TOKEN", "message": "m"});
        let fitbit = json!({"errors": [{"errorType": "invalid_grant", "message": "m"}]});
        for answer in [hubspot, fitbit] {
            assert!(read(&answer, true).unwrap().is_dead_grant(), "{answer}");
            assert_eq!(read(&answer, false), None, "{answer}");
        }
    }

    #[test]
    fn what_names_no_error_is_no_refusal() {
        for answer in
            [json!({}), json!({"error": ""}), json!({"error": false}), json!({"error": null})]
        {
            assert_eq!(read(&answer, true), None, "{answer}");
        }
    }

    #[test]
    fn only_definite_words_end_a_grant() {
        for code in DEAD_GRANT {
            assert!(refused(code, None).is_dead_grant(), "{code}");
        }
        for (code, description) in DEAD_GRANT_DESCRIBED {
            assert!(refused(code, Some(description)).is_dead_grant(), "{code}");
        }
        for code in [
            "invalid_client",
            "unauthorized_client",
            "invalid_request",
            "temporarily_unavailable",
            "server_error",
            "interaction_required",
            "invalid_grant?",
            "Access Denied",
            "ratelimited",
        ] {
            assert!(!refused(code, Some("try again")).is_dead_grant(), "{code}");
        }
    }

    #[test]
    fn an_unknown_client_is_told_from_one_that_may_not() {
        for code in UNKNOWN_CLIENT {
            let refused = refused(code, None);
            assert!(refused.is_unknown_client() && !refused.is_dead_grant(), "{code}");
        }
        assert!(!refused("unauthorized_client", None).is_unknown_client());
    }

    #[test]
    fn a_text_that_repeats_a_secret_is_dropped() {
        let secrets: [SecretString; 3] = ["p4ss wörd".into(), "".into(), "secret_code".into()];
        let secrets: Vec<_> = secrets.iter().collect();
        let without = |code, text| refused(code, Some(text)).without(&secrets);
        assert_eq!(without("a", "your p4ss wörd, is wrong").description, None);
        assert_eq!(without("a", "it is wrong").description.as_deref(), Some("it is wrong"));
        assert_eq!(without("no secret_code here", "b").code, "error");
    }

    #[test]
    fn what_may_be_a_token_is_taken_out_and_the_rest_cut_between_words() {
        let token = "A".repeat(LONG_RUN);
        let text = refused("a", Some(&format!("the token\n\"{token}\" has ended"))).description;
        assert_eq!(text.as_deref(), Some("the token [removed] has ended"));
        let text = refused("a", Some(&"nineteen-characters ".repeat(11))).description.unwrap();
        assert_eq!(text.len(), 10 * LONG_RUN - 1);
    }

    proptest! {
        #[test]
        fn codes_and_descriptions_are_short_printable_and_without_long_runs(
            code in ".{0,100}", text in any::<String>(),
        ) {
            if let Some(refused) = Refused::new(&code, Some(&text)) {
                prop_assert!((1..=LONGEST_CODE).contains(&refused.code.len()));
                prop_assert!(refused.code.bytes().all(|b| (0x20..0x7f).contains(&b)));
                let text = refused.description.unwrap_or_default();
                prop_assert!(text.len() <= LONGEST_DESCRIPTION);
                prop_assert!(text.bytes().all(|b| (0x20..0x7f).contains(&b)));
                prop_assert!(text.split(' ').all(|word| word.len() < LONG_RUN));
            }
        }
    }
}
