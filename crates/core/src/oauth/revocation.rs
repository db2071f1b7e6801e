//! Revoking a grant at its provider (RFC 7009).

use super::{Form, Grant, Refused, document::Document};

/// The requests that revoke a grant, in order: the refresh token first, with which providers end all that
/// came of it, then the access token.
#[must_use]
pub fn forms(grant: &Grant) -> Vec<Form> {
    let refresh = grant.refresh_token.as_ref().map(|token| ("refresh_token", token));
    let tokens = refresh.into_iter().chain([("access_token", &grant.access_token)]);
    let form = |(hint, token)| {
        Form::new().with("token", Clone::clone(token)).with("token_type_hint", hint)
    };
    tokens.map(form).collect()
}

/// What a revocation endpoint says of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The token has ended, or had before.
    Revoked,
    /// Tokens of this kind are not revoked here; the next one may be.
    Unsupported,
    /// The provider cannot just now: ask again later.
    Later,
    /// The provider refuses, and the reason if it gives one.
    Refused(Option<Refused>),
}

impl Revocation {
    /// Reads the answer of a revocation endpoint.
    #[must_use]
    pub fn parse(status: u16, content_type: Option<&str>, body: &[u8]) -> Self {
        if matches!(status, 408 | 425 | 429 | 500..) {
            return Self::Later;
        }
        let is_failure = !(200..=299).contains(&status);
        let answer = Document::read(content_type, body);
        let refused = answer.and_then(|answer| Refused::read(answer.fields(), is_failure));
        match refused {
            // Slack refuses under 200.
            Some(refused) if is_gone(&refused) => Self::Revoked,
            Some(refused) if refused.code == "unsupported_token_type" => Self::Unsupported,
            None if !is_failure => Self::Revoked,
            refused => Self::Refused(refused),
        }
    }
}

/// Whether a refusal says that there is nothing left to revoke: RFC 7009 section 2.2 wants 200 for that, and
/// providers say this (Google `invalid_token`). Slack's `invalid_auth` is not it: it may mean our address.
fn is_gone(refused: &Refused) -> bool {
    let words = ["invalid_token", "token_not_found"];
    refused.is_dead_grant() || words.contains(&refused.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(status: u16, body: &str) -> Revocation {
        Revocation::parse(status, None, body.as_bytes())
    }

    #[test]
    fn the_refresh_token_goes_first_with_hints() {
        let forms_of = |stored: &[u8]| {
            let forms = forms(&Grant::parse(stored).unwrap());
            let text = |form: &Form| String::from_utf8(form.encode().to_vec()).unwrap();
            forms.iter().map(text).collect::<Vec<_>>()
        };
        let access = "token=a&token_type_hint=access_token";
        let both = forms_of(br#"{"accessToken":"a","refreshToken":"r"}"#);
        assert_eq!(both, ["token=r&token_type_hint=refresh_token", access]);
        assert_eq!(forms_of(br#"{"accessToken":"a"}"#), [access]);
    }

    #[test]
    fn what_is_gone_is_revoked() {
        for (status, body) in [
            (200, ""),
            (204, ""),
            (200, "<html>"),
            (200, r#"{"ok":true,"revoked":true}"#),
            (400, r#"{"error":"invalid_token","error_description":"Token expired or revoked"}"#),
            (400, r#"{"error":"invalid_grant"}"#),
            (200, r#"{"ok":false,"error":"token_revoked"}"#),
        ] {
            assert_eq!(parse(status, body), Revocation::Revoked, "{status} {body}");
        }
    }

    #[test]
    fn a_fault_is_tried_again_and_a_kind_that_is_not_revoked_is_passed_over() {
        for status in [408, 429, 500, 502, 503] {
            assert_eq!(
                parse(status, r#"{"error":"invalid_token"}"#),
                Revocation::Later,
                "{status}"
            );
        }
        let unsupported = parse(400, r#"{"error":"unsupported_token_type"}"#);
        assert_eq!(unsupported, Revocation::Unsupported);
    }

    #[test]
    fn any_other_answer_is_a_refusal_with_its_reason() {
        for (status, body) in [
            (401, r#"{"error":"invalid_client"}"#),
            (200, r#"{"ok":false,"error":"invalid_client"}"#),
        ] {
            let Revocation::Refused(Some(refused)) = parse(status, body) else {
                panic!("{status} {body} is no refusal");
            };
            assert!(refused.is_unknown_client());
        }
        for status in [302, 400, 404] {
            assert_eq!(parse(status, "<html>"), Revocation::Refused(None), "{status}");
        }
    }
}
