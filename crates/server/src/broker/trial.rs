//! Trying a token out: asking whoever it is for whether they take it (`validateUrl`; contract/contacts-and-
//! secrets, section 7.4). An answer is not trusted beyond what it says: nothing is stored or taken away for it.

use std::time::Duration;

use keyfob_core::id::AccountId;
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::{
    Broker,
    grant::Held,
    verify::{Status, Verified},
};
use crate::egress::{Answer, Request};

/// The longest that an answer is waited for: somebody waits for ours.
const LIMIT: Duration = Duration::from_secs(10);
/// Slack's own way, which answers 200 and says in the body whether the token is good.
const SLACK: (&str, &str) = ("slack://auth.test", "https://slack.com/api/auth.test");
/// What Slack says of a token that is not good, and not of itself.
const SLACK_REFUSALS: [&str; 6] = [
    "invalid_auth",
    "not_authed",
    "token_revoked",
    "token_expired",
    "account_inactive",
    "no_permission",
];
const ATLASSIAN: (&str, &str) = (
    "atlassian://oauth/token/accessible-resources",
    "https://api.atlassian.com/oauth/token/accessible-resources",
);

/// A token, and where it is tried.
pub(super) struct Trial {
    account: AccountId,
    url: Url,
    is_slack: bool,
    token: SecretString,
}

impl Held {
    /// Where the token is tried, if the config says so.
    pub(super) fn trial(&self) -> Option<Trial> {
        // Where it is tried is for the account to say whose token it is, and for nobody else.
        if !self.is_of_one_account {
            return None;
        }
        let given = self.config.text("validateUrl")?;
        let known = [SLACK, ATLASSIAN].into_iter().find(|(name, _)| *name == given);
        let url = Url::parse(known.map_or(given, |(_, url)| url)).ok()?;
        let token = self.grant.as_ref()?.access_token.clone();
        let account = self.holder.account.clone();
        Some(Trial { account, url, is_slack: given == SLACK.0, token })
    }
}

impl Broker {
    /// What is known after the token was tried.
    pub(super) async fn try_out(&self, verified: Verified, trial: Trial) -> Verified {
        let Trial { account, url, is_slack, token } = trial;
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
        let Ok(bearer) = bearer else { return verified };
        let accept = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer), (ACCEPT, accept)]);
        let method = if is_slack { Method::POST } else { Method::GET };
        let request = Request { method, url, headers, body: None, limit: LIMIT };
        let refused = "the service that it is for does not take the token";
        match self.egress_of(&account).send(request).await {
            Ok(answer) if is_refused(&answer, is_slack) => {
                verified.but(Status::Unauthenticated, refused)
            }
            Ok(Answer { status: 200..=299, .. }) => verified,
            // What is known already says more.
            _ if verified.reason.is_some() => verified,
            Ok(Answer { status, .. }) => {
                let text = format!(
                    "the service that it is for answered HTTP {status} when the token was tried"
                );
                verified.but(Status::Authenticated, text)
            }
            Err(error) => {
                let text = format!("the token could not be tried: {error}");
                verified.but(Status::Authenticated, text)
            }
        }
    }
}

/// Whether an answer says that the token itself is not good (RFC 6750, section 3.1). That something may not
/// be done with it says no such thing.
fn is_refused(answer: &Answer, is_slack: bool) -> bool {
    let is_named = || {
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let error = body.as_ref().and_then(|body| body.get("error")).and_then(Value::as_str);
        error.is_some_and(|error| SLACK_REFUSALS.contains(&error))
    };
    answer.status == 401 || is_slack && answer.status == 200 && is_named()
}
