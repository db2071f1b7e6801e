//! What a client of the versions with sessions has said it can do, written into the session's id: so each node knows
//! it, and none has to remember it. It opens nothing: each request is authenticated by its key.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use rmcp::model::ClientCapabilities;

const ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// What the ids begin with of clients that have people open links.
const OPENS_LINKS: &str = "url.";

/// A session: what a client can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Session {
    /// Whether it has people open links (URL mode elicitation).
    pub(super) opens_links: bool,
    /// What makes its id another one than those of others.
    nonce: String,
}

impl Session {
    /// That of a request; of one without, or with an id of somebody else's, nothing is known.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let id = headers.get(ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
        match id.strip_prefix(OPENS_LINKS) {
            Some(nonce) => Self { opens_links: true, nonce: nonce.to_owned() },
            None => Self::default(),
        }
    }

    /// One that begins.
    pub(super) fn begin(capabilities: &ClientCapabilities, nonce: String) -> Self {
        Self { opens_links: opens_links(capabilities), nonce }
    }

    /// Tells the client its id, if it has to come back with it: without one, nothing is all that is to be known.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if !self.opens_links {
            return;
        }
        if let Ok(id) = HeaderValue::try_from(format!("{OPENS_LINKS}{}", self.nonce)) {
            headers.insert(ID, id);
        }
    }
}

/// Whether a client has people open links.
pub(super) fn opens_links(capabilities: &ClientCapabilities) -> bool {
    capabilities.elicitation.as_ref().is_some_and(|elicitation| elicitation.url.is_some())
}
