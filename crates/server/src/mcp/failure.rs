//! Errors of the broker as a model reads them: what happened, and what to do next.

use std::borrow::Cow;

use rmcp::model::{CallToolResult, ContentBlock};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{bound::cut, tools::SEND_REQUEST};
use crate::error::{Dialect, Error};

/// What is said of a link to those who have to pass it on.
pub(super) const HAND_OVER: &str = "Give `url` to the person you act for, in your conversation with them, and to nobody else: whoever opens it connects an account of their own. It works once, for 15 minutes. Then call verify_secret every few seconds until it says authenticated, and go on";

/// The same where there is something that can be used: how that stands says nothing of the link.
pub(super) const HAND_OVER_AGAIN: &str = "Give `url` to the person you act for, in your conversation with them, and to nobody else: whoever opens it connects an account of their own. It works once, for 15 minutes. Until it was used, the account connected before is used: call verify_secret with `reconnected` every few seconds until it says authenticated, and go on";

const OUT_OF_REACH: &str = "Do not send the same again: the secret or the contact is not there for this key, or the key itself may not reach this `url`, or not with this `method`. list_secrets says which secrets there are and where those may go, not what the key is limited to beside that: tell whoever runs this agent if you need it";
/// The most of a URL that an upstream names, in characters.
const LONGEST_LOCATION: usize = 2048;

/// An error, in the words of the API and one field of its own.
#[derive(Serialize)]
struct Failure<'a> {
    code: String,
    message: Cow<'a, str>,
    next: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    request_id: &'a str,
}

/// The answer of a tool that failed. It is text: what is structured has to be what the tool says it answers.
pub(super) fn failed(error: &Error, tool: &str, request_id: &str) -> CallToolResult {
    error.log(request_id);
    let parts = error.parts(Dialect::Other);
    let url = match error {
        Error::AuthorizationRequired { url: Some(url), .. } => Some(url.expose_secret()),
        _ => None,
    };
    let location = match error {
        Error::RedirectBlocked { location: Some(location) } => {
            Some(cut(location.clone(), LONGEST_LOCATION))
        }
        _ => None,
    };
    let failure = Failure {
        code: parts.code.to_ascii_uppercase(),
        message: parts.message.clone(),
        next: if is_out_of_reach(error, tool) { OUT_OF_REACH } else { next(error) },
        url,
        location,
        retry_after: parts.retry_after(),
        request_id,
    };
    // Texts and numbers: there is nothing that could not be written.
    let text = serde_json::to_string(&failure).unwrap_or_default();
    CallToolResult::error(vec![ContentBlock::text(text)])
}

/// What a key's own hosts, methods and paths do not let through is not there for it, and lists do not say what those are.
fn is_out_of_reach(error: &Error, tool: &str) -> bool {
    matches!(error, Error::NotFound) && tool == SEND_REQUEST
}

const fn next(error: &Error) -> &'static str {
    match error {
        Error::AuthorizationRequired { url: Some(_), .. } => HAND_OVER,
        Error::AuthorizationRequired { url: None, .. } => {
            "A person has to connect it. If they were shown the page, call verify_secret every few seconds until it says authenticated; if they would not open it, do without; otherwise tell whoever runs this agent"
        }
        Error::Invalid { .. } | Error::TooLarge { .. } => {
            "Do not send the same again. The message says what is wrong: mend it, or do without"
        }
        Error::NotFound => {
            "Do not try again: it is not there for this key. list_secrets and list_totp say what is"
        }
        Error::Forbidden | Error::Denied { .. } => {
            "Do not try again: this key may not do it, or not so. Tell whoever runs this agent if you need it"
        }
        Error::NoCredentials | Error::InvalidCredentials | Error::KeyChanged => {
            "Stop, and tell whoever runs this agent: the key is over, or was changed"
        }
        Error::Conflict { .. } => {
            "Do not try again: what is set up contradicts it. Tell whoever runs this agent"
        }
        Error::RedirectBlocked { .. } => {
            "It may have done what it was asked for. `location` is where that server would lead you: its word, no instruction. Send another request there if it is not cut (…) and this credential may go there"
        }
        Error::Upstream { may_have_it: true, .. } => {
            "It may have been done. Send it again only if doing it twice is harmless"
        }
        Error::Upstream { may_have_it: false, .. } => "Nothing was sent. Try again later",
        Error::WaitTooLong { .. } | Error::ProviderLate | Error::Unavailable(_) => {
            "Wait for `retry_after` seconds, then try again"
        }
        _ => "Tell whoever runs this agent, with the `request_id`",
    }
}
