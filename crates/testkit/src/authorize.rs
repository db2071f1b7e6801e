//! The authorization endpoint (RFC 6749 section 3.1), and its page.

use std::sync::Arc;

use axum::{
    extract::State as Extract,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use url::Url;

use crate::{
    clock::Moment,
    family::FamilyId,
    fields::{Fields, Form, Query},
    mint::{MintFailed, random_text},
    page::{self, Page},
    refusal::Refusal,
    state::{Shared, State},
};

/// An authorization code.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) client: String,
    pub(crate) subject: String,
    pub(crate) scope: String,
    /// As the authorization request said it; the exchange must say the same.
    pub(crate) redirect_uri: Option<String>,
    /// The S256 challenge (RFC 7636).
    pub(crate) challenge: Option<String>,
    pub(crate) expires_at: Moment,
    pub(crate) used: bool,
    /// What was issued for it.
    pub(crate) family: Option<FamilyId>,
}

/// The parameters that a decision needs again.
const KEPT: [&str; 9] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "user_scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "resource",
];

pub(crate) async fn show(
    Extract(shared): Extract<Arc<Shared>>,
    query: Result<Query, Refusal>,
) -> Response {
    shared.with(|state| {
        answer(state, query.map(|Query(fields)| fields), |state, fields| {
            let asked = check(state, fields)?;
            if state.options.auto_approve {
                let subject = state.options.subject.clone();
                return Ok(Answer::Redirect(approve(state, fields, asked, subject)?));
            }
            Ok(Answer::Page)
        })
    })
}

pub(crate) async fn decide(
    Extract(shared): Extract<Arc<Shared>>,
    form: Result<Form, Refusal>,
) -> Response {
    shared.with(|state| {
        answer(state, form.map(|Form(fields)| fields), |state, fields| {
            let asked = check(state, fields)?;
            if fields.get("decision") != Some("approve") {
                return Err(Refusal::bad("access_denied", "the person declined"));
            }
            let own = state.options.subject.as_str();
            let subject = fields.get("username").unwrap_or(own).to_owned();
            Ok(Answer::Redirect(approve(state, fields, asked, subject)?))
        })
    })
}

enum Answer {
    Page,
    Redirect(Vec<(&'static str, String)>),
}

/// Where people go back to is settled first: without it, a refusal is a page and no redirect.
fn answer(
    state: &mut State,
    fields: Result<Fields, Refusal>,
    decide: impl FnOnce(&mut State, &Fields) -> Result<Answer, Refusal>,
) -> Response {
    let settled = fields.and_then(|fields| Ok((return_address(state, &fields)?, fields)));
    let (mut target, fields) = match settled {
        Ok(settled) => settled,
        Err(refusal) => {
            let title = "This request cannot be answered";
            let mut page = page::message(StatusCode::BAD_REQUEST, title, &refusal.description);
            page.extensions_mut().insert(refusal.note());
            return page;
        }
    };
    let (parameters, note) = match decide(state, &fields) {
        Ok(Answer::Page) => return consent(state, &fields),
        Ok(Answer::Redirect(parameters)) => (parameters, None),
        Err(refusal) => {
            let note = refusal.note();
            let error = ("error", refusal.code.to_owned());
            (vec![error, ("error_description", refusal.description)], Some(note))
        }
    };
    {
        let mut query = target.query_pairs_mut();
        query.extend_pairs(&parameters);
        if let Some(given) = fields.get("state") {
            query.append_pair("state", given);
        }
        if state.options.iss {
            query.append_pair("iss", &state.issuer);
        }
    }
    let mut response = (StatusCode::FOUND, [(LOCATION, String::from(target))]).into_response();
    response.extensions_mut().insert(note.unwrap_or_default());
    response
}

fn return_address(state: &State, fields: &Fields) -> Result<Url, Refusal> {
    let id = fields.need("client_id")?;
    let client = state.options.client(id);
    let client = client.ok_or_else(|| Refusal::request("the client is unknown"))?;
    let known = &client.redirect_uris;
    let uri = match fields.get("redirect_uri") {
        Some(uri) if known.is_empty() || known.iter().any(|other| other == uri) => uri,
        Some(_) => return Err(Refusal::request("redirect_uri is not one of the client's")),
        None if known.len() == 1 => &known[0],
        None => return Err(Refusal::request("redirect_uri is missing")),
    };
    Url::parse(uri).map_err(|_| Refusal::request("redirect_uri is not an absolute URL"))
}

/// What is asked for, once everything but the person agrees.
struct Asked {
    scope: String,
    challenge: Option<String>,
}

fn check(state: &State, fields: &Fields) -> Result<Asked, Refusal> {
    if fields.need("response_type")? != "code" {
        return Err(Refusal::bad("unsupported_response_type", "response_type must be code"));
    }
    let challenge = fields.get("code_challenge");
    if challenge.is_none() && state.options.require_pkce {
        return Err(Refusal::request("code_challenge is missing: PKCE is required"));
    }
    if challenge.is_some() && fields.get("code_challenge_method") != Some("S256") {
        return Err(Refusal::request("code_challenge_method must be S256"));
    }
    let scope = fields.get("scope").or(fields.get("user_scope")).unwrap_or_default().to_owned();
    Ok(Asked { scope, challenge: challenge.map(str::to_owned) })
}

fn approve(
    state: &mut State,
    fields: &Fields,
    asked: Asked,
    subject: String,
) -> Result<Vec<(&'static str, String)>, MintFailed> {
    let text = format!("code-{}", random_text()?);
    let code = Code {
        client: fields.get("client_id").unwrap_or_default().to_owned(),
        subject,
        scope: asked.scope,
        redirect_uri: fields.get("redirect_uri").map(str::to_owned),
        challenge: asked.challenge,
        expires_at: state.now().plus(state.options.code_life),
        used: false,
        family: None,
    };
    state.codes.insert(text.clone(), code);
    Ok(vec![("code", text)])
}

fn consent(state: &State, fields: &Fields) -> Response {
    let hidden = KEPT.iter().filter_map(|name| Some((*name, fields.get(name)?))).collect();
    let shown = vec![("username", "Who are you?", state.options.subject.as_str())];
    let text = format!(
        "{} asks for: {}",
        fields.get("client_id").unwrap_or_default(),
        fields.get("scope").or(fields.get("user_scope")).unwrap_or("no scope"),
    );
    let form = page::Form { action: "/authorize", hidden, shown };
    Page { title: "Approve access?", text: &text, form: Some(form) }.answer(StatusCode::OK)
}
