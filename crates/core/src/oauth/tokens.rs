//! What a token endpoint answers (RFC 6749 sections 5.1 and 5.2), and what providers make of it.

use std::time::Duration;

use secrecy::SecretString;

use super::{
    Refused,
    document::{Document, Fields},
};

/// Tokens as they were answered.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// What is sent to the provider's API: visible ASCII, so that it can stand in a header.
    pub access_token: SecretString,
    /// What the next access token is asked for with.
    pub refresh_token: Option<SecretString>,
    /// How long the access token lives; `None` if the answer does not say, or nothing that can be
    /// believed. Ten years at the most.
    pub expires_in: Option<Duration>,
    /// How long the refresh token lives; bounded in the same way.
    pub refresh_token_expires_in: Option<Duration>,
    /// What was granted, separated by blanks.
    pub scope: Option<String>,
}

/// What an answer of a token endpoint means.
#[derive(Clone, Debug)]
pub enum TokenAnswer {
    /// Tokens.
    Tokens(Tokens),
    /// A refusal in the provider's words.
    Refused(Refused),
    /// Neither: nothing is known of the grant, and why. It may have been used up by this request.
    Unclear(&'static str),
}

impl TokenAnswer {
    /// Reads an answer. Only 2xx has tokens, only 2xx and 4xx refuse, and a status that says to come again
    /// never does, whatever its body says: what stands before a provider answers such things too.
    #[must_use]
    pub fn parse(status: u16, content_type: Option<&str>, body: &[u8]) -> Self {
        match status {
            429 => return Self::Unclear("the provider wants fewer requests (status 429)"),
            408 | 425 | 500.. => {
                return Self::Unclear("the provider has a fault (its status says so)");
            }
            200..=299 | 400..=499 => {}
            _ => return Self::Unclear("the provider answered a status that means nothing here"),
        }
        let Some(document) = Document::read(content_type, body) else {
            return Self::Unclear("the provider's answer is neither JSON nor a form");
        };
        let is_failure = status >= 400;
        match Refused::read(document.fields(), is_failure) {
            Some(refused) => Self::Refused(refused),
            None if is_failure => Self::Unclear("the provider refused without an error code"),
            None => Self::granted(document.fields()),
        }
    }

    fn granted(answer: Fields<'_>) -> Self {
        let has_token = |answer: &Fields<'_>| answer.text("access_token").is_some();
        // Slack answers a person's token in an object of its own, beside or instead of the app's.
        let person = || answer.object("authed_user").filter(has_token);
        let Some(answer) = Some(answer).filter(has_token).or_else(person) else {
            return Self::Unclear("the provider's answer has no access token");
        };
        let needs_proof = |name: &str| ["mac", "dpop", "pop"].contains(&&*name.to_lowercase());
        if answer.text("token_type").is_some_and(needs_proof) {
            return Self::Unclear("the provider's access token needs a proof with each use");
        }
        let is_long = |token: &str| token.len() > LONGEST_TOKEN;
        if [answer.text("access_token"), answer.text("refresh_token")]
            .into_iter()
            .flatten()
            .any(is_long)
        {
            return Self::Unclear("the provider's token is longer than 32 KiB");
        }
        let is_visible = |token: &&str| token.bytes().all(|byte| byte.is_ascii_graphic());
        let Some(access_token) = answer.text("access_token").filter(is_visible) else {
            return Self::Unclear("the provider's access token has characters that cannot be sent");
        };
        Self::Tokens(Tokens {
            access_token: access_token.into(),
            refresh_token: answer.secret("refresh_token"),
            expires_in: answer.lifetime("expires_in").or_else(|| old_lifetime(answer)),
            refresh_token_expires_in: answer.lifetime("refresh_token_expires_in"),
            scope: answer.scope("scope").filter(|scope| scope.len() <= LONGEST_SCOPE),
        })
    }
}

/// The longest token that is kept, in bytes: as long as what people hand over.
const LONGEST_TOKEN: usize = 32 * 1024;
/// The longest list of scopes that is kept, in bytes; a longer one is not told.
const LONGEST_SCOPE: usize = 8 * 1024;

/// Facebook's `expires` of old. Where others mean a moment by it, it is longer than a year.
fn old_lifetime(answer: Fields<'_>) -> Option<Duration> {
    answer.lifetime("expires").filter(|lifetime| *lifetime <= Duration::from_hours(366 * 24))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=utf-8");
    const JSON: Option<&str> = Some("application/json");

    fn tokens(content_type: Option<&str>, body: &str) -> Tokens {
        match TokenAnswer::parse(200, content_type, body.as_bytes()) {
            TokenAnswer::Tokens(tokens) => tokens,
            other => panic!("{body} is {other:?}"),
        }
    }

    fn refused(status: u16, content_type: Option<&str>, body: &str) -> Refused {
        match TokenAnswer::parse(status, content_type, body.as_bytes()) {
            TokenAnswer::Refused(refused) => refused,
            other => panic!("{status} {body} is {other:?}"),
        }
    }

    fn assert_unclear(status: u16, body: &str) {
        let answer = TokenAnswer::parse(status, JSON, body.as_bytes());
        assert!(matches!(answer, TokenAnswer::Unclear(_)), "{status} {body} is {answer:?}");
    }

    fn exposed(token: Option<&SecretString>) -> Option<&str> {
        token.map(ExposeSecret::expose_secret)
    }

    #[test]
    fn the_answer_of_the_rfc_is_read() {
        let body = r#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"example",
            "expires_in":3600,"refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA","scope":"a b"}"#;
        let tokens = tokens(JSON, body);
        assert_eq!(tokens.access_token.expose_secret(), "2YotnFZFEjr1zCsicMWpAA");
        assert_eq!(exposed(tokens.refresh_token.as_ref()), Some("tGzv3JOkF0XG5Qx2TlKWIA"));
        assert_eq!(tokens.expires_in, Some(Duration::from_hours(1)));
        assert_eq!(tokens.scope.as_deref(), Some("a b"));
    }

    #[test]
    fn what_is_too_long_to_be_a_token_or_its_scopes_is_not_kept() {
        let long = "x".repeat(LONGEST_TOKEN + 1);
        assert_unclear(200, &format!(r#"{{"access_token":"{long}"}}"#));
        assert_unclear(200, &format!(r#"{{"access_token":"a","refresh_token":"{long}"}}"#));
        let scopes = "x ".repeat(LONGEST_SCOPE);
        let body = format!(r#"{{"access_token":"a","scope":"{scopes}"}}"#);
        assert_eq!(tokens(JSON, &body).scope, None);
    }

    #[test]
    fn a_form_is_read_as_github_and_facebook_send_it() {
        let github = "access_token=ghu_x&expires_in=28800&refresh_token=ghr_x\
                      &refresh_token_expires_in=15811200&scope=repo%2Cgist&token_type=bearer";
        let github = tokens(FORM, github);
        assert_eq!(github.scope.as_deref(), Some("repo gist"));
        assert_eq!(github.refresh_token_expires_in, Some(Duration::from_hours(4392)));
        let facebook = tokens(Some("text/plain"), "access_token=x&expires=5183944");
        assert_eq!(facebook.expires_in, Some(Duration::from_secs(5_183_944)));
        assert_eq!(tokens(FORM, "access_token=x&expires=1775390400").expires_in, None);
    }

    #[test]
    fn slacks_token_of_a_person_counts_where_there_is_none_of_the_app() {
        let both = r#"{"ok":true,"access_token":"xoxb","token_type":"bot","scope":"a,b",
            "authed_user":{"access_token":"xoxp"}}"#;
        let both = tokens(JSON, both);
        assert_eq!(both.access_token.expose_secret(), "xoxb");
        let person = r#"{"ok":true,"refresh_token":"other","expires_in":1,"authed_user":{"id":"U",
            "scope":"search:read,chat:write","access_token":"xoxp","token_type":"user",
            "refresh_token":"xoxe","expires_in":43200}}"#;
        let person = tokens(JSON, person);
        assert_eq!(person.access_token.expose_secret(), "xoxp");
        assert_eq!(exposed(person.refresh_token.as_ref()), Some("xoxe"));
        assert_eq!(person.expires_in, Some(Duration::from_hours(12)));
        assert_eq!(person.scope.as_deref(), Some("search:read chat:write"));
    }

    #[test]
    fn an_error_is_a_refusal_also_under_200() {
        assert!(refused(400, JSON, r#"{"error":"invalid_grant"}"#).is_dead_grant());
        assert!(refused(200, JSON, r#"{"error":"bad_refresh_token"}"#).is_dead_grant());
        assert!(refused(200, FORM, "error=bad_refresh_token&error_uri=x").is_dead_grant());
        assert!(
            refused(200, JSON, r#"{"ok":false,"error":"invalid_refresh_token"}"#).is_dead_grant()
        );
        assert!(refused(401, JSON, r#"{"error":"invalid_client"}"#).is_unknown_client());
    }

    #[test]
    fn a_status_that_says_to_come_again_is_never_a_refusal_or_a_grant() {
        for status in [302, 408, 425, 429, 500, 502, 503, 599, 0, 101] {
            assert_unclear(status, r#"{"error":"invalid_grant"}"#);
            assert_unclear(status, r#"{"access_token":"x"}"#);
        }
    }

    #[test]
    fn what_names_neither_tokens_nor_an_error_is_unclear() {
        for status in [200, 204, 400, 401, 403, 404] {
            for body in [
                "",
                "{",
                "{}",
                "null",
                "[]",
                "<html>invalid_grant</html>",
                r#"{"access_token":""}"#,
                r#"{"access_token":7}"#,
                r#"{"ok":false}"#,
                r#"{"authed_user":{"id":"U"}}"#,
            ] {
                assert_unclear(status, body);
            }
        }
        assert_unclear(400, r#"{"access_token":"x"}"#);
        for token in ["a b", "a\\nb", "é", "a\\u0000"] {
            assert_unclear(200, &format!(r#"{{"access_token":"{token}"}}"#));
        }
    }

    #[test]
    fn any_type_is_a_bearer_token_but_those_that_need_a_proof() {
        for name in ["Bearer", "BEARER", "bot", "user", "BearerToken", ""] {
            tokens(JSON, &format!(r#"{{"access_token":"x","token_type":"{name}"}}"#));
        }
        tokens(JSON, r#"{"access_token":"x","token_type":null}"#);
        assert_unclear(200, r#"{"access_token":"x","token_type":"DPoP"}"#);
    }

    #[test]
    fn debug_shows_no_token() {
        let body = br#"{"access_token":"CANARY","refresh_token":"CANARY"}"#;
        let text = format!("{:?}", TokenAnswer::parse(200, None, body));
        assert!(!text.contains("CANARY"), "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(status: u16, body: Vec<u8>, is_json: bool) {
            let content_type = if is_json { JSON } else { FORM };
            let answer = TokenAnswer::parse(status, content_type, &body);
            if !matches!(status, 200..=299 | 400..=499) {
                prop_assert!(matches!(answer, TokenAnswer::Unclear(_)));
            }
        }
    }
}
