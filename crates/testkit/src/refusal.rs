//! Refusals, as OAuth says them (RFC 6749 section 5.2).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{family::FamilyId, mint::MintFailed};

/// What the ledger is to know of an answer; travels with the response, not to the caller.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note {
    pub(crate) error: Option<String>,
    pub(crate) issued: Option<(FamilyId, u32)>,
}

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) description: String,
}

impl Refusal {
    #[expect(clippy::needless_pass_by_value, reason = "texts and errors come as they are made")]
    pub(crate) fn new(status: StatusCode, code: &'static str, why: impl ToString) -> Self {
        Self { status, code, description: why.to_string() }
    }

    pub(crate) fn bad(code: &'static str, why: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, why)
    }

    pub(crate) fn request(why: impl ToString) -> Self {
        Self::bad("invalid_request", why)
    }

    pub(crate) fn grant(why: impl ToString) -> Self {
        Self::bad("invalid_grant", why)
    }

    pub(crate) fn client(why: impl ToString) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", why)
    }

    pub(crate) fn note(&self) -> Note {
        Note { error: Some(self.code.to_owned()), issued: None }
    }
}

impl From<MintFailed> for Refusal {
    fn from(failed: MintFailed) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", failed)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.code, "error_description": self.description });
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let basic = axum::http::HeaderValue::from_static("Basic realm=\"testkit\"");
            response.headers_mut().insert("www-authenticate", basic);
        }
        response.extensions_mut().insert(self.note());
        response
    }
}
