//! How a link reaches the person who has to open it: past the model where the client can do that, in words to the
//! model where it cannot.

use keyfob_core::ticket::Ticket;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolResponse, ElicitRequest, ElicitRequestParams, ErrorCode, InputRequest,
        InputRequests, InputRequiredResult, InputResponses, ProtocolVersion,
    },
    service::RequestContext,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::session::{Session, opens_links};

/// What the person is told, by the client.
const MESSAGE: &str = "An agent that acts for you wants to use an account of yours. Open this page of Keyfob to connect it; the agent never sees the credential.";
/// The name of the question, in the rounds of 2026-07-28.
const QUESTION: &str = "connect";
/// URL elicitation is required (MCP 2025-11-25, "Elicitation", URL mode).
const URL_ELICITATION_REQUIRED: ErrorCode = ErrorCode(-32042);

/// What can be asked of the person behind a client.
pub(super) struct Person {
    way: Way,
    replied: Option<Reply>,
}

/// How a client is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By a result that says what is missing; the client calls again with it (2026-07-28).
    Result,
    /// By an error that says so (2025-11-25). A request of the server's own would need its answer at the same node.
    Error,
    /// The model is told.
    Words,
}

/// What the client says of what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The person went to the link. Whether anything was connected there it does not say.
    Opened,
    /// The person would not.
    Declined,
}

impl Reply {
    /// The one among the answers that a client calls again with.
    pub(super) fn of(answers: Option<InputResponses>) -> Option<Self> {
        let answer = answers?.remove(QUESTION)?;
        Some(if answer["action"] == "accept" { Self::Opened } else { Self::Declined })
    }
}

impl Person {
    pub(super) fn of(
        context: &RequestContext<RoleServer>,
        session: &Session,
        replied: Option<Reply>,
    ) -> Self {
        let is_stateless = context.protocol_version() >= Some(ProtocolVersion::V_2026_07_28);
        let says_so = context.client_capabilities().is_some_and(|can| opens_links(&can));
        let way = match (is_stateless, says_so || session.opens_links) {
            (_, false) => Way::Words,
            (true, true) => Way::Result,
            (false, true) => Way::Error,
        };
        Self { way, replied }
    }

    /// Whether the client shows links to the person.
    pub(super) fn opens_links(&self) -> bool {
        self.way != Way::Words
    }

    /// What the client has said, if it was asked before.
    pub(super) const fn replied(&self) -> Option<Reply> {
        self.replied
    }

    /// Whether this call may be the one after the person was shown a link: clients of 2025-11-25 call again without a
    /// word about it.
    pub(super) fn may_have_been_asked(&self) -> bool {
        self.replied.is_some() || self.way == Way::Error
    }

    /// The answer that has the client show the link; none if it cannot, or has done so. `id` tells this question from
    /// all others (MCP 2025-11-25, "Elicitation"), and is nothing that a caller has chosen.
    pub(super) fn reply(
        &self,
        url: &SecretString,
        id: &Ticket,
    ) -> Option<Result<CallToolResponse, ErrorData>> {
        let (url, message) = (url.expose_secret().to_owned(), MESSAGE.to_owned());
        let elicitation_id = id.expose().to_owned();
        let asked =
            ElicitRequestParams::UrlElicitationParams { meta: None, message, url, elicitation_id };
        match self.way {
            Way::Words => None,
            Way::Result => {
                let question = InputRequest::Elicitation(ElicitRequest::new(asked));
                let questions = InputRequests::from([(QUESTION.to_owned(), question)]);
                Some(Ok(InputRequiredResult::from_input_requests(questions).into()))
            }
            Way::Error => {
                let data = json!({"elicitations": [asked]});
                let text =
                    "A person has to connect this first: show them the page, then call again";
                Some(Err(ErrorData::new(URL_ELICITATION_REQUIRED, text, Some(data))))
            }
        }
    }
}
