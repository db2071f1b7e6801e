//! Pages: what a person sees in a browser. Plain HTML that works without scripts, in one answer, with
//! nothing of anybody else's.

use std::sync::LazyLock;

use askama::Template;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use keyfob_core::secret::SecretType;
use sha2::{Digest, Sha256};

use crate::error::{Error, LinkProblem};

const STYLE: &str = include_str!("../templates/page.css");
const CONNECT_SCRIPT: &str = include_str!("../templates/connect.js");
const DONE_SCRIPT: &str = include_str!("../templates/done.js");
const WAITING_SCRIPT: &str = include_str!("../templates/waiting.js");

/// A page at which a credential is handed over.
#[derive(Template)]
#[template(path = "connect.html")]
pub(crate) struct Connect {
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) contact: Option<String>,
    pub(crate) description: String,
    pub(crate) hosts: Vec<String>,
    /// The methods and the paths that it is kept to there, if it is.
    pub(crate) methods: Option<String>,
    pub(crate) paths: Option<String>,
    /// The word before it there, if it is not the usual one.
    pub(crate) scheme: Option<String>,
    pub(crate) signed: Option<Signed>,
    /// The day on which it was connected last.
    pub(crate) connected_since: Option<String>,
    pub(crate) form: Form,
    /// The host that the person is sent to afterwards.
    pub(crate) return_host: Option<String>,
    /// How long the page still works.
    pub(crate) time_left: String,
    /// Shows that the form comes from this page, and what that showed.
    pub(crate) proof: String,
    /// Why what was handed over was refused.
    pub(crate) problem: Option<String>,
}

/// What is signed with a key that is handed over.
pub(crate) struct Signed {
    pub(crate) algorithm: &'static str,
    /// How long each token works.
    pub(crate) lifetime: String,
    /// What each says, beside when it was made and when it ends: names and values in JSON, where no line break can
    /// have one look like two.
    pub(crate) claims: Vec<String>,
}

/// A form, fitted to a type of secret.
pub(crate) struct Form {
    /// What it is for.
    article: &'static str,
    fields: Vec<Field>,
    /// The provider that the person is sent to, and what is asked for there, in its words.
    provider: Option<(String, Vec<String>)>,
}

struct Field {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    is_long: bool,
    is_hidden: bool,
    is_refused: bool,
}

impl Field {
    const fn new(name: &'static str, label: &'static str, hint: &'static str) -> Self {
        Self { name, label, hint, is_long: false, is_hidden: true, is_refused: false }
    }

    /// What tells a screen reader which texts belong to the field.
    fn aria(&self) -> String {
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        let problem = self.is_refused.then(|| "problem".to_owned());
        let ids: Vec<_> = problem.into_iter().chain(hint).collect();
        let invalid = if self.is_refused { " aria-invalid=\"true\"" } else { "" };
        if ids.is_empty() {
            return invalid.into();
        }
        format!(" aria-describedby=\"{}\"{invalid}", ids.join(" "))
    }
}

impl Form {
    /// The form for this type, and the algorithm that a key is for; `is_refused` if what was entered before
    /// was.
    pub(crate) fn of(secret_type: SecretType, algorithm: Option<&str>, is_refused: bool) -> Self {
        let exactly = "Paste it exactly as it was given to you.";
        let pem = "Paste the whole text, with its first and its last line.";
        let (article, mut fields) = match secret_type {
            SecretType::Basic => {
                let username = Field::new("username", "User name", "");
                let fields = vec![
                    Field { is_hidden: false, ..username },
                    Field::new("password", "Password", ""),
                ];
                ("a user name and a password", fields)
            }
            SecretType::Bearer => {
                ("an access token", vec![Field::new("value", "Access token", exactly)])
            }
            SecretType::Jwt if algorithm == Some("HS256") => {
                ("a signing key", vec![Field::new("value", "Signing key", exactly)])
            }
            SecretType::Jwt => {
                let key = Field::new("value", "Private key", pem);
                ("a private key", vec![Field { is_long: true, ..key }])
            }
            _ => {
                let hint = "Often called an API key. Paste it exactly as it was given to you.";
                ("a secret key", vec![Field::new("value", "Secret key", hint)])
            }
        };
        for field in &mut fields {
            field.is_refused = is_refused;
        }
        Self { article, fields, provider: None }
    }

    /// The form that leads to a provider.
    pub(crate) fn at(provider: String, scopes: Option<&str>) -> Self {
        let scopes = scopes.unwrap_or_default().split_ascii_whitespace();
        let provider = Some((provider, scopes.map(str::to_owned).collect()));
        Self { article: "access to your account", fields: Vec::new(), provider }
    }
}

/// A page that leads to a provider.
#[derive(Template)]
#[template(path = "onward.html")]
pub(crate) struct Onward {
    /// The provider's host.
    pub(crate) host: String,
    /// Its page.
    pub(crate) url: String,
}

/// A page that shows a code which is to be entered at a provider.
#[derive(Template)]
#[template(path = "waiting.html")]
pub(crate) struct Waits {
    pub(crate) name: String,
    pub(crate) account: String,
    /// The provider's host, and its page.
    pub(crate) host: String,
    pub(crate) page: String,
    /// The page's address, for who types it.
    pub(crate) address: String,
    pub(crate) user_code: String,
    /// How long the code still works.
    pub(crate) time_left: String,
    /// When the page looks again, in seconds.
    pub(crate) look_after: u64,
    /// Shows that the form comes from this page.
    pub(crate) proof: String,
}

/// A page that says how it ended.
#[derive(Template)]
#[template(path = "done.html")]
pub(crate) struct Done {
    pub(crate) heading: String,
    pub(crate) text: String,
    /// Why nothing is connected: a code and a text.
    pub(crate) error: Option<(String, String)>,
    /// The secret's id.
    pub(crate) secret: String,
    /// Whom it may tell: origins, separated by blanks; anybody if there are none.
    pub(crate) origins: String,
    /// Where the person goes now.
    pub(crate) return_url: Option<String>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Problem<'a> {
    heading: &'a str,
    text: &'a str,
    advice: &'a str,
    code: String,
    request_id: &'a str,
}

/// What a page says: a heading, what happened, and what to do.
type Words = [&'static str; 3];

/// The page of a request that failed.
pub(crate) fn problem(error: &Error, status: StatusCode, code: &str, request_id: &str) -> Response {
    let [heading, text, advice] = match error {
        Error::Link(problem) => link_problem(*problem),
        Error::NotFound => link_problem(LinkProblem::Unknown),
        _ if status.is_server_error() => [
            "That did not work",
            "The mistake is not yours. If you entered something, it may or may not be stored.",
            "Open the link again in a moment: it says whether it was used.",
        ],
        _ => [
            "That did not work",
            "What your browser sent is not what this page expects. Nothing was stored.",
            "Open the link again, as it was sent to you.",
        ],
    };
    let page = Problem { heading, text, advice, code: code.to_owned(), request_id };
    respond(status, &page)
}

fn link_problem(problem: LinkProblem) -> Words {
    let ask = "Ask whoever sent you the link for a new one.";
    match problem {
        LinkProblem::Unknown => {
            ["This link does not work", "There is no such link, or it is long over.", ask]
        }
        LinkProblem::Used => [
            "Connected already",
            "This link was used: what was entered is stored, and a link works only once.",
            "If it was not you who used it, tell whoever sent you the link.",
        ],
        LinkProblem::Declined => [
            "You declined",
            "Nothing was stored, and a link works only once.",
            "If you have changed your mind, ask for a new link.",
        ],
        LinkProblem::Expired => [
            "This link has expired",
            "A link works for 15 minutes. Nothing was stored with this one.",
            ask,
        ],
        LinkProblem::Withdrawn => [
            "This link was withdrawn",
            "Whoever asked needs nothing any more, or something else. Nothing was stored with this link.",
            ask,
        ],
        LinkProblem::OtherBrowser => [
            "Open in another browser",
            "This link was first used in another browser or on another device, and works only there.",
            "Go on there, or ask whoever sent you the link for a new one.",
        ],
        LinkProblem::NotFromPage => [
            "Nothing was stored",
            "Your browser did not send this page's cookie back, or the form came from elsewhere.",
            "Allow cookies for this site, open the link again, and enter it once more.",
        ],
        LinkProblem::Answered => [
            "This was done already",
            "What the service answered was used before, and works only once.",
            "Open the link that was sent to you again: it says how it went.",
        ],
    }
}

/// A page as an answer. It shows nothing of other sites, runs nothing but its own scripts, cannot be framed,
/// and tells nobody where the person came from: the address is a secret.
pub(crate) fn respond(status: StatusCode, page: &impl Template) -> Response {
    let html = match page.render() {
        Ok(html) => html,
        Err(error) => return Error::internal(error).into_response(),
    };
    (status, headers("text/html; charset=utf-8", POLICY.clone()), html).into_response()
}

/// The page of the API.
pub(crate) fn docs() -> Response {
    of_docs("text/html; charset=utf-8", include_str!("../templates/docs.html"))
}

/// The page of the API, or a file of it. It has files: what renders it is too large to be in the page.
pub(crate) fn of_docs(media_type: &'static str, body: impl IntoResponse) -> Response {
    (headers(media_type, HeaderValue::from_static(DOCS_POLICY)), body).into_response()
}

fn headers(media_type: &'static str, policy: HeaderValue) -> [(HeaderName, HeaderValue); 6] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    ]
}

/// Nothing of anybody else's, and no script that is made of a text. What the page asks goes to this server.
const DOCS_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// There is no `Cross-Origin-Opener-Policy`: it would cut off the page that opened this one, which waits to
/// be told how it went.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| BASE64.encode(&Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}' 'sha256-{}' 'sha256-{}'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(CONNECT_SCRIPT),
        hash(DONE_SCRIPT),
        hash(WAITING_SCRIPT),
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});
