//! Fields of queries and of forms.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header::CONTENT_TYPE, request::Parts},
};

use crate::refusal::Refusal;

const FORM: &str = "application/x-www-form-urlencoded";

/// Fields by name, each there once at the most (RFC 6749 section 3.1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The value of a field. One that is empty counts as not there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn need(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::request(format!("{name} is missing")))
    }

    fn without_repeats(self) -> Result<Self, Refusal> {
        let repeated = self.0.iter().enumerate().find(|(index, (name, _))| {
            // RFC 8707 allows several resources.
            name != "resource" && self.0[..*index].iter().any(|(other, _)| other == name)
        });
        match repeated {
            Some((_, (name, _))) => Err(Refusal::request(format!("{name} is there twice"))),
            None => Ok(self),
        }
    }
}

pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == FORM))
}

/// The fields of a request's form.
pub(crate) struct Form(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if !is_form(request.headers()) {
            return Err(Refusal::request(format!("the content type must be {FORM}")));
        }
        let body = Bytes::from_request(request, state).await.map_err(Refusal::request)?;
        Fields::parse(&body).without_repeats().map(Self)
    }
}

/// The fields of a request's query.
pub(crate) struct Query(pub(crate) Fields);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        Fields::parse(query.as_bytes()).without_repeats().map(Self)
    }
}
