//! What a provider is like. Can be changed while it runs.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    client::{AuthMethod, Client},
    clock::{Clock, SystemClock},
    seconds,
};

/// How the token endpoint answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AnswerStyle {
    /// As RFC 6749 section 5 says.
    #[default]
    Json,
    /// `access_token=…&token_type=…`, as GitHub does without an `Accept` header; refusals too, with status 200.
    Form,
    /// JSON whose numbers are texts: `"expires_in":"3600"`.
    TextNumbers,
    /// The person's tokens under `authed_user`, none at the top, refusals as `{"ok":false,…}` with status 200, as Slack does for user scopes.
    SlackUser,
}

/// What a provider is like. In JSON, durations are seconds and may have a fraction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each one is a habit of providers, and they are met in every combination"
)]
pub struct Options {
    /// How long access tokens live; may be below a second. Answers tell whole seconds, rounded down.
    #[serde(with = "seconds")]
    pub access_token_life: Duration,
    /// How long each refresh token lives; nothing means for ever.
    #[serde(with = "seconds::optional")]
    pub refresh_token_life: Option<Duration>,
    /// Whether a refresh makes a new refresh token. If so, using an old one kills the whole family (RFC 9700 section 4.14).
    pub rotation: bool,
    /// How long a refresh token that was used may be used again.
    #[serde(with = "seconds")]
    pub reuse_grace: Duration,
    /// How the token endpoint answers.
    pub answer_style: AnswerStyle,
    /// Leaves `refresh_token` out of the answer to a refresh; the one that was sent stays valid then, whatever `rotation` says.
    pub omit_refresh_token_on_refresh: bool,
    /// Leaves `expires_in` out.
    pub omit_expires_in: bool,
    /// Tells `refresh_token_expires_in` where refresh tokens end.
    pub tell_refresh_token_life: bool,
    /// Makes access tokens JWTs with `exp` (RFC 9068), signed with ES256; the key is at `/jwks`.
    pub jwt_access_tokens: bool,
    /// The methods of client authentication that are supported.
    pub auth_methods: Vec<AuthMethod>,
    /// Whether authorization responses carry `iss` (RFC 9207).
    pub iss: bool,
    /// Whether authorization requests need PKCE. A challenge that is sent is always enforced.
    pub require_pkce: bool,
    /// Approves each authorization and device at once, instead of showing a page.
    pub auto_approve: bool,
    /// Who approves where nobody says.
    pub subject: String,
    /// How long an authorization code lives.
    #[serde(with = "seconds")]
    pub code_life: Duration,
    /// How long a device code lives.
    #[serde(with = "seconds")]
    pub device_code_life: Duration,
    /// How long a device waits between polls (RFC 8628 section 3.2).
    #[serde(with = "seconds")]
    pub device_interval: Duration,
    /// Scopes that metadata lists; any scope is granted.
    pub scopes: Vec<String>,
    /// The clients that are known; registered ones are added here.
    pub clients: Vec<Client>,
    /// What time it is. Delays of faults are real time all the same.
    #[serde(skip, default = "system_clock")]
    pub clock: Arc<dyn Clock>,
}

fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

impl Default for Options {
    /// A provider that follows the RFCs, with rotation, and with no clients.
    fn default() -> Self {
        Self {
            access_token_life: Duration::from_hours(1),
            refresh_token_life: None,
            rotation: true,
            reuse_grace: Duration::ZERO,
            answer_style: AnswerStyle::Json,
            omit_refresh_token_on_refresh: false,
            omit_expires_in: false,
            tell_refresh_token_life: false,
            jwt_access_tokens: false,
            auth_methods: AuthMethod::ALL.to_vec(),
            iss: true,
            require_pkce: true,
            auto_approve: false,
            subject: "alice".to_owned(),
            code_life: Duration::from_mins(1),
            device_code_life: Duration::from_mins(10),
            device_interval: Duration::from_secs(5),
            scopes: vec!["read".to_owned(), "write".to_owned()],
            clients: Vec::new(),
            clock: system_clock(),
        }
    }
}

impl Options {
    /// The options with this client in addition.
    #[must_use]
    pub fn with_client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// The options with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    pub(crate) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }
}
